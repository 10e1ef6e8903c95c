"""Thousands of broken files: every row is accounted for, and every intact one is kept; never a traceback."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patent_hier.data.demo import write_demo_csv
from patent_hier.data.raw import RawFormat
from patent_hier.errors import PatentHierError
from patent_hier.reading import sources
from tests.commands import command
from tests.data.test_cleaning import FORMATS, clean, files
from tests.trust.faults import Told

pytestmark = [pytest.mark.trust, pytest.mark.timeout(900)]

_GENERATED, _MUTATED, _COMMANDS = 4000, 4000, 400
_HOSTILE = (
    *(b"\x00", b"\xff", b"\x81", b"\x84\x31\x95", b"\xef\xbb\xbf", b"\xfe\xff", b'"', b'""', b'",', b",", b",,,,,,,,"),
    *(b"\r", b"\n", b"\r\n", b"\n\n\n", b"\x1a", b"\x0b\x0c", b"\xe2\x80\xa8", b"=cmd|' /C calc'!A0", b"\x1b[31m"),
    *(b"A01B1/00;" * 500, b"A99Z99/99", b"A01B" + b"0" * 400 + b"/00", b"((((((2019.01)I", b";;;;;;", b"-1e999"),
    *("Ａ０１Ｂ１／００".encode("gb18030"), "\u202e\u0000".encode("gb18030"), b"x" * 70_000, b'"' + b"y" * 70_000),
)


def _mutate(content: bytes, random: Random) -> bytes:
    """One to eight things that happen to files, or that someone does to them."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(changed) + 1)
        other = random.randrange(len(changed) + 1)
        first, last = sorted((place, min(other, place + 400)))
        how = random.randrange(6)
        if how == 0:
            changed[place:place] = random.choice(_HOSTILE)
        elif how == 1:
            changed[first:last] = b""
        elif how == 2:
            changed[place:place] = changed[first:last]
        elif how == 3 and changed:
            changed[place % len(changed)] = random.randrange(256)
        elif how == 4:
            changed[first:last] = random.randbytes(last - first)
        elif random.random() < 0.2:
            del changed[place:]
        elif random.random() < 0.3:
            changed = changed.replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n")))
    return bytes(changed)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("demo") / "demo.csv"
    write_demo_csv(path, rows=300, seed=3)
    return b"".join(path.read_bytes().splitlines(keepends=True)[:61])


def test_generated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    tried = 0

    @settings(
        max_examples=_GENERATED, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    @given(files(), st.integers(4, 400), st.sampled_from(FORMATS))
    def attack(content: bytes, chunk: int, fmt: RawFormat) -> None:
        nonlocal tried
        tried += 1
        source = tmp_path / "raw.csv"
        source.write_bytes(content)
        whole = clean(source, fmt)  # which checks that the rows balance
        with monkeypatch.context() as patched:
            patched.setattr(sources, "CHUNK", chunk)
            pieces = clean(source, fmt)
        assert pieces.documents == whole.documents
        assert [one.line_number for one in pieces.rejections] == [one.line_number for one in whole.rejections]
        assert pieces.accounting.duplicates == whole.accounting.duplicates

    attack()
    told(f"{tried:,} generated files, each also read in pieces")


def test_mutated_files(demo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    random = Random(7)
    source = tmp_path / "raw.csv"
    source.write_bytes(demo)
    fmt = RawFormat(max_reject_share=1.0)
    # What was kept of the whole file, by its line: these rows must be kept wherever their line is still there.
    lines = demo.splitlines()
    kept = ((lines[one["line_number"] - 1], one) for one in clean(source, fmt).documents)
    good = {line: (one["document_id"], one["text"]) for line, one in kept if b'"' not in line}
    rows = refused = lost = swallowed = 0
    for _ in range(_MUTATED):
        content = _mutate(demo, random)
        source.write_bytes(content)
        monkeypatch.setattr(sources, "CHUNK", random.choice((64, 1000, 4096, 1 << 20)))
        try:
            outcome = clean(source, fmt)
        except PatentHierError as error:
            refused += 1
            lost += "\n" in str(error)
            continue
        accounting = outcome.accounting
        rows += accounting.rows
        balance = accounting.kept + sum(accounting.rejected.values()) + accounting.duplicates
        lost += balance != accounting.rows
        found = {(one["document_id"], one["text"]) for one in outcome.documents}
        ids = {one["document_id"] for one in outcome.documents}
        # A mutated row before may have taken an id; then the intact one is rejected for that.
        present = content.splitlines()
        if present[0] == lines[0]:  # else columns have other names
            swallowed += sum(good[line] not in found and good[line][0] not in ids for line in present if line in good)
    told(f"{_MUTATED:,} mutated files with {rows:,} rows, {refused} refused as a whole, {swallowed} swallowed", lost)
    assert rows > 20 * _MUTATED
    assert lost == 0
    assert swallowed == 0


def test_the_command_never_ends_in_a_traceback(demo: bytes, tmp_path: Path, told: Told) -> None:
    random = Random(11)
    source = tmp_path / "raw.csv"
    refused = 0
    for number in range(_COMMANDS):
        source.write_bytes(_mutate(demo, random))
        done = command("prepare", "data=cnipa", f"data.path={source}", f"cache_dir={tmp_path}/cache-{number % 5}")
        refused += done.status != 0
        assert "Traceback" not in done.out + done.err
        assert (done.status == 0) == (done.err == ""), done.err
        assert len(done.err.splitlines()) <= 1, done.err
    told(f"{_COMMANDS} commands on mutated files, {refused} of them refused in one line")


_HUGE = {
    "a quote that is never closed": lambda: iter([b'"', *[b"x" * (1 << 20)] * 150]),
    "one line": lambda: iter([b"x" * (1 << 20)] * 150),
    "fields of megabytes": lambda: iter([b",,CN1A,,t,A01B1/00," + b"z" * (3 << 20) + b",,,,,,,,,\n"] * 50),
    "only commas": lambda: iter([b"," * (1 << 20)] * 60),
    "only ends of lines": lambda: iter([b"\n" * (1 << 20)] * 20),
    "only quotes": lambda: iter([b'"' * (1 << 20)] * 60),
}
_MEASURE = """
import re, sys
from pathlib import Path
from patent_hier.data.cleaning import Cleaning
from patent_hier.data.raw import RawFormat
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])  # kB
list(Cleaning(Path(sys.argv[1]), RawFormat(max_reject_share=1.0)).batches())  # imports what it needs
before = peak()
run = Cleaning(sys.argv[2], RawFormat(max_reject_share=1.0))
for _ in run.batches():
    pass
run.accounting.check()
print(run.accounting.rows, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name", _HUGE)
def test_memory_stays_flat(name: str, demo: bytes, tmp_path: Path, told: Told) -> None:
    small, source = tmp_path / "small.csv", tmp_path / "raw.csv"
    small.write_bytes(demo)
    pieces: Iterator[bytes] = _HUGE[name]()
    with source.open("wb") as file:
        file.write(demo)
        file.writelines(pieces)
    size = source.stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(small), str(source)], capture_output=True, text=True, check=True
    )
    rows, kilobytes = map(int, done.stdout.split())
    told(f"{size >> 20} MiB, {rows:,} rows, {kilobytes >> 10} MiB of memory")
    assert rows >= 59  # the demo's own, some of them broken
    assert kilobytes < 200 << 10
