import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from patent_hier.data import workers
from patent_hier.data.columns import CleanPiece, PieceCleaner
from patent_hier.data.layout import read_columns
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.data.workers import choose_processes, clean_pieces
from patent_hier.errors import DataError

LAYOUT = read_columns(",".join(PAPER_COLUMNS.values()).encode(), "utf-8", RawFormat(), "file.csv")
PIECES = [b",,CN%d,,,A01D42/04,text,,,,,,,,,\n" % (100000 + number) for number in range(60)]


class OddCleaner(PieceCleaner):
    """Does to a piece what the piece asks for."""

    def clean(self, piece: bytes) -> CleanPiece:
        if multiprocessing.parent_process() is None:
            time.sleep(0.01)  # so that workers get their share
        elif piece == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif piece == b"fail":
            raise DataError("piece 7 is odd")
        return super().clean(piece)


def run(pieces: Iterator[bytes] | list[bytes], processes: int = 2) -> list[tuple[bytes, CleanPiece]]:
    return list(clean_pieces(pieces, OddCleaner(LAYOUT, RawFormat()), processes))


def for_ever(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_pieces_come_in_order(processes: int) -> None:
    assert run([], processes) == []
    found = run(PIECES * 5, processes)
    assert [piece for piece, _ in found] == PIECES * 5
    for piece, clean in found:
        assert clean.columns["publication_number"].to_pylist() == [piece.split(b",")[2].decode()]


def test_the_caller_helps_and_only_a_few_pieces_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    own: list[bytes] = []
    monkeypatch.setattr(OddCleaner, "clean", lambda self, piece: own.append(piece) or PieceCleaner.clean(self, piece))
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for piece in PIECES * 20:
            taken += 1
            yield piece

    for given_back, _ in enumerate(clean_pieces(counted(), OddCleaner(LAYOUT, RawFormat()), 2), start=1):
        assert taken - given_back <= 2 * workers._AHEAD
    assert 0 < len(own) < taken  # the others were cleaned by the worker


@pytest.mark.parametrize("piece", [b"fail", b"die"])
def test_what_goes_wrong_in_a_worker_is_raised(piece: bytes) -> None:
    message = "piece 7 is odd" if piece == b"fail" else "was killed, .* set data.processes=1"
    with pytest.raises(DataError, match=message):
        run(for_ever(piece))


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_what_goes_wrong_outside_ends_the_workers(error: type[BaseException]) -> None:
    def pieces() -> Iterator[bytes]:
        yield from PIECES
        raise error

    with pytest.raises(error):
        run(pieces())


def test_giving_up_ends_the_workers() -> None:
    results = clean_pieces(for_ever(PIECES[0]), OddCleaner(LAYOUT, RawFormat()), 3)
    for _ in range(100):
        next(results)
    assert multiprocessing.active_children()
    results.close()


SCRIPT = """
import faulthandler
import signal
import sys
# A shell without job control starts what runs in its background with Ctrl-C ignored, and all below inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.data.test_workers import LAYOUT, PIECES, OddCleaner, RawFormat, clean_pieces, for_ever
import multiprocessing

if __name__ == "__main__":
    faulthandler.dump_traceback_later(20)
    for _ in clean_pieces(for_ever(PIECES[0]), OddCleaner(LAYOUT, RawFormat()), 3):
        children = multiprocessing.active_children()
        if len(children) == 2:
            print(*(child.pid for child in children), flush=True)
            break
    for _ in clean_pieces(for_ever(PIECES[0]), OddCleaner(LAYOUT, RawFormat()), 3):
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_caller(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        if how is signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does: workers get it too
        else:
            process.send_signal(how)
        try:
            _, printed = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"not at an end after 30 s; after 20 s it was here:\n{process.communicate()[1]}")
    assert process.returncode != 0
    assert "SpawnProcess" not in printed  # no worker's traceback
    assert printed.rstrip().endswith("KeyboardInterrupt") == (how is signal.SIGINT)
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            break
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_processes_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "raw.csv"
    assert choose_processes(file) == 1
    file.write_bytes(b"x" * 100)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(3)))
    assert choose_processes(file) == 1
    monkeypatch.setattr(workers, "SMALL", 50)
    assert choose_processes(file) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    assert choose_processes(file) == 4
    assert choose_processes(tmp_path) == 1
