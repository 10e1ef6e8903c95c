import csv
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patent_hier.artifacts import find_damage, verify
from patent_hier.atomic import atomic_folder
from patent_hier.data import corpus as corpora
from patent_hier.data.accounting import Accounting
from patent_hier.data.corpus import CORPUS_VERSION, SCHEMA, Corpus, check, corpus_fingerprint, prepare, shared_strings
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.errors import ArtifactError, DataError
from patent_hier.reading import sources

LENIENT = RawFormat(max_reject_share=1)


def row(number: int, symbol: str = "A01D42/04", abstract: str = "一种收割机", **changes: str) -> str:
    values = {"公开号": f"CN{number:09}A", "专利分类": symbol, "摘要": abstract, **changes}
    return ",".join(values.get(name, "") for name in PAPER_COLUMNS.values())


def write(path: Path, rows: list[str | bytes], encoding: str = "gb18030") -> Path:
    lines = [",".join(PAPER_COLUMNS.values()), *rows]
    path.write_bytes(b"\r\n".join(line if isinstance(line, bytes) else line.encode(encoding) for line in lines))
    return path


def make(tmp_path: Path, rows: list[str | bytes], fmt: RawFormat = LENIENT) -> tuple[Accounting, Corpus]:
    with atomic_folder(tmp_path / "corpus") as folder:
        accounting = prepare(write(tmp_path / "raw.csv", rows), folder, fmt)
    return accounting, Corpus.open(tmp_path / "corpus")


def read_rejects(corpus: Corpus) -> list[list[str]]:
    with (corpus.folder / "rejects.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


MIXED: list[str | bytes] = [
    row(1),
    row(1),
    row(1, abstract="另一种收割机"),
    row(2, "01-01 (12)"),
    row(2, "01-01 (12)"),
    row(3, "=1+1"),
    "",
    ",".join(PAPER_COLUMNS.values()),
    row(4, "H04W8/26(2009.01)I", "一种通信方法\u2002甲"),
    b"\xff" + row(5).encode("gb18030"),
    b"\xff" + row(5).encode("gb18030"),
    row(6, abstract=""),
    row(7, abstract='"第一行\n第二行，""引号"""'),
    row(8) + ",x",
]


def test_every_row_is_counted_once(tmp_path: Path) -> None:
    accounting, corpus = make(tmp_path, MIXED)
    assert accounting.as_dict() == {
        "rows": 12,
        "kept": 3,
        "rejected": {
            "undecodable": 2,
            "repeated_id": 1,
            "locarno_design": 1,
            "malformed_symbol": 1,
            "too_many_fields": 1,
            "empty_text": 1,
        },
        "duplicates": 2,
        "blank_lines": 1,
        "warnings": {},
        "repeated_headers": 1,
    }
    assert corpus.size == 3
    assert corpus.document_ids.to_pylist() == ["CN000000001A", "CN000000004A", "CN000000007A"]
    texts = ["一种收割机", "一种通信方法 甲", '第一行 第二行，"引号"']
    assert [text for batch in corpus.iter_texts(2) for text in batch] == texts
    assert [len(batch) for batch in corpus.iter_texts(2)] == [2, 1]
    assert corpus.classes == ("A01", "H04")
    assert corpus.column("line_number").to_pylist() == [2, 10, 14]
    assert corpus.table(["section", "title"]).to_pydict() == {"section": ["A", "H", "A"], "title": [None] * 3}


def test_rejects_file_names_line_reason_and_value_and_is_safe_in_a_spreadsheet(tmp_path: Path) -> None:
    _, corpus = make(tmp_path, MIXED)
    rejects = read_rejects(corpus)
    assert rejects[0] == ["line_number", "reason", "value", "file"]
    assert [(int(line), reason) for line, reason, *_ in rejects[1:]] == [
        (4, "repeated_id"),
        (5, "locarno_design"),
        (7, "malformed_symbol"),
        (11, "undecodable"),
        (12, "undecodable"),
        (13, "empty_text"),
        (16, "too_many_fields"),
    ]
    assert [value for _, reason, value, _ in rejects if reason == "malformed_symbol"] == ["'=1+1"]
    assert rejects[4][2].startswith("\\xff,,CN000000005A")


@pytest.mark.parametrize("value", ["=1", "+1", "-1", "@a", "＝1", "\t=1", "\r\n=1", "a\0b"])
def test_no_rejected_value_runs_as_a_formula_or_breaks_a_line(tmp_path: Path, value: str) -> None:
    _, corpus = make(tmp_path, [row(1), (value + row(2) + ",x").encode("gb18030")])
    assert all(text[0] not in "=+-@＝\t\r" and text.isprintable() for _, _, text, _ in read_rejects(corpus))
    assert len((corpus.folder / "rejects.csv").read_bytes().splitlines()) == len(read_rejects(corpus)) > 1


def test_the_folder_is_sealed_and_says_what_it_holds(tmp_path: Path) -> None:
    source = write(tmp_path / "raw.csv", [row(1)])
    calls: list[tuple[int, int, int]] = []
    with atomic_folder(tmp_path / "corpus") as folder:
        prepare(source, folder, LENIENT, extra_manifest={"made_by": "test"}, progress=lambda *call: calls.append(call))
    corpus = Corpus.open(tmp_path / "corpus")
    verify(corpus.folder)
    assert corpus.manifest["made_by"] == "test"
    assert corpus.fingerprint == corpus_fingerprint(corpus.manifest["source_sha256"], LENIENT)
    assert calls == [(source.stat().st_size, source.stat().st_size, 1)]
    assert pq.read_schema(corpus.folder / "corpus.parquet").equals(SCHEMA)


def test_fingerprint_depends_on_what_decides_the_content() -> None:
    base = corpus_fingerprint("digest", RawFormat())
    assert base == corpus_fingerprint("digest", RawFormat(max_reject_share=0.9, columns={"title": "专利名称"}))
    others = [RawFormat(min_symbol="class"), RawFormat(text=["专利名称"]), RawFormat(columns={"title": "名称"})]
    names = {base, corpus_fingerprint("other", RawFormat()), *(corpus_fingerprint("digest", fmt) for fmt in others)}
    assert len(names) == 5


def test_too_many_rejects_stop_and_leave_nothing(tmp_path: Path) -> None:
    rows: list[str | bytes] = [row(1), row(2), row(2), row(3, "x"), *(row(i, "01-01") for i in range(100, 200))]
    accounting, _ = make(tmp_path, rows, RawFormat(max_reject_share=0.34))
    assert accounting.reject_share == pytest.approx(1 / 3)
    folder = tmp_path / "staging"
    with pytest.raises(DataError, match=r"33\.3% .* malformed_symbol 1; .*max_reject_share=0\.3"):
        prepare(tmp_path / "raw.csv", folder, RawFormat(max_reject_share=0.3))
    assert list(folder.iterdir()) == []


def test_no_valid_row(tmp_path: Path) -> None:
    source = write(tmp_path / "raw.csv", [row(1, "01-01"), row(2, abstract="")])
    with pytest.raises(DataError, match=r"no valid row among the 2 rows .*empty_text 1.*locarno_design 1"):
        prepare(source, tmp_path / "staging", LENIENT)
    with pytest.raises(DataError, match="no valid row among the 0 rows"):
        prepare(write(tmp_path / "raw.csv", []), tmp_path / "staging", LENIENT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"\r\n\n", "only blank lines"),
        (b"a,b\n1,2", "no column"),
        (b"PAR1", "is a Parquet file"),
    ],
)
@pytest.mark.parametrize(
    "action", [lambda path, tmp: check(path, LENIENT), lambda path, tmp: prepare(path, tmp, LENIENT)]
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes | None, message: str, action) -> None:
    source = tmp_path / "raw.csv"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        action(source, tmp_path / "staging")
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert find_damage(tmp_path / "staging") is not None


def test_a_folder_may_be_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no tables"):
        check(tmp_path, LENIENT)


def test_utf_8_rows_under_an_ascii_header_are_found_and_another_setting_is_refused(tmp_path: Path) -> None:
    fmt = RawFormat(columns={"symbols": "ipc", "abstract": "text"}, text=["text"])
    source = tmp_path / "raw.csv"
    source.write_text("ipc,text\n" + "A01D42/04,一种收割机\n" * 20, encoding="utf-8")
    with pytest.raises(DataError, match="looks like UTF-8"):
        check(source, replace(fmt, encoding="gb18030"))
    assert check(source, fmt).parts[0].facts["encoding"] == "utf-8"
    source.write_text("\ufeffipc,text\n" + "A01D42/04,一种收割机\n" * 20, encoding="utf-8")
    report = check(source, fmt)
    assert (report.accounting.kept, report.accounting.duplicates, report.parts[0].facts["encoding"]) == (1, 19, "utf-8")


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot write"):
        prepare(write(tmp_path / "raw.csv", [row(1)]), tmp_path / "file" / "corpus", LENIENT)


def test_check_reports_without_writing(tmp_path: Path) -> None:
    source = write(tmp_path / "raw.csv", MIXED)
    report = check(source, RawFormat())
    accounting, _ = make(tmp_path, MIXED)
    assert report.accounting == accounting
    assert report.classes == {"A01": 2, "H04": 1}
    assert report.mean_text_length == pytest.approx((5 + 8 + 12) / 3)
    assert [example.line_number for example in report.examples["undecodable"]] == [11, 12]
    assert report.problem is not None
    printed = "\n".join(report.lines())
    for part in ("gb18030", "摘要", "rows", "malformed_symbol, line 7: =1+1", "prepare would stop"):
        assert part in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "raw.csv"]


@pytest.mark.parametrize("damage", ["missing", "cut", "version", "not parquet"])
def test_a_damaged_corpus_is_refused(tmp_path: Path, damage: str) -> None:
    _, corpus = make(tmp_path, [row(1)])
    file, manifest = corpus.folder / "corpus.parquet", corpus.folder / "manifest.json"
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "version":
        manifest.write_text(
            manifest.read_text("utf-8").replace(f'"corpus_version": {CORPUS_VERSION}', '"corpus_version": 0'), "utf-8"
        )
    else:
        file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(ArtifactError, match=r"run patent-hier prepare again"):
        Corpus.open(corpus.folder)


def test_unknown_column(tmp_path: Path) -> None:
    _, corpus = make(tmp_path, [row(1)])
    with pytest.raises(KeyError, match="titel"):
        corpus.column("titel")


row_numbers = st.integers(0, 12)
any_rows = st.one_of(
    row_numbers.map(row),
    row_numbers.map(lambda number: row(number, abstract='"甲\n乙"')),
    row_numbers.map(lambda number: row(number, "02-01")),
    row_numbers.map(lambda number: row(number, abstract='"甲')),
    row_numbers.map(lambda number: row(number)[:-1]),
    row_numbers.map(lambda number: row(number) + "\0"),
    st.just(""),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_rows, max_size=40), st.integers(1, 7))
def test_rows_in_are_rows_out_whatever_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[str | bytes], batch: int
) -> None:
    source = write(tmp_path / "raw.csv", rows)
    whole = check(source, LENIENT)
    with monkeypatch.context() as patched:
        patched.setattr(sources, "CHUNK", 40 * batch)
        patched.setattr(corpora, "ROW_GROUP", batch)
        assert check(source, LENIENT) == whole
        if whole.accounting.kept:
            with atomic_folder(tmp_path / "corpus") as folder:
                assert prepare(source, folder, LENIENT) == whole.accounting
            assert Corpus.open(tmp_path / "corpus").column("document_id").length() == whole.accounting.kept
    filled = [line for line in rows if line]
    assert whole.accounting.rows == len(filled)
    good = {line for line in filled if line in {row(n, abstract=text) for n in range(13) for text in GOOD_TEXTS}}
    assert whole.accounting.kept == len({line.split(",")[2] for line in map(str, good)})


GOOD_TEXTS = ("一种收割机", '"甲\n乙"')


def test_accounting_that_does_not_balance() -> None:
    with pytest.raises(DataError, match="3 rows were read but 2 were counted"):
        Accounting(rows=3, kept=2).check()


@pytest.mark.parametrize("chunks", [[], [[]], [["A01", "B02", "A01"], [], [None, "C03", "A01"]], [["A01"], ["A01"]]])
def test_shared_strings_are_equal_to_the_column_and_one_object_each(chunks) -> None:
    # Built at run time: equal literals would be one object anyway.
    values = [[None if value is None else "".join(value) for value in chunk] for chunk in chunks]
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in values], pa.string())
    shared = shared_strings(column)
    assert shared.dtype == object
    assert shared.tolist() == column.to_pylist()
    assert len({id(value) for value in shared}) == len(set(column.to_pylist()))
