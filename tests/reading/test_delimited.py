import csv
import io
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patent_hier.errors import DataError
from patent_hier.reading import encodings, sources
from patent_hier.reading.rows import Limits, Options, RowFault, Rows
from patent_hier.reading.tables import open_table

GOOD_1, GOOD_2 = b"1,a,b,c", b"2,d,e,f"
SMALL = Limits(max_bytes=400, max_lines=5)
LONGER = Limits(max_bytes=400, max_lines=100)
HEADER = ("h1", "h2", "h3", "h4")


class Record(NamedTuple):
    line_number: int
    raw: str
    fields: list[str]
    fault: RowFault | None


def is_header(names: Sequence[str]) -> Sequence[int]:
    if tuple(names) != HEADER:
        raise DataError("no header")
    return (0,)


def records_of(parts: Iterable[Rows]) -> list[Record]:
    return [
        Record(line, raw, fields, rows.faults.get(number))
        for rows in parts
        for number, (line, raw, fields) in enumerate(zip(rows.lines, rows.raws, rows.fields, strict=True))
    ]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Record]]:
    """Read rows of four fields; the first is on line 1."""

    def reading(
        content: bytes, size: int = 1 << 20, encoding: str = "gb18030", limits: Limits | None = None
    ) -> list[Record]:
        path = tmp_path / "raw.csv"
        path.write_bytes(",".join(HEADER).encode() + b"\n" + content)
        with monkeypatch.context() as patched:
            patched.setattr(sources, "CHUNK", size)
            patched.setattr(encodings, "_START", size)
            options = Options(is_header, encoding, limits=limits or Limits(), delimiter=",")
            with open_table(path, options) as table:
                found = records_of(table.rows())
        return [record._replace(line_number=record.line_number - 1) for record in found]

    return reading


def write_row(fields: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().removesuffix("\n").encode("gb18030")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(read, end: bytes) -> None:
    assert [row.fields for row in read(end.join([GOOD_1, GOOD_2]))] == [["1", "a", "b", "c"], ["2", "d", "e", "f"]]
    assert len(read(end.join([GOOD_1, GOOD_2, b""]))) == 2


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b'1,"a,b",c,d', ["1", "a,b", "c", "d"]),
        (b'"1","say ""a""","",d', ["1", 'say "a"', "", "d"]),
        (b'1,5" screen,"",d"', ["1", '5" screen', "", 'd"']),
        (b'1,"a"b,c,d', ["1", "ab", "c", "d"]),
        (b'1, "a",c,d', ["1", ' "a"', "c", "d"]),
        (b'1,"a\r\nb\n\nc",d,e', ["1", "a\nb\n\nc", "d", "e"]),
        (b'"a\nb",2,3,4', ["a\nb", "2", "3", "4"]),
        (b'1,2,3,"a\n"', ["1", "2", "3", "a\n"]),
        (b'1,"a\nb","c\nd",4', ["1", "a\nb", "c\nd", "4"]),
        (b'1,"a\nsay ""b"", c,d\n,e",3,4', ["1", 'a\nsay "b", c,d\n,e', "3", "4"]),
        ("1,摘要，甲\u2002乙,丙㐀,𠀀".encode("gb18030"), ["1", "摘要，甲\u2002乙", "丙㐀", "𠀀"]),
        (b",,,", ["", "", "", ""]),
    ],
)
def test_good_rows(read, line: bytes, fields: list[str]) -> None:
    rows = read(b"\r\n".join([GOOD_1, line, GOOD_2]))
    assert [row.fault for row in rows] == [None] * 3
    assert rows[1].fields == fields
    assert rows[1].line_number == 2


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (b"1,a\xff,b,c", RowFault.UNDECODABLE),
        (b"1,a\x81,b,c", RowFault.UNDECODABLE),
        (b'1,"a\x81",b,c', RowFault.UNDECODABLE),
        (b"1,a\x81", RowFault.UNDECODABLE),
        (b"1,a\0b,b,c", RowFault.NUL_BYTE),
        (b'1,"a\0b",b,c', RowFault.NUL_BYTE),
        (b"1,a,b", RowFault.TOO_FEW_FIELDS),
        (b'1,"a,b",c', RowFault.TOO_FEW_FIELDS),
        (b" ", RowFault.TOO_FEW_FIELDS),
        (b"1,a,b,c,d", RowFault.TOO_MANY_FIELDS),
        (b'1,"a",b,c,d', RowFault.TOO_MANY_FIELDS),
        (b'1,"a,b,c', RowFault.UNCLOSED_QUOTE),
        (b'"', RowFault.UNCLOSED_QUOTE),
        (b'1,a,b,"', RowFault.UNCLOSED_QUOTE),
        (b'1,a,b,"c""', RowFault.UNCLOSED_QUOTE),
        (b"1,a,b," + b"c" * 400, RowFault.TOO_LONG),
        (b"x" * 2000, RowFault.TOO_LONG),
        (b'1,"' + b"x" * 2000, RowFault.TOO_LONG),
    ],
)
@pytest.mark.parametrize("after", [[GOOD_2], [b'2,"d",e,f'], [b'2,"d\nD",e,f'], [b'"2\n2",d,"e",f'], []])
def test_a_broken_row_costs_that_row_only(read, broken: bytes, fault: RowFault, after: list[bytes]) -> None:
    rows = read(b"\n".join([GOOD_1, broken, *after]), limits=SMALL)
    assert [row.fault for row in rows] == [None, fault, *(None for _ in after)]
    assert [row.line_number for row in rows] == [1, 2, 3][: len(rows)]
    assert rows[1].raw[:4] == broken[:400].decode("gb18030", "backslashreplace")[:4]
    assert rows[1].fields == []


def test_an_open_quote_ends_at_the_limits(read) -> None:
    lines = [GOOD_1, b'2,"d', *[b"text"] * 4, b'",e,f']
    assert [row.fault for row in read(b"\n".join(lines), limits=SMALL)][:2] == [None, RowFault.UNCLOSED_QUOTE]
    assert [row.fault for row in read(b"\n".join(lines))] == [None, None]
    long = b"\n".join([b'2,"d', b"x" * 390, b'",e,f'])
    assert [row.fault for row in read(long)] == [None]
    assert read(long, limits=SMALL)[0].fault is RowFault.UNCLOSED_QUOTE


def test_a_quote_that_closes_into_the_wrong_number_of_fields_was_not_open(read) -> None:
    rows = read(b"\n".join([b'1,"a', b'b",c', GOOD_2]))
    faults = [RowFault.UNCLOSED_QUOTE, RowFault.TOO_FEW_FIELDS, None]
    assert [(row.line_number, row.fault) for row in rows] == list(zip([1, 2, 3], faults, strict=True))


def test_many_open_quotes_in_a_row(read) -> None:
    rows = read(b'1,"a,b,c\n' * 3000 + GOOD_2)
    assert [row.fault for row in rows] == [RowFault.UNCLOSED_QUOTE] * 3000 + [None]


letters = st.text("甲乙丙AZ09", min_size=1, max_size=4)
# A text starts with a letter; only then can a quote before it be distinguished from one that closes an earlier field.
texts = st.one_of(st.just(""), letters, st.builds(str.__add__, letters, st.text('甲\u2002𠀀a" \n;', max_size=10)))
good_rows = st.lists(texts, min_size=4, max_size=4).filter(any).map(lambda fields: (fields, write_row(fields)))
plain = st.lists(letters, min_size=4, max_size=4).map(write_row)
broken_rows = st.one_of(
    plain.map(lambda row: row[:1] + b"\xff" + row[1:]),
    plain.map(lambda row: row + b"\0"),
    plain.map(lambda row: row.rpartition(b",")[0]),
    plain.map(lambda row: row + b",x"),
    plain.map(lambda row: row.replace(b",", b',"', 1)),
    st.just(b"x" * 500),
).map(lambda row: (None, row))
mixtures = st.lists(st.one_of(good_rows, broken_rows), min_size=1, max_size=25)


LIVE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LIVE
@given(mixtures, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.integers(1, 64))
def test_every_good_row_is_kept_among_broken_ones(read, rows, end, size) -> None:
    content = end.join(row for _, row in rows)
    records = read(content, limits=LONGER)
    assert [record.fields for record in records if record.fault is None] == [good for good, _ in rows if good]
    assert sum(record.fault is not None for record in records) == sum(good is None for good, _ in rows)
    assert read(content, size, limits=LONGER) == records
    assert all(former.line_number < latter.line_number for former, latter in pairwise(records))


@LIVE
@given(st.binary(max_size=300) | st.text('",\n\r\0ab', max_size=80).map(str.encode), st.integers(1, 64))
def test_any_bytes_give_the_same_records_in_chunks_of_any_size(read, content: bytes, size: int) -> None:
    limits = Limits(max_bytes=20, max_lines=3)
    records = read(content, limits=limits)
    faults = [record.fault is None for record in records]
    again = read(content, size, limits=limits)
    assert [(one.line_number, one.fields, one.fault is None) for one in again] == [
        (one.line_number, one.fields, good) for one, good in zip(records, faults, strict=True)
    ]
    assert len(records) <= sum(map(bool, content.splitlines()))


@LIVE
@given(st.lists(st.lists(st.text('甲乙A" ,;|\t\n', max_size=9), min_size=3, max_size=3), min_size=1))
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_what_a_program_writes_is_read_as_it_was(tmp_path: Path, mark: str, texts: list[list[str]]) -> None:
    rows = [[f"CN{number}", *row] for number, row in enumerate(texts)]
    path = tmp_path / "raw.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=mark, quoting=csv.QUOTE_ALL).writerows([HEADER, *rows])
    with open_table(path, Options(is_header, limits=Limits(max_lines=1000))) as table:
        found = records_of(table.rows())
        assert table.facts["delimiter"] == {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[mark]
    assert sum(record.fault is not None for record in found) == 0
    assert [record.fields for record in found] == rows


def test_lines_inside_a_quoted_text_may_look_like_rows(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_text('id,text\n7,"A lock, and\na key, for\n8 doors, made"\n8,"a, b\n9,c\n', encoding="utf-8")
    with open_table(path, Options(lambda names: (names.index("id"),))) as table:
        found = records_of(table.rows())
    assert [(record.line_number, record.fault) for record in found] == [(2, None), (5, "unclosed_quote"), (6, None)]
    assert found[0].fields == ["7", "A lock, and\na key, for\n8 doors, made"]


def table_of(tmp_path: Path, content: bytes, **options) -> tuple[list[Record], list[Rows], dict[str, object]]:
    path = tmp_path / "raw.csv"
    path.write_bytes(content)
    with open_table(path, Options(is_header, **options)) as table:
        parts = list(table.rows())
        return records_of(parts), parts, table.facts


def test_blank_lines_are_counted_and_are_no_rows(tmp_path: Path) -> None:
    found, parts, facts = table_of(tmp_path, b"\n\nh1,h2,h3,h4\n\n1,a,b,c\r\n\r\n\n")
    assert [record.line_number for record in found] == [5]
    assert sum(rows.blank_lines for rows in parts) == 5
    assert facts["header_line"] == 3


def test_headers_inside_are_no_rows(tmp_path: Path) -> None:
    content = b"h1,h2,h3,h4\n1,a,b,c\nh1,h2,h3,h4\n\xef\xbb\xbfh1,h2,h3,h4\nh1,h2,h3,x\n"
    found, parts, _ = table_of(tmp_path, content)
    assert [record.fields[3] for record in found] == ["c", "x"]
    assert sum(rows.headers for rows in parts) == 2


def test_empty_surplus_fields_are_dropped(tmp_path: Path) -> None:
    content = b'h1,h2,h3,h4,,\n1,a,b,c,,\n2,a,b,c\n3,a,b,c, ,,,\n4,a,b,"c","",""\n5,a,b,c,,x\n6,"a\nb",c,d,,\n'
    found, _, _ = table_of(tmp_path, content)
    assert [record.fault for record in found] == [None] * 4 + [RowFault.TOO_MANY_FIELDS, None]
    assert all(len(record.fields) == 4 for record in found if record.fault is None)


def test_records_over_several_lines_without_quotes_are_named(tmp_path: Path) -> None:
    content = b"h1,h2,h3,h4\n1,a,b\nb,c\n2,a,b,c\n3,a\nb\nb,c,d\n4,a\n"
    found, _, _ = table_of(tmp_path, content)
    name = RowFault.LINE_BREAK_WITHOUT_QUOTES
    assert [record.fault for record in found] == [name, name, None, name, name, name, RowFault.TOO_FEW_FIELDS]


@pytest.mark.parametrize(
    "above", [b"sep=;\n", b'"sep=;"\r\n', b"\xef\xbb\xbfsep=;\n", b"Results of 2024\n\n", b"a;b;;\n"]
)
def test_what_stands_above_the_header(tmp_path: Path, above: bytes) -> None:
    found, _, facts = table_of(tmp_path, above + b"h1;h2;h3;h4\n1;a,x;b;c\n")
    assert found[0].fields == ["1", "a,x", "b", "c"]
    assert (facts["delimiter"], facts["header_line"]) == ("semicolon", above.count(b"\n") + 1)


def test_a_header_may_have_quotes_over_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no header"):
        table_of(tmp_path, b'"h1\n";h2;h3\n')
    found, _, _ = table_of(tmp_path, b'"h1\n";h2;h3;h4\n1;2;3;4\n')
    assert (found[0].line_number, found[0].fields) == (3, ["1", "2", "3", "4"])


def test_a_part_without_header_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes(b"1\ta\tb\tc\n2\td\te\tf\n")
    with open_table(path, Options(is_header), inherited=HEADER) as table:
        assert [record.fields[0] for record in records_of(table.rows())] == ["1", "2"]
        assert "header_line" not in table.facts
    path.write_bytes(b"h1\ta\tb\tc\n2\td\te\tf\n")
    with pytest.raises(DataError, match="no header"), open_table(path, Options(is_header), inherited=HEADER):
        pass


def test_a_file_of_one_endless_line_stays_out_of_memory() -> None:
    chunks = [b"h\n", *[b"x" * 1000] * 5000, b"\n" + GOOD_1]
    longest = 0
    for block in encodings._whole_lines(chunks, max_bytes=400):
        longest = max(longest, len(block))
    assert longest <= 401 + 1001
