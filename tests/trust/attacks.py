"""Requests that no well-meaning program sends, many of every kind, as bytes for a service's socket."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

SECRET = "ZQXJVW绝密"  # stands in whatever is sent; its beginning survives every encoding
MARK = b"ZQXJVW"
TEXT = "一种激光测距装置，包括壳体和光电探测器"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets
Piece = bytes | float  # sent, or seconds of silence


@dataclass(frozen=True)
class Attack:
    """What is sent over one connection.

    Attributes:
        kind: For the figures.
        pieces: In their order.
        end: What follows the last: ``read`` the answer, ``half`` close and read, ``reset``, or ``close`` unread.
        repeat: The last piece so many times.
    """

    kind: str
    pieces: tuple[Piece, ...]
    end: str = "read"
    repeat: int = 1


def head(method: str = "POST", path: str = "/predict", *more: str, host: str = "127.0.0.1") -> bytes:
    """A request's line and headers; no ``Content-Length``."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")


def asked(body: Any, path: str = "/predict", *more: str, kind: str = "application/json") -> bytes:
    """A whole request; a body that is not bytes is written as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head("POST", path, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more) + body


def attacks(random: Random, rounds: int) -> list[Attack]:
    """All kinds, so many times each with other values, shuffled."""
    kinds = (framing, ends, paths, headers, bodies, fields, encodings, values, texts)
    made = [one for _ in range(rounds) for kind in kinds for one in kind(random)]
    random.shuffle(made)
    return made


# --- below the content: framing, addresses, headers

_CHUNKED = head("POST", "/predict", "Transfer-Encoding: chunked", "Content-Type: application/json")
_BODY = json.dumps({"text": f"{TEXT}{SECRET}"}).encode()
_KEEP = asked(_BODY).replace(b"Connection: close\r\n", b"")
_SIZES = (b"zz", b"-5", b"FFFFFFFFFFFFFFFFFF", b"0x10", b"", b"5;" + MARK * 20_000, b"+5", b" 5", "５".encode())
_LENGTHS = ("-1", "1e3", "0x10", "99999999999999999999999", "5, 6", "", " ", "٣", f"5{SECRET}")
_CODINGS = ("chunked", "Chunked", "chunked, identity", "xchunked", "identity", "chunked\r\n chunked", "\x0bchunked")
_STEPS = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "%252e%252e%252f", "....//", "%c0%ae%c0%ae/", "..;/")
_PATHS = ("/static/main.js%00", "/static/%ff%fe", "/static//etc/passwd", "//evil.example/", "/\\evil.example", "*")
_QUERIES = (
    *(
        f"parent={SECRET}",
        f"parent={'A' * 60_000}",
        "parent=" + "%00" * 50,
        "parent=%ff%fe%ed%a0%80",
        "parent=A&parent=B",
    ),
    *("parent=../../etc/passwd", "parent=A&level=__class__", f"level={SECRET}", "limit=1e9", "limit=-1", "limit=NaN"),
    *(f"offset={'9' * 5000}", "offset=999999999", "offset=-1", f"{SECRET}=1", "parent=A%0d%0aX-Evil:%201", "limit=500"),
)
_METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "HEAD", "GET", "get", "POST" * 5000, "P\0ST", "移")
_HOSTS = (
    *("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "evil.example:80", "0", "[::]", "2130706433"),
    *("", "127.0.0.1\r\nHost: evil.example", "localhost.", "127.0.0.1/", f"{SECRET}", "[127.0.0.1]", "*"),
)
_CSRF = "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\nContent-Type: text/plain"
_HEADERS = (": x", "X y: 1", "X\0: 1", "X: a\0b", " X: 1", f"X{SECRET}")
_TYPES = (
    *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "x"),
    *("application/json; charset=utf-16", f"application/{MARK.decode()}", "application/json\t;" + "a" * 2000),
)


def framing(random: Random) -> Iterator[Attack]:
    """Requests whose length or end is in doubt."""
    yield Attack("chunked", (_CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)))
    for size in _SIZES:
        yield Attack("bad chunk size", (_CHUNKED, size + b"\r\n" + _BODY))
    yield Attack("bad length", (head("POST", "/predict", f"Content-Length: {random.choice(_LENGTHS)}") + _BODY,))
    yield Attack("two lengths", (head("POST", "/predict", "Content-Length: 5", "Content-Length: 6") + _BODY,))
    for more in _CODINGS:
        first = head("POST", "/predict", f"Content-Length: {len(_BODY)}", f"Transfer-Encoding: {more}")
        hidden = b"0\r\n\r\n" + head("GET", f"/{SECRET}")
        yield Attack("CL and TE", (first.replace(b"close", b"keep-alive") + hidden,))
    yield Attack("pipelining", (_KEEP * random.randrange(2, 30) + head("GET", "/health"),))


def ends(random: Random) -> Iterator[Attack]:
    """Connections that end oddly, and what is no HTTP/1.1."""
    whole = asked(_BODY)
    yield Attack("half-closed", (whole,), "half")
    yield Attack("half-closed early", (whole[: -random.randrange(1, 40)],), "half")
    yield Attack("reset", (whole[: random.randrange(1, 200)],), "reset")
    yield Attack("reset before the answer", (whole,), "reset")
    yield Attack("closed unread", (_KEEP * 20,), "close")
    yield Attack("HTTP/0.9", (f"GET /{SECRET}\r\n".encode(),))
    version = random.choice((b"HTTP/2.0", b"HTTP/1.0", b"HTTP/9"))
    yield Attack("other versions", (whole.replace(b"HTTP/1.1", version),))
    yield Attack("HTTP/2", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.randbytes(50),))
    yield Attack("garbage", (random.randbytes(random.randrange(1, 5000)) + MARK,))
    yield Attack("TLS", (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(500),))
    yield Attack("empty lines", (b"\r\n" * random.randrange(1, 50_000) + whole,))
    upgrade = head("GET", "/predict", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    yield Attack("websocket", (upgrade.replace(b"close", b"Upgrade"),))
    begun = head("POST", "/predict", f"Content-Length: {len(_BODY)}", "Expect: 100-continue")
    yield Attack("expect", (begun, 0.05, _BODY))


def paths(random: Random) -> Iterator[Attack]:
    """Addresses and methods."""
    for step in _STEPS:
        place = random.choice(("/static/", "/", "/openapi.json/"))
        target = random.choice(("etc/passwd", "app.py", "proc/self/environ", "guard.py%00.js"))
        yield Attack("path", (head("GET", place + step * random.randrange(1, 9) + target),))
    long = (f"/{'a' * random.randrange(1000, 60_000)}{SECRET}", f"/predict?text={SECRET}&{'a=' * 1000}")
    for path in (*_PATHS, *long, "http://evil.example/health"):
        yield Attack("path", (head("GET", path),))
    for query in _QUERIES:
        yield Attack("taxonomy", (head("GET", f"/taxonomy?{query}"),))
    for method in _METHODS:
        path = random.choice(("/predict", "/batch", "/", "/about", f"/{MARK.decode()}"))
        yield Attack("method", (head(method, path),))
    yield Attack("method", (head("POST", random.choice(("/", "/about", "/metrics", "/static/main.js"))) + b"x",))


def headers(random: Random) -> Iterator[Attack]:
    """Names, types and sizes in headers."""
    for host in _HOSTS:
        yield Attack("host", (head("GET", "/about", host=host),))
    yield Attack("no host", (b"GET /about HTTP/1.0\r\n\r\n",))
    body = json.dumps({"text": TEXT}).encode()
    csrf = f"POST /predict HTTP/1.1\r\n{_CSRF}\r\nContent-Length: {len(body)}\r\n\r\n"
    yield Attack("foreign page", (csrf.encode() + body,))
    huge = f"X-A: {'x' * random.randrange(60_000, 300_000)}{SECRET}"
    many = [f"X-{n}: {SECRET}" for n in range(random.randrange(100, 5000))]
    forwarded = (f"X-Forwarded-For: {SECRET}, 1.2.3.4", "X-Forwarded-Proto: javascript")
    yield Attack("huge header", (head("GET", "/health", huge),))
    yield Attack("many headers", (head("GET", "/health", *many),))
    yield Attack("bad header", (head("GET", "/health", random.choice(_HEADERS)),))
    yield Attack("bare line feeds", (head("GET", "/health").replace(b"\r\n", b"\n"),))
    yield Attack("forwarded", (head("GET", "/health", *forwarded),))
    for kind in _TYPES:
        yield Attack("content type", (asked({"text": SECRET}, kind=kind),))
    yield Attack("encoding", (asked(b"\x1f\x8b\x08" + random.randbytes(500), "/predict", "Content-Encoding: gzip"),))


# --- by the content: JSON, values, texts

_WRONG: tuple[Any, ...] = (None, True, False, 0, -1, 1.5, "", SECRET, [], {}, [SECRET], {SECRET: SECRET}, [[]])
_WRONG += (2**63, 2**70, -(2**63))
_FIELDS = (
    "text",
    "texts",
    "top_k",
    "target_accuracy",
    "force",
    "exclude",
    "depth",
    "names",
    "all_symbols",
    "explain",
    "neighbours",
    "__class__",
    "_target_",
    SECRET,
)
_NO_JSON = (
    *(
        b"\xc4\xe3\xba\xc3",
        f'{{"text":"{TEXT}绝密"}}'.encode("gb18030"),
        b"\xff\xfe" + '{"text":"x"}'.encode("utf-16-le"),
    ),
    *(
        b'\xef\xbb\xbf{"text":"x"}',
        b"\0" * 1000,
        b'{"text":"\xed\xa0\x80"}',
        b"",
        b"null",
        MARK,
        b'{"text":"x"} ' + MARK,
    ),
)
_NO_STRING = (b'{"text":"\\uZZZZ"}', b"'text'", b'{"text":"a\0b"}')
_TEXTS = (
    *("\0", f"{SECRET}\0{SECRET}", "\ud800", f"{SECRET}\udfff", "</script><script>alert(1)</script>" + SECRET),
    *("\u202e" + SECRET, "=cmd|' /C calc'!A0", "{{7*7}}${7*7}%s%n", "a\u0301" * 9000, "\u0344" * 19_000, "🙂" * 20_000),
)
_MORE_TEXTS = (" ", "\ufdfa" * 20_000, "，" * 20_000, "１" * 20_000, "\ue000" * 100, SECRET * 2000, "\x1b[31m" + SECRET)


def bodies(random: Random) -> Iterator[Attack]:
    """What is no question at all, or no JSON."""
    deep = random.randrange(50_000, 120_000)
    closed = b'{"text":' + b"[" * deep + b"]" * deep + b"}"
    for body in (b"[" * deep, b'{"a":' * deep, closed, b'{"texts":[' + b"[" * deep):
        yield Attack("deep JSON", (asked(body, random.choice(("/predict", "/batch"))),))
    digits = b"9" * random.choice((400, 5000, 200_000))
    zeros = b'{"text":"x","neighbours":1%s}' % (b"0" * 4000)
    fields = (b'{"text":"x","top_k":%s}' % digits, b'{"text":"x","target_accuracy":%s}' % digits)
    for body in (*fields, digits, b"-" + digits, b'{"text":"x","top_k":1e999999}', zeros):
        yield Attack("huge numbers", (asked(body),))


def fields(random: Random) -> Iterator[Attack]:
    """Numbers that are none, and names that are too many."""
    for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-0.0", b"5e-324"):
        for field in (b"target_accuracy", b"top_k", b"neighbours", b"explain", b"force", b"exclude", b"depth"):
            yield Attack("NaN and infinity", (asked(b'{"text":"x","%s":%s}' % (field, number)),))
    yield Attack("duplicate keys", (asked(b'{"text":"a",' + b'"text":"%s",' % MARK * 5000 + b'"text":"b"}'),))
    yield Attack("many keys", (asked({f"{SECRET}{n}": n for n in range(4000)}),))


def encodings(random: Random) -> Iterator[Attack]:
    """Bytes that are no JSON in UTF-8, or hardly."""
    for body in (*_NO_JSON, random.randbytes(3000), *_NO_STRING):
        yield Attack("encodings", (asked(body, random.choice(("/predict", "/batch"))),))


def values(random: Random) -> Iterator[Attack]:
    """JSON with values of wrong types."""
    for path, question in (("/predict", {"text": TEXT}), ("/batch", {"texts": [TEXT]})):
        for field in _FIELDS:
            yield Attack("wrong types", (asked({**question, field: random.choice(_WRONG)}, path),))
    for body in (1, "x", True, [SECRET], [[[]]]):
        yield Attack("wrong types", (asked(body, random.choice(("/predict", "/batch"))),))


def texts(random: Random) -> Iterator[Attack]:
    """Questions as they should be, with texts as they should not."""
    codes = (random.choice((random.randrange(0x4E00, 0x9FFF), random.randrange(0x20, 0x7F))) for _ in range(19_000))
    letters = "".join(map(chr, codes))
    for text in (*_TEXTS, letters, letters * 2, *_MORE_TEXTS, "a" * 250_000):
        yield Attack("texts", (asked({"text": text}),))
    many = random.choice((1, 99, 101, 5000))
    mixed = [random.choice((SECRET, "\ud800", "", " ", TEXT, "字" * 300)) for _ in range(many)]
    yield Attack("batches", (asked({"texts": mixed}, "/batch"),))
    explained = {"text": TEXT * random.randrange(1, 30), "explain": True, "neighbours": 20}
    yield Attack("explain", (asked(explained),))


# --- long ones


def slow(random: Random) -> list[Attack]:
    """Those that take seconds each; to be sent side by side."""
    request = asked({"text": SECRET})
    cut = random.randrange(1, 40)
    drip = tuple(piece for byte in request[:30] for piece in (bytes([byte]), 0.5))
    endless = [b"X-%d: %s\r\n" % (n, MARK) if n % 2 else 0.3 for n in range(60)]
    chunked = head("POST", "/predict", "Transfer-Encoding: chunked")
    return [
        Attack("slow header", (request[:cut], 12.0, request[cut:])),
        Attack("slow header, byte by byte", drip),
        Attack("slow body", (request[:-10], 12.0, request[-10:])),
        Attack("no header", (12.0,)),
        Attack("head only", (head("POST", "/predict", "Content-Length: 100000"), 12.0)),
        Attack("header without end", (head()[:-2], *endless)),
        Attack("chunks without end", (chunked, *([b"1\r\nx\r\n", 0.4] * 30))),
        Attack("second request that does not come", (head("GET", "/health").replace(b"close", b"keep-alive"), 12.0)),
    ]


def large() -> list[Attack]:
    """Bodies of 50 MB."""
    mega = MARK[:4] * (1 << 18)
    chunk = b"%x\r\n%s\r\n" % (len(mega), mega)
    said = head("POST", "/batch", f"Content-Length: {50 << 20}", "Content-Type: application/json")
    less = head("POST", "/batch", "Content-Length: 1000", "Content-Type: application/json")
    return [
        Attack("50 MB, said", (said, mega), repeat=50),
        Attack("50 MB, not said", (_CHUNKED, chunk), repeat=50),
        Attack("50 MB, less said", (less, mega), repeat=50),
        Attack("50 MB of headers", (head()[:-2] + b"X: ", mega), repeat=50),
        Attack("50 MB without a line", (mega,), repeat=50),
    ]
