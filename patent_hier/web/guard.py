"""Limits of the service and their enforcement: body size and time, request rates, and security headers."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patent_hier.web.messages import BrokenOffError, RefusedError

_OWN_SITES = ("same-origin", "none")  # values that browsers send unless another site made the request
_MOST_ADDRESSES = 10_000  # addresses whose rate is tracked
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")  # RFC 9110, section 7.2; any port
_NOT_KEPT = "no-store"  # for answers without a cache-control header of their own


@dataclass(frozen=True)
class ServiceSettings:
    """Limits of the service; requests beyond them are rejected with the status in brackets.

    Attributes:
        max_body: Bytes in a request's body, counted as they arrive (413).
        max_characters: Characters in one text (422).
        max_texts: Texts in one batch (422).
        max_queue: Texts waiting to be scored (503).
        max_waiting: Characters in all waiting texts (503).
        time_limit: Seconds from the complete request to its answer (503).
        body_time: Seconds within which a body must arrive (408).
        rate: Requests per second from one address, in the long run (429); 0: unlimited.
        burst: Requests that one address may send at once before the rate applies.
        max_batch: Texts scored together across requests; 1: each request is scored separately.
        hosts: Host names that the service answers to (otherwise 400), so that no foreign page reaches it through a name
            of its own; ``*``: any.
    """

    max_body: int = 256 * 1024
    max_characters: int = 20_000
    max_texts: int = 100
    max_queue: int = 400
    max_waiting: int = 1_000_000
    time_limit: float = 30.0
    body_time: float = 10.0
    rate: float = 50.0
    burst: int = 100
    max_batch: int = 64
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")


class Rates:
    """A token bucket for each address: it starts with ``burst`` tokens and gains ``rate`` tokens per second.

    Args:
        rate: Requests per second; 0: unlimited.
        burst: Requests at once.
        clock: Function that returns the time in seconds.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and the time of that count

    def allows(self, address: str) -> bool:
        """Return whether an address may send one more request; if so, count it."""
        if not self._rate:
            return True
        now = self._clock()
        tokens, before = self._buckets.pop(address, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - before) * self._rate)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - allowed, now)
        if len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return allowed


class Guard:
    """ASGI middleware that reads the whole body, within limits, before the service sees the request.

    Args:
        app: The service.
        settings: Limits of the service.
        count: Called with the status of every answer.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, count: Callable[[int], None]) -> None:
        self._app = app
        self._settings = settings
        self._count = count
        self._rates = Rates(settings.rate, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on to the service."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                self._count(message["status"])
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("cache-control", _NOT_KEPT)
            await send(message)

        try:
            await self._pass(scope, receive, answer)
        except BrokenOffError:
            pass  # the server closes the connection, so the client notices that the answer is incomplete
        except asyncio.CancelledError:  # the service is shutting down and no longer waits for this request
            if not begun:
                await RefusedError(503, "ending", "the service is shutting down").response()(scope, receive, answer)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
            read = [{"type": "http.request", "body": await self._body(scope, receive), "more_body": False}]
        except RefusedError as refused:
            await refused.response()(scope, receive, send)
        except ClientDisconnect:
            pass
        else:

            async def again() -> Message:
                return read.pop() if read else await receive()

            await self._app(scope, again, send)

    def _check(self, scope: Scope) -> None:
        """Reject a request because of its headers or its address."""
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            raise RefusedError(400, "two_lengths", "a request must not have both Content-Length and Transfer-Encoding")
        if not self._knows(headers.get("host", "")):
            raise RefusedError(400, "unknown_host", "the service does not answer to this host name")
        if scope["method"] not in ("GET", "HEAD") and headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            raise RefusedError(403, "foreign_page", "pages of other sites may not send requests")
        if not self._rates.allows((scope.get("client") or ("", 0))[0]):
            most = f"at most {self._settings.rate:g} requests per second are allowed"
            raise RefusedError(429, "too_many_requests", f"{most}; wait a moment")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._settings.max_body:
            raise self._too_large()

    def _knows(self, host: str) -> bool:
        """Return whether a Host header, with or without a port, names this service; malformed headers do not."""
        if "*" in self._settings.hosts:
            return True
        parts = _HOST.fullmatch(host)
        return parts is not None and parts[1].lower() in self._settings.hosts

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_time):
                async for part in Request(scope, receive).stream():
                    body += part
                    if len(body) > self._settings.max_body:
                        raise self._too_large()
        except TimeoutError as error:
            seconds = f"{self._settings.body_time:g} seconds"
            raise RefusedError(408, "too_slow", f"the body must arrive within {seconds}") from error
        return bytes(body)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, "too_large", f"a request may have at most {self._settings.max_body} bytes")
