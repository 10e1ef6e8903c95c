"""The value of reading applicants: scores for documents of known and new applicants, with and without context."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import fingerprint
from patent_hier.data.corpus import Corpus
from patent_hier.data.document_groups import applicant_names
from patent_hier.data.splits import TRAIN
from patent_hier.evaluation.by_group import scores_by_group
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.result import GroupScores
from patent_hier.evaluation.system import aligned, positions
from patent_hier.pipeline.node import finished
from patent_hier.settings.data import APPLICANT

KNOWN, NEW, NONE = "known", "new", "none"


def reads_applicants(manifest: Mapping[str, Any]) -> bool:
    """Return whether a node's model reads applicants in addition to the text."""
    return APPLICANT in manifest["content"].get("context", {}).get("columns", ())


def without_context(folders: Mapping[str, Path], manifest: Mapping[str, Any]) -> dict[str, Path] | None:
    """Return the sibling nodes with the same configuration and seed but no context; None unless all are finished.

    Args:
        folders: Node -> result folder.
        manifest: Manifest of any of these nodes.

    Raises:
        ArtifactError: If one of them is damaged.
    """
    content, seeds = dict(manifest["content"]), (manifest["seed"], None)  # None for models without randomness
    seed = next(seed for seed in seeds if fingerprint({**content, "seed": seed}) == manifest["suite"])
    del content["context"]
    found = {
        node: folder.with_name(
            f"{folder.name.rpartition('-')[0]}-{fingerprint({**content, 'seed': seed, 'node': node})}"
        )
        for node, folder in folders.items()
    }
    return found if all(map(finished, found.values())) else None


def scores_by_applicant(
    system: NetworkPredictions, other: NetworkPredictions | None, corpus: Corpus, parts: NDArray[np.int8], part: str
) -> dict[str, dict[str, GroupScores]]:
    """Score a part's documents by level, then by whether their applicant occurs in the training part.

    Args:
        system: Predictions for all held-out documents, with the corpus's labels as targets.
        other: Predictions of the same model without context; None if it has not been trained.
        corpus: The corpus of the documents.
        parts: Part codes of the corpus's documents.
        part: The part to score.
    """
    own = system.select(part)
    rows = positions(own.document_ids, corpus.document_ids.to_numpy(), "the corpus")
    fields = corpus.column(APPLICANT).to_pylist()
    shown = {name for place in np.flatnonzero(parts == TRAIN) for name in applicant_names(fields[place])}
    groups = np.array([_group(applicant_names(fields[row]), shown) for row in rows], object)
    beside = None if other is None else aligned(other.select(part), own.document_ids)
    return scores_by_group(own, groups, beside)


def _group(names: tuple[str, ...], shown: set[str]) -> str:
    return NONE if not names else NEW if shown.isdisjoint(names) else KNOWN
