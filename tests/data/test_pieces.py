import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data import pieces
from patent_hier.data.pieces import PieceCutter
from patent_hier.data.records import Limits, Record, RecordReader
from patent_hier.data.rows import split_rows

LIMITS = Limits(max_bytes=30, max_lines=4)
WIDTH = 3

lines = st.one_of(
    st.sampled_from([b"1,2,3", b'"1","2","3"', b'1,"2', b'a",3', b'1,"2\n2",3', b"", b",,", b"x" * 40, b'"', b'"\r"'])
    | st.sampled_from([b"1,2", b"1,2,3,4", b'"",",""\n"",",3', b'1,2,"3""', b'""', b'1,"2,3\n"4,5,6', b"y" * 31]),
    st.text('",\n\r1', max_size=12).map(str.encode),
)
files = st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=30).map(
    lambda some: b"".join(line + end for line, end in some)
)


def chunks(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def read_whole(content: bytes) -> tuple[list[Record], int]:
    reader = RecordReader([content], "utf-8", LIMITS)
    return list(reader.records(WIDTH)), reader.blank_lines


def read_pieces(cutter: PieceCutter) -> tuple[list[tuple[int, bytes]], int]:
    """Line and bytes of every row, and the empty lines, each piece read by itself."""
    rows, before, blanks = [], cutter.lines, cutter.blank_lines
    for piece in cutter.pieces(WIDTH):
        split = split_rows(piece.splitlines(), WIDTH, LIMITS)
        rows += [(before + line + 1, raw) for line, raw in zip(split.lines, split.raws, strict=True)]
        blanks += len(split.blanks)
        before += len(piece.splitlines())
    return rows, blanks


@given(files, st.binary(max_size=3), st.integers(1, 60), st.sampled_from([1 << 16, 9, 25]))
def test_pieces_hold_the_rows_of_the_file(content: bytes, end: bytes, size: int, window: int) -> None:
    content += end
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "_WINDOW", window)
        found = read_pieces(PieceCutter(chunks(content, size), LIMITS))
    records, blanks = read_whole(content)
    assert found == ([(record.line_number, record.raw) for record in records], blanks)


def test_the_end_of_a_line_that_looks_like_a_row_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    first = b'7,"text1,2,3\n'
    monkeypatch.setattr(pieces, "_WINDOW", len(b"1,2,3\n"))
    assert list(PieceCutter([first, b'more",9\n'], LIMITS).pieces(WIDTH)) == [first + b'more",9\n']


@given(files, st.integers(1, 60))
def test_the_header_is_the_first_line_with_something_in_it(content: bytes, size: int) -> None:
    reader = RecordReader([content], "utf-8", Limits())
    cutter = PieceCutter(chunks(content, size), Limits())
    header = reader.header()
    assert cutter.header() == header
    assert (cutter.blank_lines, cutter.lines) == (reader.blank_lines, reader.blank_lines + bool(header))
    assert [raw for _, raw in read_pieces(PieceCutter(chunks(content, size), LIMITS))[0]] == [
        record.raw for record in read_whole(content)[0]
    ]


@pytest.mark.parametrize(
    "line",
    [b"1,2,3\n", b'"1","2","3"\r\n', b"1,2\n", b'1,"2,3\n', b'1,"2\n2",3\n', b'1,"2\n"\n', b"x" * 50 + b"\n", b"\r"],
    ids=["rows", "quoted", "ragged", "open", "two lines", "wrong", "long", "empty"],
)
def test_pieces_stay_as_small_as_the_chunks_whatever_stands_in_the_file(line: bytes) -> None:
    content = line * 2000
    reach = LIMITS.max_lines * (LIMITS.max_bytes + 2)  # how far the last row of a chunk may look ahead
    found = list(PieceCutter(chunks(content, 500), LIMITS).pieces(WIDTH))
    assert max(map(len, found)) <= 500 + reach
    assert sum(len(piece.splitlines()) for piece in found) == len(content.splitlines())


def test_a_line_without_end_stays_out_of_memory() -> None:
    def endless():
        yield b"1,2,3\n"
        yield from [b"x" * 1000] * 5000
        yield b"\n4,5,6"

    found = list(PieceCutter(endless(), LIMITS).pieces(WIDTH))
    assert max(map(len, found)) <= 1000 + LIMITS.max_bytes + 20
    assert b"".join(found).splitlines()[::2] == [b"1,2,3", b"4,5,6"]
