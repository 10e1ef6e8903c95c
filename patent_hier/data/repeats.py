"""Which rows of a file are new: from cleaned pieces, in the order of the file, to what becomes of every row."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.data.columns import CleanPiece, PieceCleaner
from patent_hier.data.fields import Positions
from patent_hier.data.raw import Rejection, TextFault
from patent_hier.data.seen import SeenHashes

_MANY = 50  # of the rows of a piece


@dataclass(frozen=True)
class Part:
    """Documents, rejections and duplicates among consecutive rows; those of the part are counted from 0.

    Attributes:
        rows: How many there are.
        numbers: The rows that became documents, ascending.
        documents: Their columns as in :data:`patent_hier.data.columns.SCHEMA`, without copies of the text.
        rejections: Row and rejection, ascending.
        duplicates: Rows that repeat an earlier one byte for byte, ascending.
        warnings: What is odd in rows that are no duplicates: row and name.
    """

    rows: int
    numbers: Positions
    documents: pa.Table
    rejections: list[tuple[int, Rejection]]
    duplicates: Positions
    warnings: list[tuple[int, str]]

    def split(self, rows: int) -> tuple["Part", "Part"]:
        """The first rows, and the others."""
        documents = int(np.searchsorted(self.numbers, rows))
        duplicates = int(np.searchsorted(self.duplicates, rows))
        head = Part(
            rows,
            self.numbers[:documents],
            self.documents.slice(0, documents),
            [item for item in self.rejections if item[0] < rows],
            self.duplicates[:duplicates],
            [item for item in self.warnings if item[0] < rows],
        )
        tail = Part(
            self.rows - rows,
            self.numbers[documents:] - rows,
            self.documents.slice(documents),
            [(row - rows, rejection) for row, rejection in self.rejections if row >= rows],
            self.duplicates[duplicates:] - rows,
            [(row - rows, name) for row, name in self.warnings if row >= rows],
        )
        return head, tail


class Repeats:
    """Remembers the rows and the ids of a file.

    A row is an exact duplicate if an earlier readable row has the same bytes; broken rows are never duplicates, they
    are rejected each time. Of several rows with one document id and different content the first stays.

    Args:
        cleaner: The one that cleaned the pieces.
        lines: Physical lines before the first piece.
    """

    def __init__(self, cleaner: PieceCleaner, lines: int) -> None:
        self._cleaner = cleaner
        self._lines = lines
        self._seen_rows = SeenHashes()
        self._seen_ids = SeenHashes()

    def judge(self, piece: bytes, clean: CleanPiece) -> Part:
        """Take the next piece of the file; line numbers become those of the file, the first being 1."""
        duplicates = clean.readable[~self._seen_rows.first_seen(clean.row_hashes)]
        is_fresh = ~np.isin(clean.candidates, duplicates)
        is_new = is_fresh.copy()
        is_new[is_fresh] = self._seen_ids.first_seen(clean.id_hashes[is_fresh])
        known = set(duplicates.tolist())
        rejections = [item for item in clean.rejections if item[0] not in known]
        repeated = clean.candidates[is_fresh & ~is_new].tolist()
        rejections += self._cleaner.reject_rows(piece, repeated, TextFault.REPEATED_ID)
        before = self._lines + 1
        self._lines += clean.lines
        documents = _kept(pa.table(clean.columns), is_new)
        line_number = documents.schema.get_field_index("line_number")
        return Part(
            clean.rows,
            clean.candidates[is_new],
            documents.set_column(line_number, "line_number", pc.add(documents["line_number"], before)),
            [
                (row, rejection._replace(line_number=rejection.line_number + before))
                for row, rejection in sorted(rejections, key=lambda item: item[0])
            ],
            duplicates,
            [item for item in clean.warnings if item[0] not in known],
        )


def _kept(documents: pa.Table, keep: NDArray[np.bool_]) -> pa.Table:
    """Some rows of a table; where few are left out, as views of what lies between them, which copies nothing."""
    out = np.flatnonzero(~keep)
    if len(out) > _MANY:
        return documents.filter(pa.array(keep))
    begins, ends = [0, *(out + 1).tolist()], [*out.tolist(), len(documents)]
    return pa.concat_tables([documents.slice(begin, end - begin) for begin, end in zip(begins, ends, strict=True)])
