"""How far a system can be trusted, as tables, a figure and a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patent_hier.artifacts import refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.errors import ConfigError
from patent_hier.inference.calibration import SHOWN, Calibration
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.pipeline.environment import describe_environment
from patent_hier.report.figures import risk_coverage
from patent_hier.report.tables import Grid, grids_markdown

JSON_FILE, TABLE_FILE, FIGURE = "confidence.json", "confidence.md", "risk_coverage"
NOTES = (
    "Thresholds and temperatures are of the calibration part, all else is measured on the test part. Asked: of the "
    "answers at each level, so many shall be right. Intervals: 95 %, Wilson.",
    "Calibration error: expected, 15 bins, of a node over its own documents.",
)
_KIND = "confidence"


def confidence_tables(calibration: Calibration) -> list[Grid]:
    """Coverage and accuracy by target, the same by section, calibration errors.

    Raises:
        ConfigError: If nothing was measured, for want of test documents.
    """
    if not calibration.measured:
        raise ConfigError("the model was measured on no test documents; train it with split.test above 0")
    measured = calibration.measured
    chosen = [target for target in measured["targets"] if float(target) in (0.6, 0.7, *SHOWN, 0.99)]
    grids = [_targets(measured, chosen, calibration.documents)]
    grids += [_sections(measured["by_section"][f"{target:.2f}"], target) for target in SHOWN]
    return [*grids, _errors(measured["calibration_error"], calibration.temperatures)]


def write_confidence(folder: Path, classifier: HierarchicalClassifier, calibration: Calibration) -> None:
    """Write ``confidence.json``, ``confidence.md``, the figure and the manifest; an older one is replaced.

    Raises:
        ConfigError: If the folder holds something else.
    """
    refuse_foreign(folder, _KIND)
    grids = confidence_tables(calibration)
    with exclusive(folder), atomic_folder(folder) as staging:
        write_json(staging / JSON_FILE, calibration.as_dict())
        figure = risk_coverage(calibration.measured["risk_coverage"], SHOWN)
        (staging / f"{FIGURE}.svg").write_bytes(figure.svg)
        (staging / f"{FIGURE}.png").write_bytes(figure.png)
        picture = f"![{figure.alt}]({FIGURE}.svg)"
        (staging / TABLE_FILE).write_text(grids_markdown(grids, (picture, *NOTES)), "utf-8")
        facts = {"model": classifier.system.name, "version": classifier.version, "data": classifier.facts.get("data")}
        seal(staging, {"kind": _KIND, **facts, "environment": describe_environment()})


def _reached(one: Mapping[str, Any]) -> list[str]:
    cells = []
    for level in ("class", "section"):
        score = one[f"{level}_accuracy"]
        cells.append(f"{100 * one[f'{level}_coverage']:.1f}")
        cells.append(_interval(score) if score else "-")
    return [*cells, f"{100 * one['undecided']:.1f}"]


def _interval(score: Mapping[str, Any]) -> str:
    low, high = score["interval"]
    return f"{100 * score['value']:.1f} ({100 * low:.1f}-{100 * high:.1f})"


_HEADER = ("class (%)", "right (%)", "section only (%)", "right (%) ", "no answer (%)")


def _targets(measured: Mapping[str, Any], chosen: list[str], fitted: int) -> Grid:
    rows = [(f"{100 * float(target):.0f}", *_reached(measured["targets"][target])) for target in chosen]
    area = measured["area_under_risk_coverage"]
    title = (
        f"What an asked accuracy comes to on {measured['documents']} test documents; thresholds of {fitted} others; "
        f"area under the risk-coverage curve: class {area['class']:.3f}, section {area['section']:.3f}"
    )
    return Grid(title, ("asked (%)", *_HEADER), tuple(rows))


def _sections(by_section: Mapping[str, Mapping[str, Any]], target: float) -> Grid:
    rows = [(section, str(one["n_documents"]), *_reached(one)) for section, one in by_section.items()]
    return Grid(f"By true section, {100 * target:.0f} % asked", ("section", "documents", *_HEADER), tuple(rows))


def _errors(errors: Mapping[str, Mapping[str, float]], temperatures: Mapping[str, float]) -> Grid:
    rows = []
    for name, before in errors["before"].items():
        temperature = temperatures.get(name.removeprefix("node "))
        shown = f"{temperature:.2f}" if temperature is not None and name.startswith("node ") else "-"
        rows.append((name, shown, f"{before:.3f}", f"{errors['after'][name]:.3f}"))
    title = "Calibration error before and after temperature scaling"
    return Grid(title, ("level", "temperature", "before", "after"), tuple(rows))
