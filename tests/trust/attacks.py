"""Requests that no well-meaning program sends, many of every kind."""

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.trust.attack import MARK, SECRET, Attack, asked, head
from tests.trust.hostile_http import ends, framing, headers, paths
from tests.trust.hostile_json import bodies, encodings, fields, texts, values


def attacks(random: Random, rounds: int) -> list[Attack]:
    """All kinds, so many times each with other values, shuffled."""
    kinds: Sequence[Callable[[Random], Iterator[Attack]]] = (
        framing,
        ends,
        paths,
        headers,
        bodies,
        fields,
        encodings,
        values,
        texts,
    )
    made = [one for _ in range(rounds) for kind in kinds for one in kind(random)]
    random.shuffle(made)
    return made


def slow(random: Random) -> list[Attack]:
    """Those that take seconds each; to be sent side by side."""
    request = asked(json.dumps({"text": SECRET}).encode())
    cut = random.randrange(1, 40)
    drip = tuple(piece for byte in request[:30] for piece in (bytes([byte]), 0.5))
    return [
        Attack("slow header", (request[:cut], 12.0, request[cut:])),
        Attack("slow header, byte by byte", drip),
        Attack("slow body", (request[:-10], 12.0, request[-10:])),
        Attack("no header", (12.0,)),
        Attack("head only", (head("POST", "/predict", "Content-Length: 100000"), 12.0)),
        Attack(
            "header without end", (head()[:-2], *(b"X-%d: %s\r\n" % (n, MARK) if n % 2 else 0.3 for n in range(60)))
        ),
        Attack(
            "chunks without end", (head("POST", "/predict", "Transfer-Encoding: chunked"), *([b"1\r\nx\r\n", 0.4] * 30))
        ),
        Attack("second request that does not come", (head("GET", "/health").replace(b"close", b"keep-alive"), 12.0)),
    ]


def large() -> list[Attack]:
    """Bodies of 50 MB."""
    mega = MARK[:4] * (1 << 18)
    chunk = b"%x\r\n%s\r\n" % (len(mega), mega)
    chunked = head("POST", "/predict", "Transfer-Encoding: chunked", "Content-Type: application/json")
    said = head("POST", "/batch", f"Content-Length: {50 << 20}", "Content-Type: application/json")
    less = head("POST", "/batch", "Content-Length: 1000", "Content-Type: application/json")
    return [
        Attack("50 MB, said", (said, mega), repeat=50),
        Attack("50 MB, not said", (chunked, chunk), repeat=50),
        Attack("50 MB, less said", (less, mega), repeat=50),
        Attack("50 MB of headers", (head()[:-2] + b"X: ", mega), repeat=50),
        Attack("50 MB without a line", (mega,), repeat=50),
    ]
