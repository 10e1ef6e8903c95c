"""Finished systems as one: for each node, the weighted product of the members' probabilities.

The weights of a node are fitted to the ``val`` documents under it, so its scores on ``val`` are no estimate; nothing
here looks at ``calibration`` or ``test``. Down to the class each head is pooled by itself; deeper trees are pooled over
whole paths, with weights for each level (:mod:`patent_hier.evaluation.path_pool`). Where predictions keep only the best
labels of a level, all members read the documents' texts again. Members may reach different levels; the combination
reaches those that all of them do.

A member without a node of its own (a flat classifier has no sections, local classifiers have no ``flat``) is asked what
its other nodes say of it, see :mod:`patent_hier.evaluation.scores`. So the cascade of flat members alone is: the
section of the highest summed probability, then the best class within it.

A node's folder has the files of a trained one; its ``model/`` says which folders it is made of, and their weights.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, fingerprint
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.context import documents_at
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import DocumentLabels, corpus_labels, node_targets
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import LevelScores, concatenate, score_levels
from patent_hier.evaluation.path_pool import PathPool
from patent_hier.evaluation.pooling import fit_weights, pool
from patent_hier.evaluation.scores import TreeScores, as_node, cut, derive
from patent_hier.evaluation.system import aligned, positions
from patent_hier.inference.nodes import CLASSIFIER_FILE, COMBINATION, MODEL_FOLDER, NODE_KIND, Classifier, NodeLoader
from patent_hier.inference.scoring import TextScorer
from patent_hier.pipeline.environment import PeakMemory, describe_environment
from patent_hier.pipeline.members import Member, corpus_of, read_members
from patent_hier.pipeline.node import CELLS, METRICS_FILE, finished, read_predictions, write_node
from patent_hier.pipeline.suite import SuiteResult, aggregate_nodes
from patent_hier.progress import item_progress, say
from patent_hier.settings import FLAT, ROOT, SHARED, WHOLE
from patent_hier.taxonomy.tree import LabelTree, Positions

COMBINE_VERSION = 3  # raise it when equal members would make other scores
_LEVELS_OF_LOCAL_POOLS = 2  # deeper trees are pooled over whole paths
LEAST_DOCUMENTS = 50  # of val under a section, to fit weights of its own
_NOTE = "the weights were fitted to val, so the scores on val are no estimate"


def combine(
    results: Sequence[Path],
    runs_dir: Path,
    name: str = COMBINATION,
    cache_dir: Path | None = None,
    overrides: Sequence[str] = (),
    depth: str | None = None,
) -> list[SuiteResult]:
    """Combine finished systems of one corpus and split; nodes that are finished are left as they are.

    Args:
        results: Two or more result folders; their order does not matter.
        runs_dir: Folder of results.
        name: Folder of the combination in it.
        cache_dir: Where the corpus is; None for the folder that the first member was trained with.
        overrides: The words of the command, for the manifests.
        depth: The deepest level that is answered; None for the deepest that all members reach.

    Returns:
        The results of the combination, the better one first, not yet saved: of systems down to the class its local
        classifiers and its flat one, of deeper ones a single one over all levels.

    Raises:
        ConfigError: If a folder is no result, is given twice, the members are not of one corpus and split, or one does
            not reach ``depth``.
        IncompleteError: If a member lacks a node.
        ArtifactError: If a member or a finished node of the combination is damaged, or the members scored different
            documents; nothing half-written is left.
    """
    members = read_members(results)
    corpus, cache = corpus_of(members[0], cache_dir)
    common = min((member.tree.levels for member in members), key=len)
    if depth is not None and depth not in common:
        raise ConfigError(f"depth {depth} is not reached by every member; choose one of {', '.join(common[1:])}")
    levels = common if depth is None else common[: common.index(depth) + 1]
    combination = _Ensemble(members, levels, corpus, cache, runs_dir / name, tuple(overrides))
    for member in combination.deeper:
        reached = f"{COMBINATION}: {member.short_name} reaches {member.tree.depth}"
        say(f"{reached}; it is asked down to {combination.depth}")
    if len(combination.levels) > _LEVELS_OF_LOCAL_POOLS:
        return [aggregate_nodes({SHARED: combination.ensure(SHARED)}, corpus.folder)]
    sections = sorted({label for member in members for label in member.tree.labels(member.tree.levels[0])})
    folders = {node: combination.ensure(node) for node in (ROOT, *sections, FLAT)}  # the root's weights come first
    flat = {FLAT: folders.pop(FLAT)}
    return [aggregate_nodes(folders, corpus.folder), aggregate_nodes(flat, corpus.folder)]


def combine_again(before: Member, results: Sequence[Path], cache_dir: Path | None) -> SuiteResult:
    """Combine new versions of a combination's members as the old ones were, in the same folder of results.

    Args:
        before: The old combination.
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

    @property
    def depth(self) -> str:
        """The deepest level that is answered."""
        return self.levels[-1]

    @cached_property
    def deeper(self) -> list[Member]:
        """The members that reach further than that."""
        return [member for member in self.members if member.tree.depth != self.depth]

    @cached_property
    def content(self) -> dict[str, Any]:
        """All that decides the result, but for the node."""
        data = self.members[0].manifest["data"]
        facts = [member.facts for member in self.members]
        content = {
            "combine_version": COMBINE_VERSION,
            "corpus": data["corpus"],
            "split": data["split"],
            "members": facts,
        }
        if len(self.deeper) == len(self.members):  # else the members say how deep
            content["depth"] = self.depth
        return content

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
        scores = [
            cut({node: self._aligned(folder) for node, folder in member.nodes.items()}, self.depth)
            for member in self.members
        ]
        if self.is_whole:
            return scores
        # What every member has of every label below the root: weights are fitted to these levels.
        depths = [own.tree.depth for by_node in scores for node, own in by_node.items() if node != ROOT]
        common = min(depths, key=self.members[0].tree.levels.index)
        return [{node: own.to_depth(common) for node, own in by_node.items()} for by_node in scores]

    @cached_property
    def is_whole(self) -> bool:
        """Whether the members' predictions have all labels of every level that is pooled."""
        read = [read_predictions(folder) for member in self.members for folder in member.nodes.values()]
        return all(own.is_whole or self.depth in (level.level for level in own.dense) for own in read)

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
        pooling = self._over_paths() if node == SHARED else self._by_heads(node)
        predictions = self._pooled(node, pooling)
        facts = {
            "weights": {member.name: weight for member, weight in zip(self.members, pooling.weights, strict=True)},
            **pooling.facts,
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
        write_json(staging / MODEL_FOLDER / CLASSIFIER_FILE, self._classifier(predictions, pooling, folder))
        said = write_node(staging, config, predictions, facts, [], self._manifest(node))
        named = zip((member.short_name for member in self.members), pooling.weights, strict=True)
        shares = ", ".join(f"{np.round(weight, 2)} {name}" for name, weight in named)
        say(f"{COMBINATION} {node}: {said}; weights {shares}  {folder}")

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Where the documents stand in the corpus, ``(n,)``."""
        return positions(self.documents.document_ids, self.corpus.document_ids.to_numpy(), "the corpus")

    @cached_property
    def labels(self) -> DocumentLabels:
        """The corpus's labels of the documents."""
        return corpus_labels(self.corpus, self.depth).take(self.rows)

    def _pooled(self, node: str, pooling: "_Pooling") -> NetworkPredictions:
        """The combination's predictions of all held-out documents."""
        chunks: list[list[LevelScores]] = []
        pooled: TreeScores | None = None
        for scores in self._members_scores(node, np.arange(len(self.documents))):
            pooled = pooling.pool(scores)
            done = sum(len(chunk[0].targets) for chunk in chunks)
            labels = self.labels.take(np.arange(done, done + len(pooled)))
            chunks.append(score_levels(pooled.tree, pooled.log_prob, node_targets(labels, node, pooled.tree.levels)))
        assert pooled is not None  # there are documents
        own = self.documents
        levels = concatenate(chunks)
        return NetworkPredictions(node, pooled.tree, own.document_ids, own.parts, levels, pooled.flat, own.groups)

    def _members_scores(self, node: str, places: NDArray[np.intp]) -> Iterator[list[TreeScores]]:
        """Some documents at a time: from the members' predictions or, where these keep only the best labels, texts.

        Args:
            node: The node.
            places: Which of ``documents``.
        """
        if self.is_whole:
            whole = [as_node(derive(own, node), node) for own in self.scores]
            yield [TreeScores(own.tree, own.log_prob[places], own.flat) for own in whole]
            return
        scorer = TextScorer(self.loader.nodes)
        raws = [one.raw for one in self.loader.nodes.values() if isinstance(one, Classifier)]
        context = dict.fromkeys(name for raw in raws for name in raw.context)
        texts = documents_at(self.corpus, context, self.rows[places])
        size = max(1, CELLS // max(len(member.tree) for member in self.members))
        with item_progress(f"{COMBINATION} {node}: scoring {len(texts)} documents", len(texts)) as progress:
            for start in range(0, len(texts), size):
                chunk = texts[start : start + size]
                by_member = [scorer.score(member.sources(node), chunk) for member in self.members]
                progress(len(chunk))
                yield [as_node(derive(cut(own, self.depth), node), node) for own in by_member]

    @cached_property
    def loader(self) -> NodeLoader:
        """The members' node folders, loaded."""
        loader = NodeLoader()
        for member in self.members:
            for name, folder in member.nodes.items():
                loader.load(folder, name)
        return loader

    def _by_heads(self, node: str) -> "_Pooling":
        """One weight for each member, each head pooled by itself."""
        scores = [as_node(derive(own, node), node) for own in self.scores]
        tree = LabelTree.union([own.tree for own in scores])
        val, paths = self._val(node, tree)
        if node in (ROOT, FLAT) and not len(val):
            raise ConfigError(
                "the weights of a combination are fitted to val, and the members' split has no such documents; train "
                "the members with split.val above 0"
            )
        if node in (ROOT, FLAT) or len(val) >= LEAST_DOCUMENTS:
            own = [TreeScores(member.tree, member.log_prob[val], member.flat) for member in scores]
            weights = fit_weights(own, tree, paths).tolist()
            facts = {"weights_of": node, "weights_documents": len(val)}
        else:
            known = read_json(self.node_folder(ROOT) / METRICS_FILE)["training"]
            say(
                f"{COMBINATION} {node}: {len(val)} val documents under it, fewer than {LEAST_DOCUMENTS}; "
                "it takes the weights of root"
            )
            weights = [known["weights"][member.name] for member in self.members]
            facts = {"weights_of": ROOT, "weights_documents": known["weights_documents"]}
        return _Pooling(lambda scores: pool(scores, weights), weights, facts)

    def _over_paths(self) -> "_Pooling":
        """A weight for each member and level, over whole paths."""
        tree = LabelTree.union([member.tree.to_depth(self.depth) for member in self.members])
        val, paths = self._val(SHARED, tree)
        if len(val) < LEAST_DOCUMENTS:
            raise ConfigError(
                f"{len(val)} val documents, fewer than the {LEAST_DOCUMENTS} that the weights of several levels need; "
                "raise split.val and train the members again"
            )
        pooled = PathPool.fit(self._members_scores(SHARED, val), tree, paths)
        unknown = pooled.unknown.tolist()
        facts = {"unknown": unknown, "levels": list(tree.levels), "weights_documents": len(val)}
        return _Pooling(lambda scores: pooled(scores, tree), pooled.weights.tolist(), facts, unknown)

    def _val(self, node: str, tree: LabelTree) -> tuple[NDArray[np.intp], Positions]:
        """Which documents of ``val`` lie under the node, and their paths in a tree."""
        targets = node_targets(self.labels, node, tree.levels)
        paths = np.stack([tree.find(level, own) for level, own in zip(tree.levels, targets, strict=True)], axis=1)
        val = np.flatnonzero((self.documents.parts == "val") & (targets[0] != None))  # noqa: E711 - elementwise
        return val, paths[val]

    def _classifier(self, pooled: NetworkPredictions, pooling: "_Pooling", folder: Path) -> dict[str, Any]:
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
    """How members become one: what makes one of their scores, their weights, and facts for the metrics."""

    pool: Callable[[list[TreeScores]], TreeScores]
    weights: list[Any]
    facts: dict[str, Any]
    unknown: list[float] | None = None
