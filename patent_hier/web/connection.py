"""One client's connection, with an end: who sends no request, or never reads the answer, gives up the place."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIME = 10.0  # seconds in which a request's line and headers must have come
ANSWER_TIME = 150.0  # seconds in which an answer must have been taken; above all time limits of the service together
# Bytes that are taken from one connection before others have their turn. A body in chunks of one byte is 44,000 events
# for h11 in the 256 KB that asyncio takes at once, a quarter of a second.
READ_AT_ONCE = 4096
MOST_ABOVE = 128  # connections above ``limit_concurrency`` that are still told 503; more are closed unheard


class PatientConnection(H11Protocol):
    """uvicorn's protocol on h11, which bounds the size of headers, with the times that uvicorn leaves open.

    Without them some hundred connections that send nothing fill all places for ever, and then all files that the
    process may open.
    """

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for a request."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # of asyncio's own transports
            transport.max_size = READ_AT_ONCE
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency + MOST_ABOVE:
            transport.abort()
            return
        self._allow(HEAD_TIME)

    def data_received(self, data: bytes) -> None:
        """Take bytes; once the headers are whole, the answer's time begins."""
        waited = self.conn.their_state is h11.IDLE
        super().data_received(data)
        if waited and self.conn.their_state is not h11.IDLE:
            self._allow(ANSWER_TIME)

    def on_response_complete(self) -> None:
        """Wait for the next request; one that was sent already is under way after this."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._allow(HEAD_TIME if self.conn.their_state is h11.IDLE else ANSWER_TIME)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time."""
        self._forget()
        super().connection_lost(exc)

    def _allow(self, seconds: float) -> None:
        self._forget()
        self._limit = self.loop.call_later(seconds, self.transport.abort)

    def _forget(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
