import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patent_hier.data import cleaning
from patent_hier.data.cleaning import Cleaning
from patent_hier.data.columns import SCHEMA
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.raw import RawFormat
from patent_hier.data.records import Limits
from tests.data.serial import Outcome, read_serially

COLUMNS = {
    "publication_number": "no",
    "application_number": "app",
    "symbols": "ipc",
    "title": "title",
    "abstract": "text",
    "applicant": "by",
    "application_date": "filed",
    "kind": "kind",
}
HEADER = ",".join(COLUMNS.values())
FORMAT = RawFormat(columns=COLUMNS, text=("text",), min_symbol="class", limits=Limits(max_bytes=150, max_lines=4))

numbers = st.sampled_from(
    ["CN1000001A", "CN1000002A", "CN1000003A", " cn1000001a", "1.0E+07", "无", "", "２０１７００１.X"]
)
common = ["A01D42/04", "A01D42/04;B05B1/00", "A01D42/00(2006.01)I;H04W8/26(2009.01)I; C07C1/02  ", "A01D42/04(2006.01)"]
repeated = ["A01D42/04;A01D42/04", "B05B1/02;A01D42/04;B05B1/02;x", "C07C1/1234;C07C1/123400", "A01D42/04;;B05B1/00;"]
odd = ["a01d 42/04", "Ａ０１", "A98B1/00;A01B1/00", "A01D42/04;A98B1/00", "G16H10/60", "H04W8/26｜B05B1/0250"]
unusable = ["01-01 (12)  ", "A01D0042040000", "A", "", ";", "D03D47/"]
symbols = st.sampled_from([*common, *repeated, *odd, *unusable])
words = st.text("甲乙Aé9\u0301e \u3000\u2002，。𠀀𝔸\u2126\u212b\uf900힣가\u1100\u1161\xa0\x1f\t\u200b", max_size=12)
texts = st.one_of(words, st.just("一种收割机"), st.sampled_from(['甲"乙', '甲,"乙', "甲\n乙", "甲\r\n\r\n乙", '"甲']))
dates = st.sampled_from(["2017.01.24", "20170124", "昨天", "", " 2017-1-24 ", "2017.13.01"])


def quoted(field: str, always: bool) -> str:
    return '"' + field.replace('"', '""') + '"' if always or any(mark in field for mark in '",\r\n') else field


@st.composite
def good_rows(draw: st.DrawFn) -> bytes:
    kinds = (numbers, numbers, symbols, texts, texts, st.sampled_from(["甲;", "; ", ";；", "乙"]), dates, texts)
    always = draw(st.booleans())
    return ",".join(quoted(draw(kind), always) for kind in kinds).encode("gb18030")


plain_rows = st.builds(lambda number, symbol: f"{number},,{symbol},,甲,,,".encode("gb18030"), numbers, symbols)
rows = st.one_of(
    good_rows(),
    plain_rows,
    plain_rows.map(lambda row: row + b",x"),
    plain_rows.map(lambda row: row.rpartition(b",")[0]),
    plain_rows.map(lambda row: row.replace(b",,", b',"', 1)),
    plain_rows.map(lambda row: row.replace(b",,", b",\xff\x81,", 1)),
    plain_rows.map(lambda row: row + b"\x81"),
    plain_rows.map(lambda row: row + b"\x81\x30\x81"),
    plain_rows.map(lambda row: row + b"\0"),
    plain_rows.map(lambda row: row + b"x" * 150),
    st.sampled_from([b"", b" ", b'"', b'x",', b'"\n', b'""', b',,,,,,,"', b",,,,,,,", b'a,"b', b'b",,,,,,', b"\xff"]),
    st.binary(max_size=12),
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    some = draw(st.lists(rows, max_size=25))
    repeated = [row for row in some for _ in range(draw(st.sampled_from([1, 1, 1, 2])))]
    ends = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"])
    body = b"".join(row + draw(ends) for row in repeated)
    start = draw(st.sampled_from([b"", b"", b"\n\r\n", b"\x84\x31\x95\x33"]))
    after_header = draw(
        st.sampled_from([b"\n", b"\r\n", b"\n\r", b"\n\n\r\n"])
    )  # LF: read_mark looks for NUL before it
    return start + HEADER.encode() + after_header + body + draw(st.sampled_from([b"", b"\n", b'1,"', b"\r", b"end"]))


FORMATS = [
    FORMAT,
    replace(FORMAT, text=("title", "text"), edition="2017", min_symbol="group"),
    replace(FORMAT, text=("title",), min_symbol="subclass"),
    replace(FORMAT, text=("no",)),
]


def read_fast(
    source: Path, fmt: RawFormat, limit_rows: int | None = None, processes: int = 1
) -> tuple[Outcome, list[int]]:
    """The outcome, and the number of rows after each batch."""
    counts: list[int] = []
    run = Cleaning(source, fmt, lambda read, total, rows: counts.append(rows), limit_rows, processes)
    documents, rejections = [], []
    for batch in run.batches():
        assert batch.documents.schema.equals(SCHEMA)
        documents += batch.documents.to_pylist()
        rejections += batch.rejections
        assert all(column.num_chunks <= 1 for column in batch.documents.columns)
    run.accounting.check()
    return Outcome(documents, rejections, run.accounting, run.classes, run.mean_text_length), counts


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files(),
    st.integers(4, 400),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(0, 12)),
    st.sampled_from(FORMATS),
)
def test_any_file_cut_anywhere_is_read_as_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, chunk: int, batch: int, limit: int | None, fmt
) -> None:
    source = tmp_path / "raw.csv"
    source.write_bytes(content)
    with monkeypatch.context() as patched:
        patched.setattr(cleaning, "CHUNK", chunk)
        patched.setattr(cleaning, "BATCH", batch)
        outcome, counts = read_fast(source, fmt, limit)
    assert outcome == read_serially(source, fmt, limit)
    every = outcome.accounting.rows
    assert counts == [*range(batch, every, batch), *([every] if every else [])]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(good_rows(), plain_rows), max_size=12), st.integers(4, 100))
def test_utf_8_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: list[bytes], chunk: int) -> None:
    content = [row.decode("gb18030").encode() for row in some]
    source = tmp_path / "raw.csv"
    source.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([HEADER.encode(), *content, b"\xe4\xb8,,,,,,,", *content[:2]]))
    with monkeypatch.context() as patched:
        patched.setattr(cleaning, "CHUNK", chunk)
        assert read_fast(source, FORMAT)[0] == read_serially(source, FORMAT)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo file whose lines were shuffled and broken further, with duplicates far apart."""
    path = tmp_path_factory.mktemp("hostile") / "raw.csv"
    write_demo_csv(path, rows=1500, seed=11)
    header, *lines = path.read_bytes().splitlines(keepends=True)
    chance = random.Random(5)
    lines += chance.sample(lines, 200)
    chance.shuffle(lines)
    for number in chance.sample(range(len(lines)), 150):
        line = lines[number]
        place = chance.randrange(len(line))
        lines[number] = line[:place] + chance.choice([b'"', b",", b"\n", b"\r", b"\xff", b'"\n', b"\0"]) + line[place:]
    path.write_bytes(header + b"".join(lines))
    return path


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("chunk", [700, 20_000])
def test_several_processes_give_the_same(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, processes: int, chunk: int
) -> None:
    monkeypatch.setattr(cleaning, "CHUNK", chunk)
    outcome, counts = read_fast(hostile, RawFormat(max_reject_share=1), processes=processes)
    assert outcome == read_serially(hostile, RawFormat())
    assert counts == [len(outcome.documents) + len(outcome.rejections) + outcome.accounting.duplicates]
    assert len(outcome.accounting.rejected) > 8


def test_a_limit_ends_the_workers_too(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "CHUNK", 5000)
    assert read_fast(hostile, RawFormat(), limit_rows=700, processes=2)[0] == read_serially(hostile, RawFormat(), 700)


def test_memory_of_arrow_is_as_before_however_a_run_ends(hostile: Path) -> None:
    import pyarrow as pa

    usual = pa.default_memory_pool().backend_name

    def run() -> Iterator[str]:
        with closing(Cleaning(hostile, RawFormat()).batches()) as batches:
            for _ in batches:
                yield pa.default_memory_pool().backend_name

    assert set(run()) == {"system"}
    assert pa.default_memory_pool().backend_name == usual
