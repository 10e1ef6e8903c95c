"""What stands before the service: bodies of bounded size and time, rates, and headers that keep a browser at home."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from patent_hier.web.settings import ServiceSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_OWN_SITES = (b"same-origin", b"none")  # what a browser says of a request that no foreign page has made
_MOST_ADDRESSES = 10_000  # remembered for their rate
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_SET_HERE = frozenset(name for name, _ in SECURITY_HEADERS)


def error_body(code: str, message: str) -> bytes:
    """A short answer that repeats nothing of the question."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


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

    def __init__(self, app: App, settings: ServiceSettings, count: Callable[[int], None]) -> None:
        self._app = app
        self._settings = settings
        self._count = count
        self._rates = Rates(settings.rate, settings.burst)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
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
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in _SET_HERE]
                message["headers"] += SECURITY_HEADERS
            await send(message)

        try:
            refusal, body = await self._admit(scope, receive)
            if refusal is not None:
                await _refuse(answer, *refusal)
            elif body is not None:  # else the client is gone
                await self._app(scope, _replay(body, receive), answer)
        except asyncio.CancelledError:  # the service ends, and has waited for this one as long as it will
            if not begun:
                await _refuse(answer, 503, "ending", "the service is ending")

    async def _admit(
        self, scope: MutableMapping[str, Any], receive: Receive
    ) -> tuple[tuple[int, str, str] | None, bytes | None]:
        """Why a request is refused (status, code, message), or its body; both None if the client has gone."""
        headers = dict(scope["headers"])
        if b"content-length" in headers and b"transfer-encoding" in headers:
            return (400, "two_lengths", "a request has either Content-Length or Transfer-Encoding"), None
        if not self._knows(headers.get(b"host", b"")):
            return (400, "unknown_host", "the service does not go by this name"), None
        if scope["method"] not in ("GET", "HEAD") and headers.get(b"sec-fetch-site", b"none") not in _OWN_SITES:
            return (403, "foreign_page", "a page of another address may not ask"), None
        if not self._rates.allows((scope.get("client") or ("", 0))[0]):
            return (429, "too_many_requests", f"at most {self._settings.rate:g} requests a second; wait a moment"), None
        too_large = (413, "too_large", f"a request may have {self._settings.max_body} bytes")
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > self._settings.max_body:
            return too_large, None
        try:
            async with asyncio.timeout(self._settings.body_time):
                body = await self._read(receive)
        except TimeoutError:
            return (408, "too_slow", f"the body must come within {self._settings.body_time:g} seconds"), None
        except _TooLargeError:
            return too_large, None
        return None, body

    def _knows(self, host: bytes) -> bool:
        name = host.decode("latin-1").lower()
        name = name[: name.rfind("]") + 1] if name.startswith("[") else name.partition(":")[0]
        return "*" in self._settings.hosts or name in self._settings.hosts

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._settings.max_body:
                raise _TooLargeError
            if not message.get("more_body"):
                return bytes(body)


class _TooLargeError(Exception):
    pass


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    body = error_body(code, message)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (400, 408, 413):
        headers.append((b"connection", b"close"))  # what the client still sends is not read, nor taken for a request
    if status in (429, 503):
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
