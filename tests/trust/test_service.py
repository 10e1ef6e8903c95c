"""The service under attack: it stays up, small and silent, and answers the next honest question."""

import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from patent_hier.inference.classifier import HierarchicalClassifier
from tests.inference.worlds import World, world
from tests.trust.attacks import MARK, SECRET, TEXT, Attack, asked, attacks, head, large, slow
from tests.trust.faults import Told
from tests.trust.served import Reply, Served, served
from tests.web.test_app import close

pytestmark = [
    pytest.mark.trust,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]

_ROUNDS = 6
_SLOWER_ROUNDS = 3
_MOST_BYTES = 64 << 10  # of an answer
_MOST_OF_A_BATCH = 1 << 20  # of 100 texts with 20 paths each, or of an explanation of 20,000 characters: 1 MB
_MOST_GROWTH = 50 << 20
_WARM, _MANY = 2000, 20_000  # requests
_MOST_GROWTH_OF_MANY = 20 << 20
_ALLOWED = {100, 200, 400, 403, 404, 405, 408, 413, 422, 503}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory)


@pytest.fixture(scope="module")
def server(made: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    logs = tmp_path_factory.mktemp("served")
    with served(made.result("linear", "hier"), made.folder / "cache", logs) as own:
        yield own


def _answers_well(server: Served, made: World) -> None:
    """An honest question has the right answer, soon."""
    (expected,) = HierarchicalClassifier.from_pretrained(made.result("linear", "hier")).predict([TEXT])
    start = time.perf_counter()
    answer = server.client.post("/predict", {"text": TEXT})
    assert time.perf_counter() - start < 1
    assert answer.status == 200
    assert close(answer.content, json.loads(json.dumps(expected.as_dict())))


def _is_silent(server: Served) -> None:
    """Nothing that was sent, nor a traceback, is in the server's outputs."""
    told = server.output
    for word in (MARK.decode(), "绝密", TEXT, TEXT[:6], "\\u7edd", "Traceback"):
        assert word not in told
    assert len(told.splitlines()) < 10, told[:2000]


def _faults(replies: list[Reply]) -> list[object]:
    """What no reply may be."""
    found: list[object] = []
    for reply in replies:
        if not set(reply.statuses) <= _ALLOWED:
            found.append((reply.kind, reply.statuses))
        if MARK in reply.content or b"Traceback" in reply.content or SECRET[-2:].encode() in reply.content:
            found.append((reply.kind, "echo", reply.content[:300]))
        limit = _MOST_BYTES * max(1, len(reply.statuses))
        if len(reply.content) > (_MOST_OF_A_BATCH if reply.kind in ("batches", "explain") else limit):
            found.append((reply.kind, len(reply.content)))
    return found


def _summary(replies: list[Reply]) -> str:
    statuses = Counter(status for reply in replies for status in reply.statuses)
    silent = sum(not reply.statuses for reply in replies)
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    single = [len(one.content) for one in replies if one.kind not in ("batches", "explain") and len(one.statuses) == 1]
    return f"{counts}, {silent} without answer, largest of one question {max(single):,} bytes"


def test_hostile_requests(server: Served, made: World, told: Told) -> None:
    random = Random(2026)
    server.send_all(attacks(Random(1), 1), 8)
    server.send_all(large(), 2)
    server.client.post("/batch", {"texts": [TEXT * 15] * 100})
    before = server.memory
    todo = [*attacks(random, _ROUNDS), *large(), *(one for _ in range(_SLOWER_ROUNDS) for one in slow(random))]
    random.shuffle(todo)
    assert len(todo) >= 1000
    replies = server.send_all(todo, 16)
    replies += server.send_all(large(), 1)
    growth = server.memory - before
    kinds = len({one.kind for one in todo})
    _answers_well(server, made)
    _is_silent(server)
    words = f"{len(replies)} requests of {kinds} kinds, memory +{growth / 2**20:.1f} MiB; {_summary(replies)}"
    told(words, _faults(replies))
    assert growth < _MOST_GROWTH
    assert {reply.statuses[0] for reply in replies if reply.kind == "50 MB, said" and reply.statuses} <= {413}


def test_memory_stays_over_many_requests(server: Served, told: Told) -> None:
    """20,000 of all kinds, every tenth cut off before or while it is answered."""
    random = Random(7)
    server.send_all(_some(random, _WARM), 16)
    before = server.memory
    replies = server.send_all(_some(random, _MANY), 16)
    for _ in range(200):  # small ones, so that what the last large ones left has gone
        server.client.post("/predict", {"text": TEXT})
    growth = server.memory - before
    _is_silent(server)
    told(f"{len(replies)} requests, memory +{growth / 2**20:.1f} MiB; {_summary(replies)}", _faults(replies))
    assert growth < _MOST_GROWTH_OF_MANY


def _some(random: Random, n: int) -> list[Attack]:
    known = [one for _ in range(3) for one in attacks(random, 1)]
    chosen = [random.choice(known) for _ in range(n)]
    ends = [random.choice(("reset", "close")) if random.random() < 0.1 else one.end for one in chosen]
    return [replace(one, end=end) for one, end in zip(chosen, ends, strict=True)]


def test_many_connections(server: Served, made: World, told: Told) -> None:
    """200 that say nothing hold nobody up; more than there are places are let go after seconds."""
    before = server.memory
    address = ("127.0.0.1", server.client.port)
    idle = [socket.create_connection(address, timeout=20) for _ in range(200)]
    _answers_well(server, made)
    idle += [socket.create_connection(address, timeout=20) for _ in range(600)]
    refused = server.send(Attack("idle", (head("GET", "/health"),))).statuses
    assert refused in ([503], [])  # closed unheard
    assert all(sock.recv(1) == b"" for sock in idle)
    for sock in idle:
        sock.close()
    _answers_well(server, made)
    _is_silent(server)
    growth = server.memory - before
    told(f"{len(idle)} idle connections, memory +{growth / 2**20:.1f} MiB")
    assert growth < _MOST_GROWTH


def test_more_than_it_can_do(server: Served, made: World, told: Told) -> None:
    before = server.memory
    batches = [asked({"texts": [text] * 100, "top_k": 20}, "/batch") for text in (f"{SECRET}{TEXT}" * 12, TEXT)]
    explained = asked({"text": TEXT * 400, "explain": True, "neighbours": 20})
    kinds = [*(Attack("batches", (one,)) for one in batches), Attack("explain", (explained,))]
    replies = server.send_all([kind for kind in kinds for _ in range(60)], 60)
    statuses = Counter(status for reply in replies for status in reply.statuses)
    assert set(statuses) == {200, 503}
    answers = [reply for reply in replies if reply.kind == "batches"]
    most = max(len(reply.content) for reply in answers)
    whole = server.client.post("/predict", {"text": (TEXT * 1100)[:20_000], "explain": True, "neighbours": 20})
    assert whole.status == 200
    assert len(whole.body) < 1 << 20
    _answers_well(server, made)
    _is_silent(server)
    growth = server.memory - before
    words = (
        f"{len(replies)} batches of 100 and explanations at once: {dict(statuses)}, memory +{growth / 2**20:.1f} MiB"
    )
    words += f"; an answer to 100 texts has up to {most:,} bytes, an explanation of 20,000 letters {len(whole.body):,}"
    told(words, _faults(answers))
    assert growth < _MOST_GROWTH


def test_ctrl_c_under_attack(made: World, tmp_path: Path, told: Told) -> None:
    """It ends, whatever is under way, and waits for no one as long as a request may take."""
    with served(made.result("linear", "hier"), made.folder / "cache", tmp_path) as own:
        idle = [socket.create_connection(("127.0.0.1", own.client.port), timeout=60) for _ in range(100)]
        begun = [Attack("begun", (head("POST", "/predict", "Content-Length: 100"), 8.0))] * 20
        busy = [Attack("busy", (asked({"text": TEXT * 900, "explain": True}),))] * 40
        with ThreadPoolExecutor(60) as pool:
            jobs = [pool.submit(own.send, one) for one in (*busy, *begun)]
            own.wait_until(lambda: len(own.begun) == 60)
            assert own.client.get("/health").status in (200, 503)  # so it has read what was sent before
            status, used = own.end()
            assert all(isinstance(job.exception(), OSError | None) for job in jobs)
            replies = [job.result() for job in jobs[40:] if job.exception() is None]
            assert not all(reply.statuses == [408] for reply in replies)  # they were not waited for to their own limit
        for sock in idle:
            sock.close()
        _is_silent(own)
        assert "stopped" in own.output.splitlines()
    told(f"Ctrl-C with 160 connections open: status {status} after {used:.1f} s of processor time")
    assert status == 0
    assert used < 10


def test_ctrl_c_after_it(server: Served, told: Told) -> None:
    status, used = server.end()
    _is_silent(server)
    told(f"Ctrl-C after all attacks: status {status} after {used:.1f} s of processor time")
    assert status == 0
    assert used < 8
