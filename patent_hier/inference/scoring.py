"""Scoring of texts with loaded node folders; each text is read and scored no more often than necessary."""

from collections.abc import Callable, Hashable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.path_pool import PathPool
from patent_hier.evaluation.pooling import pool
from patent_hier.evaluation.scores import TreeScores, as_node, cut, derive
from patent_hier.features.ngram_store import NgramReader, NgramStore, in_order
from patent_hier.features.token_store import TokenStore
from patent_hier.inference.nodes import Classifier, Ensemble

Progress = Callable[[int], None]


class TextScorer:
    """Scores texts with loaded folders; each text is read once per kind of reader and scored once per folder.

    Classifiers on character n-grams use different n-grams. Their texts are counted once for the union of these, and
    each classifier selects its own columns of the counts.

    Attributes:
        passes: Number of classifiers that read each text; constant classifiers do not.
    """

    def __init__(self, loaded: Mapping[Path, Classifier | Ensemble]) -> None:
        self._loaded = loaded
        reading = [one for one in loaded.values() if isinstance(one, Classifier) and one.classifier.reader is not None]
        self.passes = len(reading)
        self._encoders: dict[Hashable, Callable[[list[str]], TokenStore | NgramStore]] = {
            _reads(one): one.classifier.encode for one in reading
        }
        ngrams: dict[tuple[int, int], set[str]] = {}
        for one in reading:
            if isinstance(one.classifier.reader, NgramReader):
                ngrams.setdefault(one.classifier.reader.ngram_sizes, set()).update(one.classifier.reader.ngrams)
        for sizes, union in ngrams.items():
            self._encoders[sizes] = NgramReader(tuple(in_order(union)), sizes).encode

    def score(
        self, nodes: Mapping[str, Path], texts: list[str], progress: Progress | None = None, batch_size: int = 64
    ) -> dict[str, TreeScores]:
        """Return the scores by node; folders are keys from their loader. See :meth:`System.log_prob`."""
        said = _Reading(self._loaded, self._encoders, texts, progress, batch_size)
        return {node: said.scored(folder) for node, folder in nodes.items()}

    def score_with_members(
        self, nodes: Mapping[str, Path], texts: list[str], progress: Progress | None = None, batch_size: int = 64
    ) -> tuple[dict[str, TreeScores], dict[str, list[TreeScores]]]:
        """Return the scores by node and, for each node that is an ensemble, its members' scores, computed once."""
        said = _Reading(self._loaded, self._encoders, texts, progress, batch_size, keeps_members=True)
        scores = {node: said.scored(folder) for node, folder in nodes.items()}
        combined = {node: folder for node, folder in nodes.items() if isinstance(self._loaded[folder], Ensemble)}
        return scores, {node: said.members(folder) for node, folder in combined.items()}


class _Reading:
    """Some texts, each read once per kind of reader and scored once per folder.

    The scores of an ensemble's members are large, so they are kept only if they are requested along with their pool.
    """

    def __init__(
        self,
        loaded: Mapping[Path, Classifier | Ensemble],
        encoders: Mapping[Hashable, Callable[[list[str]], TokenStore | NgramStore]],
        texts: list[str],
        progress: Progress | None,
        batch_size: int,
        *,
        keeps_members: bool = False,
    ) -> None:
        self._loaded, self._n, self._progress, self._batch_size = loaded, len(texts), progress, batch_size
        self._read = cache(lambda key: encoders[key](texts))
        self.scored = cache(self._scored)
        self.members = cache(self._members) if keeps_members else self._members

    def _scored(self, folder: Path) -> TreeScores:
        one = self._loaded[folder]
        if isinstance(one, Ensemble):
            return self._pooled(one, folder)
        n, classifier = self._n, one.classifier
        if not n or classifier.reader is None:  # a constant classifier gives its labels probability 1
            return TreeScores(one.tree, np.zeros((n, len(one.tree)), np.float32), classifier.flat)
        log_prob = classifier.log_prob(self._read(_reads(one)), np.arange(n), self._batch_size, self._progress)
        return TreeScores(one.tree, log_prob, classifier.flat)

    def _members(self, folder: Path) -> list[TreeScores]:
        """Return each member's scores for the ensemble's node."""
        one, members = self._loaded[folder], []
        assert isinstance(one, Ensemble)
        for member in one.members:
            said = {node: self.scored(path) for node, path in member.nodes.items()}
            if one.depth is not None:
                said = cut(said, one.depth)
            members.append(as_node(derive(said, one.node), one.node))
        return members

    def _pooled(self, one: Ensemble, folder: Path) -> TreeScores:
        members = self.members(folder)
        if one.unknown is None:
            own = pool(members, [weight for member in one.members for weight in member.weights])
        else:
            weights = np.array([member.weights for member in one.members])
            own = PathPool(weights, np.array(one.unknown))(members, one.tree)
        if (own.tree, own.flat) != (one.tree, one.flat):
            raise ArtifactError(
                f"the members of {folder} have other labels than the ensemble; delete it and combine again"
            )
        return own


def _reads(one: Classifier) -> Hashable:
    """Return a key that is equal for classifiers that can share a store."""
    reader = one.classifier.reader
    return reader.ngram_sizes if isinstance(reader, NgramReader) else one.reader_digests
