"""From whole lines of a CSV file to its rows: what :mod:`patent_hier.data.records` reads, for many lines at once.

Most lines have no quote, so that line and row are the same; only the others are looked at one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from patent_hier.data.records import QUOTE, Limits, RowFault, close_quote, scan_line


@dataclass
class Rows:
    """The rows of consecutive lines, split but not decoded.

    Attributes:
        raws: The bytes of each row, as :attr:`Record.raw`.
        lines: The number of the line on which each row starts, ``0 <= line < len(lines)``.
        fields: Row → its fields, for rows with quotes only; the others are cut at their commas.
        faults: Row → why it cannot be read, for rows that are too long or have a quote that is never closed.
        blanks: For each empty line the number of rows before it.
        decided: Number of leading lines whose rows do not depend on what follows the last line.
    """

    raws: list[bytes]
    lines: list[int]
    fields: dict[int, list[bytes]]
    faults: dict[int, RowFault]
    blanks: list[int]
    decided: int


def split_rows(lines: Sequence[bytes], width: int, limits: Limits) -> Rows:
    """Split lines that begin at the start of a record into the rows that :class:`RecordReader` would find there.

    Args:
        lines: Physical lines without their line ends; nothing is read beyond the last.
        width: The number of fields of a whole row.
        limits: How far one record may reach.
    """
    rows = Rows([], [], {}, {}, [], len(lines))
    position = 0
    for number in [n for n, line in enumerate(lines) if QUOTE in line or not line or len(line) > limits.max_bytes]:
        if number < position:  # part of the row before
            continue
        rows.raws.extend(lines[position:number])
        rows.lines.extend(range(position, number))
        position = number + 1
        if lines[number]:
            taken = _add_special(lines, number, width, limits, rows)
            if taken is None:
                rows.decided = min(rows.decided, number)
            position += taken or 0
        else:
            rows.blanks.append(len(rows.raws))
    rows.raws.extend(lines[position:])
    rows.lines.extend(range(position, len(lines)))
    return rows


def _add_special(lines: Sequence[bytes], number: int, width: int, limits: Limits, rows: Rows) -> int | None:
    """Add the row of a line that has quotes or is too long.

    Returns:
        How many further lines the row takes; None if it takes none but lines after the last could have changed that.
    """
    line, row = lines[number], len(rows.raws)
    rows.lines.append(number)
    if len(line) > limits.max_bytes:
        rows.raws.append(line[: limits.max_bytes])
        rows.faults[row] = RowFault.TOO_LONG
        return 0
    if fields := _all_quoted(line, width):
        rows.raws.append(line)
        rows.fields[row] = fields
        return 0
    scan = scan_line(line, inside=False)
    closing = None
    if scan.is_open:
        closing = close_quote(line, scan.fields, map(lines.__getitem__, range(number + 1, len(lines))), width, limits)
    if closing is None or closing.is_closed:
        taken = closing.lines if closing else []
        rows.raws.append(b"\n".join([line, *taken]))
        rows.fields[row] = scan.fields
        return len(taken)
    rows.raws.append(line)
    rows.faults[row] = RowFault.UNCLOSED_QUOTE
    return 0 if closing.is_decided else None


def _all_quoted(line: bytes, width: int) -> list[bytes] | None:
    """The fields of a line that has quotes around each of them and nowhere else, quickly; None for any other line."""
    if line.count(QUOTE) != 2 * width or not (line.startswith(QUOTE) and line.endswith(QUOTE)):
        return None
    fields = line[1:-1].split(b'","')
    return fields if len(fields) == width else None
