"""Whether an explanation is true to its system: how fast the label goes, and comes, with what it calls important."""

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

    Each area is that under the label's probability over the share of spans that are gone (or there), from 0 to 1.

    Attributes:
        deletion: Area if the spans go, the highest score first; low is good.
        insertion: Area if they come, in the same order; high is good.
        random_deletion: Mean area of random orders.
        random_insertion: As that.
        shares: Shares of the spans at which the label was scored, ``(steps + 1,)``.
        deletion_curve: The label's probability at each share, ``(steps + 1,)``.
        insertion_curve: As that.
        random_deletion_curve: As that, mean over the random orders.
        random_insertion_curve: As that.
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
    """Take the spans of a text away in the order of their scores for each character, and put them back.

    Random orders are of the same spans, since what is torn apart more loses its meaning faster. What stands behind the
    last span is not read and is left out from the beginning; what stands between spans stays.

    Args:
        system: That of the explanation.
        text: That of the explanation.
        explanation: With one span or more.
        steps: Most steps of a curve, 1 or more; a text of fewer spans has one for each.
        random_orders: How many are compared, 1 or more.
        seed: Of the random orders.

    Raises:
        ConfigError: If a number is out of range, or the explanation is of another text.
        DataError: If the explanation has no spans.

    Source: Petsiuk, Das and Saenko (2018), RISE, arXiv:1806.07421, section 4.1, with characters for pixels: deletion
    removes them, where they set pixels to grey, and insertion begins without them, where they blur.
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
            raise ConfigError(f"{name}={value} is out of range; give 1 or more")
    if not spans:
        raise DataError("the explanation has no spans, so nothing can be deleted; give a text of which some is read")
    if spans[-1].end > len(text):
        raise ConfigError(
            f"the explanation's last span ends at character {spans[-1].end} of a text of {len(text)}; give its own text"
        )


def _without(text: str, spans: Sequence[Span], gone: NDArray[np.intp]) -> str:
    """The text as far as it has spans, without some of them."""
    kept, position = [], 0
    for row in np.sort(gone).tolist():
        kept.append(text[position : spans[row].start])
        position = spans[row].end
    return "".join(kept) + text[position : spans[-1].end]
