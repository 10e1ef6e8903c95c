"""The command ``patent-hier serve`` in a process of its own, and what it answers to attacks."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.commands import processor_seconds_of_children
from tests.trust.attacks import RESET, Attack
from tests.web.serving import Client

ROOT = Path(__file__).parents[2]
_SILENCE = 20.0  # seconds after which nobody answers any more
_PATIENCE = 120.0  # seconds for what a busy machine may delay


@dataclass(frozen=True)
class Reply:
    """What came back over one connection."""

    kind: str
    content: bytes

    @property
    def statuses(self) -> list[int]:
        """Of every answer in it."""
        return [int(code) for code in re.findall(rb"(?:^|\n|\})HTTP/1\.1 (\d{3}) ", self.content)]


class Served:
    """A server process; its outputs go to files; ``begun`` are the attacks that have a connection.

    Args:
        model: The folder of a system.
        cache: The cache that it was trained with.
        logs: A folder for its outputs.
    """

    def __init__(self, model: Path, cache: Path, logs: Path, *options: str) -> None:
        self._out, self._err = logs / "out.txt", logs / "err.txt"
        words = ["serve", str(model), "--port", "0", "--rate", "0", "--cache-dir", str(cache), *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "patent_hier", *words], stdout=out, stderr=err, env=environment, cwd=ROOT
            )
        self.begun: list[Attack] = []
        self.client = Client(self._port())

    def _port(self) -> int:
        pattern = re.compile(r"serving http://127\.0\.0\.1:(\d+)/")
        self.wait_until(lambda: bool(pattern.search(self.output)))
        return int(pattern.findall(self.output)[0])

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the server does; how long that takes depends on the machine's other work."""
        end = time.monotonic() + _PATIENCE
        while not holds():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.02)

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._out.read_text("utf-8") + self._err.read_text("utf-8")

    @property
    def memory(self) -> int:
        """Its resident memory, bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]  # it is always there

    def _processor_seconds(self) -> float:
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def end(self) -> tuple[int, float]:
        """Ctrl-C: exit status, and the seconds of processor time until it has ended."""
        before, others = self._processor_seconds(), processor_seconds_of_children()
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(_PATIENCE)
        return status, processor_seconds_of_children() - others - before

    def send(self, attack: Attack) -> Reply:
        """Make one connection; what came back until the service closed it."""
        with socket.create_connection(("127.0.0.1", self.client.port), timeout=_SILENCE) as sock:
            self.begun.append(attack)
            reading = threading.Thread(target=lambda: None)
            came = bytearray()
            if attack.end in ("read", "half"):
                reading = threading.Thread(target=_read, args=(sock, came))
                reading.start()
            with contextlib.suppress(OSError):
                for piece in (*attack.pieces, *attack.pieces[-1:] * (attack.repeat - 1)):
                    if isinstance(piece, bytes):
                        sock.sendall(piece)
                    else:
                        time.sleep(piece)
                if attack.end == "half":
                    sock.shutdown(socket.SHUT_WR)
            if attack.end == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            reading.join() if reading.ident else None
        return Reply(attack.kind, bytes(came))

    def send_all(self, attacks: Sequence[Attack], at_once: int) -> list[Reply]:
        """Many, some side by side."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self.send, attacks))


def _read(sock: socket.socket, came: bytearray) -> None:
    with contextlib.suppress(OSError):
        while part := sock.recv(1 << 16):
            came += part


@contextlib.contextmanager
def served(model: Path, cache: Path, logs: Path, *options: str) -> Iterator[Served]:
    """A server that is gone after the block, whatever happens in it."""
    own = Served(model, cache, logs, *options)
    try:
        yield own
    finally:
        own.process.kill()
        own.process.wait()
