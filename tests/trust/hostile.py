"""Requests that no friend would send, by kind; each from a generator of its own."""

import json
import urllib.parse
from collections.abc import Callable
from random import Random

SECRET = "绝密文本7f3a"
GOOD = {"text": "一种激光测距装置"}
_MIB = 1 << 20
_HEAD = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
Request = Callable[[Random], bytes]


def _post(body: bytes, path: str = "/predict", more: str = "") -> bytes:
    head = _HEAD.replace("/predict", path) + more + f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def _json(content: object, path: str = "/predict") -> bytes:
    return _post(json.dumps(content).encode(), path)


def _get(path: str, head: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode("utf-8", "surrogatepass")


def _chunked(parts: list[bytes], ending: bytes = b"0\r\n\r\n") -> bytes:
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
    return f"{_HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + ending


def _value(random: Random) -> object:
    return random.choice([None, True, -1, 1e308, 10**40, "", SECRET, [], {}, [SECRET], {"a": SECRET}, float("nan")])


def _text(random: Random) -> str:
    pieces = ["\0", "\ud800", "</script>", "<img src=x onerror=1>", "一种", "\u202e", "\x1b[31m", "'", "%00", SECRET]
    return "".join(random.choices(pieces, k=random.randint(1, 30)))


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="%./\\", errors="surrogatepass")


_NUMBERS = (b"NaN", b"Infinity", b"-0")
_LENGTHS = ("-1", "x", "1e9", "9" * 4000, "2, 3")
_METHODS = (b"PUT", b"TRACE", b"CONNECT", b"G\0T", b"X" * 900)
_OLD = (b"GET /\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02", b"\r\n\r\n", b"GET\r\n\r\n")

KINDS: dict[str, Request] = {
    "texts": lambda r: _json({"text": _text(r), "explain": r.random() < 0.2}),
    "long text": lambda r: _json({"text": SECRET * (20_001 // len(SECRET) + r.randint(-1, 1))}),
    "types": lambda r: _json({r.choice(["text", "top_k", "force", "target_accuracy", SECRET]): _value(r), **GOOD}),
    "batches": lambda r: _json({"texts": [_text(r) for _ in range(r.randint(0, 120))]}, "/batch"),
    "batch types": lambda r: _json({"texts": _value(r)}, "/batch"),
    "bytes": lambda r: _post(r.randbytes(r.randint(0, 3000))),
    "gbk": lambda r: _post('{"text": "一种锁"}'.encode("gb18030")),
    "deep json": lambda r: _post(r.choice([b"[", b'{"a":']) * r.randint(1000, 40_000)),
    "long number": lambda r: _post(b'{"top_k": ' + b"9" * r.randint(10, 10_000) + b"}"),
    "twice": lambda r: _post(b'{"text": "a", "text": "' + SECRET.encode() + b'"}'),
    "not a number": lambda r: _post(b'{"text": "a", "target_accuracy": ' + r.choice(_NUMBERS) + b"}"),
    "chunks": lambda r: _chunked([r.randbytes(r.randint(1, 900)) for _ in range(r.randint(1, 20))]),
    "endless chunks": lambda r: _chunked([b"x" * 65_536] * 30, b""),
    "bad chunks": lambda r: _chunked([b"{}"], r.choice([b"zz\r\n", b"-5\r\n", b"ffffffffffffffff\r\n", b"0\r\n"])),
    "fifty megabytes": lambda r: f"{_HEAD}Content-Length: 52428800\r\n\r\n".encode() + b"x" * _MIB,
    "lengths": lambda r: f"{_HEAD}Content-Length: {r.choice(_LENGTHS)}\r\n\r\n{{}}".encode(),
    "two lengths": lambda r: _post(b"{}", more="Transfer-Encoding: chunked\r\n"),
    "smuggled": lambda r: _post(b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "pipeline": lambda r: _get("/health") * r.randint(2, 20),
    "paths": lambda r: _get(r.choice(["/static/", "/", "//", "/predict/"]) + _quoted(_text(r))),
    "climbing": lambda r: _get("/static/" + r.choice(["../", "..%2f", "%2e%2e/", "..\\", "....//"]) * 6 + "etc/passwd"),
    "raw paths": lambda r: _get(f"/{SECRET}\0" if r.random() < 0.5 else f"/\udcff{SECRET}"),
    "methods": lambda r: _get("/predict").replace(b"GET", r.choice(_METHODS)),
    "headers": lambda r: _get("/", f"X: {'x' * r.choice([10, 9_000, 200_000])}\r\n" * r.choice([1, 50])),
    "hosts": lambda r: _get("/about").replace(b"127.0.0.1", r.choice([b"evil.example", b"", b"\xff", b"a" * 5000])),
    "old": lambda r: r.choice(_OLD),
    "forms": lambda r: _post(b"text=" + SECRET.encode(), more="Content-Type: application/x-www-form-urlencoded\r\n"),
    "cut off": lambda r: _json(GOOD)[: r.randint(1, 120)],
}
