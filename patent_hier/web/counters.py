"""What the service counts of itself, for Prometheus; nothing of what it is asked."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


class Counters:
    """The counts of one application.

    Attributes:
        registry: All of them, and no others.
        responses: Answers, by status.
        texts: Texts that were classified.
        batches: How many times texts were scored together.
        waiting: Texts that wait or are being scored.
        seconds: Times of answers.
    """

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.responses = Counter("patent_hier_responses", "Answers by HTTP status.", ["status"], registry=own)
        self.texts = Counter("patent_hier_texts", "Texts classified.", registry=own)
        self.batches = Counter("patent_hier_batches", "Batches scored.", registry=own)
        self.waiting = Gauge("patent_hier_waiting_texts", "Texts waiting or being scored.", registry=own)
        self.seconds = Histogram("patent_hier_answer_seconds", "Times of answers.", buckets=_BOUNDS, registry=own)
