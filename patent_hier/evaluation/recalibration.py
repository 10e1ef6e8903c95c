"""Whether and how a system's probabilities are recalibrated: chosen by cross-validation, level by level.

Five candidates, from the simplest: nothing; a temperature for all networks; a temperature and a shape for all; a
temperature for each network; both for each. All are fitted to documents that nothing was trained on, by negative
log-likelihood. A candidate is taken only if cross-validation shows it to be better than simpler ones by more than a
standard error, so a system whose probabilities are good keeps them. Documents that the split keeps together (those of
an applicant, say) are in one fold, and count as one in the standard error. In simulations with 500 documents of 6
labels, 1 of 120 systems of right probabilities was changed, and 119 of 120 whose temperature was off by 1.3.

Isotonic regression, shared by the labels of a level, was left out: on gazette titles split by applicant, its
cross-validated loss was above that of two numbers for 14 of 18 levels of twelve systems (below it by 0.05 for ``knn``
and by less than 0.01 for three others). It makes siblings equal, and it takes some dozens of numbers.

Source: Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984, section 3.4.3, for the rule of
one standard error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.scaling import IDENTITY, Heads, Scaling, fit_scaling
from patent_hier.evaluation.system import aligned
from patent_hier.taxonomy.arithmetic import conditional_log_prob

MIN_DOCUMENTS = 20  # with fewer at a level nothing is fitted
FOLDS = 5

Groups = NDArray[np.integer[Any]]
ByNode = dict[str, dict[str, Scaling]]  # by node, then by level


class Candidate(NamedTuple):
    """A way to recalibrate the heads of a level.

    Attributes:
        name: In files and tables.
        fitted: Whether there is anything to fit.
        shaped: Whether the shape is fitted beside the temperature.
        by_node: Whether each network has numbers of its own, held near those of all.
    """

    name: str
    fitted: bool
    shaped: bool
    by_node: bool

    def fit(self, heads: Mapping[str, Heads]) -> dict[str, Scaling]:
        """Scalings by node."""
        if not self.fitted:
            return {}
        common = fit_scaling(list(heads.values()), shaped=self.shaped)
        if not self.by_node:
            return dict.fromkeys(heads, common)
        return {node: fit_scaling([own], shaped=self.shaped, centre=common) for node, own in heads.items()}


NOTHING = Candidate("none", fitted=False, shaped=False, by_node=False)
CANDIDATES = (
    NOTHING,
    Candidate("temperature", fitted=True, shaped=False, by_node=False),
    Candidate("temperature, shape", fitted=True, shaped=True, by_node=False),
    Candidate("temperature by node", fitted=True, shaped=False, by_node=True),
    Candidate("temperature, shape by node", fitted=True, shaped=True, by_node=True),
)


@dataclass(frozen=True)
class Choice:
    """What was chosen for a level, and why.

    Attributes:
        method: Name of the candidate.
        documents: With a label there, and siblings to tell it from.
        groups: Of documents that are kept together, lone ones included.
        nll: By candidate, the cross-validated negative log-likelihood of a document's label given its parent, in nats;
            empty where documents or groups are too few to choose.
    """

    method: str
    documents: int
    groups: int
    nll: dict[str, float]


def choose_scalings(networks: Mapping[str, NetworkPredictions]) -> tuple[ByNode, dict[str, Choice]]:
    """Scalings of a system, level by level, down to the first level of each network that keeps only its best labels.

    A flat network has them for its leaves, if it keeps all of them.

    Args:
        networks: By node, of the same documents, which none of them was trained on. Their ``groups`` say which
            documents are kept together.

    Returns:
        By node, then by level, without those that change nothing; and the choice for each level.
    """
    first = next(iter(networks.values()))
    by_node = {node: heads_of(aligned(own, first.document_ids)) for node, own in networks.items()}
    groups = _numbered(first.groups, len(first))
    scalings: ByNode = {node: {} for node in networks}
    choices = {}
    for level in dict.fromkeys(level for own in by_node.values() for level in own):
        heads = {node: own[level] for node, own in by_node.items() if level in own and len(own[level].rows)}
        if heads:
            chosen, choices[level] = _choose(heads, groups)
            for node, scaling in chosen.fit(heads).items():
                scalings[node][level] = scaling
    return scalings, choices


def heads_of(network: NetworkPredictions) -> dict[str, Heads]:
    """By level, the heads of the true parents: other heads say nothing about the true label.

    Left out are levels from the first one on that keeps only its best labels, and documents without a label, whose
    label is unseen or of probability 0, or has no siblings.
    """
    if network.flat:
        leaves = network.levels[-1]
        if leaves.labels is not None:
            return {}
        width = np.full(len(network), leaves.log_prob.shape[1])
        return {leaves.level: _heads(leaves.log_prob, leaves.target_codes, np.zeros_like(width), width)}
    dense = network.dense
    if not dense:
        return {}
    tree = network.tree.to_depth(dense[-1].level)
    conditional = conditional_log_prob(tree, np.concatenate([own.log_prob for own in dense], axis=1))
    found = {}
    for own in dense:
        labels = tree.span(own.level)
        parents = tree.parents[labels][np.maximum(own.target_codes, 0)] + 1
        starts = tree.child_bounds[parents] - labels.start
        widths = tree.child_bounds[parents + 1] - tree.child_bounds[parents]
        found[own.level] = _heads(conditional[:, labels], own.target_codes, starts, widths)
    return found


def _heads(
    log_prob: NDArray[np.float32], codes: NDArray[np.intp], starts: NDArray[np.intp], widths: NDArray[np.intp]
) -> Heads:
    """Of each row the columns from ``starts``, ``widths`` of them, side by side."""
    own = log_prob[np.arange(len(codes)), np.maximum(codes, 0)]
    rows = np.flatnonzero((codes >= 0) & np.isfinite(own) & (widths > 1))
    places = np.arange(widths[rows].max(initial=0))
    columns = np.minimum(starts[rows, None] + places, log_prob.shape[1] - 1)
    siblings = np.where(places < widths[rows, None], log_prob[rows[:, None], columns].astype(np.float64), -np.inf)
    return Heads(siblings, codes[rows] - starts[rows], rows)


def _choose(heads: Mapping[str, Heads], groups: Groups) -> tuple[Candidate, Choice]:
    """The simplest candidate whose loss is within a standard error of the least."""
    rows = np.concatenate([own.rows for own in heads.values()])
    own_groups = np.unique(groups[rows], return_inverse=True)[1]
    n_groups = int(own_groups.max()) + 1
    if len(rows) < MIN_DOCUMENTS or n_groups < FOLDS:
        return NOTHING, Choice(NOTHING.name, len(rows), n_groups, {})
    candidates = [one for one in CANDIDATES if len(heads) > 1 or not one.by_node]
    losses = np.stack([_held_out_losses(one, heads, groups) for one in candidates])  # (n_candidates, n)
    means = losses.mean(axis=1)
    chosen = next(
        one
        for one, own, mean in zip(candidates, losses, means, strict=True)
        if mean - means.min() <= standard_error(own - losses[means.argmin()], own_groups)
    )
    nll = {one.name: float(mean) for one, mean in zip(candidates, means, strict=True)}
    return chosen, Choice(chosen.name, len(rows), n_groups, nll)


def _held_out_losses(candidate: Candidate, heads: Mapping[str, Heads], groups: Groups) -> NDArray[np.float64]:
    """Loss of each document by a fit to the other folds, ``(n,)``, node after node."""
    folds = {node: groups[own.rows] % FOLDS for node, own in heads.items()}
    losses = {node: np.empty(len(own.rows)) for node, own in heads.items()}
    for fold in range(FOLDS):
        scalings = candidate.fit({node: own.take(folds[node] != fold) for node, own in heads.items()})
        for node, own in heads.items():
            held_out = folds[node] == fold
            losses[node][held_out] = own.take(held_out).losses(scalings.get(node, IDENTITY))
    return np.concatenate(list(losses.values()))


def standard_error(differences: NDArray[np.float64], groups: Groups) -> float:
    """Standard error of a mean over documents that come in groups.

    Args:
        differences: ``(n,)``.
        groups: ``(n,)`` numbers from 0 without gaps.

    Source: the linearised variance of a ratio estimator over clusters; Cochran, "Sampling techniques", 1977, section
    6.4.
    """
    sums = np.bincount(groups, differences - differences.mean())
    return float(np.sqrt((sums**2).sum()) / len(differences))


def _numbered(groups: Groups | None, n: int) -> Groups:
    """Groups in which lone documents have numbers of their own, ``(n,)``, in a random order of numbers."""
    known: Groups = np.full(n, -1) if groups is None else groups
    alone = known < 0
    numbers = np.where(alone, known.max(initial=-1) + 1 + np.cumsum(alone), known)
    distinct, own = np.unique(numbers, return_inverse=True)
    return np.random.default_rng(0).permutation(len(distinct))[own]
