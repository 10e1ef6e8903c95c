import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patent_hier.data.records import Limits, RecordReader, RowFault
from patent_hier.data.rows import split_rows

WIDTH = 3
LIMITS = Limits(max_bytes=30, max_lines=3)
lines = st.text('",1', max_size=12).map(str.encode)
all_quoted = st.lists(st.text(',1"', max_size=3), min_size=1, max_size=4).map(
    lambda fields: ",".join(f'"{field}"' for field in fields).encode()
)


@given(st.lists(lines | all_quoted | st.just(b"1" * 31), max_size=12))
@example([b'",",","'])
@example([b'"1","",""'])
def test_rows_are_those_of_the_reader(some: list[bytes]) -> None:
    reader = RecordReader([b"\n".join([*some, b""])], "utf-8", LIMITS)
    records = list(reader.records(WIDTH))
    rows = split_rows(some, WIDTH, LIMITS)
    assert rows.raws == [record.raw for record in records]
    assert [line + 1 for line in rows.lines] == [record.line_number for record in records]
    assert len(rows.blanks) == reader.blank_lines
    for row, record in enumerate(records):
        if row in rows.faults or record.fault in (RowFault.TOO_LONG, RowFault.UNCLOSED_QUOTE):
            assert rows.faults.get(row) is record.fault
        elif record.fault is None:
            fields = rows.fields.get(row, rows.raws[row].split(b","))
            assert [field.decode() for field in fields] == record.fields


@pytest.mark.parametrize("more", [[], [b"1,2,3"], [b'2",3'], [b"2", b'2",3'], [b'"'], [b"x" * 40], [b"", b""]])
@given(st.lists(lines, max_size=6))
def test_what_is_decided_stays_whatever_follows(more: list[bytes], some: list[bytes]) -> None:
    first, longer = split_rows(some, WIDTH, LIMITS), split_rows([*some, *more], WIDTH, LIMITS)
    sure = [(line, raw) for line, raw in zip(first.lines, first.raws, strict=True) if line < first.decided]
    assert list(zip(longer.lines, longer.raws, strict=True))[: len(sure)] == sure
    assert not any(len(sure) <= row and line < first.decided for row, line in enumerate(longer.lines))


def test_a_row_that_waits_for_its_quote_is_not_decided() -> None:
    assert split_rows([b"1,2,3", b'1,"2', b"2"], WIDTH, LIMITS).decided == 1
    assert split_rows([b"1,2,3", b'1,"2', b"2", b"2"], WIDTH, LIMITS).decided == 4
