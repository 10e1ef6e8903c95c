"""Scores that the members of an ensemble give to its held-out documents.

They come from the members' stored predictions. If these contain only the best labels of a level, all members score the
documents' texts again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.context import documents_at
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import DocumentLabels, corpus_labels, node_targets
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.scores import TreeScores, as_node, cut, derive
from patent_hier.evaluation.system import aligned, positions
from patent_hier.inference.nodes import COMBINATION, Classifier, NodeLoader
from patent_hier.inference.scoring import TextScorer
from patent_hier.pipeline.members import Member
from patent_hier.pipeline.node import CELLS, read_predictions
from patent_hier.progress import item_progress, say
from patent_hier.settings import ROOT
from patent_hier.taxonomy.tree import LabelTree, Positions


@dataclass(frozen=True)
class MemberScores:
    """The members' scores for the held-out documents of a corpus.

    Attributes:
        members: The members, whose first one defines the documents.
        corpus: Corpus of the documents.
        depth: Deepest level that is scored.
    """

    members: Sequence[Member]
    corpus: Corpus
    depth: str

    @cached_property
    def documents(self) -> NetworkPredictions:
        """The predictions of a node of the first member, which define the documents, their order and their parts."""
        return read_predictions(next(iter(self.members[0].nodes.values())))

    @cached_property
    def whole(self) -> list[dict[str, TreeScores]]:
        """Each member's scores for all held-out documents, in the order of ``documents``."""
        say(f"{COMBINATION}: reading {len(self.members)} members, {len(self.documents)} documents")
        scores = [
            cut({node: self._aligned(folder) for node, folder in member.nodes.items()}, self.depth)
            for member in self.members
        ]
        if self.is_whole:
            return scores
        # The weights are fitted to the levels that the nodes of all members have in common.
        depths = [own.tree.depth for by_node in scores for node, own in by_node.items() if node != ROOT]
        common = min(depths, key=self.members[0].tree.levels.index)
        return [{node: own.to_depth(common) for node, own in by_node.items()} for by_node in scores]

    @cached_property
    def is_whole(self) -> bool:
        """Whether the members' stored predictions contain every label of each pooled level."""
        read = [read_predictions(folder) for member in self.members for folder in member.nodes.values()]
        return all(own.is_whole or self.depth in (level.level for level in own.dense) for own in read)

    def _aligned(self, folder: Path) -> TreeScores:
        try:
            own = aligned(read_predictions(folder), self.documents.document_ids)
        except ArtifactError as error:
            raise ArtifactError(f"{folder}: {error}") from error
        if not np.array_equal(own.parts, self.documents.parts):
            raise ArtifactError(f"{folder} assigns documents to other parts than another member does; run it again")
        return own.scores()

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Positions of the documents in the corpus, ``(n,)``."""
        return positions(self.documents.document_ids, self.corpus.document_ids.to_numpy(), "the corpus")

    @cached_property
    def labels(self) -> DocumentLabels:
        """The labels of the documents in the corpus."""
        return corpus_labels(self.corpus, self.depth).take(self.rows)

    def batches(self, node: str, places: NDArray[np.intp]) -> Iterator[list[TreeScores]]:
        """Yield the members' scores in batches, from stored predictions or, if these are incomplete, from the texts.

        Args:
            node: The node to score.
            places: Positions in ``documents``.
        """
        if self.is_whole:
            whole = [as_node(derive(own, node), node) for own in self.whole]
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
        """A loader with the models of all members."""
        loader = NodeLoader()
        for member in self.members:
            for name, folder in member.nodes.items():
                loader.load(folder, name)
        return loader

    def val(self, node: str, tree: LabelTree) -> tuple[NDArray[np.intp], Positions]:
        """Return the positions of the ``val`` documents below the node, and their paths in a tree."""
        targets = node_targets(self.labels, node, tree.levels)
        paths = np.stack([tree.find(level, own) for level, own in zip(tree.levels, targets, strict=True)], axis=1)
        val = np.flatnonzero((self.documents.parts == "val") & (targets[0] != None))  # noqa: E711 - elementwise
        return val, paths[val]
