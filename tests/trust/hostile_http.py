"""Hostile requests below their content: framing, addresses, headers."""

import json
from collections.abc import Iterator
from random import Random

from tests.trust.attack import MARK, SECRET, TEXT, Attack, asked, head

CSRF = "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\nContent-Type: text/plain"
_CODINGS = ("chunked", "Chunked", "chunked, identity", "xchunked", "identity", "chunked\r\n chunked", "\x0bchunked")
_STEPS = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "%252e%252e%252f", "....//", "%c0%ae%c0%ae/", "..;/")
_PATHS = ("/static/main.js%00", "/static/%ff%fe", "/static//etc/passwd", "//evil.example/", "/\\evil.example", "*")
_METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "HEAD", "GET", "get", "POST" * 5000, "P\0ST", "移")
_HOSTS = (
    "evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "evil.example:80",
    "0",
    "[::]",
    "2130706433",
    "",
    "127.0.0.1\r\nHost: evil.example",
    "localhost.",
    "127.0.0.1/",
    f"{SECRET}",
    "[127.0.0.1]",
    "*",
)
_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "x",
    "application/json; charset=utf-16",
    f"application/{MARK.decode()}",
    "application/json\t;" + "a" * 2000,
)


def framing(random: Random) -> Iterator[Attack]:
    """Requests whose length or end is in doubt."""
    body = json.dumps({"text": f"{TEXT}{SECRET}"}).encode()
    chunked = head("POST", "/predict", "Transfer-Encoding: chunked", "Content-Type: application/json")
    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    yield Attack("chunked", (chunked, whole))
    for size in (b"zz", b"-5", b"FFFFFFFFFFFFFFFFFF", b"0x10", b"", b"5;" + MARK * 20_000, b"+5", b" 5", "５".encode()):
        yield Attack("bad chunk size", (chunked, size + b"\r\n" + body))
    length = random.choice(("-1", "1e3", "0x10", "99999999999999999999999", "5, 6", "", " ", "٣", f"5{SECRET}"))
    yield Attack("bad length", (head("POST", "/predict", f"Content-Length: {length}") + body,))
    yield Attack("two lengths", (head("POST", "/predict", "Content-Length: 5", "Content-Length: 6") + body,))
    hidden = head("GET", f"/{SECRET}")
    for more in _CODINGS:
        first = head("POST", "/predict", f"Content-Length: {len(body)}", f"Transfer-Encoding: {more}")
        yield Attack("CL and TE", (first.replace(b"close", b"keep-alive") + b"0\r\n\r\n" + hidden,))
    keep = asked(body).replace(b"Connection: close\r\n", b"")
    yield Attack("pipelining", (keep * random.randrange(2, 30) + head("GET", "/health"),))


def ends(random: Random) -> Iterator[Attack]:
    """Connections that end oddly, and what is no HTTP/1.1."""
    body = json.dumps({"text": f"{TEXT}{SECRET}"}).encode()
    keep = asked(body).replace(b"Connection: close\r\n", b"")
    yield Attack("half-closed", (asked(body),), "half")
    yield Attack("half-closed early", (asked(body)[: -random.randrange(1, 40)],), "half")
    yield Attack("reset", (asked(body)[: random.randrange(1, 200)],), "reset")
    yield Attack("reset before the answer", (asked(body),), "reset")
    yield Attack("closed unread", (keep * 20,), "close")
    yield Attack("HTTP/0.9", (f"GET /{SECRET}\r\n".encode(),))
    yield Attack(
        "other versions", (asked(body).replace(b"HTTP/1.1", random.choice((b"HTTP/2.0", b"HTTP/1.0", b"HTTP/9"))),)
    )
    yield Attack("HTTP/2", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.randbytes(50),))
    yield Attack("garbage", (random.randbytes(random.randrange(1, 5000)) + MARK,))
    yield Attack("TLS", (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(500),))
    yield Attack("empty lines", (b"\r\n" * random.randrange(1, 50_000) + asked(body),))
    yield Attack(
        "websocket",
        (head("GET", "/predict", "Upgrade: websocket", "Sec-WebSocket-Key: x").replace(b"close", b"Upgrade"),),
    )
    yield Attack(
        "expect", (head("POST", "/predict", f"Content-Length: {len(body)}", "Expect: 100-continue"), 0.05, body)
    )


def paths(random: Random) -> Iterator[Attack]:
    """Addresses and methods."""
    for step in _STEPS:
        place = random.choice(("/static/", "/", "/openapi.json/"))
        target = random.choice(("etc/passwd", "app.py", "proc/self/environ", "guard.py%00.js"))
        yield Attack("path", (head("GET", place + step * random.randrange(1, 9) + target),))
    for path in _PATHS:
        yield Attack("path", (head("GET", path),))
    yield Attack("path", (head("GET", f"/{'a' * random.randrange(1000, 60_000)}{SECRET}"),))
    yield Attack("path", (head("GET", f"/predict?text={SECRET}&{'a=' * 1000}"),))
    yield Attack("path", (head("GET", "http://evil.example/health"),))
    for method in _METHODS:
        yield Attack(
            "method", (head(method, random.choice(("/predict", "/batch", "/", "/about", f"/{MARK.decode()}"))),)
        )
    yield Attack("method", (head("POST", random.choice(("/", "/about", "/metrics", "/static/main.js"))) + b"x",))


def headers(random: Random) -> Iterator[Attack]:
    """Names, types and sizes in headers."""
    for host in _HOSTS:
        yield Attack("host", (head("GET", "/about", host=host),))
    yield Attack("no host", (b"GET /about HTTP/1.0\r\n\r\n",))
    body = json.dumps({"text": TEXT}).encode()
    yield Attack(
        "foreign page", (f"POST /predict HTTP/1.1\r\n{CSRF}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,)
    )
    yield Attack("huge header", (head("GET", "/health", f"X-A: {'x' * random.randrange(60_000, 300_000)}{SECRET}"),))
    yield Attack(
        "many headers", (head("GET", "/health", *(f"X-{n}: {SECRET}" for n in range(random.randrange(100, 5000)))),)
    )
    yield Attack(
        "bad header",
        (head("GET", "/health", random.choice((": x", "X y: 1", "X\0: 1", "X: a\0b", " X: 1", f"X{SECRET}"))),),
    )
    yield Attack("bare line feeds", (head("GET", "/health").replace(b"\r\n", b"\n"),))
    yield Attack(
        "forwarded", (head("GET", "/health", f"X-Forwarded-For: {SECRET}, 1.2.3.4", "X-Forwarded-Proto: javascript"),)
    )
    for kind in _TYPES:
        yield Attack("content type", (asked(json.dumps({"text": SECRET}).encode(), kind=kind),))
    yield Attack("encoding", (asked(b"\x1f\x8b\x08" + random.randbytes(500), "/predict", "Content-Encoding: gzip"),))
