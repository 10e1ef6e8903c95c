"""The service's bounds and what holds them: bodies of bounded size and time, rates, headers that keep browsers home."""

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

_OWN_SITES = ("same-origin", "none")  # what a browser says of a request that no foreign page has made
_MOST_ADDRESSES = 10_000  # remembered for their rate
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
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")  # RFC 9110, section 7.2; the port is anybody's
_NOT_KEPT = "no-store"  # where an answer does not say itself how long it may be kept


@dataclass(frozen=True)
class ServiceSettings:
    """Bounds of the service; what lies beyond is refused with the status in brackets.

    Attributes:
        max_body: Bytes of a request's body, counted while they come (413).
        max_characters: Of one text (422).
        max_texts: Of one batch (422).
        max_queue: Texts that wait to be scored (503).
        max_waiting: Characters of them together (503).
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
    max_waiting: int = 1_000_000
    time_limit: float = 30.0
    body_time: float = 10.0
    rate: float = 50.0
    burst: int = 100
    max_batch: int = 64
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")


class Rates:
    """A bucket of tokens for each address: ``burst`` at first, ``rate`` more each second.

    Args:
        rate: Requests a second; 0 for no bound.
        burst: Requests at once.
        clock: Seconds.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def allows(self, address: str) -> bool:
        """Whether one request more may come; if so, it is counted."""
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
    """ASGI middleware that reads a body whole before the service sees it, within bounds.

    Args:
        app: The service.
        settings: The bounds.
        count: Called with the status of every answer.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, count: Callable[[int], None]) -> None:
        self._app = app
        self._settings = settings
        self._count = count
        self._rates = Rates(settings.rate, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's request, or pass it on."""
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
            pass  # the server closes the connection, and without its end the client sees that the answer is not whole
        except asyncio.CancelledError:  # the service ends, and has waited for this one as long as it will
            if not begun:
                await RefusedError(503, "ending", "the service is ending").response()(scope, receive, answer)

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
        """Refuse a request for what its headers say, or for its address."""
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            raise RefusedError(400, "two_lengths", "a request has either Content-Length or Transfer-Encoding")
        if not self._knows(headers.get("host", "")):
            raise RefusedError(400, "unknown_host", "the service does not go by this name")
        if scope["method"] not in ("GET", "HEAD") and headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            raise RefusedError(403, "foreign_page", "a page of another address may not ask")
        if not self._rates.allows((scope.get("client") or ("", 0))[0]):
            most = f"at most {self._settings.rate:g} requests a second"
            raise RefusedError(429, "too_many_requests", f"{most}; wait a moment")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._settings.max_body:
            raise self._too_large()

    def _knows(self, host: str) -> bool:
        """Whether a Host header names this service, with or without a port; what is spelt otherwise is no name."""
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
            raise RefusedError(408, "too_slow", f"the body must come within {seconds}") from error
        return bytes(body)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, "too_large", f"a request may have {self._settings.max_body} bytes")
