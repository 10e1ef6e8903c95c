"""The manifest of a pre-trained encoder: text, training, what it began with, and nothing of the machine's folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.portable import portable, portable_words
from patent_hier.settings.pretraining import PretrainSettings

ENCODER_KIND = "encoder"


def encoder_manifest(
    settings: PretrainSettings,
    *,
    text: Mapping[str, Any],
    vocabulary: int,
    training: Mapping[str, Any],
    dev: Mapping[str, float],
    before: Sequence[Mapping[str, Any]],
    content: Mapping[str, Any],
    overrides: Sequence[str],
) -> dict[str, Any]:
    """What the folder of an encoder tells of how it was made.

    Args:
        settings: The run's settings.
        text: Sources, and how much of it there is.
        vocabulary: Number of tokens.
        training: Facts of :class:`patent_hier.training.pretraining.Pretrained`, and the peak of memory.
        dev: Loss and accuracy on the held-out text at the end.
        before: See :func:`earlier_runs`.
        content: All that decides the encoder.
        overrides: The words of the command.
    """
    return {
        "kind": ENCODER_KIND,
        "name": settings.name,
        "text": dict(text),
        "vocabulary": vocabulary,
        "training": dict(training),
        "dev": dict(dev),
        "start": portable(settings)["start"],
        "before": list(before),
        "content": dict(content),
        "environment": {**describe_environment(), "command": ["patent-hier", "pretrain", *portable_words(overrides)]},
    }


def earlier_runs(folder: Path) -> list[dict[str, Any]]:
    """What an encoder's folder tells of its own pre-training and of that before it, the first run first.

    Args:
        folder: An encoder; of others than ours, which have no such manifest, nothing is known.
    """
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    if not isinstance(manifest, dict) or manifest.get("kind") != ENCODER_KIND or "training" not in manifest:
        return []
    training, environment = manifest["training"], manifest["environment"]
    own = {
        **{key: training[key] for key in ("tokens", "steps", "seconds", "device")},
        **manifest["dev"],
        "date": environment["date"],
        "command": environment["command"],
    }
    return [*manifest.get("before", []), own]
