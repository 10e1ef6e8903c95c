"""The service under load: requests of several clients at once, scored together and one by one."""

import http.client
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import yaml

from patent_hier.artifacts import seal
from patent_hier.bench.rows import Row
from patent_hier.bench.subjects import Subject
from patent_hier.errors import ProcessError
from patent_hier.inference.nodes import CONFIG_FILE, MODEL_FOLDER, NODE_KIND
from patent_hier.settings import FLAT

CLIENTS = (1, 8, 32)
_TARGETS = {1: 0.8, 8: 1.0, 32: 1.0}  # a lone client gains nothing, and must not lose much
_ADDRESS = re.compile(r"serving http://127\.0\.0\.1:(\d+)/ ")


@dataclass(frozen=True)
class Load:
    """What came of some clients that asked one question after another.

    Attributes:
        rate: Answers a second, all clients together.
        p50: Seconds that half of the answers took at most; ``p99`` likewise.
    """

    rate: float
    p50: float
    p99: float

    def as_dict(self) -> dict[str, float]:
        """The rate, and the times in milliseconds."""
        return {"requests_per_second": self.rate, "p50_ms": 1000 * self.p50, "p99_ms": 1000 * self.p99}


def serving_rows(subject: Subject, requests: int, repeats: int) -> Iterator[Row]:
    """A row for each of :data:`CLIENTS`.

    Args:
        subject: The network, and the texts that are asked about in turn.
        requests: Of all clients together, in each repeat.
        repeats: Of both kinds in turn.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / FLAT
        _write_node(subject, folder)
        with _service(folder, 64) as batched, _service(folder, 1) as single:
            for clients in CLIENTS:
                ask(batched, subject.texts, clients, requests // 4)
                ask(single, subject.texts, clients, requests // 4)
                loads = [
                    [ask(port, subject.texts, clients, requests) for port in (batched, single)] for _ in range(repeats)
                ]
                yield _row(subject.size, clients, requests, loads)


def _row(size: str, clients: int, requests: int, loads: Sequence[Sequence[Load]]) -> Row:
    ours, peer = (sorted(column, key=lambda load: load.rate)[len(loads) // 2] for column in zip(*loads, strict=True))
    return Row(
        work=f"service, {clients} client{'s' if clients > 1 else ''}, {size}",
        unit="requests/s",
        ours=ours.rate,
        peer=peer.rate,
        peer_name="scored one by one",
        ratio=float(np.median([both[0].rate / both[1].rate for both in loads])),
        target=_TARGETS[clients],
        repeats=len(loads),
        facts={"requests": requests, "batched": ours.as_dict(), "one_by_one": peer.as_dict()},
    )


def ask(port: int, texts: Sequence[str], clients: int, requests: int) -> Load:
    """Let clients ask a service on this machine, each the next question when it has its answer.

    Raises:
        ProcessError: If an answer is none.
    """
    own = [range(client, requests, clients) for client in range(clients)]
    start = perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [time for part in pool.map(lambda numbers: _client(port, texts, numbers), own) for time in part]
    seconds = perf_counter() - start
    return Load(len(times) / seconds, *np.quantile(times, [0.5, 0.99]).tolist())


def _client(port: int, texts: Sequence[str], numbers: range) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    times = []
    for number in numbers:
        body = json.dumps({"text": texts[number % len(texts)]}).encode()
        start = perf_counter()
        connection.request("POST", "/predict", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        times.append(perf_counter() - start)
        if answer.status != 200:
            raise ProcessError(f"the service answered {answer.status} to a good question; try it by hand")
    connection.close()
    return times


@contextmanager
def _service(folder: Path, max_batch: int) -> Iterator[int]:
    """The port of a service in a process of its own."""
    words = ["serve", str(folder), "--port", "0", "--rate", "0", "--max-batch", str(max_batch)]
    process = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", "patent_hier", *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        found = next(filter(None, map(_ADDRESS.match, process.stdout)), None)
        if found is None:
            raise ProcessError('the service did not start; install it with pip install -e ".[web]"')
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()


def _write_node(subject: Subject, folder: Path) -> None:
    """The subject's network as the folder of a flat classifier."""
    subject.flat_classifier().save(folder / MODEL_FOLDER)
    data = {"columns": {}, "text": ["摘要"], "min_symbol": "group", "edition": "latest", "encoding": "utf-8"}
    (folder / CONFIG_FILE).write_text(yaml.safe_dump({"data": data}, allow_unicode=True), "utf-8")
    seal(folder, {"kind": NODE_KIND, "node": FLAT, "model": "bertcnn"})
