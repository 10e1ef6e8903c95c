"""One aggregated result: printed, and saved as JSON, CSV and Markdown.

The first table has the layout of the paper's Table 2, with our row above the paper's three. The paper prints accuracies
to one decimal; its weighted mean and product are shown as printed and, after the slash, recomputed from its own cells.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from patent_hier.artifacts import MANIFEST, find_damage, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.characters import CHARACTERS_FILE
from patent_hier.data.titles import LABELS_FILE, labels_json
from patent_hier.evaluation.reference import PROFILE_FILE
from patent_hier.evaluation.result import GroupScores, Result, Score
from patent_hier.evaluation.set_scores import RANKS
from patent_hier.inference.blocked import carry_blocked
from patent_hier.inference.exporting import DATA_CARD
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.suite import SuiteResult
from patent_hier.report.data_card import data_card
from patent_hier.report.notes import ABSENT, is_table_2, notes_of, sets_of
from patent_hier.report.published import COLUMNS, COUNTERPARTS, published_cells
from patent_hier.report.tables import Grid, grids_markdown, interval, percent, print_grid
from patent_hier.sanitize import lines
from patent_hier.taxonomy.symbols import SECTIONS
from patent_hier.wording import quantity

SweepRow = tuple[Mapping[str, str], str, Score | None, Score | None]  # settings, node, accuracies on val and test

MARKDOWN_FILE = "result.md"

_TABLE_2 = ("model", "L1", *SECTIONS, "L2\nweighted", "overall\n(product)")
_SCORE = ("%", "95 % interval", "documents", "classes")
_OF_LEVEL = {
    "top 1": "top_1",
    "top 3": "top_3",
    "top 5": "top_5",
    "any": "wipo_any_symbol",
    "oracle": "oracle",
    "product": "product",
    "macro F1": "macro_f1",
    "hier. F1": "hierarchical_f1",
}  # column -> score of a level
_OF_SETS = {
    **{f"P@{k}": f"precision_at_{k}" for k in RANKS},
    **{f"R@{k}": f"recall_at_{k}" for k in RANKS},
    "nDCG@5": "ndcg_at_5",
    "exact": "exact",
    "macro F1": "macro_f1",
    "micro F1": "micro_f1",
}  # column -> score of sets; the last one is shown with its interval
_IN_A_BAND = re.compile(r"\.top_\d\[")  # scores that have their own table with intervals
_ENVIRONMENT = "environment"
_OF_THE_FOLDER = ("files", "sha256", _ENVIRONMENT)  # manifest entries that do not describe the result


def save_suite(suite: SuiteResult) -> None:
    """Write ``result.json``, ``result.csv``, ``result.md`` and ``manifest.json`` into ``suite.folder``.

    ``labels.json`` holds the titles of the labels if they are known, ``characters.json`` the characters of the training
    documents, ``profile.json`` the profile of the calibration documents, and ``DATA.md`` the data card. An existing
    result with the same content stays unchanged and keeps its date. A user's list of blocked labels in the folder is
    kept.
    """
    nodes = {node: str(folder) for node, folder in suite.nodes.items()}
    facts = {"kind": "result", **suite.facts, "nodes": nodes, "overrides": suite.overrides}
    files = {
        "result.csv": result_csv(suite.result),
        MARKDOWN_FILE: result_markdown(suite.result, suite.model, suite.demo, suite.notes),
    }
    files[CHARACTERS_FILE] = json.dumps(suite.characters.as_dict(), ensure_ascii=False, indent=2) + "\n"
    files[DATA_CARD] = data_card(suite.data, suite.learnt, suite.demo)
    if suite.reference is not None:
        files[PROFILE_FILE] = json.dumps(suite.reference.as_dict(), ensure_ascii=False) + "\n"
    if suite.tree.titles:
        files[LABELS_FILE] = labels_json(suite.tree)
    content = {**suite.facts, "demo": suite.demo, **suite.result.as_dict()}
    with exclusive(suite.folder):
        if find_damage(suite.folder) is None:
            manifest = {k: v for k, v in read_json(suite.folder / MANIFEST).items() if k not in _OF_THE_FOLDER}
            same = all(_text(suite.folder / name) == text for name, text in files.items())
            if same and manifest == json.loads(json.dumps(facts)):  # compare with the JSON form, as read from the file
                return
        with atomic_folder(suite.folder) as staging:
            write_json(staging / "result.json", content)
            for name, text in files.items():
                (staging / name).write_text(text, "utf-8")
            seal(staging, {**facts, _ENVIRONMENT: describe_environment()})
            carry_blocked(suite.folder, staging)  # not sealed, because users edit it


def _text(file: Path) -> str | None:
    return file.read_text("utf-8") if file.is_file() else None


def result_markdown(result: Result, name: str = "this run", demo: bool = False, more: Sequence[str] = ()) -> str:
    """Return a result as Markdown.

    Args:
        result: Result of any system.
        name: Name of the model in the first table.
        demo: Whether the corpus was generated; if so, a note says that the scores are not comparable with the paper;
            if not, a note below the paper's rows names their corpus.
        more: Further notes.
    """
    return grids_markdown([*_grids(result, name), _every_score(result)], [*notes_of(result, demo), *more])


def result_csv(result: Result) -> str:
    """Return a result as CSV, one score per line: fractions at full precision, empty if a section has no documents."""
    rows: list[tuple[Any, ...]] = [
        (name, score.value, score.n_documents, score.n_classes_with_support, *score.interval)
        for name, score in result.scores().items()
    ]
    if result.top.oracle:
        below = list(result.levels)[1:]
        rows += [(f"{level}.oracle[{label}]", "", 0, 0, "", "") for level in below for label in result.absent_labels]
    table = pd.DataFrame(rows, columns=["score", "value", "n_documents", "n_classes", "low", "high"])
    return table.to_csv(index=False, lineterminator="\n")


def print_result(
    console: Console, result: Result, name: str = "this run", demo: bool = False, more: Sequence[str] = ()
) -> None:
    """Print the tables by level of a result; arguments as in :func:`result_markdown`, which also lists every score.

    Without a terminal, print plain text of fixed width.
    """
    for grid in _grids(result, name):
        print_grid(console, grid)
    for note in (*notes_of(result, demo), *more):
        console.print(lines(note), markup=False, highlight=False, soft_wrap=True)


def sweep_table(runs: Sequence[SweepRow]) -> Grid:
    """Return a table that compares the runs of a sweep over settings, in the given order.

    Args:
        runs: For each run, the settings that distinguish it, its node, and its accuracies on ``val`` (by which settings
            are chosen) and on ``test``; None for a part without documents.
    """
    rows = [(settings, (node, *_cells(val)[:1], *_cells(test))) for settings, node, val, test in runs]
    return _by_setting("Accuracy by setting", ("node", "val %", "test %", *_SCORE[1:]), rows, n_names=1)


def suite_table(suites: Sequence[tuple[Mapping[str, str], Result]]) -> Grid:
    """Return a table that compares whole results, one per row: distinguishing settings and scores by level."""
    levels = tuple(dict.fromkeys(level for _, result in suites for level in result.levels))
    rows = []
    for settings, result in suites:
        known = {level: own.accuracy for level, own in result.levels.items()}
        scores = (*(known.get(level) for level in levels), result.deepest.product)
        rows.append((settings, (*map(_percent, scores), *_cells(result.deepest.accuracy)[1:])))
    title = "Accuracy by setting; product, interval and documents refer to the deepest level"
    header = (*(f"{level} %" for level in levels), "product %", *_SCORE[1:3], "labels")
    return _by_setting(title, header, rows)


def _by_setting(
    title: str, header: Iterable[str], rows: Sequence[tuple[Mapping[str, str], Iterable[str]]], n_names: int = 0
) -> Grid:
    """Return a table whose first columns are the settings of each row; missing settings are marked as absent."""
    names = tuple(dict.fromkeys(name for settings, _ in rows for name in settings))
    cells = tuple((*(settings.get(name, ABSENT) for name in names), *own) for settings, own in rows)
    return Grid(title, (*names, *header), cells, len(names) + n_names)


def _over(result: Result) -> str:
    return quantity(result.n_documents, f"{result.part} document")


def _grids(result: Result, name: str) -> list[Grid]:
    """Return the tables of a result by level, below the paper's Table 2 if the result has its columns."""
    over = _over(result)
    levels = tuple(
        (level.level, *_cells(level.accuracy)[:2], *(_percent(getattr(level, own)) for own in _OF_LEVEL.values()),
         *_cells(level.accuracy)[2:])
        for level in result.levels.values()
    )  # fmt: skip
    grids = [
        Grid(
            f"Scores (%) by level over {over}", ("level", "right", _SCORE[1], *_OF_LEVEL, "documents", "labels"), levels
        ),
        *_set_grids(result, over),
        *_band_grids(result, over),
        *_applicant_grids(result, over),
    ]
    if is_table_2(result):
        rows = (_own_row(result, name), *map(_published_row, COUNTERPARTS))
        grids.insert(0, Grid(f"Accuracy (%) over {over}, in the layout of the paper's Table 2", _TABLE_2, rows))
    return grids


def _every_score(result: Result) -> Grid:
    """Return the table of every score with its interval, except those by training documents, which have their own."""
    rows = tuple(
        (key, *_cells(score), str(getattr(score, "n_labels", "")))
        for key, score in result.scores().items()
        if not _IN_A_BAND.search(key)
    )
    return Grid(f"All scores over {_over(result)}", ("score", *_SCORE, "labels"), rows)


def _band_grids(result: Result, over: str) -> list[Grid]:
    """Return the table of scores by training documents of the true label; empty list if their numbers are unknown."""
    rows = tuple(
        (level.level, band, *_cells(own.top_1)[:2], *_cells(own.top_5)[:2], *_cells(own.top_1)[2:])
        for level in result.levels.values()
        for band, own in level.by_training_documents.items()
    )
    header = ("level", "training\ndocuments", "top 1", _SCORE[1], "top 5", _SCORE[1], "documents", "labels")
    title = f"Scores (%) by training documents of the true label over {over}"
    return [Grid(title, header, rows, n_names=2)] if rows else []


def _applicant_grids(result: Result, over: str) -> list[Grid]:
    """Return the table of accuracies by applicant; empty list if the model does not read applicants."""
    rows = tuple(
        (level, group, *_cells(own.accuracy)[:2], _percent(own.without), *_gain(own), *_cells(own.accuracy)[2:])
        for level, groups in result.by_applicant.items()
        for group, own in groups.items()
    )
    header = ("level", "applicant", "right", _SCORE[1], "without\ncontext", "gain", _SCORE[1], *_SCORE[2:3], "labels")
    return [Grid(f"Accuracy (%) by applicant over {over}", header, rows, n_names=2)] if rows else []


def _gain(own: GroupScores) -> tuple[str, str]:
    """Return the gain from context in percentage points, and its interval."""
    if own.gain is None or own.gain_interval is None:
        return ABSENT, ABSENT
    low, high = (100 * bound for bound in own.gain_interval)
    return f"{100 * own.gain:+.1f}", f"{low:+.1f} to {high:+.1f}"


def _set_grids(result: Result, over: str) -> list[Grid]:
    """Return the table of scores over all symbols; empty list if no document has several symbols."""
    rows = []
    for level, own in sets_of(result).items():
        micro_f1 = own.scores.get("micro_f1")
        counts = _cells(own.scores["precision_at_1"])[2:]
        percents = (_percent(own.scores.get(name)) for name in _OF_SETS.values())
        rows.append((level, *percents, interval(micro_f1, "-") if micro_f1 else ABSENT, *counts))
    header = ("level", *_OF_SETS, *_SCORE[1:3], "labels")
    return [Grid(f"Scores (%) of all symbols over {over}", header, tuple(rows))] if rows else []


def _own_row(result: Result, name: str) -> tuple[str, ...]:
    """Return our row of Table 2: the section, the class given the true section, and their product."""
    section, ipc_class = result.levels["section"], result.levels["class"]
    local = (ipc_class.local.get(label) for label in SECTIONS)
    return (name, *map(_percent, (section.accuracy, *local, ipc_class.oracle, ipc_class.product)))


def _published_row(model: str) -> tuple[str, ...]:
    printed, recomputed = published_cells(model)
    last = (f"{printed[column]:.1f} / {own:.2f}" for column, own in zip(COLUMNS[-2:], recomputed, strict=True))
    return (f"{model} (paper)", *(f"{printed[column]:.1f}" for column in COLUMNS[:-2]), *last)


def _percent(score: Score | None) -> str:
    return percent(score.value) if score else ABSENT


def _cells(score: Score | None) -> tuple[str, ...]:
    """Return the cells for the columns of :data:`_SCORE`."""
    if score is None:
        return len(_SCORE) * (ABSENT,)
    counts = (f"{score.n_documents:,}", str(score.n_classes_with_support))
    return (percent(score.value), interval(score, "-"), *counts)
