"""A thousand hostile requests to the service in a process of its own: nothing falls over, grows or talks too much."""

import contextlib
import json
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from tests.cli.test_serve import address_of, start
from tests.inference.worlds import world
from tests.trust.hostile import GOOD, KINDS, SECRET
from tests.web.serving import Client

pytestmark = [pytest.mark.trust, pytest.mark.timeout(600)]

_REQUESTS = 1000
_MIB = 1 << 20


def _answers(came: bytes) -> Iterator[int]:
    """The statuses in what came back."""
    yield from (int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", came, re.MULTILINE))


def _memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])  # type: ignore[index]


def _send(port: int, number: int) -> tuple[str, bytes]:
    random = Random(number)
    kind = list(KINDS)[number % len(KINDS)]
    sent = KINDS[kind](random)
    if random.random() < 0.1:  # and then never another word, until it is closed by the other side or too late
        return kind, Client(port).raw(sent[: random.randint(0, len(sent))], 1.0)
    if random.random() < 0.1:  # gone before the answer
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(sent)
        return kind, b""
    closing = sent.replace(b"\r\nHost:", b"\r\nConnection: close\r\nHost:", 1) if kind != "pipeline" else sent
    return kind, Client(port).raw(closing, 2.0)


def test_a_thousand_hostile_requests(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, record_property: Callable[[str, object], None]
) -> None:
    made = world(tmp_path_factory)
    model = made.result("linear", "hier")
    process = start(tmp_path, "serve", model, "--port", 0, "--rate", 0, "--cache-dir", made.folder / "cache")
    port = int(address_of(process)[0].rstrip("/").rpartition(":")[2])
    client = Client(port)
    expected = client.post("/predict", GOOD).content
    for number in range(2 * len(KINDS)):  # what is made once is made
        _send(port, number)
    client.post("/batch", {"texts": ["一种装置"] * 100})
    before = _memory(process.pid)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(lambda number: _send(port, number), range(1000, 1000 + _REQUESTS)))
    statuses = Counter(status for _, answer in came for status in _answers(answer))
    largest = max((len(answer), kind) for kind, answer in came if kind not in ("batches", "pipeline"))
    grown = _memory(process.pid) - before
    begun = time.perf_counter()
    assert client.post("/predict", GOOD).content == expected
    seconds = time.perf_counter() - begun
    for sock in idle:
        sock.close()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    shown = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    told = f"{shown}; memory {grown / _MIB:+.1f} MiB; largest answer {largest[0]:,} bytes"
    record_property("cases", f"{len(came)} hostile requests of {len(KINDS)} kinds beside 200 idle connections: {told}")
    wrong = [status for status in statuses if status >= 500 and status != 503]
    record_property("losses", len(wrong))
    assert wrong == []
    assert statuses[200] > 50
    assert grown < 50 * _MIB
    assert largest[0] < 65_536, largest
    assert not [
        kind for kind, answer in came if SECRET.encode() in answer or json.dumps(SECRET)[1:-1].encode() in answer
    ]
    assert seconds < 2
    assert (process.returncode, err) == (0, "")
    assert SECRET not in out


def test_too_many_at_once_are_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, record_property: Callable[[str, object], None]
) -> None:
    made = world(tmp_path_factory)
    process = start(tmp_path, "serve", made.result("combination", "hier"), "--port", 0, "--rate", 0)
    client = Client(int(address_of(process)[0].rstrip("/").rpartition(":")[2]))
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: client.post("/batch", {"texts": [f"一种装置{n}"] * 100}), range(200)))
    statuses = Counter(answer.status for answer in answers)
    record_property("cases", f"{len(answers)} batches of 100 texts by 32 clients: {dict(statuses)}")
    record_property("losses", sum(count for status, count in statuses.items() if status not in (200, 503)))
    assert set(statuses) == {200, 503}
    for answer in answers:
        if answer.status == 200:
            labels = {one["prediction"]["decision"]["label"] for one in answer.content["results"]}
            assert len(labels) == 1
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0
