"""Reliability of a system's answers, as tables, a figure and a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patent_hier.artifacts import refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.errors import ConfigError
from patent_hier.evaluation.result import Score
from patent_hier.inference.calibration import SHOWN, Calibration
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.pipeline.environment import describe_environment
from patent_hier.report.figures import risk_coverage
from patent_hier.report.tables import Grid, grids_markdown, percent, with_interval

TABLE_FILE = "confidence.md"
NOTES = (
    "Target: with the confidence stated in the title, at least this share of the answers is right at each level and "
    "overall. This holds for documents like the calibration documents: same source, years and kind. It does not hold "
    "for other documents; test the model on some whose symbols are known. It also does not hold for each label "
    "separately: some labels can fall below the target, as the tables by label show.",
    "Here: answered at this level. Here or deeper: answered at this level or a deeper one. Right: share of the answers "
    "here that are right on the test part, which was not used to choose anything. Where there are few answers, the "
    "share can fall below the target by chance. Intervals: 95 %, Wilson.",
    "Calibration error: expected calibration error in 15 bins; for a node, over its own documents. Log loss: mean of "
    "−ln of the true label's probability. Scaling: chosen on the calibration part; none unless cross-validation there "
    "shows an improvement. Scaling may fail to help on the test part, on which these errors are measured.",
)
ASKED = (0.6, 0.7, *SHOWN, 0.99)
_KIND = "confidence"


def confidence_tables(calibration: Calibration) -> list[Grid]:
    """Return the tables: coverage and accuracy by target, without target and by first-level label; calibration errors.

    Raises:
        ConfigError: If nothing was measured because there are no test documents.
    """
    if not calibration.measured:
        raise ConfigError(
            "the model has not been measured because it has no test documents; train it with split.test above 0"
        )
    measured, levels = calibration.measured, list(calibration.thresholds[0].levels)
    grids = [_targets(calibration, levels), _unasked(measured, levels)]
    grids += [_by_label(measured["by_label"][f"{target:.2f}"], target, levels) for target in SHOWN]
    return [*grids, _errors(calibration)]


def shortfalls(calibration: Calibration) -> list[str]:
    """Return a line for each target accuracy of the tables at which no document can be answered."""
    found = (calibration.shortfall(one) for one in calibration.thresholds if one.target in ASKED)
    return [line for line in found if line]


def write_confidence(folder: Path, classifier: HierarchicalClassifier, calibration: Calibration) -> None:
    """Write ``confidence.json``, ``confidence.md``, the figure and the manifest, replacing an older folder.

    Raises:
        ConfigError: If the folder contains anything other than such a folder's files.
    """
    refuse_foreign(folder, _KIND)
    grids = confidence_tables(calibration)
    with exclusive(folder), atomic_folder(folder) as staging:
        write_json(staging / "confidence.json", calibration.as_dict())
        figure = risk_coverage(calibration.measured["risk_coverage"], SHOWN)
        (staging / "risk_coverage.svg").write_bytes(figure.svg)
        (staging / "risk_coverage.png").write_bytes(figure.png)
        picture = f"![{figure.alt}](risk_coverage.svg)"
        (staging / TABLE_FILE).write_text(grids_markdown(grids, (picture, *shortfalls(calibration), *NOTES)), "utf-8")
        facts = {"model": classifier.system.name, "version": classifier.version, "data": classifier.facts.get("data")}
        seal(staging, {"kind": _KIND, **facts, "environment": describe_environment()})


def _targets(calibration: Calibration, levels: Sequence[str]) -> Grid:
    """Return a row for each target accuracy and level, the deepest first, then rows for all answers and no answer."""
    rows = []
    for asked in (f"{target:.2f}" for target in ASKED if f"{target:.2f}" in calibration.measured["targets"]):
        one = calibration.measured["targets"][asked]
        deeper = 0.0
        for level in reversed(levels):
            deeper += one["levels"][level]["coverage"]
            rows.append(_target_row(asked, level, one["levels"][level], percent(deeper)))
        rows.append(_target_row(asked, "all answers", one["answered"], ""))
        rows.append(_target_row(asked, "no answer", {"coverage": one["undecided"], "accuracy": None}, ""))
    title = (
        f"What a requested accuracy yields on {calibration.measured['documents']} test documents. With "
        f"{100 * calibration.confidence:g} % confidence, at least the target share is right at each level; thresholds "
        f"chosen on {calibration.documents} calibration documents"
    )
    return Grid.of(title, rows, n_names=2)


def _target_row(asked: str, level: str, reached: Mapping[str, Any], deeper: str) -> dict[str, str]:
    score = reached["accuracy"] and Score(**reached["accuracy"])
    return {
        "target (%)": f"{100 * float(asked):.0f}",
        "level": level,
        "here (%)": percent(reached["coverage"]),
        "right (%)": with_interval(score, " ", "-"),
        "here or deeper (%)": deeper,
    }


def _unasked(measured: Mapping[str, Any], levels: Sequence[str]) -> Grid:
    """Return the accuracy of each level if every document is answered at that level."""
    names = {"right (%)": "accuracy", "right among three guesses (%)": "three_guesses"}
    rows = [
        {"level": level}
        | {title: percent(measured[name].get(level)) for title, name in names.items()}
        | {"area under risk-coverage curve": f"{measured['area_under_risk_coverage'][level]:.3f}"}
        for level in reversed(levels)
        if level in measured["accuracy"]
    ]
    return Grid.of("Every document answered, no target", rows)


def _by_label(by_label: Mapping[str, Mapping[str, Any]], target: float, levels: Sequence[str]) -> Grid:
    """Return by first-level label the share answered at each level and the share of these answers that is right."""
    rows = []
    for label, one in by_label.items():
        score = one["answered"]["accuracy"] and Score(**one["answered"]["accuracy"])
        rows.append(
            {levels[0]: label, "documents": str(one["n_documents"])}
            | {f"{level} (%)": percent(one["levels"][level]["coverage"]) for level in reversed(levels)}
            | {"all answers (%)": percent(one["answered"]["coverage"]), "right (%)": with_interval(score, " ", "-")}
        )
    return Grid.of(f"Level of the answers by true {levels[0]}, target accuracy {100 * target:.0f} %", rows)


def _errors(calibration: Calibration) -> Grid:
    """Return a row for each level of the system, the deepest first, then for each recalibrated level of a node."""
    before, after = (calibration.measured["calibration_error"][when] for when in ("before", "after"))
    rows = []
    for level in reversed(before["levels"]):
        losses = (one.get("log_loss", {}).get(level, "") for one in (before, after))
        method = calibration.choices[level].method if level in calibration.choices else "-"
        rows.append((level, method, before["levels"][level], after["levels"][level], *losses))
    for node, own_errors in before["nodes"].items():
        for level, error in own_errors.items():
            name = f"node {node}" if len(own_errors) == 1 else f"node {node}, {level}"
            scaling = calibration.scalings[node][level]
            numbers = f"{scaling.temperature:.2f}" + (f", {scaling.shape:+.2f}" if scaling.shape else "")
            rows.append((name, numbers, error, after["nodes"][node][level], "", ""))
    cells = tuple((*row[:2], *(f"{one:.3f}" if isinstance(one, float) else one for one in row[2:])) for row in rows)
    title = "Calibration error and log loss on the test part, before and after scaling"
    return Grid(title, ("level", "scaling", "error before", "after", "log loss before", "after"), cells)
