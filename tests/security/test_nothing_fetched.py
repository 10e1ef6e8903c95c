"""Python's own audit tells who opens a connection or unpickles a class: during ordinary commands, nobody does."""

import contextlib
import pickle
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from patent_hier.report.figures import comparison_bars, pen
from tests.commands import TINY, TINY_OF, command
from tests.inference.worlds import World, raw_row, write_raw
from tests.report.figures.test_figures import OURS
from tests.report.worlds import plain_figures
from tests.security.traps import Trap

_FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")
_FORBIDDEN += ("http.client.connect", "pickle.find_class", "os.system", "os.exec")
_listening: list[list[tuple[str, Any]]] = []


def _hear(event: str, arguments: Any) -> None:
    if _listening and event in _FORBIDDEN:
        _listening[-1].append((event, arguments))


@contextlib.contextmanager
def audited() -> Iterator[list[tuple[str, Any]]]:
    """What is heard meanwhile in this process."""
    if not getattr(_hear, "added", False):
        sys.addaudithook(_hear)  # for the rest of the process: there is no way to take it back
        _hear.added = True  # type: ignore[attr-defined]
    _listening.append([])
    try:
        yield _listening[-1]
    finally:
        _listening.pop()


def test_the_audit_hears(trap: Trap) -> None:
    with audited() as heard:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 9), timeout=1):
            pass
        trap.closes(lambda: pickle.loads(trap.pickled))  # noqa: S301 - the trap's own payload
    assert {event for event, _ in heard} == {"socket.getaddrinfo", "socket.connect", "pickle.find_class"}


@pytest.mark.parametrize("model", ["bertcnn", "textcnn", "linear"])
def test_training_and_loading(model: str, tmp_path: Path) -> None:
    own = [f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}"]
    with audited() as heard:
        done = command("run", f"model={model}", "level=flat", *TINY_OF[model], *own)
        assert done.status == 0, done
        (result,) = (tmp_path / "runs" / model).glob("result-flat-*")
        source = write_raw(tmp_path / "new.csv", raw_row(abstract="一种喷气织机的引纬装置"))
        done = command("predict", result, source, "--output", tmp_path / "out.csv")
        assert done.status == 0, done
    assert heard == []


def test_pretraining_further_and_attention(tiny_encoder: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"本发明公开了一种喷气织机的引纬装置，编号{n}。\n" for n in range(400)), "utf-8")
    own = [f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}"]
    small = ["max_steps=2", "steps_per_round=1", "seq_len=16", "batch_size=4", "held_out_tokens=64", "num_threads=1"]
    with audited() as heard:
        done = command("pretrain", f"text=[{text}]", f"start={tiny_encoder}", *small, *own)
        assert done.status == 0, done
        done = command(
            "attention", *(word for word in TINY if word.startswith("encoder") and "max_length" not in word), *own
        )
        assert done.status == 0, done
    assert heard == []


def test_a_report_and_a_combination(made: World, tmp_path: Path) -> None:
    """One figure stands for all, since drawing takes long."""
    own = (f"runs_dir={made.runs}", f"cache_dir={made.folder / 'cache'}", "data.rows=400")
    members = [made.result("linear", "hier"), made.result("textcnn", "flat")]
    with audited() as heard, plain_figures():
        done = command("report", *own, "--output", tmp_path / "report")
        assert done.status == 0, done
        assert comparison_bars(pen("zh"), OURS).svg
        assert command("combine", *members, "--runs-dir", tmp_path / "runs").status == 0
    assert heard == []
