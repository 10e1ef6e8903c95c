"""One linear classifier for a whole label tree, with sparse one-against-siblings weights and path probabilities.

Every label has a margin ``z``, learnt by a support vector machine against the label's siblings only. Its score is
``-max(0, 1 - z) ** 3``, which is 0 for a label that fits as well as training requires. A leaf's probability is
proportional to the exponential of the weighted scores on its path. A label whose children all fit badly therefore loses
probability to its siblings, which one softmax per parent cannot achieve, and no score needs its own calibration.

With the labels' titles there is a second type of score, the cosine similarity of document and title, and labels that do
not occur in training take part. Titles are their only examples, so each level has a constant that is added to their
scores.

Source: pruned weights and the cubic hinge are those of PECOS, Yu, Zhong, Zhang, Chang and Dhillon (2022), JMLR 23,
section 5, where path scores are multiplied without a normaliser and levels have no weights.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.models.classical import NgramModel
from patent_hier.models.ngram_features import Arrays, ContextBlock, expect, tf_idf
from patent_hier.taxonomy.arithmetic import level_bounds, log_softmax_tree, weighted_by_level
from patent_hier.taxonomy.tree import Positions

TREE = "parents"  # name of an array that only these models have
FITS = 1.0  # margin of a label without siblings
KINDS_OF_SCORES = ("margin", "title", "unseen")
_CELLS = 1 << 21  # documents x labels at a time: about the size of the processor's cache


@dataclass(frozen=True, eq=False)
class TreeLinear(NgramModel):
    """Linear one-against-siblings classifiers for all labels of a tree.

    Attributes:
        idf: IDF of each n-gram, ``(ngrams,)`` float32, from all training documents.
        weights: Weights, ``(ngrams, labels)`` float32, sparse. A label without siblings has none.
        bias: Biases, ``(labels,)`` float32; :data:`FITS` for labels without siblings.
        titles: TF-IDF of the labels' titles, ``(ngrams, labels)`` float32, sparse; None without titles.
        unseen: Which labels do not occur in training, ``(labels,)``.
        parents: Parent of each label in the tree, ``(labels,)``.
        path_weights: ``(n_kinds, n_levels)`` float64: weights of the margin's score, of the title's similarity, and of
            not occurring in training; without titles only the first.
        context: Columns of context; None if the model reads only the text.
    """

    kind: ClassVar[str] = "linear"

    idf: NDArray[np.float32]
    weights: csr_matrix
    bias: NDArray[np.float32]
    titles: csr_matrix | None
    unseen: NDArray[np.bool_]
    parents: Positions
    path_weights: NDArray[np.float64]
    context: ContextBlock | None = None

    def scores(self, counts: csr_matrix) -> list[NDArray[np.float32]]:
        """Return the scores that the path weights apply to, ``(n, labels)`` each.

        These are the margins' scores and, with titles, the similarities and the indicator of unseen labels.

        Args:
            counts: As in :meth:`NgramModel.log_prob`.
        """
        features = tf_idf(counts, self.idf, self.context)
        short = (features @ self.weights).toarray()
        short += self.bias - 1  # z - 1
        np.minimum(short, 0, out=short)
        short *= short * short  # numpy's power takes ten times as long
        if self.titles is None:
            return [short]
        unseen = np.broadcast_to(self.unseen.astype(np.float32), short.shape)
        return [short, (features @ self.titles).toarray(), unseen]

    def log_prob(self, counts: csr_matrix) -> NDArray[np.float32]:
        """Return conditional log-probabilities ``(n, labels)``; see :meth:`NgramModel.log_prob`."""
        result = np.empty((counts.shape[0], len(self.bias)), np.float32)
        step = max(1, _CELLS // len(self.bias))
        for start in range(0, len(result), step):
            scores = weighted_by_level(self.parents, self.scores(counts[start : start + step]), self.path_weights)
            result[start : start + step] = log_softmax_tree(self.parents, scores)
        return result

    def arrays(self) -> Arrays:
        """See :meth:`NgramModel.arrays`."""
        sparse = {"weights": self.weights, **({} if self.titles is None else {"titles": self.titles})}
        parts = {f"{name}.{part}": getattr(own, part) for name, own in sparse.items() for part in _PARTS}
        indptr = {f"{name}.indptr": own.indptr.astype(np.int64) for name, own in sparse.items()}
        return {
            "idf": self.idf,
            **parts,
            **indptr,
            "bias": self.bias,
            "unseen": self.unseen,
            TREE: self.parents,
            "path_weights": self.path_weights,
            **(self.context.arrays() if self.context else {}),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """See :meth:`NgramModel.from_arrays`."""
        idf, bias, unseen, parents = (arrays[name] for name in ("idf", "bias", "unseen", TREE))
        expect("idf", idf, (idf.size,), np.float32)
        expect("bias", bias, (bias.size,), np.float32)
        expect("unseen", unseen, bias.shape, np.bool_)
        expect(TREE, parents, bias.shape, np.int32)
        bounds = level_bounds(parents)
        if not len(parents) or (np.diff(parents) < 0).any() or parents[0] != -1 or bounds[-1] != len(parents):
            raise ValueError("parents do not form a tree in level order")
        titles = _sparse("titles", arrays, (idf.size, bias.size)) if "titles.data" in arrays else None
        kinds = 1 if titles is None else len(KINDS_OF_SCORES)
        expect("path_weights", arrays["path_weights"], (kinds, len(bounds) - 1), np.float64)
        weights = _sparse("weights", arrays, (idf.size, bias.size))
        context = ContextBlock.from_arrays(arrays, idf.size)
        return cls(idf, weights, bias, titles, unseen, parents, arrays["path_weights"], context)


_PARTS = ("data", "indices")


def _sparse(name: str, arrays: Arrays, shape: tuple[int, int]) -> csr_matrix:
    data, indices, indptr = (arrays[f"{name}.{part}"] for part in (*_PARTS, "indptr"))
    expect(f"{name}.data", data, data.shape, np.float32)
    matrix = csr_matrix((data, indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    return matrix
