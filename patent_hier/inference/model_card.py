"""The card of an exported system: what it is, what it was trained on, how right it is, what it must not be used for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from patent_hier.errors import ArtifactError
from patent_hier.inference.calibration import SHOWN, Calibration
from patent_hier.inference.predictor import System
from patent_hier.settings import FLAT, ROOT, SHARED
from patent_hier.taxonomy.names import LANGUAGES, known_name
from patent_hier.taxonomy.tree import LabelTree

CARD = "README.md"
_SCORES = {"accuracy": "{}", "top_1": "{}, likeliest path", "top_3": "{} among three"}
_KINDS = {
    FLAT: "flat classifier over all labels of the deepest level",
    SHARED: "network with a classifier for each label",
    ROOT: "classifier of the {0} and, for each {0}, one of what is below it",
}


def label_table(tree: LabelTree) -> dict[str, Any]:
    """All labels with our short names of those that have one, as JSON-able values: level by level, siblings together.

    Returns:
        ``levels``, and ``labels``: each with ``code``, ``level``, ``parent`` (the code above it, null at the first
        level), and perhaps ``zh`` and ``en``.
    """
    labels = []
    for level in tree.levels:
        own = tree.span(level)
        for code, parent in zip(tree.codes[own], tree.names(tree.parents[own]), strict=True):
            names = {language: name for language in LANGUAGES if (name := known_name([code], language))}
            labels.append({"code": code, "level": level, "parent": parent, **names})
    return {"levels": list(tree.levels), "labels": labels}


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
    tree = system.tree
    kind = next(words for node, words in _KINDS.items() if node in system.nodes).format(tree.levels[0])
    counts = ", ".join(f"{len(tree.labels(level))} at level {level}" for level in tree.levels)
    yield f"# {system.name}: IPC labels of Chinese patents down to level {tree.depth}"
    yield ""
    yield f"A {kind}, trained by patent_hier; version `{version}`. Labels: {counts}; see `labels.json`."
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
    yield "- It knows the labels it was trained on, and can only choose among them."
    yield "- Scores hold for documents like those of the corpus; other years, offices and kinds of text need a test."
    yield "- It supports a person who decides. It is no legal classification."
    yield "- The weights are safetensors, all else is JSON, YAML or text; loading runs no code of this folder."


def _scores(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (name.format(level), own[key])
        for level, own in (result.get("levels") or {}).items()
        for key, name in _SCORES.items()
        if isinstance(own.get(key), dict)
    ]
    if not rows:
        return
    yield "## Scores on the test part"
    yield ""
    yield "| accuracy | % | 95 % interval | documents | labels with support |"
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
    before, after = (measured["calibration_error"][when]["levels"] for when in ("before", "after"))
    errors = "; ".join(f"{level} {before[level]:.3f} before, {after[level]:.3f} after" for level in reversed(before))
    yield f"Expected calibration error on {measured['documents']} test documents: {errors}."
    yield ""
    levels = list(reversed(calibration.thresholds[0].levels))
    columns = ["asked accuracy", f"answered with {levels[0]}", "right"]
    columns += [name for level in levels[1:] for name in (f"with {level} only", "right")]
    yield f"| {' | '.join([*columns, 'undecided'])} |"
    yield "|---" * (len(columns) + 1) + "|"
    for target in SHOWN:
        one = measured["targets"][f"{target:.2f}"]
        cells = [f"{100 * target:.0f} %"]
        for level in levels:
            reached = one["levels"][level]
            score = reached["accuracy"]
            cells += [f"{100 * reached['coverage']:.1f} %", f"{100 * score['value']:.1f} %" if score else "-"]
        yield f"| {' | '.join(cells)} | {100 * one['undecided']:.1f} % |"
    yield ""
