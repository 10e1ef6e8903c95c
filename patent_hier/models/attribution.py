"""Contribution of each token or n-gram to the log-probability of a label, by integrated gradients."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad_vec
from scipy.sparse import csr_matrix
from scipy.special import logsumexp, softmax
from torch import Tensor, nn

from patent_hier.errors import MissingExtraError
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.classical import LinearModel, NgramModel
from patent_hier.models.ngram_features import tf_idf
from patent_hier.models.ngram_heads import Head, NgramHeads
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.taxonomy.tree import LabelTree

STEPS = (32, 64, 128, 256, 512)  # tried in turn until the gap is small enough
TOLERANCE = 0.05  # gap as a share of the explained difference
_NEAR = 0.005  # gap in nats that is always accepted, because a share of a tiny difference is out of reach
_TOKENS_AT_ONCE = 4096  # tokens in one batch of points on the path: bounds memory
_QUADRATURE_ERROR = 1e-10


@dataclass(frozen=True, eq=False)
class Attribution:
    """Contributions of the parts of an input to a log-probability, in nats.

    Attributes:
        scores: Contribution of each token or n-gram, ``(n,)`` float64.
        base: Log-probability with the neutral input.
        value: Log-probability with the actual input; ``scores.sum()`` is about ``value - base``.
        steps: Number of points on the path from the neutral to the actual input; 0 if the integral is not a sum.
    """

    scores: NDArray[np.float64]
    base: float
    value: float
    steps: int

    @property
    def gap(self) -> float:
        """Part of ``value - base`` that the scores leave out."""
        return self.value - self.base - float(self.scores.sum())


def attribute_tokens(
    network: nn.Module,
    ids: NDArray[np.int64],
    is_own: NDArray[np.bool_],
    neutral: int | None,
    softmax: TreeSoftmax,
    label: int,
) -> Attribution:
    """Return integrated gradients along the straight line from neutral token embeddings to the document's own.

    The number of steps is raised until the scores leave out less than :data:`TOLERANCE` of the explained difference, or
    the last of :data:`STEPS` is reached; ``gap`` shows the remainder. Other threads may use the network at the same
    time.

    Args:
        network: Maps ``input_ids`` and ``attention_mask`` to logits; in evaluation mode.
        ids: The document's token ids, ``(n,)``.
        is_own: Which tokens belong to the text, ``(n,)``; the others, such as ``[CLS]`` and ``[SEP]``, are kept and
            have score 0.
        neutral: Token id that represents the absence of text; None uses embeddings of zero.
        softmax: The network's heads.
        label: Position in their tree of the label whose joint probability is explained.

    Raises:
        ConfigError: If captum is not installed.

    Source: Sundararajan, Taly and Yan (2017), "Axiomatic attribution for deep networks", section 3; computed by captum,
    with Gauss-Legendre quadrature instead of their sum of equal steps.
    """
    device = next(network.parameters()).device
    softmax = softmax.to(device)
    layer = _embedding(network)
    tokens = torch.from_numpy(ids).to(device)[None]  # (1, n)
    own = torch.from_numpy(is_own).to(device)[None, :, None]  # (1, n, 1)
    with torch.no_grad():
        inputs = layer(tokens)  # (1, n, width)
        silent = torch.zeros_like(inputs) if neutral is None else layer(torch.full_like(tokens, neutral))
        baseline = torch.where(own, silent, inputs)

    def log_prob(embedded: Tensor) -> Tensor:
        given = tokens.expand(len(embedded), -1)
        with _embedding_as(layer, embedded):
            logits = network(given, torch.ones_like(given))  # (points, labels)
        return softmax.joint(logits)[:, label]  # (points,)

    with torch.no_grad():
        base, value = (float(log_prob(end)) for end in (baseline, inputs))
    return _integrate(log_prob, inputs, baseline, base, value)


def _integrate(
    log_prob: Callable[[Tensor], Tensor], inputs: Tensor, baseline: Tensor, base: float, value: float
) -> Attribution:
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise MissingExtraError("captum, which explains the answers of networks,", "web") from error
    method = IntegratedGradients(log_prob)
    n_tokens = inputs.shape[1]
    for steps in STEPS:
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN's recurrent networks have gradients only in training
            parts = method.attribute(
                inputs.clone().requires_grad_(),
                baseline,
                n_steps=steps,
                method="gausslegendre",
                internal_batch_size=max(1, _TOKENS_AT_ONCE // n_tokens),
            )  # (1, n, width)
        scores = parts.detach().double().sum(-1)[0].cpu().numpy()
        found = Attribution(np.asarray(scores, np.float64), base, value, steps)
        if abs(found.gap) <= max(TOLERANCE * abs(value - base), _NEAR):
            break
    return found


def _embedding(network: nn.Module) -> nn.Module:
    """Return the layer that turns token ids into vectors."""
    layer = network.encoder.network.get_input_embeddings() if isinstance(network, BertCnn) else network.embedding
    assert isinstance(layer, nn.Module)
    return layer


@contextmanager
def _embedding_as(layer: nn.Module, output: Tensor) -> Iterator[None]:
    """Make a layer return ``output`` for any ids, only in this thread, because others may be scoring."""
    thread = get_ident()
    handle = layer.register_forward_hook(lambda module, inputs, own: output if get_ident() == thread else None)
    try:
        yield
    finally:
        handle.remove()


def attribute_ngrams(
    model: NgramModel, counts: csr_matrix, tree: LabelTree, flat: bool, label: int
) -> Attribution | None:
    """Return exact integrated gradients, from the empty document to the document, for models linear on TF-IDF.

    A label's joint probability is the product of the conditional probabilities on its path, so the scores are the sums
    of the heads' scores.

    Args:
        model: The model of a node.
        counts: N-gram counts of one document, ``(1, ngrams)``.
        tree: The node's label tree.
        flat: Whether a single softmax over the deepest level decides.
        label: Position in the tree of the label whose joint probability is explained.

    Returns:
        One score per n-gram, 0 for n-grams that the document does not have; None if the model is not linear.

    Source: as for :func:`attribute_tokens`.
    """
    path = tree.paths(np.array([label], np.int32))[0]
    if isinstance(model, NgramHeads):
        scores, base, value = np.zeros(counts.shape[1]), 0.0, 0.0
        for head in model.heads:
            own = path[(path >= head.labels.start) & (path < head.labels.stop)] - head.start
            if len(own):
                found = attribute_columns(head, counts[:, head.columns], own.tolist())
                scores[head.columns] += found.scores
                base, value = base + found.base, value + found.value
        return Attribution(scores, base, value, 0)
    if not isinstance(model, LinearModel):
        return None
    if not flat:  # a single head, so all labels are siblings
        return attribute_columns(model, counts, [label])
    below = tree.ancestors(tree.level_of(label))[tree.leaves] == label
    return attribute_columns(model, counts, np.flatnonzero(below).tolist())


def attribute_columns(model: LinearModel | Head, counts: csr_matrix, columns: Sequence[int]) -> Attribution:
    """Return the integrated gradients of one linear softmax.

    Let ``s(a) = (a x W + b) / T`` be the scores on the path, with the document's TF-IDF ``x`` and ``a`` from 0 to 1.
    The gradient for n-gram ``i`` is ``W[i] (q(a) - p(a)) / T``, where ``p`` is the softmax of ``s`` and ``q`` that of
    the explained labels alone. Only the mean of ``q - p`` over the path requires an integral, which is one-dimensional
    and smooth, so the scores add up to ``value - base`` to ten digits. For a single label ``q`` is 1 there: its weights
    count fully, minus what all labels share. The scores do not reflect that the length and the logarithm of the counts
    depend on the other n-grams.

    Args:
        model: A model that is linear on TF-IDF.
        counts: N-gram counts of one document, ``(1, ngrams)``.
        columns: Labels whose summed probability is explained.

    Returns:
        One score per n-gram, 0 for n-grams that the document does not have.

    Source: as for :func:`attribute_tokens`.
    """
    features = tf_idf(counts, model.idf, model.context).astype(np.float64)
    temperature, chosen, bias = model.temperature, list(columns), model.bias.astype(np.float64)
    weights = model.weights[features.indices].astype(np.float64)  # (known n-grams, labels)
    effect = features.data @ weights  # (labels,): x W

    def pull(way: float) -> NDArray[np.float64]:
        scores = (bias + way * effect) / temperature
        difference = -softmax(scores)
        difference[chosen] += softmax(scores[chosen])
        return np.asarray(difference, np.float64)

    mean, _ = quad_vec(pull, 0.0, 1.0, epsabs=_QUADRATURE_ERROR, epsrel=_QUADRATURE_ERROR)
    scores = np.zeros(counts.shape[1])
    scores[features.indices] = features.data * (weights @ mean) / temperature
    ends = [(bias + way * effect) / temperature for way in (0.0, 1.0)]
    base, value = (float(logsumexp(end[chosen]) - logsumexp(end)) for end in ends)
    return Attribution(scores, base, value, 0)
