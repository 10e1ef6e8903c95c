"""``serve``, ``demo`` and ``export`` as a user meets them; one service is a process of its own, ended by SIGTERM."""

import contextlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from patent_hier.evaluation import error_model
from patent_hier.inference.classifier import HierarchicalClassifier
from tests.commands import TINY_OF, command
from tests.inference.worlds import world

TEXT = "一种激光测距装置"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory)


def start(tmp_path, *words):
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "patent_hier", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def address_of(process):
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.match(r"serving (http://127\.0\.0\.1:\d+/) - press Ctrl-C to stop", line):
            return found[1], said
    raise AssertionError("".join(said) + process.stderr.read())


@contextlib.contextmanager
def serving(monkeypatch, *words):
    """A command that serves, in a thread of this process: its address, and what it comes to when it is ended."""
    begun, run = queue.Queue(), uvicorn.Server.run

    def noted(server, sockets):
        begun.put((server, sockets[0].getsockname()[1]))
        run(server, sockets)

    monkeypatch.setattr(uvicorn.Server, "run", noted)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(command, *words)
        outcome.add_done_callback(begun.put)
        first = begun.get()
        assert isinstance(first, tuple), outcome.result()
        server, port = first
        try:
            yield f"http://127.0.0.1:{port}/", outcome
        finally:
            server.should_exit = True


def ask(address, question):
    body = json.dumps(question).encode()
    request = urllib.request.Request(f"{address}predict", body, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def end(process):
    process.send_signal(signal.SIGTERM)  # as service managers do; Ctrl-C is tried in tests/trust
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def test_an_export_is_served(made, tmp_path):
    """Command line, Python, HTTP and a saved-and-reloaded model say the same."""
    model = made.result("combination", "hier")
    assert command("export", model, tmp_path / "model").status == 0
    (expected,) = HierarchicalClassifier.from_pretrained(model).predict([TEXT])
    process = start(tmp_path, "serve", "model", "--port", 0)
    address, said = address_of(process)
    assert "similar patents are not shown" in "".join(said)
    answer = ask(address, {"text": TEXT})
    status, out, err = end(process)
    assert (status, out, err) == (0, "stopped\n", "")
    assert answer["model_version"] == expected.model_version
    assert [path["label"] for path in answer["paths"]] == [path.label for path in expected.paths]
    for path, own in zip(answer["paths"], expected.paths, strict=True):
        assert path["probability"] == pytest.approx(own.probability, abs=1e-6)


def test_traditional_texts_may_be_converted(made, monkeypatch):
    text, model = "一種激光測距裝置，包括殼體與光電探測器", made.result("linear", "hier")
    told = []
    for words in ((), ("--convert", "t2s")):
        with serving(monkeypatch, "serve", model, "--port", "0", *words) as (address, _):
            told.append(ask(address, {"text": text}).get("strange"))
    assert told == ["traditional", None]


def test_no_calibration_document_is_scored_before_the_first_question(made, monkeypatch):
    scored, score = [], HierarchicalClassifier.score_with_members
    monkeypatch.setattr(error_model, "LEAST_DOCUMENTS", 10)
    monkeypatch.setattr(error_model, "LEAST_OF_EACH", 2)
    monkeypatch.setattr(
        HierarchicalClassifier,
        "score_with_members",
        lambda *given, **more: (scored.append(1), score(*given, **more))[1],
    )
    model = made.result("linear", "hier")
    with serving(monkeypatch, "serve", model, "--port", "0", "--cache-dir", made.folder / "cache") as (_, outcome):
        pass
    assert outcome.result().status == 0
    assert not scored


def test_the_demo_trains_once_and_opens(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["demo", "--port", 0, *TINY_OF["linear"], f"cache_dir={made.folder}/cache", "runs_dir=runs"]
    with serving(monkeypatch, *words) as (address, first):
        assert len(ask(address, {"text": TEXT, "neighbours": 2})["neighbours"]) == 2
    with serving(monkeypatch, *words) as (_, again):
        pass
    for outcome, finished in ((first.result(), 0), (again.result(), 9)):
        assert (outcome.status, outcome.out.count("already finished")) == (0, finished), outcome
        assert "demo data: not comparable with the paper" in outcome.out
        assert re.search(r"serving http://127\.0\.0\.1:\d+/ - press Ctrl-C to stop\nstopped\n$", outcome.out)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("nowhere",), "nowhere holds no finished result"),
        (("{model}", "--port", "70000"), "--port 70000 is out of range"),
        (("{model}", "--port", "{taken}"), "Address already in use; choose another --port"),
        (("{model}", "--host", "0.0.0.0"), "--allow-host NAME"),  # noqa: S104
        (("{model}", "--host", "no.such.host.invalid", "--allow-host", "x"), "cannot serve on no.such.host.invalid"),
        (("{model}", "--rate", "-1"), "out of range"),
        (("{model}", "--max-batch", "0"), "out of range"),
        ((), "MODEL"),
    ],
)
def test_misuse_is_one_line(made, words, part):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        known = {"model": made.result("linear", "hier"), "taken": taken.getsockname()[1]}
        outcome = command("serve", *(word.format(**known) for word in words))
    assert outcome.status == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert part in outcome.err


@pytest.mark.parametrize("name", ["fastapi", "uvicorn"])
def test_a_missing_extra_is_named(made, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    outcome = command("serve", made.result("linear", "hier"))
    assert outcome.status == 2
    assert f"{name}, which the service needs, is not installed; install it: pip install -e " in outcome.err


def test_onnx_files(made, tmp_path):
    outcome = command("export", made.result("textcnn", "flat"), tmp_path / "onnx", "--onnx")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"1 classifiers as ONNX: {tmp_path}/onnx\n"
    assert (tmp_path / "onnx" / "flat.onnx").is_file()
    refused = command("export", made.result("linear", "hier"), tmp_path / "other", "--onnx")
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_helps():
    for name in ("serve", "demo", "export", "confidence"):
        outcome = command(name, "--help")
        assert outcome.status == 0
        assert f"usage: patent-hier {name}" in outcome.out


def test_an_engine_is_compared_before_it_answers(made, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model, words = made.result("textcnn", "flat"), ("--port", "0", "--engine", "onnx", "--cache-dir")
    (expected,) = HierarchicalClassifier.from_pretrained(model).predict([TEXT])
    (tmp_path / "texts.txt").write_text(f"{TEXT}\n一种通信基站\n", "utf-8")
    further = ("--texts", tmp_path / "texts.txt")
    for place, compared in ((made.folder / "cache", ()), (tmp_path, further)):
        with serving(monkeypatch, "serve", model, *words, place, *compared) as (address, outcome):
            answer = ask(address, {"text": TEXT, "explain": True})
        told = outcome.result().out
        assert re.search(r"onnx: (\d+) of \1 documents", told)
        assert answer["paths"][0]["label"] == expected.paths[0].label
        assert answer["paths"][0]["probability"] == pytest.approx(expected.paths[0].probability, abs=1e-4)
        assert answer["explanation"]["spans"]
    refused = command("serve", model, *words, tmp_path)
    assert refused.status == 2
    assert "has no calibration documents of textcnn; name the cache of its training (--cache-dir) or a" in refused.err
