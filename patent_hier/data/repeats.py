"""Detection of duplicate rows and repeated ids in a corpus."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from patent_hier.data.columns import SCHEMA, CleanRows, rejection
from patent_hier.data.raw import Rejection, TextFault
from patent_hier.data.seen import SeenHashes
from patent_hier.reading.rows import Rows


class Judged(NamedTuple):
    """Outcome for consecutive rows.

    Attributes:
        documents: Table with the columns of :data:`patent_hier.data.columns.SCHEMA`.
        rejections: Rejections in the order of the rows.
        duplicates: Number of rows that repeat an earlier one.
        warnings: Names of the oddities in rows that are not duplicates.
    """

    documents: pa.Table
    rejections: list[Rejection]
    duplicates: int
    warnings: list[str]


class Repeats:
    """Memory of the rows and ids of a corpus.

    A row is a duplicate if it equals an earlier readable row, or if an earlier document has the same id, text and main
    symbol. Broken rows are never duplicates; they are rejected each time. If several rows have the same document id but
    different content, the first one is kept.
    """

    def __init__(self) -> None:
        self._rows = SeenHashes()
        self._ids = SeenHashes()
        self._contents = SeenHashes()

    def judge(self, rows: Rows, clean: CleanRows) -> Judged:
        """Decide which of the next rows are documents, rejections or duplicates."""
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
