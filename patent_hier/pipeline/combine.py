"""Combine finished systems into an ensemble: each node is the weighted product of the members' probabilities.

The weights of a node are fitted to the ``val`` documents below it, so its scores on ``val`` are biased; this module
never uses ``calibration`` or ``test``. Down to the class, each head is pooled separately; deeper trees are pooled over
whole paths, with weights for each level (:mod:`patent_hier.evaluation.path_pool`). Members may have different depths;
the ensemble predicts the levels that all of them have.

If a member lacks a node (a flat classifier has no sections, local classifiers have no ``flat``), its scores for that
node are derived from its other nodes, see :mod:`patent_hier.evaluation.scores`. The cascade of an ensemble of flat
members therefore chooses the section with the highest summed probability, then the best class within it.

A node's folder has the same files as a trained node; its ``model/`` folder lists the members' folders and weights.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from patent_hier.artifacts import MANIFEST, fingerprint
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import node_targets
from patent_hier.errors import ConfigError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import LevelScores, concatenate, score_levels
from patent_hier.evaluation.path_pool import PathPool
from patent_hier.evaluation.pooling import fit_weights, pool
from patent_hier.evaluation.scores import TreeScores, as_node, derive
from patent_hier.inference.nodes import CLASSIFIER_FILE, COMBINATION, MODEL_FOLDER, NODE_KIND
from patent_hier.pipeline.environment import PeakMemory, describe_environment
from patent_hier.pipeline.member_scores import MemberScores
from patent_hier.pipeline.members import Member, corpus_of, read_members
from patent_hier.pipeline.node import METRICS_FILE, finished, write_node
from patent_hier.pipeline.suite import SuiteResult, aggregate_nodes
from patent_hier.progress import say
from patent_hier.settings import FLAT, ROOT, SHARED, WHOLE
from patent_hier.taxonomy.tree import LabelTree

COMBINE_VERSION = 3  # raise it when the same members would give other scores
_LEVELS_OF_LOCAL_POOLS = 2  # deeper trees are pooled over whole paths
LEAST_DOCUMENTS = 50  # val documents that a section needs for weights of its own
_NOTE = "the weights were fitted to val, so the scores on val are biased"


def combine(
    results: Sequence[Path],
    runs_dir: Path,
    name: str = COMBINATION,
    cache_dir: Path | None = None,
    overrides: Sequence[str] = (),
    depth: str | None = None,
) -> list[SuiteResult]:
    """Combine finished systems of one corpus and split into an ensemble; its finished nodes are left unchanged.

    Args:
        results: Two or more result folders, in any order.
        runs_dir: Folder of results.
        name: Name of the ensemble's folder in ``runs_dir``.
        cache_dir: Cache folder with the corpus; None for the one that the first member was trained with.
        overrides: Arguments of the command, for the manifests.
        depth: Deepest level to predict; None for the deepest level that all members have.

    Returns:
        The results of the ensemble, not yet saved. Systems down to the class have two, first that of the local
        classifiers, then that of the flat one; deeper systems have one over all levels.

    Raises:
        ConfigError: If a folder is not a result folder or is given twice, the members differ in corpus or split, or one
            does not have level ``depth``.
        IncompleteError: If a member lacks a node.
        ArtifactError: If a member or a finished node of the ensemble is damaged, or the members scored different
            documents; no partial result is left.
    """
    members = read_members(results)
    corpus, cache = corpus_of(members[0], cache_dir)
    common = min((member.tree.levels for member in members), key=len)
    if depth is not None and depth not in common:
        raise ConfigError(f"not every member reaches depth {depth}; choose one of {', '.join(common[1:])}")
    levels = common if depth is None else common[: common.index(depth) + 1]
    combination = _Ensemble(members, levels, corpus, cache, runs_dir / name, tuple(overrides))
    for member in combination.deeper:
        reached = f"{COMBINATION}: {member.short_name} reaches {member.tree.depth}"
        say(f"{reached}; only its levels down to {combination.depth} are used")
    if len(combination.levels) > _LEVELS_OF_LOCAL_POOLS:
        return [aggregate_nodes({SHARED: combination.ensure(SHARED)}, corpus.folder)]
    sections = sorted({label for member in members for label in member.tree.labels(member.tree.levels[0])})
    folders = {node: combination.ensure(node) for node in (ROOT, *sections, FLAT)}  # root first, for its weights
    flat = {FLAT: folders.pop(FLAT)}
    return [aggregate_nodes(folders, corpus.folder), aggregate_nodes(flat, corpus.folder)]


def combine_again(before: Member, results: Sequence[Path], cache_dir: Path | None) -> SuiteResult:
    """Combine new versions of an ensemble's members in the same way as the old ones, in the same results folder.

    Args:
        before: The old ensemble.
        results: Result folders of the new members.
        cache_dir: As for :func:`combine`.
    """
    folder, depth = before.result.parent, before.tree.depth
    words = [*map(str, results), "--name", folder.name, "--depth", depth]
    suites = combine(results, folder.parent, folder.name, cache_dir, words, depth)
    return next(suite for suite in suites if suite.result.kind == before.level)


@dataclass(frozen=True)
class _Ensemble:
    members: list[Member]
    levels: tuple[str, ...]
    corpus: Corpus
    cache: Path
    folder: Path
    overrides: tuple[str, ...]

    @cached_property
    def scored(self) -> MemberScores:
        """The members' scores for the held-out documents."""
        return MemberScores(self.members, self.corpus, self.depth)

    @property
    def depth(self) -> str:
        """The deepest level that the ensemble predicts."""
        return self.levels[-1]

    @cached_property
    def deeper(self) -> list[Member]:
        """The members with deeper levels than the ensemble."""
        return [member for member in self.members if member.tree.depth != self.depth]

    @cached_property
    def content(self) -> dict[str, Any]:
        """Everything that determines the result, except the node."""
        data = self.members[0].manifest["data"]
        facts = [member.facts for member in self.members]
        content = {
            "combine_version": COMBINE_VERSION,
            "corpus": data["corpus"],
            "split": data["split"],
            "members": facts,
        }
        if len(self.deeper) == len(self.members):  # otherwise the members determine the depth
            content["depth"] = self.depth
        return content

    def node_folder(self, node: str) -> Path:
        return self.folder / f"{node}-{fingerprint({**self.content, 'seed': None, 'node': node})}"

    def ensure(self, node: str) -> Path:
        """Return the folder of a finished node; make the node if it is missing."""
        folder = self.node_folder(node)
        with exclusive(folder):
            if finished(folder):
                say(f"{COMBINATION} {node}: already finished  {folder}")
                return folder
            with atomic_folder(folder) as staging:
                self._make(node, folder, staging)
        return folder

    def _make(self, node: str, folder: Path, staging: Path) -> None:
        memory, start = PeakMemory(), time.perf_counter()
        pooling = self._over_paths() if node == SHARED else self._by_heads(node)
        predictions = self._pooled(node, pooling)
        facts = {
            "weights": {member.name: weight for member, weight in zip(self.members, pooling.weights, strict=True)},
            **pooling.facts,
            "note": _NOTE,
            "scored_documents": len(self.scored.documents),
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
        write_json(staging / MODEL_FOLDER / CLASSIFIER_FILE, self._classifier(predictions, pooling, folder))
        said = write_node(staging, config, predictions, facts, [], self._manifest(node))
        named = zip((member.short_name for member in self.members), pooling.weights, strict=True)
        shares = ", ".join(f"{np.round(weight, 2)} {name}" for name, weight in named)
        say(f"{COMBINATION} {node}: {said}; weights {shares}  {folder}")

    def _pooled(self, node: str, pooling: "_Pooling") -> NetworkPredictions:
        """Return the ensemble's predictions for all held-out documents."""
        chunks: list[list[LevelScores]] = []
        pooled: TreeScores | None = None
        for scores in self.scored.batches(node, np.arange(len(self.scored.documents))):
            pooled = pooling.pool(scores)
            done = sum(len(chunk[0].targets) for chunk in chunks)
            labels = self.scored.labels.take(np.arange(done, done + len(pooled)))
            chunks.append(score_levels(pooled.tree, pooled.log_prob, node_targets(labels, node, pooled.tree.levels)))
        assert pooled is not None  # there is at least one document
        own = self.scored.documents
        levels = concatenate(chunks)
        return NetworkPredictions(node, pooled.tree, own.document_ids, own.parts, levels, pooled.flat, own.groups)

    def _by_heads(self, node: str) -> "_Pooling":
        """Fit one weight for each member, to pool each head separately."""
        scores = [as_node(derive(own, node), node) for own in self.scored.whole]
        tree = LabelTree.union([own.tree for own in scores])
        val, paths = self.scored.val(node, tree)
        if node in (ROOT, FLAT) and not len(val):
            raise ConfigError(
                "the weights of an ensemble are fitted to the part val, which is empty in the members' split; train "
                "the members with split.val above 0"
            )
        if node in (ROOT, FLAT) or len(val) >= LEAST_DOCUMENTS:
            own = [TreeScores(member.tree, member.log_prob[val], member.flat) for member in scores]
            weights = fit_weights(own, tree, paths).tolist()
            facts = {"weights_of": node, "weights_documents": len(val)}
        else:
            known = read_json(self.node_folder(ROOT) / METRICS_FILE)["training"]
            say(
                f"{COMBINATION} {node}: {len(val)} val documents below it, fewer than {LEAST_DOCUMENTS}; "
                "it uses the weights of root"
            )
            weights = [known["weights"][member.name] for member in self.members]
            facts = {"weights_of": ROOT, "weights_documents": known["weights_documents"]}
        return _Pooling(lambda scores: pool(scores, weights), weights, facts)

    def _over_paths(self) -> "_Pooling":
        """Fit a weight for each member and level, to pool whole paths."""
        tree = LabelTree.union([member.tree.to_depth(self.depth) for member in self.members])
        val, paths = self.scored.val(SHARED, tree)
        if len(val) < LEAST_DOCUMENTS:
            raise ConfigError(
                f"val has {len(val)} documents, but weights for several levels need at least {LEAST_DOCUMENTS}; "
                "raise split.val and train the members again"
            )
        pooled = PathPool.fit(self.scored.batches(SHARED, val), tree, paths)
        unknown = pooled.unknown.tolist()
        facts = {"unknown": unknown, "levels": list(tree.levels), "weights_documents": len(val)}
        return _Pooling(lambda scores: pooled(scores, tree), pooled.weights.tolist(), facts, unknown)

    def _classifier(self, pooled: NetworkPredictions, pooling: "_Pooling", folder: Path) -> dict[str, Any]:
        """Return the data for scoring new texts: the members' folders, relative to the node's, and their weights."""
        members = [
            {
                "model": member.manifest["model"],
                "nodes": {
                    source: os.path.relpath(path, folder.resolve())
                    for source, path in member.sources(pooled.node).items()
                },
                "weight": weight,
            }
            for member, weight in zip(self.members, pooling.weights, strict=True)
        ]
        facts = {"kind": COMBINATION, "node": pooled.node, "tree": pooled.tree.as_dict(), "flat": pooled.flat}
        if self.deeper:
            facts["depth"] = self.depth
        return {**facts, "members": members, **({} if pooling.unknown is None else {"unknown": pooling.unknown})}

    def _manifest(self, node: str) -> dict[str, Any]:
        first = next(iter(self.members[0].nodes.values()))
        of_training = dict.fromkeys(("devices", "accumulate", "threads", "precision", "cuda_device"))
        return {
            "kind": NODE_KIND,
            "model": COMBINATION,
            "node": node,
            "suite": fingerprint({**self.content, "seed": None}),
            "group": fingerprint(self.content),
            "level": node if node in WHOLE else "hier",
            "seed": None,
            "data": self.members[0].manifest["data"],
            "inputs": {"members": [member.facts for member in self.members]},
            "content": self.content,
            **{key: value for key, value in read_json(first / MANIFEST).items() if key == "corrections"},
            "environment": {**describe_environment(), **of_training},
            "overrides": list(self.overrides),
        }


@dataclass(frozen=True)
class _Pooling:
    """A fitted pooling of members: the pooling function, the weights, and facts for the metrics."""

    pool: Callable[[list[TreeScores]], TreeScores]
    weights: list[Any]
    facts: dict[str, Any]
    unknown: list[float] | None = None
