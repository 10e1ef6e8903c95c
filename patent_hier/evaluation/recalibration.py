"""Choice of the recalibration of a system's probabilities, by cross-validation, level by level.

There are five candidates, the simplest first: no change; one temperature for all networks; one temperature and one
shape for all networks; a temperature for each network; both for each network. All are fitted to documents that were not
used for training, by negative log-likelihood. A candidate is chosen only if it is better than the simpler ones in
cross-validation by more than one standard error, so a system whose probabilities are good keeps them. Documents that
the split keeps together (such as those of one applicant) are in one fold and count as one in the standard error. In
simulations with 500 documents and 6 labels, 1 of 120 systems with correct probabilities was changed, and 119 of 120
systems whose temperature was off by a factor of 1.3.

Isotonic regression, shared by the labels of a level, is not a candidate. On gazette titles split by applicant, its
cross-validated loss was higher than that of temperature and shape at 14 of 18 levels of twelve systems (it was lower by
0.05 for ``knn`` and by less than 0.01 for three others). It makes siblings equally probable, and it needs a few dozen
parameters.

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

MIN_DOCUMENTS = 20  # nothing is fitted at a level with fewer documents
FOLDS = 5

Groups = NDArray[np.integer[Any]]
ByNode = dict[str, dict[str, Scaling]]  # by node, then by level


class Candidate(NamedTuple):
    """A method to recalibrate the heads of a level.

    Attributes:
        name: Name in files and tables.
        fitted: Whether there is anything to fit.
        shaped: Whether the shape is fitted in addition to the temperature.
        by_node: Whether each network has its own parameters, held near the common ones.
    """

    name: str
    fitted: bool
    shaped: bool
    by_node: bool

    def fit(self, heads: Mapping[str, Heads]) -> dict[str, Scaling]:
        """Fit the candidate and return its scalings by node."""
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
    """The recalibration chosen for a level, and the figures behind the choice.

    Attributes:
        method: Name of the chosen candidate.
        documents: Number of documents with a label at the level that has siblings.
        groups: Number of groups of documents that are kept together; a lone document counts as a group.
        nll: Cross-validated negative log-likelihood of a document's label given its parent, by candidate, in nats;
            empty if there are too few documents or groups to choose.
    """

    method: str
    documents: int
    groups: int
    nll: dict[str, float]


def choose_scalings(networks: Mapping[str, NetworkPredictions]) -> tuple[ByNode, dict[str, Choice]]:
    """Choose the scalings of a system, level by level, down to the last level at which a network stores all labels.

    A flat network is scaled at its leaves, if it stores all of them.

    Args:
        networks: Predictions by node for the same documents, which were not used for training. Their ``groups``
            identify documents that are kept together.

    Returns:
        Scalings by node, then by level, without those that change nothing; and the choice for each level.
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
    """Return the heads of the true parents by level; other heads carry no information about the true label.

    Levels from the first one that stores only its best labels are left out. So are documents without a label, or whose
    label is unseen, has probability 0 or has no siblings.
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
    """Return the heads made of ``widths`` columns from ``starts`` on, for each row that can be used."""
    own = log_prob[np.arange(len(codes)), np.maximum(codes, 0)]
    rows = np.flatnonzero((codes >= 0) & np.isfinite(own) & (widths > 1))
    places = np.arange(widths[rows].max(initial=0))
    columns = np.minimum(starts[rows, None] + places, log_prob.shape[1] - 1)
    siblings = np.where(places < widths[rows, None], log_prob[rows[:, None], columns].astype(np.float64), -np.inf)
    return Heads(siblings, codes[rows] - starts[rows], rows)


def _choose(heads: Mapping[str, Heads], groups: Groups) -> tuple[Candidate, Choice]:
    """Return the simplest candidate whose loss is within one standard error of the lowest loss."""
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
    """Return each document's loss with a fit to the other folds, ``(n,)``, node after node."""
    folds = {node: groups[own.rows] % FOLDS for node, own in heads.items()}
    losses = {node: np.empty(len(own.rows)) for node, own in heads.items()}
    for fold in range(FOLDS):
        scalings = candidate.fit({node: own.take(folds[node] != fold) for node, own in heads.items()})
        for node, own in heads.items():
            held_out = folds[node] == fold
            losses[node][held_out] = own.take(held_out).losses(scalings.get(node, IDENTITY))
    return np.concatenate(list(losses.values()))


def standard_error(differences: NDArray[np.float64], groups: Groups) -> float:
    """Return the standard error of a mean over documents that come in groups.

    Args:
        differences: Value of each document, ``(n,)``.
        groups: Group number of each document, from 0 without gaps, ``(n,)``.

    Source: the linearised variance of a ratio estimator over clusters; Cochran, "Sampling techniques", 1977, section
    6.4.
    """
    sums = np.bincount(groups, differences - differences.mean())
    return float(np.sqrt((sums**2).sum()) / len(differences))


def _numbered(groups: Groups | None, n: int) -> Groups:
    """Return randomly ordered group numbers, ``(n,)``; each lone document gets a number of its own."""
    known: Groups = np.full(n, -1) if groups is None else groups
    alone = known < 0
    numbers = np.where(alone, known.max(initial=-1) + 1 + np.cumsum(alone), known)
    distinct, own = np.unique(numbers, return_inverse=True)
    return np.random.default_rng(0).permutation(len(distinct))[own]
