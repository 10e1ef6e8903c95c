"""Card of a pre-trained encoder: architecture, training text, loss curve and the command that reproduces it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patent_hier.atomic import read_json
from patent_hier.features.pretrained import CONFIG
from patent_hier.report.figures import loss_curve
from patent_hier.report.rendering import render

_CURVE = "loss_curve.svg"
_ROWS = 12  # rows in the table of losses


def write_card(folder: Path, manifest: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
    """Write ``README.md`` and ``loss_curve.svg`` into an encoder's folder.

    Args:
        folder: Folder that already contains the weights and ``config.json``.
        manifest: Manifest of the encoder from :mod:`patent_hier.pipeline.pretrain`.
        history: One record for each round; see :class:`patent_hier.training.pretraining.Pretrained`.
    """
    (folder / _CURVE).write_bytes(loss_curve(history).svg)
    chosen = sorted({round(i * (len(history) - 1) / (_ROWS - 1)) for i in range(_ROWS)})
    before = [{**run, "command": shlex.join(run["command"])} for run in manifest.get("before", ())]
    facts = {
        "config": read_json(folder / CONFIG),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        "on_cpu": {manifest["training"]["device"], *(run["device"] for run in before)} == {"cpu"},
        "rounds": [history[number] for number in chosen],
        "before": before,
        "curve": _CURVE,
        "command": shlex.join(manifest["environment"]["command"]),
    }
    (folder / "README.md").write_text(render("encoder_card.md.j2", **{**manifest, **facts}), "utf-8")


def write_trimmed_card(folder: Path, manifest: Mapping[str, Any], loss: str) -> None:
    """Write ``README.md`` for an encoder with a reduced vocabulary.

    Args:
        folder: Folder that already contains the weights and ``config.json``.
        manifest: Manifest of the encoder from :mod:`patent_hier.pipeline.trim_encoder`.
        loss: A sentence that states what is lost on other text.
    """
    facts = {
        "config": read_json(folder / CONFIG),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        "loss": loss,
    }
    (folder / "README.md").write_text(render("trimmed_card.md.j2", **{**manifest, **facts}), "utf-8")
