import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.feedback import FeedbackStore, Period
from patent_hier.errors import (
    ArtifactError,
    DataError,
    FullError,
    PatentHierError,
    RepeatedRequestError,
    UnavailableError,
)
from tests.data.judging import judgement
from tests.test_regular_files import IRREGULAR

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a b?#%.sqlite"  # what an address would take for more than a name


@pytest.fixture
def store(path):
    with contextlib.closing(FeedbackStore.open(path, create=True)) as opened:
        yield opened


def all_of(store, period=Period(), **options):  # noqa: B008 - it cannot change
    return list(store.judgements(store.last_id(), period, **options))


def test_what_is_stored_comes_back(store, path):
    one = judgement(text="=1\0'; DROP TABLE judgement; --\n字", context={"applicant": None, "kind": "发明"})
    stored = store.add(one)
    assert stored.is_new
    assert stored.judgement == one
    assert abs(stored.when.timestamp() - time.time()) < 60
    with contextlib.closing(FeedbackStore.open(path)) as other:
        assert [found.judgement for found in all_of(other)] == [one]


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), st.floats(0, 1))
def test_any_text_comes_back(tmp_path_factory, text, probability):
    folder = tmp_path_factory.getbasetemp() / "any-text"
    folder.mkdir(exist_ok=True)
    with contextlib.closing(FeedbackStore.open(folder / "f.sqlite", create=True)) as store:
        one = judgement(text=text, label=text, predicted=None, probability=probability, document_id=text)
        assert store.add(one).judgement == one


def test_the_same_request_is_stored_once(store):
    one = judgement(context={"applicant": "甲", "kind": "x"})
    first, again = store.add(one), store.add(judgement(**vars(one)))
    assert (again.id, again.time, again.is_new) == (first.id, first.time, False)
    for change in ({"text": "另一种"}, {"verdict": "right"}, {"probability": None}, {"context": {}}, {"label": "A"}):
        with pytest.raises(RepeatedRequestError):
            store.add(judgement(**vars(one) | change))
    assert all_of(store) == [first._replace(is_new=False)]


def test_only_the_owner_may_open_the_files(store, path):
    store.add(judgement())
    files = sorted(path.parent.iterdir())
    assert [file.name.removeprefix(path.name) for file in files] == ["", "-shm", "-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_settings_of_the_connection(store):
    for name, value in (("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1), ("busy_timeout", 5000)):
        assert store._ask(f"PRAGMA {name}") == [(value,)]


def foreign(path, statement="CREATE TABLE t (x)"):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


@pytest.mark.parametrize(
    ("make", "error", "part"),
    [
        (lambda path: path.write_bytes(b""), DataError, "not a file of judgements"),
        (lambda path: path.write_bytes(b"id,text\n1,x\n" * 999), DataError, "not a file of judgements"),
        (foreign, DataError, "not a file of judgements"),
        (lambda path: foreign(path, "PRAGMA journal_mode = WAL; CREATE TABLE t (x)"), DataError, "not a file of judg"),
        (lambda path: foreign(path, "PRAGMA application_id = 7; CREATE TABLE t (x)"), DataError, "not a file of judg"),
        (lambda path: path.mkdir(), DataError, "a folder"),
    ],
)
def test_a_foreign_file_is_refused_and_stays(path, make, error, part):
    make(path)
    before = {file: file.is_file() and file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(error, match=part) as caught:
        FeedbackStore.open(path, create=True)
    assert "\n" not in str(caught.value)
    assert {file: file.is_file() and file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("PRAGMA user_version = 2", "has version 2, but this program supports only 1; use"),
        ("CREATE TRIGGER t AFTER INSERT ON judgement BEGIN DELETE FROM judgement; END", "other tables"),
        ("DROP INDEX newest", "other tables"),
    ],
)
def test_a_newer_or_changed_file_is_refused(path, statement, part):
    FeedbackStore.open(path, create=True).close()
    foreign(path, statement)
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match=part):
        FeedbackStore.open(path, create=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
@pytest.mark.parametrize("make", IRREGULAR)
def test_a_pipe_or_a_device_is_not_waited_for(path, make, suffix):
    if suffix:
        FeedbackStore.open(path, create=True).close()
    make(path.with_name(path.name + suffix))
    start = time.monotonic()
    with pytest.raises(DataError, match="not a regular file"):
        FeedbackStore.open(path, create=True)
    assert time.monotonic() - start < 2


def test_a_missing_file_is_made_only_where_that_is_asked(path):
    with pytest.raises(DataError, match="does not exist"):
        FeedbackStore.open(path)
    with pytest.raises(DataError, match="create its folder first"):
        FeedbackStore.open(path / "deeper", create=True)
    assert list(path.parent.iterdir()) == []


def test_a_file_that_several_make_at_once_is_one_file(path):
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: FeedbackStore.open(path, create=True), range(8)))
    for own in stores:
        own.add(judgement())
    assert stores[0].last_id() == 8
    for own in stores:
        own.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_locked_file_is_told_and_nothing_is_stored(store, path, monkeypatch):
    store._connection.execute("PRAGMA busy_timeout = 50")
    one = judgement()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked"):
            store.add(one)
        other.execute("ROLLBACK")
    assert store.last_id() == 0
    assert store.add(one).is_new


def test_a_full_disk_is_told_and_nothing_is_stored(store):
    (pages,) = store._ask("PRAGMA page_count")[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    big = judgement(text="字" * 20_000)
    with pytest.raises(UnavailableError, match="full"):
        store.add(big)
    assert all_of(store) == []
    store._connection.execute("PRAGMA max_page_count = 1000000")
    assert store.add(big).is_new


def test_a_file_that_was_moved_away_takes_no_more(store, path):
    store.add(judgement())
    path.rename(path.with_name("moved"))
    with pytest.raises(UnavailableError, match="moved or replaced"):
        store.add(judgement())


def test_of_one_document_or_text_the_newest_counts(store):
    older = [
        judgement(document_id="cn 2017１0000001.1", text="甲"),
        judgement(text="一种  锁"),
        judgement(text="乙", document_id="CN201710000002.2"),
    ]
    newer = [judgement(document_id="CN201710000001.1", text="乙"), judgement(text="一种 锁\n"), judgement(text="乙")]
    kept = [older[2], *newer]
    for one in (*older, *newer):
        store.add(one)
    assert [one.judgement for one in all_of(store)] == kept
    assert [one.judgement for one in all_of(store, every=True)] == [*older, *newer]
    first = list(store.judgements(3, Period()))  # as it was before the newer ones
    assert [one.judgement for one in first] == older


def test_many_come_page_by_page(store):
    ids = [store.add(judgement(text=f"第{number}种装置")).id for number in range(250)]
    assert [one.id for one in all_of(store)] == ids
    assert len(store.page(0, 10**9, Period())) == 100
    assert [one.id for one in store.newest(3, 200, Period())] == [198, 199, 200]


def at(store, *times):
    for moment in times:
        number = store.add(judgement(text=str(moment))).id
        store._connection.execute("UPDATE judgement SET time = ? WHERE id = ?", (moment, number))


def test_days_are_whole_days_of_this_machine(store):
    day = date(2026, 3, 31)
    start = int(datetime(2026, 3, 31).timestamp() * 1000)
    end = int(datetime(2026, 4, 1).timestamp() * 1000)
    at(store, start - 1, start, end - 1, end)
    assert [one.id for one in all_of(store, Period.of_days(day, day))] == [2, 3]
    assert [one.id for one in all_of(store, Period.of_days(day, None))] == [2, 3, 4]
    assert [one.id for one in all_of(store, Period.of_days(None, day - timedelta(1)))] == [1]
    assert store.counts(4, Period.of_days(day, day)) == {"right": 0, "corrected": 2}


def test_what_is_deleted_is_overwritten(store, path):
    store.add(judgement(text="绝密的发明"))
    store.add(judgement(text="公开的发明"))
    assert store.delete([1, 1]) == 1
    assert store.empty_log()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert "公开的发明".encode() in content
    assert "绝密的发明".encode() not in content
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0
    with pytest.raises(DataError, match="no judgement 7; nothing was deleted"):
        store.delete([2, 7])
    assert [one.id for one in all_of(store)] == [2]
    assert store.delete_before(time.time_ns() // 10**6 + 1) == 1
    assert store.add(judgement()).id == 3  # no number is given twice


def test_a_reader_holds_the_log_and_that_is_told(store, path):
    store._connection.execute("PRAGMA busy_timeout = 50")
    store.add(judgement())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM judgement").fetchall()
        store.delete([1])
        assert not store.empty_log()
    assert store.empty_log()


def test_a_damaged_file_is_one_line(path):
    with contextlib.closing(FeedbackStore.open(path, create=True)) as store:
        for number in range(50):
            store.add(judgement(text=f"{number}" * 2000))
    content = bytearray(path.read_bytes())
    for place in range(4096, len(content)):
        content[place] = place % 251
    path.write_bytes(content)
    with pytest.raises(PatentHierError) as caught, contextlib.closing(FeedbackStore.open(path)) as store:
        all_of(store)
    assert "\n" not in str(caught.value)


# A server without HTTP: it stores judgements and says which are stored; what was under way when it was killed, the next
# one sends again, as a client does.
WRITER = """
import sys
from pathlib import Path
from patent_hier.data.feedback import FeedbackStore
from tests.data.judging import judgement

path, name, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = FeedbackStore.open(path, create=True)
for number in range(first, 10**9):
    one = judgement(request_id=f"{name}-{number}", text=f"{name} {number}")
    print(number, store.add(one).id, flush=True)
"""


class Writer:
    """A process that stores judgements, and another in its place when it was killed."""

    def __init__(self, path, name):
        self.path, self.name = path, name
        self.acknowledged = {}  # number -> id
        self.log = path.with_name(f"{name}.txt")
        self.start()

    def start(self):
        words = [sys.executable, "-c", WRITER, str(self.path), self.name, str(len(self.acknowledged))]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(words, stdout=out, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT)

    def has_written(self):
        return self.log.stat().st_size > 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for line in self.log.read_text().splitlines(keepends=True):
            if line.endswith("\n"):  # an acknowledgement that was cut off reached nobody
                number, found = map(int, line.split())
                self.acknowledged[number] = found


def kill_writers(path, n_writers, n_kills, seconds):
    """Writers at one file, killed at random moments; all that they were told is there, and once."""
    draw = random.Random(7)
    writers = [Writer(path, f"w{number}") for number in range(n_writers)]
    try:
        end = time.monotonic() + 120
        while not all(writer.has_written() for writer in writers):
            assert time.monotonic() < end
            time.sleep(0.01)
        for _ in range(n_kills):
            time.sleep(draw.uniform(0, 2 * seconds / n_kills))
            writer = draw.choice(writers)
            writer.kill()
            writer.start()
    finally:
        for writer in writers:
            writer.kill()
    with contextlib.closing(FeedbackStore.open(path)) as store:
        found = all_of(store, every=True)
        assert store._ask("PRAGMA integrity_check") == [("ok",)]
    counted = Counter(one.judgement.request_id for one in found)
    assert set(counted.values()) == {1}
    ids = {one.judgement.request_id: one.id for one in found}
    told = {f"{writer.name}-{n}": own for writer in writers for n, own in writer.acknowledged.items()}
    assert told
    assert told.items() <= ids.items()
    assert len(ids) - len(told) <= n_writers  # each was killed within one at most, which the next one repeated
    assert all(one.judgement.text == one.judgement.request_id.replace("-", " ") for one in found)
    return len(told)


def test_killed_writers_lose_and_double_nothing(tmp_path):
    assert kill_writers(tmp_path / "f.sqlite", 3, 6, 2.0) > 20


@pytest.mark.slow
def test_eight_writers_and_twenty_kills_lose_and_double_nothing(tmp_path):
    told = kill_writers(tmp_path / "f.sqlite", 8, 20, 30.0)
    print(json.dumps({"acknowledged": told}))
    assert told > 200


def test_a_bound_of_the_file_counts_what_it_holds(tmp_path):
    """What is there is answered as before; deleted judgements make room, though the file does not shrink."""
    with contextlib.closing(FeedbackStore.open(tmp_path / "f.sqlite", create=True, limit=1 << 16)) as store:
        told = [judgement(text=f"{number}" * 9_000) for number in range(9)]
        kept = [store.add(one) for one in told[:4]]
        match = r"has reached its limit of 0 MiB; delete old judgements .* --feedback-limit"
        with pytest.raises(FullError, match=match):
            any(not store.add(one) for one in told[4:])
        assert store.last_id() < 9
        assert store.add(told[0]) == kept[0]._replace(is_new=False)
        store.delete([one.id for one in kept])
        assert store.add(told[-1]).is_new
