"""Which rows of a corpus are new: from cleaned rows, in order, to what becomes of every row."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from patent_hier.data.columns import SCHEMA, CleanRows, rejection
from patent_hier.data.raw import Rejection, TextFault
from patent_hier.data.seen import SeenHashes
from patent_hier.reading.rows import Rows


class Judged(NamedTuple):
    """What became of consecutive rows.

    Attributes:
        documents: Columns as in :data:`patent_hier.data.columns.SCHEMA`.
        rejections: In the order of the rows.
        duplicates: How many rows repeat an earlier one.
        warnings: What is odd in rows that are no duplicates.
    """

    documents: pa.Table
    rejections: list[Rejection]
    duplicates: int
    warnings: list[str]


class Repeats:
    """Remembers the rows and the ids of a corpus.

    A row is a duplicate if an earlier readable row is the same, or an earlier document has its id, text and main
    symbol; broken rows are never duplicates, they are rejected each time. Of several rows with one document id and
    different content the first stays.
    """

    def __init__(self) -> None:
        self._rows = SeenHashes()
        self._ids = SeenHashes()
        self._contents = SeenHashes()

    def judge(self, rows: Rows, clean: CleanRows) -> Judged:
        """Take the next rows."""
        is_first = self._rows.first_seen(clean.row_hashes)
        repeated = {clean.readable[place] for place in np.flatnonzero(~is_first).tolist()}
        candidates = np.array(clean.candidates, np.int64)
        is_fresh = ~np.isin(candidates, list(repeated))
        is_new = is_fresh.copy()
        is_new[is_fresh] = self._ids.first_seen(clean.id_hashes[is_fresh])
        self._contents.first_seen(clean.content_hashes[is_new])
        is_same = self._contents.holds(clean.content_hashes) & ~is_new
        repeated.update(candidates[is_same].tolist())
        rejections = {row: reason for row, reason in clean.rejections.items() if row not in repeated}
        for row in candidates[is_fresh & ~is_new & ~is_same].tolist():
            rejections[row] = rejection(rows, row, TextFault.REPEATED_ID)
        documents = pa.Table.from_arrays([clean.columns[name] for name in SCHEMA.names], schema=SCHEMA)
        return Judged(
            documents if is_new.all() else documents.filter(pa.array(is_new)),
            [rejections[row] for row in sorted(rejections)],
            len(repeated),
            [name for row, name in clean.warnings if row not in repeated],
        )
