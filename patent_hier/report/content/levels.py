"""Every level of every system: scores, level of the first error, and scores by training documents."""

from typing import Any

from patent_hier.evaluation.frequency import BANDS
from patent_hier.evaluation.result import BandScores, LevelResult, Result
from patent_hier.report.content.context import Context
from patent_hier.report.tables import ABSENT, Grid, percent, with_interval

_WITH_INTERVAL = {"right": "accuracy", "top_1": "top_1"}  # column -> score
_SCORES = ("top_3", "top_5", "wipo_any_symbol", "macro_f1", "hierarchical_f1")


def levels(context: Context) -> dict[str, Any]:
    """Return three tables for the first seed of each system."""
    results = {context.name(item): item.first.result for item in context.ranked}
    return {
        "levels_table": _scores(context, results),
        "first_errors_table": _first_errors(context, results),
        "bands_table": _bands(context, results),
    }


def _scores(context: Context, results: dict[str, Result]) -> Grid:
    return context.grid(
        [_row(context, name, own) for name, result in results.items() for own in result.levels.values()], 2
    )


def _row(context: Context, name: str, own: LevelResult) -> dict[str, str]:
    values = {score: getattr(own, score) for score in _SCORES}
    return {
        "system": name,
        "levels_level": context.word(f"level_{own.level}"),
        **{f"levels_{column}": with_interval(getattr(own, score)) for column, score in _WITH_INTERVAL.items()},
        **{f"levels_{score}": percent(value and value.value) for score, value in values.items()},
        "levels_documents": f"{own.accuracy.n_documents:,}",
        "levels_labels": f"{own.accuracy.n_classes_with_support:,}",
        "levels_unseen": f"{own.unseen_documents:,}",
    }


def _first_errors(context: Context, results: dict[str, Result]) -> Grid:
    """Return the share of documents whose first error is at each level; with the right ones they add up to 100 %."""
    names = max((result.levels for result in results.values()), key=len)
    rows = [
        {
            "system": name,
            **{
                f"level_{level}": percent(result.levels[level].first_errors.value) if level in result.levels else ABSENT
                for level in names
            },
            "levels_all_right": with_interval(result.all_right),
        }
        for name, result in results.items()
    ]
    return context.grid(rows)


def _bands(context: Context, results: dict[str, Result]) -> Grid:
    """Return top 1 and top 5 of each band; the last rows give the numbers of documents and labels."""

    def row(name: str, level: str, cells: dict[str, str]) -> dict[str, str]:
        columns = {f"band_{band}": cells.get(band, ABSENT) for band in BANDS}
        return {"system": name, "levels_level": context.word(f"level_{level}"), **columns}

    rows = [
        row(name, own.level, {band: _pair(scores) for band, scores in own.by_training_documents.items()})
        for name, result in results.items()
        for own in result.levels.values()
    ]
    deepest = max(results.values(), key=lambda result: len(result.levels))  # all were scored on the same documents
    for own in deepest.levels.values():
        sizes = {band: scores.top_1 for band, scores in own.by_training_documents.items()}
        cells = {band: f"{size.n_documents:,} ({size.n_classes_with_support:,})" for band, size in sizes.items()}
        rows.append(row(context.word("row_documents_labels"), own.level, cells))
    return context.grid(rows, 2)


def _pair(scores: BandScores) -> str:
    return f"{percent(scores.top_1.value)} / {percent(scores.top_5.value)}"
