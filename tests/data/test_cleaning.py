import bz2
import csv
import gzip
import io
import json
import lzma
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patent_hier.data.accounting import Accounting
from patent_hier.data.cleaning import Cleaning
from patent_hier.data.columns import SCHEMA
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.raw import RawFormat, Rejection
from patent_hier.errors import DataError
from patent_hier.reading import sources
from patent_hier.reading.rows import Limits

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


class Outcome(NamedTuple):
    documents: list[dict[str, Any]]
    rejections: list[Rejection]
    accounting: Accounting
    classes: Counter[str]
    mean_text_length: float


def clean(source: Any, fmt: RawFormat) -> Outcome:
    run = Cleaning(source, fmt)
    documents, rejections = [], []
    for batch in run.batches():
        assert batch.documents.schema.equals(SCHEMA)
        documents += batch.documents.to_pylist()
        rejections += batch.rejections
    run.accounting.check()
    assert len(documents) == run.accounting.kept
    assert Counter(str(one.reason) for one in rejections) == run.accounting.rejected
    return Outcome(documents, rejections, run.accounting, run.classes, run.mean_text_length)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), st.integers(4, 400), st.sampled_from(FORMATS))
def test_any_file_cut_anywhere_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, chunk: int, fmt: RawFormat
) -> None:
    source = tmp_path / "raw.csv"
    source.write_bytes(content)
    outcome = clean(source, fmt)
    with monkeypatch.context() as patched:
        patched.setattr(sources, "CHUNK", chunk)
        again = clean(source, fmt)
    # Only the reasons of rows that go over lines may depend on where the file was cut.
    assert again.documents == outcome.documents
    assert [one.line_number for one in again.rejections] == [one.line_number for one in outcome.rejections]
    assert again.accounting.blank_lines == outcome.accounting.blank_lines


def damaged(rows: list[bytes], chance: random.Random) -> tuple[list[bytes], list[int]]:
    """Lines of which some are broken, and the places of those that are not."""
    lines, intact = list(rows), []
    for number, line in enumerate(lines):
        if chance.random() < 0.3:
            place = chance.randrange(len(line))
            harm = chance.choice([b'"', b",", b"\n", b"\r", b"\xff", b'"\n', b"\0", b"\x81"])
            lines[number] = line[:place] + harm + line[place:]
        else:
            intact.append(number)
    return lines, intact


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_every_intact_row_is_kept_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, encoding: str
) -> None:
    """The oracle is what was written."""
    chance = random.Random(seed)
    monkeypatch.setattr(sources, "CHUNK", chance.choice([300, 5000, 1 << 20]))
    texts = [f"一种{chance.choice(['锁', '收割机', 'Gerät ½', '㐀𠀀'])}，编号{n}" for n in range(80)]
    rows = [[f"CN{n:09}A", "", "A01D42/04", "名称", text, "", "", ""] for n, text in enumerate(texts)]
    written = [",".join(row).encode(encoding) for row in rows]
    lines, intact = damaged(written, chance)
    source = tmp_path / "raw.csv"
    end = chance.choice([b"\n", b"\r\n", b"\r"])
    source.write_bytes(end.join([HEADER.encode(), *lines]))
    outcome = clean(source, replace(FORMAT, encoding=encoding, limits=Limits(), max_reject_share=1.0))
    found = {(one["document_id"], one["text"]) for one in outcome.documents}
    assert {(rows[number][0], texts[number]) for number in intact} <= found


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo file whose lines were shuffled and broken further, with duplicates far apart."""
    path = tmp_path_factory.mktemp("hostile") / "raw.csv"
    write_demo_csv(path, rows=600, seed=11)
    header, *lines = path.read_bytes().splitlines(keepends=True)
    chance = random.Random(5)
    lines += chance.sample(lines, 80)
    chance.shuffle(lines)
    for number in chance.sample(range(len(lines)), 60):
        line = lines[number]
        place = chance.randrange(len(line))
        lines[number] = line[:place] + chance.choice([b'"', b",", b"\n", b"\r", b"\xff", b'"\n', b"\0"]) + line[place:]
    path.write_bytes(header + b"".join(lines))
    return path


@pytest.mark.parametrize("chunk", [3000, 20_000])
def test_a_hostile_file_is_read_the_same_in_pieces(hostile: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    fmt = RawFormat(max_reject_share=1)
    outcome = clean(hostile, fmt)
    monkeypatch.setattr(sources, "CHUNK", chunk)
    again = clean(hostile, fmt)
    assert again.documents == outcome.documents
    assert len(outcome.accounting.rejected) > 8
    assert outcome.accounting.duplicates > 20


ROWS = [
    ["CN100000001A", "A01D42/04", "一种收割机，其特征在于"],
    ["CN100000002A", "B60K1/00", 'say "甲", 乙; 丙\t丁|戊'],
    ["CN100000003A", "", "没有分类号"],
    ["CN100000004A", "H04W8/26;H04W84/12", "第一行\n第二行"],
]
NAMES = ["公开号", "专利分类", "摘要"]


def _csv(path: Path, encoding: str = "utf-8", delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([NAMES, *ROWS])
    return text.getvalue().encode(encoding)


def _zip(path: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("导出/", "")
        archive.writestr("导出/专利.csv", _csv(path))
        archive.writestr("__MACOSX/._专利.csv", b"x")
    return packed.getvalue()


def _xlsx(path: Path, above: int = 0) -> bytes:
    book, packed = openpyxl.Workbook(), io.BytesIO()
    for _ in range(above):
        book.active.append(["检索结果"])
    for row in [NAMES, *ROWS]:
        book.active.append(row)
    book.save(packed)
    return packed.getvalue()


def _json(path: Path) -> list[dict[str, str]]:
    return [dict(zip(NAMES, row, strict=True)) for row in ROWS]


MADE: dict[str, Callable[[Path], bytes]] = {
    "comma": _csv,
    "tab": lambda path: _csv(path, delimiter="\t"),
    "semicolon": lambda path: _csv(path, delimiter=";"),
    "bar": lambda path: _csv(path, delimiter="|"),
    "mark": lambda path: _csv(path, "utf-8-sig"),
    "utf-16": lambda path: _csv(path, "utf-16", "\t"),
    "utf-16-be": lambda path: _csv(path, "utf-16-be"),
    "sep": lambda path: b"sep=,\r\n" + _csv(path),
    "title": lambda path: "检索结果,,\n\n".encode() + _csv(path),
    "gzip": lambda path: gzip.compress(_csv(path)),
    "xz": lambda path: lzma.compress(_csv(path)),
    "zip": _zip,
    "xlsx": _xlsx,
    "titled xlsx": lambda path: _xlsx(path, above=2),
    "packed xlsx": lambda path: gzip.compress(_xlsx(path)),
    "json lines": lambda path: "\n".join(json.dumps(one, ensure_ascii=False) for one in _json(path)).encode(),
    "json list": lambda path: json.dumps(_json(path), ensure_ascii=False, indent=1).encode(),
    "tight json": lambda path: json.dumps(_json(path), separators=(",", ":")).encode(),
}


@pytest.mark.parametrize("name", MADE)
def test_every_format_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    path = tmp_path / "raw.dat"  # what it is, the content tells
    path.write_bytes(MADE[name](path))
    outcome = clean(path, RawFormat(encoding="utf-8"))
    assert [one["document_id"] for one in outcome.documents] == ["CN100000001A", "CN100000002A", "CN100000004A"]
    texts = ["一种收割机，其特征在于", 'say "甲", 乙; 丙 丁|戊', "第一行 第二行"]
    assert [one["text"] for one in outcome.documents] == texts
    assert outcome.documents[2]["further_symbols"] == ["H04W84/12"]
    assert outcome.accounting.rejected == {"empty_symbol": 1}


@pytest.mark.parametrize("setting", ["gb18030", "gbk", "big5"])
def test_other_encodings(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "raw.csv"
    texts = ["本發明公開了一種裝置，包括殼體與控制單元", "一種半導體元件的製造方法及其結構"]
    rows = [f"CN10000000{n}A,A01D42/04,{text}" for n, text in enumerate(texts)]
    path.write_bytes("\n".join(["公開號,專利分類,摘要", *rows]).encode(setting))
    fmt = RawFormat(encoding=setting, columns={"symbols": "專利分類", "publication_number": "公開號"})
    assert [one["text"] for one in clean(path, fmt).documents] == texts


def part(path: Path, first: int, names: tuple[str, ...] = ("公开号", "专利分类", "摘要"), header: bool = True) -> None:
    rows = [
        {"公开号": f"CN{100000000 + n}A", "专利分类": "A01D42/04", "摘要": f"装置{n}"} for n in range(first, first + 3)
    ]
    lines = [",".join(row[name] for name in names) for row in rows]
    path.write_text("\n".join([",".join(names)] * header + lines) + "\n", "utf-8")


UTF8 = RawFormat(encoding="utf-8")


def test_parts_are_one_corpus(tmp_path: Path) -> None:
    part(tmp_path / "2_年.csv", 2)
    part(tmp_path / "10_年.csv", 3, ("摘要", "公开号", "专利分类"))
    ids = [f"CN{100000000 + n}A" for n in range(2, 6)]
    every = [tmp_path, [str(tmp_path / "2_年.csv"), str(tmp_path / "10_年.csv")], str(tmp_path / "*_年.csv")]
    for source in every:
        run = Cleaning(source, UTF8)
        documents = [one for batch in run.batches() for one in batch.documents.to_pylist()]
        assert [one["document_id"] for one in documents] == ids
        assert [one["text"] for one in documents] == [f"装置{n}" for n in range(2, 6)]
        assert [(one["part"], one["line_number"]) for one in documents] == [(0, 2), (0, 3), (0, 4), (1, 4)]
        assert [(one.path.name, one.accounting.rows, one.accounting.kept) for one in run.parts] == [
            ("2_年.csv", 3, 3),
            ("10_年.csv", 3, 1),
        ]
        assert (run.accounting.rows, run.accounting.duplicates) == (6, 2)


def test_a_part_may_go_on_without_header_but_lacks_no_column(tmp_path: Path) -> None:
    part(tmp_path / "a.csv", 0)
    part(tmp_path / "b.csv", 3, header=False)
    assert clean(tmp_path, UTF8).accounting.kept == 6
    part(tmp_path / "b.csv", 3, ("公开号", "摘要"))
    with pytest.raises(DataError, match=r"b\.csv has no column 专利分类"):
        clean(tmp_path, UTF8)


def test_rejections_of_parts_name_the_file(tmp_path: Path) -> None:
    part(tmp_path / "a.csv", 0)
    (tmp_path / "b.csv").write_text("公开号,专利分类,摘要\nCN200000000A,x,装置\n", "utf-8")
    assert [(one.file, one.line_number) for one in clean(tmp_path, UTF8).rejections] == [("b.csv", 2)]


def test_a_change_of_encoding_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    rows = [f"CN{100000000 + n}A,A01D42/04,一种装置的第{n}个实施例及其方法" for n in range(30)]
    for first, second, name in (("gb18030", "utf-8", "UTF-8"), ("utf-8", "gb18030", "GB18030")):
        head = "\n".join(["公开号,专利分类,摘要", *rows[:20]]).encode(first)
        path.write_bytes(head + b"\n" + "\n".join(rows[20:]).encode(second))
        run = Cleaning(path, RawFormat(encoding=first))
        documents = [one for batch in run.batches() for one in batch.documents.to_pylist()]
        assert [one["text"] for one in documents] == [row.split(",")[2] for row in rows]
        (note,) = run.parts[0].notes
        assert note.startswith(f"lines 22-31 are {name}, the others")


def test_what_is_not_a_table_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    for content, message in (
        (bz2.compress(b"x"), "is bzip2-compressed"),
        (b"%PDF-1.7", "is a PDF document"),
        ("<html><table>".encode("utf-8-sig"), "is a web page"),
        (gzip.compress(b"x" * 3000)[:20], "is damaged"),
        (b"PK\x03\x04broken", "is damaged"),
        (b"\xd0\xcf\x11\xe0broken", "cannot be read as an Excel workbook"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            clean(path, UTF8)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
