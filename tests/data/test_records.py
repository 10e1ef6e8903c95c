import csv
import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.records import Limits, Record, RecordReader, RowFault, split_lines

GOOD_1, GOOD_2 = b"1,a,b,c", b"2,d,e,f"
SMALL = Limits(max_bytes=400, max_lines=5)
LONGER = Limits(max_bytes=400, max_lines=100)


def read(content: bytes, size: int = 1 << 20, encoding: str = "gb18030", limits: Limits | None = None) -> list[Record]:
    reader = RecordReader((content[i : i + size] for i in range(0, len(content), size)), encoding, limits)
    return list(reader.records(4))


def write_row(fields: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().removesuffix("\n").encode("gb18030")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
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
def test_good_rows(line: bytes, fields: list[str]) -> None:
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
def test_a_broken_row_costs_that_row_only(broken: bytes, fault: RowFault, after: list[bytes]) -> None:
    rows = read(b"\n".join([GOOD_1, broken, *after]), limits=SMALL)
    assert [row.fault for row in rows] == [None, fault, *(None for _ in after)]
    assert [row.line_number for row in rows] == [1, 2, 3][: len(rows)]
    assert rows[1].raw == broken[:400]
    assert rows[1].fields == []


def test_an_open_quote_ends_at_the_limits() -> None:
    lines = [GOOD_1, b'2,"d', *[b"text"] * 4, b'",e,f']
    assert [row.fault for row in read(b"\n".join(lines), limits=SMALL)][:2] == [None, RowFault.UNCLOSED_QUOTE]
    assert [row.fault for row in read(b"\n".join(lines))] == [None, None]
    long = b"\n".join([b'2,"d', b"x" * 390, b'",e,f'])
    assert [row.fault for row in read(long)] == [None]
    assert read(long, limits=SMALL)[0].fault is RowFault.UNCLOSED_QUOTE


def test_a_quote_that_closes_into_the_wrong_number_of_fields_was_not_open() -> None:
    rows = read(b"\n".join([b'1,"a', b'b",c', GOOD_2]))
    faults = [RowFault.UNCLOSED_QUOTE, RowFault.TOO_FEW_FIELDS, None]
    assert [(row.line_number, row.fault) for row in rows] == list(zip([1, 2, 3], faults, strict=True))


def test_many_open_quotes_in_a_row() -> None:
    rows = read(b'1,"a,b,c\n' * 3000 + GOOD_2)
    assert [row.fault for row in rows] == [RowFault.UNCLOSED_QUOTE] * 3000 + [None]


def test_blank_lines_are_counted_and_are_no_rows() -> None:
    reader = RecordReader([b"\n\nh1,h2,h3,h4\n\n1,a,b,c\r\n\r\n\n"], "utf-8")
    assert reader.header() == b"h1,h2,h3,h4"
    assert [row.line_number for row in reader.records(4)] == [5]
    assert reader.blank_lines == 5


def test_a_file_of_one_endless_line_stays_out_of_memory() -> None:
    longest = 0

    def chunks():
        yield from [b"x" * 1000] * 5000
        yield b"\n" + GOOD_1

    for lines in split_lines(chunks(), max_bytes=400):
        longest = max(longest, *map(len, lines))
    assert longest <= 401 + 1000
    assert [row.fault for row in RecordReader(chunks(), "utf-8", SMALL).records(4)] == [RowFault.TOO_LONG, None]


letters = st.text("甲乙丙AZ09", min_size=1, max_size=4)
# A text starts with a letter: only then is a quote before it told from one that closes an earlier field.
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


@given(mixtures, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.integers(1, 64))
def test_every_good_row_is_kept_among_broken_ones(rows, end, size) -> None:
    content = end.join(row for _, row in rows)
    records = read(content, limits=LONGER)
    assert [record.fields for record in records if record.fault is None] == [good for good, _ in rows if good]
    assert sum(record.fault is not None for record in records) == sum(good is None for good, _ in rows)
    assert read(content, size, limits=LONGER) == records
    assert all(former.line_number < latter.line_number for former, latter in pairwise(records))


@given(st.binary(max_size=300) | st.text('",\n\r\0ab', max_size=80).map(str.encode), st.integers(1, 64))
def test_any_bytes_give_the_same_records_in_chunks_of_any_size(content: bytes, size: int) -> None:
    limits = Limits(max_bytes=20, max_lines=3)
    records = read(content, limits=limits)
    assert read(content, size, limits=limits) == records
    lines = content.splitlines()
    assert len(records) <= sum(map(bool, lines))
    for record in records:
        assert b"\n".join(lines[record.line_number - 1 :]).startswith(record.raw)
