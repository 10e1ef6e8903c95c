"""Choose the weight of the context beside the text on validation documents, for any classical model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.models.classical import NgramModel
from patent_hier.models.ngram_features import ContextBlock
from patent_hier.settings import NgramSettings
from patent_hier.settings.data import DEFAULT_CONTEXT_WEIGHT
from patent_hier.taxonomy.arithmetic import joint_log_prob, sum_up
from patent_hier.training.node_data import NodeView
from patent_hier.training.rows import Rows

Fit = tuple[NgramModel, NDArray[np.intp], dict[str, Any]]  # the model, its columns of the store, facts
_AT_ONCE = 1024  # validation documents scored at a time


def fit_with_context(
    view: NodeView[Any],
    rows: tuple[Rows, Rows, Rows],
    first: int,
    settings: NgramSettings,
    fit: Callable[[tuple[Rows, Rows, Rows]], Fit],
) -> Fit:
    """Fit with each candidate weight of context and return the fit with the best validation accuracy.

    If several weights are equally accurate, the smallest is chosen.

    Args:
        view: The node's documents.
        rows: Training documents, label texts and validation documents.
        first: The first column of context; all later columns are context too.
        settings: Settings of the model, with the candidate weights.
        fit: Fits the model to such rows, whose training documents have a block of context.
    """
    train, texts, val = rows
    weights = settings.context_weights
    if len(weights) > 1 and not len(view.val):
        weights = (DEFAULT_CONTEXT_WEIGHT,)  # without validation documents there is no basis for a choice
    best, chosen = None, weights[0]
    accuracies: dict[float, float] = {}
    for weight in weights:
        fitted = fit((replace(train, context=ContextBlock(first, weight)), texts, val))
        if len(weights) > 1:
            accuracies[weight] = _accuracy(view, fitted[0], fitted[1], val)
        if best is None or accuracies[weight] > accuracies[chosen]:
            best, chosen = fitted, weight
    assert best is not None  # there is a weight
    model, kept, facts = best
    said = {str(weight): value for weight, value in accuracies.items()} or None
    return model, kept, {**facts, "context": {"weight": chosen, "val_accuracy": said}}


def _accuracy(view: NodeView[Any], model: NgramModel, kept: NDArray[np.intp], rows: Rows) -> float:
    """Return the share of documents whose likeliest label at the deepest level is the true one."""
    tree, hits = view.tree, 0
    joint = sum_up if view.flat else joint_log_prob
    for start in range(0, len(rows.paths), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        log_prob = joint(tree, model.log_prob(rows.counts[some][:, kept]))[:, tree.leaves]
        hits += int((log_prob.argmax(axis=1) + tree.leaves.start == rows.paths[some, -1]).sum())
    return hits / len(rows.paths)
