from dataclasses import replace

import numpy as np

from patent_hier.report.blocks import Listing, Note, Paragraph, TableBlock
from patent_hier.report.content.layers import layers
from tests.report.worlds import plain_figures


def blocks(context):
    with plain_figures():
        return layers(context)


def test_each_number_of_layers_has_its_row(context):
    (block,) = [block for block in blocks(context) if isinstance(block, TableBlock)]
    assert [row[:2] for row in block.grid.rows] == [("D", "1"), ("D", "2")]
    for node, number, val, test, _, documents, classes in block.grid.rows:
        run = context.evidence.layers[node][int(number)]
        own = run.read_predictions().select("test")
        under = own.targets != None  # noqa: E711  # an array is compared, element by element
        hits = np.array(own.labels, object)[own.log_prob.argmax(1)][under] == own.targets[under]
        assert test == f"{100 * hits.mean():.1f}" == f"{100 * run.metrics['test']['accuracy']['value']:.1f}"
        assert val == f"{100 * run.metrics['val']['accuracy']['value']:.1f}"
        assert (documents, classes) == (str(len(hits)), str(len(set(own.targets[under]))))


def test_the_reading_names_the_best_number(context):
    *_, reading = blocks(context)
    (table,) = [block for block in blocks(context) if isinstance(block, TableBlock)]
    best = max(table.grid.rows, key=lambda row: float(row[3]))[1]
    assert reading.text.startswith(f"Node D: highest on test at N = {best}")


def test_the_papers_best_number_is_named(contexts):
    for context in contexts.values():
        assert any("N = 4" in block.text for block in blocks(context) if isinstance(block, Paragraph))


def test_not_run_is_said_with_the_command(contexts):
    for context in contexts.values():
        own = replace(context, evidence=replace(context.evidence, layers={}))
        command = own.command("-m", "level=node", "node=D", "model.num_last_layers=1,2,3,4,5,6")
        assert blocks(own)[-2:] == [Note(context.say("layers_missing"), "missing"), Listing(command)]
