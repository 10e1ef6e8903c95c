"""What the service allows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceSettings:
    """Bounds of the service; what lies beyond is refused with the status in brackets.

    Attributes:
        max_body: Bytes of a request's body, counted while they come (413).
        max_characters: Of one text (422).
        max_texts: Of one batch (422).
        max_queue: Texts that wait to be scored (503).
        time_limit: Seconds from the whole request to its answer (503).
        body_time: Seconds in which a body must have come (408).
        rate: Requests a second of one address, in the long run (429); 0 for no bound.
        burst: Requests of one address at once, before the rate counts.
        max_batch: Texts that are scored together, across requests; 1 scores every request by itself.
        hosts: Names under which the service may be asked (400 else), so that no foreign page reaches it by a name of
            its own; ``*`` for any.
    """

    max_body: int = 256 * 1024
    max_characters: int = 20_000
    max_texts: int = 100
    max_queue: int = 400
    time_limit: float = 30.0
    body_time: float = 10.0
    rate: float = 50.0
    burst: int = 100
    max_batch: int = 64
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
