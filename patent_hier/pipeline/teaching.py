"""The teacher's answers that a run learns from, checked against its corpus and split. Does not import torch."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.data.answers import Answers, answers_manifest
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ConfigError
from patent_hier.evaluation.system import positions
from patent_hier.settings import WHOLE, Settings

if TYPE_CHECKING:
    from patent_hier.training.node_data import Teaching


def teaching_content(settings: Settings, corpus: Corpus, split: Path) -> dict[str, Any]:
    """Return what determines the teaching, for a run's fingerprint; empty without a teacher.

    Raises:
        ConfigError: If the folder has no answers, or they belong to another corpus, split or depth.
    """
    own = settings.distill
    if own.answers is None:
        return {}
    if settings.node not in WHOLE:
        raise ConfigError(
            f"distill.answers={own.answers} needs one network over all labels, not node={settings.node}; use "
            "level=flat or level=shared"
        )
    manifest = answers_manifest(Path(own.answers))
    for what, theirs, ours in (
        ("corpus", manifest.get("corpus"), corpus.fingerprint),
        ("split", manifest.get("split"), split.name),
        ("data.depth", manifest.get("levels", [None])[-1], settings.data.depth),
    ):
        if theirs != ours:
            raise ConfigError(
                f"distill.answers={own.answers} belongs to {what} {theirs}, but this run has {ours}; distill on the "
                "same data"
            )
    counts = manifest["counts"]
    chosen = {
        "weight": own.weight if counts["documents"] else None,
        "text_weight": own.text_weight if counts["texts"] else None,
        "temperature": own.temperature,
    }
    return {"distill": {"answers": manifest["sha256"], **chosen}}


def load_teaching(settings: Settings, corpus: Corpus) -> "Teaching | None":
    """Return the answers that a run learns from; None without a teacher."""
    if settings.distill.answers is None:
        return None
    from patent_hier.training.node_data import Teaching

    folder = Path(settings.distill.answers)
    answers = _answers(folder, answers_manifest(folder)["sha256"])
    rows = positions(answers.document_ids, corpus.document_ids.to_numpy(), f"the corpus of {folder}")
    return Teaching(answers, rows, settings.distill)


@functools.lru_cache(maxsize=1)
def _answers(folder: Path, unchanged: str) -> Answers:
    """Return the answers, read once for all trials and seeds of a process."""
    return Answers.open(folder)
