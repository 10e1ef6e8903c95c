"""An attack on a service: bytes for its socket, with how they are sent."""

import struct
from dataclasses import dataclass

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


def asked(body: bytes, path: str = "/predict", *more: str, kind: str = "application/json") -> bytes:
    """A whole request."""
    return head("POST", path, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more) + body
