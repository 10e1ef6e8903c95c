"""Finished systems as one: for each node, the weighted product of the members' probabilities.

The weights of a node are fitted to the ``val`` documents under it, so its scores on ``val`` are no estimate; nothing
here looks at ``calibration`` or ``test``. Levels with so many labels that predictions keep only the best are pooled
from the documents' texts, which all members read again; the weights come from the levels above. A member without a node
of its own (a flat classifier has no sections, local classifiers have no ``flat``) is asked what its other nodes say of
it, see :mod:`patent_hier.evaluation.scores`. So the cascade of flat members alone is: the section of the highest summed
probability, then the best class within it.

A node's folder has the files of a trained one; its ``model/`` says which folders it is made of, and their weights.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import fingerprint
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import DocumentLabels, corpus_labels, node_targets
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import LevelScores, concatenate, score_levels
from patent_hier.evaluation.pooling import fit_weights, pool
from patent_hier.evaluation.scores import TreeScores, derive
from patent_hier.evaluation.system import aligned, positions
from patent_hier.inference.nodes import CLASSIFIER_FILE, COMBINATION, MODEL_FOLDER, NODE_KIND, NodeLoader
from patent_hier.inference.predictor import TextScorer
from patent_hier.pipeline.environment import PeakMemory, describe_environment
from patent_hier.pipeline.members import Member, corpus_of, read_members
from patent_hier.pipeline.node import CELLS, METRICS_FILE, finished, read_predictions, write_node
from patent_hier.pipeline.suite import SuiteResult, aggregate_nodes
from patent_hier.progress import item_progress, say
from patent_hier.settings import FLAT, ROOT
from patent_hier.taxonomy.tree import LabelTree

COMBINE_VERSION = 2  # raise it when equal members would make other scores
LEAST_DOCUMENTS = 50  # of val under a section, to fit weights of its own
_NOTE = "the weights were fitted to val, so the scores on val are no estimate"


def combine(
    results: Sequence[Path],
    runs_dir: Path,
    name: str = COMBINATION,
    cache_dir: Path | None = None,
    overrides: Sequence[str] = (),
) -> tuple[SuiteResult, SuiteResult]:
    """Combine finished systems of one corpus and split; nodes that are finished are left as they are.

    Args:
        results: Two or more result folders; their order does not matter.
        runs_dir: Folder of results.
        name: Folder of the combination in it.
        cache_dir: Where the corpus is; None for the folder that the first member was trained with.
        overrides: The words of the command, for the manifests.

    Returns:
        The results of the combination's local classifiers, and of its flat one; not yet saved.

    Raises:
        ConfigError: If a folder is no result, is given twice, or the members are not of one corpus and split.
        IncompleteError: If a member lacks a node.
        ArtifactError: If a member or a finished node of the combination is damaged, or the members scored different
            documents; nothing half-written is left.
    """
    members = read_members(results)
    corpus, cache = corpus_of(members[0], cache_dir)
    sections = sorted({label for member in members for label in member.tree.labels(member.tree.levels[0])})
    combination = _Combination(members, corpus, cache, runs_dir / name, tuple(overrides))
    nodes = (ROOT, *sections, FLAT)  # the root's weights come first
    folders = {node: combination.ensure(node) for node in nodes}
    flat = {FLAT: folders.pop(FLAT)}
    return aggregate_nodes(folders, corpus.folder), aggregate_nodes(flat, corpus.folder)


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
    def documents(self) -> NetworkPredictions:
        """Any node of the first member: which documents there are, in which order, and their parts."""
        return read_predictions(next(iter(self.members[0].nodes.values())))

    @cached_property
    def scores(self) -> list[dict[str, TreeScores]]:
        """Each member's scores of all held-out documents, in the order of ``documents``."""
        say(f"{COMBINATION}: reading {len(self.members)} members, {len(self.documents)} documents")
        scores = [{node: self._aligned(folder) for node, folder in member.nodes.items()} for member in self.members]
        if self.is_whole:
            return scores
        # What every member has of every label below the root: weights are fitted to these levels.
        depths = [own.tree.depth for by_node in scores for node, own in by_node.items() if node != ROOT]
        common = min(depths, key=self.members[0].tree.levels.index)
        return [{node: own.to_depth(common) for node, own in by_node.items()} for by_node in scores]

    @cached_property
    def is_whole(self) -> bool:
        """Whether the members' predictions have all labels of every level."""
        return all(read_predictions(folder).is_whole for member in self.members for folder in member.nodes.values())

    def _aligned(self, folder: Path) -> TreeScores:
        try:
            own = aligned(read_predictions(folder), self.documents.document_ids)
        except ArtifactError as error:
            raise ArtifactError(f"{folder}: {error}") from error
        if not np.array_equal(own.parts, self.documents.parts):
            raise ArtifactError(f"{folder} has documents in other parts than another member; run it again")
        return own.scores()

    def _make(self, node: str, folder: Path, staging: Path) -> None:
        memory, start = PeakMemory(), time.perf_counter()
        scores = [_as_node(derive(own, node), node) for own in self.scores]
        weights, fitted = self._weights(node, scores)
        predictions = self._pooled(node, scores, weights)
        facts = {
            "weights": {member.name: weight for member, weight in zip(self.members, weights, strict=True)},
            **fitted,
            "note": _NOTE,
            "scored_documents": len(self.documents),
            "combine_seconds": round(time.perf_counter() - start, 3),
            "peak_memory_bytes": memory.bytes(),
        }
        config = {
            "model": {"name": COMBINATION},
            "node": node,
            "combine_version": COMBINE_VERSION,
            "least_documents": LEAST_DOCUMENTS,
            "members": [{"result": str(member.result), **member.facts} for member in self.members],
            "cache_dir": str(self.cache),
        }
        (staging / MODEL_FOLDER).mkdir()
        write_json(staging / MODEL_FOLDER / CLASSIFIER_FILE, self._classifier(predictions, weights, folder))
        said = write_node(staging, config, predictions, facts, [], self._manifest(node))
        named = zip((member.short_name for member in self.members), weights, strict=True)
        shares = ", ".join(f"{weight:.2f} {name}" for name, weight in named)
        say(f"{COMBINATION} {node}: {said}; weights {shares}  {folder}")

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Where the documents stand in the corpus, ``(n,)``."""
        return positions(self.documents.document_ids, self.corpus.document_ids.to_numpy(), "the corpus")

    @cached_property
    def labels(self) -> DocumentLabels:
        """The corpus's labels of the documents, down to the deepest level that any member knows."""
        depth = max((member.tree for member in self.members), key=lambda tree: len(tree.levels)).depth
        return corpus_labels(self.corpus, depth).take(self.rows)

    def _pooled(self, node: str, scores: Sequence[TreeScores], weights: Sequence[float]) -> NetworkPredictions:
        """The members' product: of their predictions or, where these keep only the best labels, of the texts."""
        chunks: list[list[LevelScores]] = []
        pooled: TreeScores | None = None
        for pooled in [pool(scores, weights)] if self.is_whole else self._scored_again(node, weights):
            done = sum(len(chunk[0].targets) for chunk in chunks)
            labels = self.labels.take(np.arange(done, done + len(pooled)))
            chunks.append(score_levels(pooled.tree, pooled.log_prob, node_targets(labels, node, pooled.tree.levels)))
        assert pooled is not None  # there are documents
        own = self.documents
        return NetworkPredictions(node, pooled.tree, own.document_ids, own.parts, concatenate(chunks), pooled.flat)

    def _scored_again(self, node: str, weights: Sequence[float]) -> Iterator[TreeScores]:
        """Some documents at a time, in the order of ``documents``."""
        scorer = TextScorer(self.loader.nodes)
        texts = [str(text) for text in self.corpus.column("text").take(self.rows).to_pylist()]
        size = max(1, CELLS // max(len(member.tree) for member in self.members))
        with item_progress(f"{COMBINATION} {node}: scoring {len(texts)} documents", len(texts)) as progress:
            for start in range(0, len(texts), size):
                chunk = texts[start : start + size]
                by_member = [scorer.score(member.sources(node), chunk) for member in self.members]
                progress(len(chunk))
                yield pool([_as_node(derive(own, node), node) for own in by_member], weights)

    @cached_property
    def loader(self) -> NodeLoader:
        """The members' node folders, loaded."""
        loader = NodeLoader()
        for member in self.members:
            for name, folder in member.nodes.items():
                loader.load(folder, name)
        return loader

    def _weights(self, node: str, scores: Sequence[TreeScores]) -> tuple[list[float], dict[str, Any]]:
        """The members' weights, and where they are from."""
        tree = LabelTree.union([own.tree for own in scores])
        targets = node_targets(self.labels, node, tree.levels)
        paths = np.stack([tree.find(level, own) for level, own in zip(tree.levels, targets, strict=True)], axis=1)
        val = np.flatnonzero((self.documents.parts == "val") & (targets[0] != None))  # noqa: E711 - elementwise
        if node in (ROOT, FLAT) or len(val) >= LEAST_DOCUMENTS:
            own = [TreeScores(member.tree, member.log_prob[val], member.flat) for member in scores]
            return fit_weights(own, tree, paths[val]).tolist(), {"weights_of": node, "weights_documents": len(val)}
        known = read_json(self.node_folder(ROOT) / METRICS_FILE)["training"]
        say(
            f"{COMBINATION} {node}: {len(val)} val documents under it, fewer than {LEAST_DOCUMENTS}; "
            "it takes the weights of root"
        )
        weights = [known["weights"][member.name] for member in self.members]
        return weights, {"weights_of": ROOT, "weights_documents": known["weights_documents"]}

    def _classifier(self, pooled: NetworkPredictions, weights: Sequence[float], folder: Path) -> dict[str, Any]:
        """Return what scoring new texts needs: the members' folders, relative to the node's own, and their weights."""
        members = [
            {
                "model": member.manifest["model"],
                "nodes": {
                    source: os.path.relpath(path, folder.resolve())
                    for source, path in member.sources(pooled.node).items()
                },
                "weight": weight,
            }
            for member, weight in zip(self.members, weights, strict=True)
        ]
        facts = {"kind": COMBINATION, "node": pooled.node, "tree": pooled.tree.as_dict(), "flat": pooled.flat}
        return {**facts, "members": members}

    def _manifest(self, node: str) -> dict[str, Any]:
        of_training = dict.fromkeys(("devices", "accumulate", "threads", "precision", "cuda_device"))
        return {
            "kind": NODE_KIND,
            "model": COMBINATION,
            "node": node,
            "suite": fingerprint({**self.content, "seed": None}),
            "group": fingerprint(self.content),
            "level": FLAT if node == FLAT else "hier",
            "seed": None,
            "data": self.members[0].manifest["data"],
            "inputs": {"members": [member.facts for member in self.members]},
            "content": self.content,
            "environment": {**describe_environment(), **of_training},
            "overrides": list(self.overrides),
        }


def _as_node(scores: TreeScores, node: str) -> TreeScores:
    """Of ``flat`` with one softmax, whatever network it is derived from."""
    return TreeScores(scores.tree, scores.log_prob, node == FLAT)
