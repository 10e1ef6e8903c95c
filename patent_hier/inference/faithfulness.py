"""Faithfulness of an explanation: how the label's probability changes as important spans are deleted or inserted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError, DataError
from patent_hier.inference.explain import find_label, label_log_prob
from patent_hier.inference.predictor import System
from patent_hier.inference.results import Explanation, Span

STEPS = 20
RANDOM_ORDERS = 5


@dataclass(frozen=True)
class Faithfulness:
    """Deletion and insertion curves of one explanation, and of random orders of the same spans.

    Each area lies under the curve of the label's probability over the share of deleted (or inserted) spans, from 0 to
    1.

    Attributes:
        deletion: Area when spans are deleted, highest score first; low is good.
        insertion: Area when spans are inserted in the same order; high is good.
        random_deletion: Mean deletion area of random orders.
        random_insertion: Mean insertion area of random orders.
        shares: Shares of spans at which the label was scored, ``(steps + 1,)``.
        deletion_curve: The label's probability at each share, ``(steps + 1,)``.
        insertion_curve: The label's probability at each share, ``(steps + 1,)``.
        random_deletion_curve: Mean probability over the random orders, ``(steps + 1,)``.
        random_insertion_curve: Mean probability over the random orders, ``(steps + 1,)``.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    shares: tuple[float, ...]
    deletion_curve: tuple[float, ...]
    insertion_curve: tuple[float, ...]
    random_deletion_curve: tuple[float, ...]
    random_insertion_curve: tuple[float, ...]


def faithfulness(
    system: System,
    text: str,
    explanation: Explanation,
    *,
    steps: int = STEPS,
    random_orders: int = RANDOM_ORDERS,
    seed: int = 1,
) -> Faithfulness:
    """Delete the spans of a text in the order of their score per character, then insert them again.

    Random orders use the same spans, because a text torn into smaller pieces loses its meaning faster. The text after
    the last span is not read and is always left out; the text between spans stays.

    Args:
        system: System that was explained.
        text: Text that was explained.
        explanation: Explanation with at least one span.
        steps: Maximum number of steps of a curve, 1 or more; a text with fewer spans has one step per span.
        random_orders: Number of random orders, 1 or more.
        seed: Seed of the random orders.

    Raises:
        ConfigError: If a number is out of range, or the explanation belongs to another text.
        DataError: If the explanation has no spans.

    Source: Petsiuk, Das and Saenko (2018), RISE, arXiv:1806.07421, section 4.1, with characters instead of pixels:
    deletion removes characters, where RISE turns pixels grey, and insertion starts without them, where RISE blurs the
    image.
    """
    spans = explanation.spans
    _check(text, spans, steps, random_orders)
    cuts = np.linspace(0, len(spans), min(steps, len(spans)) + 1).round().astype(np.intp)
    density = np.array([span.score / (span.end - span.start) for span in spans])
    rng = np.random.default_rng(seed)
    orders = [np.argsort(-density, kind="stable"), *(rng.permutation(len(spans)) for _ in range(random_orders))]
    texts = [
        _without(text, spans, gone)
        for order in orders
        for gone in (*(order[:cut] for cut in cuts), *(order[cut:] for cut in cuts))
    ]
    distinct = list(dict.fromkeys(texts))
    place = find_label(system, explanation.label, explanation.level)
    known = dict(zip(distinct, np.exp(label_log_prob(system, distinct, place)).tolist(), strict=True))
    curves = np.array([known[one] for one in texts]).reshape(len(orders), 2, len(cuts))
    shares = cuts / len(spans)
    areas = np.trapezoid(curves, shares, axis=2)  # (orders, 2): deletion, insertion
    drawn = [tuple(curve.tolist()) for curve in (shares, *curves[0], *curves[1:].mean(axis=0))]
    return Faithfulness(*areas[0].tolist(), *areas[1:].mean(axis=0).tolist(), *drawn)


def _check(text: str, spans: Sequence[Span], steps: int, random_orders: int) -> None:
    for name, value in (("steps", steps), ("random_orders", random_orders)):
        if value < 1:
            raise ConfigError(f"{name}={value} is out of range; use 1 or more")
    if not spans:
        raise DataError("the explanation has no spans, so nothing can be deleted; use a text that the model reads")
    if spans[-1].end > len(text):
        raise ConfigError(
            f"the explanation's last span ends at character {spans[-1].end}, but the text has {len(text)}; use the "
            "text that was explained"
        )


def _without(text: str, spans: Sequence[Span], gone: NDArray[np.intp]) -> str:
    """Return the text up to its last span, without the given spans."""
    kept, position = [], 0
    for row in np.sort(gone).tolist():
        kept.append(text[position : spans[row].start])
        position = spans[row].end
    return "".join(kept) + text[position : spans[-1].end]
