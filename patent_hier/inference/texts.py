"""Scoring of texts by many classifiers: each text is read once for all that read alike, and scored once by each."""

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

import numpy as np

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.pooling import pool
from patent_hier.evaluation.scores import TreeScores, derive
from patent_hier.features.terms import TermReader, TermStore
from patent_hier.features.token_store import TokenStore
from patent_hier.inference.nodes import Classifier, Combination

_Progress = Callable[[int], None]
_Encoder = Callable[[list[str]], TokenStore | TermStore]


class TextScorer:
    """Scores texts by any of a system's loaded folders.

    Classifiers on character n-grams have different terms; their texts are counted once for all terms, and each takes
    its own columns of the counts.

    Attributes:
        passes: How many classifiers read each text; constant ones need not.
    """

    def __init__(self, loaded: Mapping[Path, Classifier | Combination]) -> None:
        self._loaded = loaded
        reading = [one for one in loaded.values() if isinstance(one, Classifier) and one.classifier.reader is not None]
        self.passes = len(reading)
        self._encoders: dict[Hashable, _Encoder] = {_reads(one): one.classifier.encode for one in reading}
        terms: dict[tuple[int, int], set[str]] = {}
        for one in reading:
            if isinstance(one.classifier.reader, TermReader):
                terms.setdefault(one.classifier.reader.ngram_sizes, set()).update(one.classifier.reader.terms)
        for sizes, union in terms.items():
            self._encoders[sizes] = TermReader(tuple(sorted(union)), sizes).encode

    def score(
        self, nodes: Mapping[str, Path], texts: list[str], progress: _Progress | None, batch_size: int
    ) -> dict[str, TreeScores]:
        """Scores by node; see :meth:`patent_hier.inference.predictor.System.log_prob`."""
        scoring = _Pass(self._loaded, self._encoders, texts, progress, batch_size)
        return {node: scoring.of(folder) for node, folder in nodes.items()}


class _Pass:
    """One pass over some texts; what has been read or scored is kept until its end."""

    def __init__(
        self,
        loaded: Mapping[Path, Classifier | Combination],
        encoders: Mapping[Hashable, _Encoder],
        texts: list[str],
        progress: _Progress | None,
        batch_size: int,
    ) -> None:
        self._loaded = loaded
        self._encoders = encoders
        self._texts = texts
        self._progress = progress
        self._batch_size = batch_size
        self._stores: dict[Hashable, TokenStore | TermStore] = {}
        self._scores: dict[Path, TreeScores] = {}

    def of(self, folder: Path) -> TreeScores:
        if folder not in self._scores:
            one = self._loaded[folder]
            self._scores[folder] = self._own(one) if isinstance(one, Classifier) else self._pooled(one, folder)
        return self._scores[folder]

    def _own(self, one: Classifier) -> TreeScores:
        n = len(self._texts)
        if not n or one.classifier.reader is None:  # a constant classifier is certain of its labels
            return TreeScores(one.tree, np.zeros((n, len(one.tree)), np.float32), one.classifier.flat)
        key = _reads(one)
        if key not in self._stores:
            self._stores[key] = self._encoders[key](self._texts)
        log_prob = one.classifier.log_prob(self._stores[key], np.arange(n), self._batch_size, self._progress)
        return TreeScores(one.tree, log_prob, one.classifier.flat)

    def _pooled(self, one: Combination, folder: Path) -> TreeScores:
        members = [
            derive({node: self.of(path) for node, path in member.nodes.items()}, one.node) for member in one.members
        ]
        pooled = pool(members, [member.weight for member in one.members])
        if (pooled.tree, pooled.flat) != (one.tree, one.flat):
            raise ArtifactError(f"the members of {folder} know other labels than it; delete it and combine again")
        return pooled


def _reads(one: Classifier) -> Hashable:
    """What is equal for classifiers that can share a store."""
    reader = one.classifier.reader
    return reader.ngram_sizes if isinstance(reader, TermReader) else one.reader_digests
