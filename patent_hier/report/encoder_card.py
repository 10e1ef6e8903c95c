"""The card of a pre-trained encoder: what it is, what it has read, how its loss fell, how to make it again."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patent_hier.atomic import read_json
from patent_hier.features.pretrained import CONFIG
from patent_hier.report.figures import loss_curve
from patent_hier.report.rendering import render

_CURVE = "loss_curve.svg"
_ROWS = 12  # of the table of losses


def write_card(folder: Path, manifest: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
    """Write ``README.md`` and ``loss_curve.svg`` of an encoder's folder.

    Args:
        folder: Where to; its weights and ``config.json`` are there already.
        manifest: Of the encoder, as :mod:`patent_hier.pipeline.pretrain` makes it.
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
    """Write ``README.md`` of an encoder whose vocabulary was cut.

    Args:
        folder: Where to; its weights and ``config.json`` are there already.
        manifest: Of the encoder, as :mod:`patent_hier.pipeline.trim_encoder` makes it.
        loss: What is lost on other text, in a sentence.
    """
    facts = {
        "config": read_json(folder / CONFIG),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        "loss": loss,
    }
    (folder / "README.md").write_text(render("trimmed_card.md.j2", **{**manifest, **facts}), "utf-8")
