"""Finished systems as one: for each node, the weighted product of the members' probabilities.

The weights of a node are fitted to the ``val`` documents under it, so its scores on ``val`` are no estimate; nothing
here looks at ``calibration`` or ``test``. A member without a node of its own (a flat classifier has no sections, local
classifiers have no ``flat``) is asked what its other nodes say of it, see :mod:`patent_hier.evaluation.deriving`. So
the cascade of flat members alone is: the section of the highest summed probability, then the best class within it.

A node's folder has the files of a trained one (:mod:`patent_hier.pipeline.node`). In its ``model/`` stands no model but
which folders it is made of, and their weights.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from patent_hier.artifacts import fingerprint, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.deriving import NodeScores, derive
from patent_hier.evaluation.hits import positions
from patent_hier.evaluation.pooling import fit_weights, pool
from patent_hier.evaluation.predictions import PREDICTIONS_FILE, SCORED_PARTS, Predictions
from patent_hier.ipc import SECTIONS
from patent_hier.pipeline.environment import PeakMemory, describe_environment
from patent_hier.pipeline.evidence import COMBINATION
from patent_hier.pipeline.members import CLASSIFIER, Member, corpus_of, read_members
from patent_hier.pipeline.node import (
    CONFIG_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    MODEL_FOLDER,
    finished,
    read_predictions,
    score_part,
)
from patent_hier.progress import say
from patent_hier.settings import FLAT, ROOT
from patent_hier.training.node_data import node_targets

COMBINE_VERSION = 1  # raise it when equal members would make other scores
LEAST_DOCUMENTS = 50  # of val under a section, to fit weights of its own
_NOTE = "the weights were fitted to val, so the scores on val are no estimate"


@dataclass(frozen=True)
class Combined:
    """What a combination has become.

    Attributes:
        hier: Node -> result folder, for ``root`` and the sections.
        flat: Likewise for ``flat``.
        corpus: Corpus folder.
    """

    hier: dict[str, Path]
    flat: dict[str, Path]
    corpus: Path


def combine(
    results: Sequence[Path],
    runs_dir: Path,
    name: str = COMBINATION,
    cache_dir: Path | None = None,
    overrides: Sequence[str] = (),
) -> Combined:
    """Combine finished systems of one corpus and split; nodes that are finished are left as they are.

    Args:
        results: Two or more result folders; their order does not matter.
        runs_dir: Folder of results.
        name: Folder of the combination in it.
        cache_dir: Where the corpus is; None for the folder that the first member was trained with.
        overrides: The words of the command, for the manifests.

    Raises:
        ConfigError: If a folder is no result, is given twice, or the members are not of one corpus and split.
        IncompleteError: If a member lacks a node.
        ArtifactError: If a member or a finished node of the combination is damaged, or the members scored different
            documents; nothing half-written is left.
    """
    members = read_members(results)
    corpus, cache = corpus_of(members[0], cache_dir)
    sections = set().union(*(member.sections for member in members))
    combination = _Combination(members, corpus, cache, runs_dir / name, tuple(overrides))
    nodes = (ROOT, *(section for section in SECTIONS if section in sections), FLAT)  # the root's weights come first
    folders = {node: combination.ensure(node) for node in nodes}
    return Combined({node: folders[node] for node in nodes[:-1]}, {FLAT: folders[FLAT]}, corpus.folder)


@dataclass(frozen=True)
class _Combination:
    members: list[Member]
    corpus: Corpus
    cache: Path
    folder: Path
    overrides: tuple[str, ...]

    @cached_property
    def content(self) -> dict[str, Any]:
        """All that decides the result, but for the node."""
        data = self.members[0].manifest["data"]
        facts = [member.facts for member in self.members]
        return {"combine_version": COMBINE_VERSION, "corpus": data["corpus"], "split": data["split"], "members": facts}

    def node_folder(self, node: str) -> Path:
        return self.folder / f"{node}-{fingerprint({**self.content, 'seed': None, 'node': node})}"

    def ensure(self, node: str) -> Path:
        """The finished folder of a node."""
        folder = self.node_folder(node)
        with exclusive(folder):
            if finished(folder):
                say(f"{COMBINATION} {node}: finished before  {folder}")
                return folder
            with atomic_folder(folder) as staging:
                self._make(node, folder, staging)
        return folder

    @cached_property
    def documents(self) -> Predictions:
        """Any node of the first member: which documents there are, in which order, and their parts."""
        return read_predictions(next(iter(self.members[0].nodes.values())))

    @cached_property
    def scores(self) -> list[dict[str, NodeScores]]:
        """Each member's scores of all held-out documents, in the order of ``documents``."""
        say(f"{COMBINATION}: reading {len(self.members)} members, {len(self.documents)} documents")
        return [{node: self._aligned(folder) for node, folder in member.nodes.items()} for member in self.members]

    def _aligned(self, folder: Path) -> NodeScores:
        own, documents = read_predictions(folder), self.documents
        if len(own) != len(documents):
            raise ArtifactError(f"{folder} scored {len(own)} documents, another member {len(documents)}; run it again")
        if not np.array_equal(own.document_ids, documents.document_ids):
            own = own.take(positions(documents.document_ids, own.document_ids, f"the predictions of {folder}"))
        if not np.array_equal(own.parts, documents.parts):
            raise ArtifactError(f"{folder} has documents in other parts than another member; run it again")
        return NodeScores(own.labels, own.log_prob)

    def _targets(self, node: str) -> NDArray[Any]:
        """The true labels under a node, ``(n,)``; ``None`` for documents of other sections."""
        table = self.corpus.table(["document_id", "section", "ipc_class"])
        ids, sections, classes = (column.to_numpy() for column in table.columns)
        rows = positions(self.documents.document_ids, ids, "the corpus")
        return node_targets(node, sections[rows], classes[rows])

    def _make(self, node: str, folder: Path, staging: Path) -> None:
        memory, start = PeakMemory(), time.perf_counter()
        scores = [derive(own, node) for own in self.scores]
        targets = self._targets(node)
        weights, fitted = self._weights(node, scores, targets)
        pooled = pool(scores, weights)
        documents = self.documents
        predictions = Predictions(
            node, pooled.labels, documents.document_ids, documents.parts, targets, pooled.log_prob
        )
        names = [member.name for member in self.members]
        facts = {
            "weights": dict(zip(names, weights, strict=True)),
            **fitted,
            "note": _NOTE,
            "scored_documents": len(documents),
            "combine_seconds": round(time.perf_counter() - start, 3),
            "peak_memory_bytes": memory.bytes(),
        }
        metrics = {"node": node, **{part: score_part(predictions, part) for part in SCORED_PARTS}}
        config = yaml.safe_dump(self._config(node), allow_unicode=True, sort_keys=False)
        (staging / CONFIG_FILE).write_text(config, "utf-8")
        predictions.write(staging / PREDICTIONS_FILE)
        write_json(staging / METRICS_FILE, {**metrics, "training": facts})
        write_json(staging / HISTORY_FILE, [])
        (staging / MODEL_FOLDER).mkdir()
        write_json(staging / MODEL_FOLDER / CLASSIFIER, self._classifier(node, pooled.labels, weights, folder))
        seal(staging, self._manifest(node))
        self._report(node, folder, metrics, weights)

    def _weights(
        self, node: str, scores: Sequence[NodeScores], targets: NDArray[Any]
    ) -> tuple[list[float], dict[str, Any]]:
        """The members' weights, and where they are from."""
        val = np.flatnonzero((self.documents.parts == "val") & ~pd.isna(targets))
        if node in (ROOT, FLAT) or len(val) >= LEAST_DOCUMENTS:
            own = [NodeScores(member.labels, member.log_prob[val]) for member in scores]
            return fit_weights(own, targets[val]).tolist(), {"weights_of": node, "weights_documents": len(val)}
        known = read_json(self.node_folder(ROOT) / METRICS_FILE)["training"]
        say(
            f"{COMBINATION} {node}: {len(val)} val documents under it, fewer than {LEAST_DOCUMENTS}; "
            "it takes the weights of root"
        )
        weights = [known["weights"][member.name] for member in self.members]
        return weights, {"weights_of": ROOT, "weights_documents": known["weights_documents"]}

    def _classifier(self, node: str, labels: Sequence[str], weights: Sequence[float], folder: Path) -> dict[str, Any]:
        """What scores new texts needs: the members' folders, relative to the node's own, and their weights."""
        members = [
            {
                "model": member.manifest["model"],
                "nodes": {
                    source: os.path.relpath(path.resolve(), folder.resolve())
                    for source, path in member.sources(node).items()
                },
                "weight": weight,
            }
            for member, weight in zip(self.members, weights, strict=True)
        ]
        return {"kind": COMBINATION, "node": node, "labels": list(labels), "members": members}

    def _config(self, node: str) -> dict[str, Any]:
        """Its members and versions."""
        return {
            "model": {"name": COMBINATION},
            "node": node,
            "combine_version": COMBINE_VERSION,
            "least_documents": LEAST_DOCUMENTS,
            "members": [{"result": str(member.result), **member.facts} for member in self.members],
            "cache_dir": str(self.cache),
        }

    def _manifest(self, node: str) -> dict[str, Any]:
        return {
            "kind": "node",
            "model": COMBINATION,
            "node": node,
            "suite": fingerprint({**self.content, "seed": None}),
            "group": fingerprint(self.content),
            "level": FLAT if node == FLAT else "hier",
            "seed": None,
            "data": self.members[0].manifest["data"],
            "inputs": {"members": [member.facts for member in self.members]},
            "content": self.content,
            "environment": {
                **describe_environment(),
                "devices": None,
                "accumulate": None,
                "threads": None,
                "precision": None,
                "cuda_device": None,
            },
            "overrides": list(self.overrides),
        }

    def _report(self, node: str, folder: Path, metrics: dict[str, Any], weights: Sequence[float]) -> None:
        named = zip((member.short_name for member in self.members), weights, strict=True)
        known, score = "no test document under this node", metrics["test"]["accuracy"]
        if score:
            known = (
                f"test accuracy {score['value']:.3f} on {score['n_documents']} documents of "
                f"{score['n_classes_with_support']} classes"
            )
        say(f"{COMBINATION} {node}: {known}; weights {', '.join(f'{w:.2f} {name}' for name, w in named)}  {folder}")
