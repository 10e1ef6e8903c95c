"""Time limits for a client's connection: a client that sends no request or never reads the answer loses its place."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIME = 10.0  # seconds within which a request's line and headers must arrive
ANSWER_TIME = 150.0  # seconds within which an answer must be read; more than all time limits of the service together
# Bytes read from one connection before the others have their turn. asyncio reads 256 KB at once; with a body in chunks
# of one byte, that is 44,000 events for h11, which take a quarter of a second.
READ_AT_ONCE = 4096
MOST_ABOVE = 128  # connections above ``limit_concurrency`` that still receive 503; further ones are closed at once


class PatientConnection(H11Protocol):
    """uvicorn's h11 protocol, which limits the size of headers, with the time limits that uvicorn lacks.

    Without them, a few hundred connections that send nothing would occupy all places forever, and then all files that
    the process may open.
    """

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start to wait for a request."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # exists only in asyncio's own transports
            transport.max_size = READ_AT_ONCE
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency + MOST_ABOVE:
            transport.abort()
            return
        self._allow(HEAD_TIME)

    def data_received(self, data: bytes) -> None:
        """Receive bytes; once the headers are complete, the time limit of the answer starts."""
        waited = self.conn.their_state is h11.IDLE
        super().data_received(data)
        if waited and self.conn.their_state is not h11.IDLE:
            self._allow(ANSWER_TIME)

    def on_response_complete(self) -> None:
        """Wait for the next request; a request that was already sent is in progress after this."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._allow(HEAD_TIME if self.conn.their_state is h11.IDLE else ANSWER_TIME)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time limit."""
        self._forget()
        super().connection_lost(exc)

    def _allow(self, seconds: float) -> None:
        self._forget()
        self._limit = self.loop.call_later(seconds, self.transport.abort)

    def _forget(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
