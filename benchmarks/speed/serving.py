"""Measure the service under load: requests of several clients at once, scored together or one by one."""

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
from pathlib import Path
from time import perf_counter

import numpy as np
import yaml

from benchmarks.speed.rows import Row, rate_row
from benchmarks.speed.subjects import Subject
from patent_hier.artifacts import seal
from patent_hier.data.labels import ipc_path
from patent_hier.errors import ProcessError
from patent_hier.inference.engines import OPENVINO, TORCH
from patent_hier.inference.nodes import CONFIG_FILE, MODEL_FOLDER, NODE_KIND
from patent_hier.settings import FLAT
from patent_hier.taxonomy.symbols import IPC_LEVELS, all_classes
from patent_hier.taxonomy.tree import LabelTree

_TARGETS = {1: 0.8, 8: 1.0, 32: 1.0}  # by number of clients; a single client gains nothing but must not lose much
_ADDRESS = re.compile(r"serving http://127\.0\.0\.1:(\d+)/ ")


def serving_rows(subject: Subject, requests: int, repeats: int) -> Iterator[Row]:
    """Yield a row for each number of clients, which together send ``requests`` requests with the subject's texts."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / FLAT
        _write_node(subject, folder)
        with _service(folder) as together, _service(folder, "--max-batch", "1") as one_by_one:
            for clients, target in _TARGETS.items():
                work = f"service, {clients} client{'s' if clients > 1 else ''}, {subject.size}"
                ports = (together, one_by_one)
                yield _row(work, ports, subject, clients, requests, repeats, "scored one by one", target)


def engine_row(subject: Subject, requests: int, repeats: int) -> Row:
    """Compare the service with OpenVINO and with PyTorch, with several clients."""
    clients = 8
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / FLAT
        _write_node(subject, folder)
        texts = Path(place) / "texts.txt"  # for the comparison of OpenVINO with PyTorch before serving starts
        texts.write_text("\n".join(subject.texts), "utf-8")
        with _service(folder, "--engine", OPENVINO, "--texts", str(texts)) as fast, _service(folder) as plain:
            work = f"service, {clients} clients, titles, {subject.size}, {OPENVINO}"
            return _row(work, (fast, plain), subject, clients, requests, repeats, TORCH, 1.0)


def _row(
    work: str,
    ports: tuple[int, int],
    subject: Subject,
    clients: int,
    requests: int,
    repeats: int,
    peer: str,
    target: float,
) -> Row:
    """Measure two services under the same load, in turn."""
    for port in ports:
        ask(port, subject.texts, clients, requests // 4)
    loads = [[ask(port, subject.texts, clients, requests) for port in ports] for _ in range(repeats)]
    waits = [np.concatenate([times for _, times in column]) for column in zip(*loads, strict=True)]
    ours, theirs = (np.quantile(1000 * times, [0.5, 0.99]).tolist() for times in waits)
    facts = {"requests": requests, "p50_p99_ms": ours, "p50_p99_ms_of_peer": theirs}
    rounds = [[seconds for seconds, _ in both] for both in loads]
    return rate_row(work, "requests", requests, rounds, peer, target=target, facts=facts)


def ask(port: int, texts: Sequence[str], clients: int, requests: int) -> tuple[float, list[float]]:
    """Send requests from several clients to a service on this machine; each client waits for its answer.

    Returns:
        Seconds until the last answer, and the seconds of each answer.

    Raises:
        ProcessError: If the service answers with an error.
    """

    def client(number: int) -> list[float]:
        connection, times = http.client.HTTPConnection("127.0.0.1", port, timeout=120), []
        for question in range(number, requests, clients):
            body = json.dumps({"text": texts[question % len(texts)]}).encode()
            start = perf_counter()
            connection.request("POST", "/predict", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            times.append(perf_counter() - start)
            if answer.status != 200:
                raise ProcessError(f"the service answered {answer.status} to a valid request; try it by hand")
        connection.close()
        return times

    start = perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [one for part in pool.map(client, range(clients)) for one in part]
    return perf_counter() - start, times


@contextmanager
def _service(folder: Path, *options: str) -> Iterator[int]:
    """Start a service in a process of its own and yield its port."""
    command = [sys.executable, "-m", "patent_hier", "serve", str(folder), "--port", "0", "--rate", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command line
        assert process.stdout is not None
        try:
            found = next(filter(None, map(_ADDRESS.match, process.stdout)), None)
            if found is None:
                raise ProcessError('the service did not start; install it with pip install -e ".[web]"')
            yield int(found[1])
        finally:
            process.send_signal(signal.SIGINT)


def _write_node(subject: Subject, folder: Path) -> None:
    """Write the subject's network as the folder of a flat classifier with real class names."""
    tree = LabelTree.from_paths((ipc_path(name, 2) for name in all_classes("latest")), IPC_LEVELS[:2])
    subject.classifier(FLAT, tree, flat=True).save(folder / MODEL_FOLDER)
    data = {"columns": {}, "text": ["摘要"], "min_symbol": "group", "edition": "latest", "encoding": "utf-8"}
    (folder / CONFIG_FILE).write_text(yaml.safe_dump({"data": data}, allow_unicode=True), "utf-8")
    seal(folder, {"kind": NODE_KIND, "node": FLAT, "model": "bertcnn"})
