from dataclasses import replace

import pytest

from patent_hier.data.splits import NO_PART
from patent_hier.pipeline.evidence import NodeRun
from patent_hier.report.content.data import data, table_1
from tests.report.worlds import SYMBOLS


def test_table_1_counts_the_corpus_beside_the_papers(context):
    rows = {row[0]: row[1:] for row in table_1(context).rows}
    assert rows["A"] == ("Daily life and health", "3", "135", "45", "16", "327,537", "20,471")
    assert rows["F"] == ("Engines and mechanical engineering", "1", "2", "2", "18", "252,325", "14,018")
    assert rows["C"][1:4] == ("0", "0", "–")
    total = sum(SYMBOLS.values())
    assert rows["Total"] == ("", "10", str(total), f"{total / 10:.0f}", "130", "2,317,701", "17,828")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_parts_make_the_corpus(contexts, language):
    context = contexts[language]
    grid = data(context)["split_table"]
    documents = context.documents
    assert [int(row[1]) for row in grid.rows] == [(documents["part"] == part).sum() for part in range(4)]
    assert sum(int(row[1]) for row in grid.rows) == sum(SYMBOLS.values())
    assert int(grid.rows[0][2]) == len({*documents["class"][documents["part"] == 0]})


def test_documents_in_no_part_have_a_row(context):
    documents = context.documents.copy()
    documents.loc[documents.index[:7], "part"] = NO_PART
    other = replace(context)
    other.__dict__["documents"] = documents
    *parts, none = data(other)["split_table"].rows
    assert none[:2] == ("not assigned", "7")
    assert sum(int(row[1]) for row in parts) == sum(SYMBOLS.values()) - 7


def test_the_rows_of_the_raw_file_balance(context):
    grid = data(context)["rows_table"]
    read, *others = (int(count.replace(",", "")) for _, count in grid.rows)
    assert read == sum(others) == sum(SYMBOLS.values())
    assert [name for name, _ in grid.rows] == ["read", "kept", "exact duplicates"]


def titled(run: NodeRun, texts: int) -> NodeRun:
    """The run as if it had learnt from titles."""
    found = NodeRun(run.folder, run.manifest)
    facts = {"texts": texts, "levels": {"subclass": texts} if texts else {}, "weight": 0.3 if texts else None}
    found.__dict__["metrics"] = {**run.metrics, "training": {**run.metrics["training"], "label_text": facts}}
    return found


def test_titles_that_systems_learnt_from(context):
    assert data(context)["titles_table"].rows == ()
    first = context.systems[0].configuration
    runs = {
        seed: {node: titled(run, place) for place, (node, run) in enumerate(nodes.items())}
        for seed, nodes in first.runs.items()
    }
    system = replace(context.systems[0], configuration=replace(first, runs=runs))
    grid = data(replace(context, systems=[system, *context.systems[1:]]))["titles_table"]
    total = sum(range(len(next(iter(runs.values())))))  # of all nodes of one seed; the first has none
    assert grid.rows == ((f"{first.name}, hierarchical", "subclass", str(total), "0.3"),)
