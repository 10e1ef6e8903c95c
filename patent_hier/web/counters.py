"""What the service counts of itself, in Prometheus' text format; nothing of what it is asked."""

from bisect import bisect_left
from collections import Counter

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


class Counters:
    """Requests by status, texts, and the times of answers."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.texts = 0
        self._times = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def count_status(self, status: int) -> None:
        """One answer more."""
        self.statuses[status] += 1

    def count_answer(self, texts: int, seconds: float) -> None:
        """So many texts were classified in so many seconds."""
        self.texts += texts
        self._seconds += seconds
        self._times[bisect_left(_BOUNDS, seconds)] += 1

    def render(self, waiting: int, batches: int) -> str:
        """All counts; ``waiting`` and ``batches`` of the :class:`patent_hier.web.batching.Batcher`."""
        lines = ["# TYPE patent_hier_responses_total counter"]
        lines += [f'patent_hier_responses_total{{status="{code}"}} {n}' for code, n in sorted(self.statuses.items())]
        lines += ["# TYPE patent_hier_texts_total counter", f"patent_hier_texts_total {self.texts}"]
        lines += ["# TYPE patent_hier_batches_total counter", f"patent_hier_batches_total {batches}"]
        lines += ["# TYPE patent_hier_waiting_texts gauge", f"patent_hier_waiting_texts {waiting}"]
        lines.append("# TYPE patent_hier_answer_seconds histogram")
        total = 0
        for bound, n in zip((*_BOUNDS, "+Inf"), self._times, strict=True):
            total += n
            lines.append(f'patent_hier_answer_seconds_bucket{{le="{bound}"}} {total}')
        lines += [f"patent_hier_answer_seconds_sum {self._seconds:.6f}", f"patent_hier_answer_seconds_count {total}"]
        return "\n".join(lines) + "\n"
