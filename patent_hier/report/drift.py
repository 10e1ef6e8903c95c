"""Comparison of new documents with the calibration documents: tables and a folder with JSON, CSV and figures."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from patent_hier.artifacts import refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.evaluation.drift import LABELS, LEAST_DOCUMENTS, Shift
from patent_hier.evaluation.profile import LENGTH
from patent_hier.evaluation.result import Score
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.drift import Drift, Period
from patent_hier.pipeline.environment import describe_environment
from patent_hier.report import figures
from patent_hier.report.tables import ABSENT, Grid, percent, with_interval
from patent_hier.wording import quantity

DRIFT_KIND = "drift"
DRIFT_VERSION = 1
TABLE_FILE, FACTS_FILE = "drift.csv", "drift.json"
ALARM = "DRIFT"
_WHOLE = "all"
_PRINTED_MONTHS = 24  # the latest months; the files list all
_CHANGES = 3  # labels listed per level
_NAMES = {
    "characters": "characters rare in training",
    "bigrams": "character pairs rare in training",
    "latin": "Latin letters",
    "length": "length",
    "confidence": "confidence of the {}",
    LABELS: "predicted {}",
}
_SHORT = ("rare\nchars. %", "rare\npairs %", "Latin %", "length")
_COLUMNS = ("period", "measure", "documents", "calibration", "value", "low", "high", "distance", "least", "p", "alarm")


def drift_grids(found: Drift, source: str) -> list[Grid]:
    """Return the tables: measures of all documents, accuracy where symbols are known, and months."""
    grids = [_measures(found, source)]
    if found.stream.whole.summary.labelled:
        grids.append(_accuracies(found, source))
    if found.by_month:
        grids.append(_months(found))
    return grids


def drift_notes(found: Drift) -> list[str]:
    """Return notes on what the tables omit: excluded rows, unusual texts, labels that changed most."""
    whole, notes = found.stream.whole, []
    if whole.profile.documents < LEAST_DOCUMENTS:
        notes.append(
            f"{whole.profile.documents} documents are too few for a verdict; collect at least {LEAST_DOCUMENTS}"
        )
    for shift in found.shifts:
        if shift.is_alarm and shift.measure.startswith(LABELS):
            notes.append(f"{measure_name(shift.measure)}: {_changes(found, shift.measure.partition('.')[2])}")
    if whole.summary.strange:
        parts = ", ".join(f"{count} {why}" for why, count in whole.summary.strange.most_common())
        notes.append(f"texts with many characters that are rare in training: {parts}")
    if whole.summary.errors:
        notes.append(
            f"{quantity(whole.summary.errors, 'row')} without a readable text: {whole.summary.faults_in_words()}"
        )
    if found.stream.undated:
        notes.append(f"{found.stream.undated} of {whole.profile.documents} documents have no date and are in no month")
    if len(found.by_month) > _PRINTED_MONTHS:
        notes.append(f"the latest {_PRINTED_MONTHS} of {len(found.by_month)} months are shown; {TABLE_FILE} has all")
    return notes


def verdict(found: Drift) -> str:
    """Return one line that states whether there is drift, in which measures, and which months differ."""
    alarmed = ", ".join(measure_name(shift.measure) for shift in found.shifts if shift.is_alarm)
    months = f"; months that differ: {', '.join(found.months)}" if found.months else ""
    return (f"drift found in {alarmed}" if found.is_found else "no drift found") + months


def measure_name(measure: str) -> str:
    """Return the name of a measure in words."""
    kind, _, level = measure.partition(".")
    return _NAMES[kind].format(level)


def write_drift(folder: Path, found: Drift, classifier: HierarchicalClassifier, facts: Mapping[str, Any]) -> None:
    """Write ``drift.json``, ``drift.csv``, the figure in two languages and the manifest, replacing an older folder.

    Args:
        folder: A new or empty folder, or the folder of an earlier comparison.
        found: The comparison.
        classifier: The system.
        facts: Further facts to record, as JSON-able values.

    Raises:
        ConfigError: If the folder contains anything other than an earlier comparison.
    """
    refuse_foreign(folder, DRIFT_KIND)
    whole = found.stream.whole
    known = {"version": DRIFT_VERSION, "model": classifier.system.name, "model_version": classifier.version, **facts}
    content = {
        **known,
        "is_drift": found.is_found,
        "calibration": {
            **found.reference.profile.as_dict(),
            "accuracy": {level: asdict(score) for level, score in found.reference.accuracies.items()},
        },
        _WHOLE: _period(whole, found.shifts),
        "months": {month: _period(own, found.by_month[month]) for month, own in found.stream.months.items()},
        "documents_without_date": found.stream.undated,
        "rows_without_text": dict(whole.summary.faults),
    }
    with exclusive(folder), atomic_folder(folder) as staging:
        write_json(staging / FACTS_FILE, content)
        table = pd.DataFrame(list(_rows(found)), columns=list(_COLUMNS))
        table.to_csv(staging / TABLE_FILE, index=False, lineterminator="\n")
        for pen, ending in ((figures.pen("en"), ""), (figures.pen("zh"), ".zh")):
            figure = figures.drift(pen, found.reference.profile, whole.profile, found.shifts, found.by_month)
            (staging / f"drift{ending}.svg").write_bytes(figure.svg)
            (staging / f"drift{ending}.png").write_bytes(figure.png)
        seal(staging, {"kind": DRIFT_KIND, **known, "environment": describe_environment()})


def _measures(found: Drift, source: str) -> Grid:
    own, before = found.stream.whole.profile.documents, found.reference.profile.documents
    rows = [
        {
            "measure": measure_name(shift.measure),
            "calibration": _with_unit(shift, shift.before),
            "new": _with_unit(shift, shift.now),
            "distance": f"{shift.distance:.3f}",
            "alarm at": f"{shift.least:.2f}",
            "p (Holm)": ABSENT if shift.p_value is None else f"{shift.p_value:.4f}",
            "": ALARM if shift.is_alarm else "",
        }
        for shift in found.shifts
    ]
    return Grid.of(
        f"{quantity(own, 'document')} from {source} compared with {quantity(before, 'calibration document')}", rows
    )


def _accuracies(found: Drift, source: str) -> Grid:
    before, now = found.reference.accuracies, found.stream.whole.summary.accuracies
    rows = [
        {
            "level": level,
            "calibration (%)": with_interval(before.get(level), " ", "-"),
            "new (%)": with_interval(score, " ", "-"),
            "documents": f"{score.n_documents:,}",
            "labels": str(score.n_classes_with_support),
            "": _below(score, before.get(level)),
        }
        for level, score in now.items()
    ]
    return Grid.of(f"Accuracy of the first path for documents in {source} with known symbols, with 95 % interval", rows)


def _below(score: Score, before: Score | None) -> str:
    """Return "lower" if the interval lies entirely below that of calibration, else an empty string."""
    return "lower" if before is not None and score.interval[1] < before.interval[0] else ""


def _months(found: Drift) -> Grid:
    rows = []
    for month in list(found.by_month)[-_PRINTED_MONTHS:]:
        own, shifts = found.stream.months[month], found.by_month[month]
        largest = max(shifts, key=lambda shift: shift.distance / shift.least)
        row = {"month": month, "documents": f"{own.profile.documents:,}"}
        row |= {name: _value(shift, shift.now) for name, shift in zip(_SHORT, shifts, strict=False)}
        for level in found.stream.levels:
            score = own.summary.accuracies.get(level)
            row[f"{level}\nright %"] = ABSENT if score is None else percent(score.value)
        row["largest\ndistance"] = f"{largest.distance:.3f}"
        row[""] = "differs" if month in found.months else ("" if largest.p_value is not None else "too few")
        rows.append(row)
    if not found.stream.whole.summary.labelled:
        rows = [{name: cell for name, cell in row.items() if "right" not in name} for row in rows]
    return Grid.of(
        f"By month; months with fewer than {LEAST_DOCUMENTS} documents get no verdict; {TABLE_FILE} lists all measures "
        "and intervals",
        rows,
    )


def _value(shift: Shift, value: float | None) -> str:
    return f"{value:.1f}" if value is not None and shift.measure == LENGTH.name else percent(value)


def _with_unit(shift: Shift, value: float | None) -> str:
    unit = "" if value is None or shift.measure == LENGTH.name else " %"
    return _value(shift, value) + unit


def _changes(found: Drift, level: str) -> str:
    """Return the labels whose share of the documents has changed most, with old and new share."""
    before, now = found.reference.profile, found.stream.whole.profile
    shares = [
        {label: 100 * count / one.documents for label, count in one.labels[level].items()} for one in (before, now)
    ]
    changed = Counter({name: abs(shares[1].get(name, 0) - shares[0].get(name, 0)) for name in {*shares[0], *shares[1]}})
    ranked = sorted(changed, key=lambda name: (-changed[name], name))[:_CHANGES]
    return ", ".join(f"{name} {shares[0].get(name, 0):.1f} to {shares[1].get(name, 0):.1f} %" for name in ranked)


def _period(own: Period, shifts: Sequence[Shift]) -> dict[str, Any]:
    return {
        **own.profile.as_dict(),
        "measures": [{**asdict(shift), "is_alarm": shift.is_alarm} for shift in shifts],
        "accuracy": {level: asdict(score) for level, score in own.summary.accuracies.items()},
        "strange": dict(own.summary.strange),
    }


def _rows(found: Drift) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each period and measure, and for each period and level a row with the accuracy."""
    before = found.reference.accuracies
    for period, own in ((_WHOLE, found.stream.whole), *found.stream.months.items()):
        for shift in found.shifts if period == _WHOLE else found.by_month[period]:
            sizes = (shift.distance, shift.least, shift.p_value, shift.is_alarm)
            yield period, shift.measure, own.profile.documents, shift.before, shift.now, None, None, *sizes
        for level, score in own.summary.accuracies.items():
            known = before[level].value if level in before else None
            facts = (known, score.value, *score.interval, None, None, None, None)
            yield period, f"accuracy.{level}", score.n_documents, *facts
