"""The card of an exported system: what it is, what it was trained on, how right it is, what it must not be used for."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from patent_hier.errors import ArtifactError
from patent_hier.inference.calibration import SHOWN, Calibration
from patent_hier.inference.predictor import System
from patent_hier.ipc_names import name_of
from patent_hier.settings import FLAT

CARD = "README.md"
_SCORES = {
    "section_accuracy": "section",
    "cascade_accuracy": "class, cascade",
    "flat_accuracy": "class, flat",
    "top_1": "class, likeliest path",
    "top_3": "class among three",
}


def label_table(classes: Sequence[str]) -> dict[str, Any]:
    """Sections and classes with our short names of them, as JSON-able values."""

    def named(code: str) -> dict[str, str]:
        return {"code": code, "zh": name_of(code, "zh"), "en": name_of(code, "en")}

    sections = sorted({label[0] for label in classes})
    return {
        "sections": [
            {**named(section), "classes": [named(label) for label in sorted(classes) if label[0] == section]}
            for section in sections
        ]
    }


def write_card(
    file: Path,
    system: System,
    version: str,
    calibration: Calibration | None,
    facts: Mapping[str, Any],
    license: str | None,  # noqa: A002 - the hub's word
) -> None:
    """Write the card as Markdown with the hub's YAML head.

    Raises:
        ArtifactError: If the facts or what was measured are not as we write them.
    """
    head: dict[str, Any] = {"language": "zh", "pipeline_tag": "text-classification", "library_name": "patent_hier"}
    head |= {"license": license or "other", "tags": ["patent", "IPC", "hierarchical-classification"]}
    if license is None:
        head["license_name"] = "unspecified"
    lines = ["---", yaml.safe_dump(head, allow_unicode=True, sort_keys=False).strip(), "---", ""]
    try:
        lines += _body(system, version, calibration, facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # an export of another, exported again
        raise ArtifactError(f"facts of {system.name} are missing or of another form ({error!r})") from error
    file.write_text("\n".join(lines) + "\n", "utf-8")


def _body(system: System, version: str, calibration: Calibration | None, facts: Mapping[str, Any]) -> Iterator[str]:
    data = facts.get("data") or {}
    kind = "flat classifier over all classes" if FLAT in system.nodes else "section model and a class model per section"
    yield f"# {system.name}: IPC sections and classes of Chinese patents"
    yield ""
    yield f"A {kind}, trained by patent_hier; version `{version}`. {len(system.classes)} classes, see `labels.json`."
    yield f"It reads {' and '.join(system.raw.text)}, joined as in training."
    yield ""
    if data.get("name") == "demo":
        yield "**Trained on generated demo data: not comparable with any paper, and of no use for real applications.**"
        yield ""
    yield "```python"
    yield "from patent_hier import HierarchicalClassifier"
    yield ""
    yield 'classifier = HierarchicalClassifier.from_pretrained("FOLDER")'
    yield 'classifier.predict(["一种激光测距装置，包括壳体和光电探测器"], target_accuracy=0.9)[0].decision'
    yield "```"
    yield ""
    yield "## Training data"
    yield ""
    where = f"Corpus `{data.get('name')}`, {data.get('documents')} documents, split `{data.get('split')}`"
    yield f"{where}, seed {facts.get('seed')}."
    yield ""
    yield from _scores(facts.get("result") or {})
    if calibration is not None:
        yield from _calibration(calibration)
    yield "## Limits"
    yield ""
    yield "- It knows the classes it was trained on, and can only choose among them."
    yield "- Scores hold for documents like those of the corpus; other years, offices and kinds of text need a test."
    yield "- It supports a person who decides. It is no legal classification."
    yield "- The weights are safetensors, all else is JSON, YAML or text; loading runs no code of this folder."


def _scores(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [(name, result[key]) for key, name in _SCORES.items() if isinstance(result.get(key), dict)]
    if not rows:
        return
    yield "## Scores on the test part"
    yield ""
    yield "| accuracy | % | 95 % interval | documents | classes with support |"
    yield "|---|---|---|---|---|"
    for name, score in rows:
        low, high = score["interval"]
        yield (
            f"| {name} | {100 * score['value']:.1f} | {100 * low:.1f} to {100 * high:.1f} | {score['n_documents']} | "
            f"{score['n_classes_with_support']} |"
        )
    yield ""


def _calibration(calibration: Calibration) -> Iterator[str]:
    yield "## When it answers"
    yield ""
    yield f"Temperatures and thresholds were fitted to {calibration.documents} documents of the calibration part."
    yield ""
    measured = calibration.measured
    if not measured:
        return
    error = measured["calibration_error"]
    yield (
        f"Expected calibration error on {measured['documents']} test documents: class {error['before']['class']:.3f} "
        f"before, {error['after']['class']:.3f} after; section {error['before']['section']:.3f} before, "
        f"{error['after']['section']:.3f} after."
    )
    yield ""
    yield "| asked accuracy | answered with class | right | with section only | right | undecided |"
    yield "|---|---|---|---|---|---|"
    for target in SHOWN:
        one = measured["targets"][f"{target:.2f}"]
        cells = [f"{100 * target:.0f} %"]
        for level in ("class", "section"):
            score = one[f"{level}_accuracy"]
            cells += [f"{100 * one[f'{level}_coverage']:.1f} %", f"{100 * score['value']:.1f} %" if score else "-"]
        yield f"| {' | '.join(cells)} | {100 * one['undecided']:.1f} % |"
    yield ""
