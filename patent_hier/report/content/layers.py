"""Figure 6: accuracy against the number of last layers that the head reads."""

import numpy as np

from patent_hier.evaluation.predictions import NO_TARGET, UNSEEN
from patent_hier.evaluation.result import Score
from patent_hier.evaluation.seeds import as_score, spread_of_hits
from patent_hier.pipeline.evidence import NodeRun
from patent_hier.report.blocks import Block, FigureBlock, Heading, Listing, Note, Paragraph, TableBlock
from patent_hier.report.content.context import Context, interval
from patent_hier.report.figures import layer_bars
from patent_hier.report.published import published
from patent_hier.report.tables import Grid, percent

_ABLATION = ("-m", "level=node", "node=D", "model.num_last_layers=1,2,3,4,5,6")


def layers(context: Context) -> list[Block]:
    """The part about the layer ablation."""
    say = context.say
    paper = published("figure_6")
    blocks: list[Block] = [
        Heading(2, say("layers_title"), "layers"),
        Paragraph(say("layers_intro", best=paper["best_n"])),
    ]
    scores = {
        node: {number: score for number, run in runs.items() if (score := _test_score(run))}
        for node, runs in context.evidence.layers.items()
    }
    scores = {node: own for node, own in scores.items() if own}
    if not scores:
        return [*blocks, Note(say("layers_missing"), "missing"), Listing(context.command(*_ABLATION))]
    figure = layer_bars(scores, language=context.language, names=context.names)
    rows = tuple(
        (
            node,
            str(number),
            _val(context.evidence.layers[node][number]),
            percent(score.value),
            interval(score),
            f"{score.n_documents:,}",
            str(score.n_classes_with_support),
        )
        for node, own in scores.items()
        for number, score in own.items()
    )
    columns = ("node", "n", "val", "test", "interval", "documents", "classes")
    grid = Grid("", tuple(say(f"layers_{column}") for column in columns), rows)
    return [
        *blocks,
        FigureBlock(figure, say("layers_figure", name=_name(context))),
        TableBlock(grid, say("layers_table"), say("layers_note")),
        Paragraph(_reading(context, scores)),
    ]


def _test_score(run: NodeRun) -> Score | None:
    """Accuracy on the test documents under the node, with its bootstrap interval."""
    own = run.read_predictions().select("test")
    codes = own.target_codes()
    under = codes != NO_TARGET
    if not under.any():
        return None
    hits = (own.predicted_codes() == codes) & (codes != UNSEEN)
    return as_score(spread_of_hits(hits[None, under], len(np.unique(own.targets[under]))))


def _name(context: Context) -> str:
    """Which configuration and seed the series is of."""
    run = next(iter(next(iter(context.evidence.layers.values())).values()))
    return f"{run.manifest['model']}, seed {run.seed}"


def _val(run: NodeRun) -> str:
    accuracy = run.metrics["val"]["accuracy"]
    return percent(accuracy["value"]) if accuracy else "–"


def _reading(context: Context, scores: dict[str, dict[int, Score]]) -> str:
    """In words: which number is best for each node, and whether its interval leaves out any other's value."""
    sentences = []
    for node, own in scores.items():
        best = max(own, key=lambda number: own[number].value)
        low, _ = own[best].interval
        apart = [str(number) for number, score in own.items() if score.value < low]
        key = "layers_apart" if apart else "layers_alike"
        sentences.append(context.say(key, node=node, best=best, others=", ".join(apart)))
    return " ".join(sentences)
