"""The table of rows that were measured at several sizes."""

from collections.abc import Sequence

from patent_hier.bench.rows import Row

_COLUMNS = (
    "stage",
    "rows of the raw file",
    "seconds",
    "of processors",
    "rate",
    "peak, own (MiB)",
    "peak with mapped files (MiB)",
)
_MIB = 1 << 20


def size_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table's head, and a line for each stage and size.

    Args:
        rows: Those without a fact ``sizes`` are passed over.
    """
    lines = [
        (
            str(row.facts["stage"]),
            f"{one['rows']:,}",
            f"{one['seconds']:,.2f}",
            f"{one['cpu_seconds']:,.2f}",
            f"{one['per_second']:,.0f} {one['unit']}/s",
            f"{one['peak_own_bytes'] / _MIB:,.0f}",
            f"{one['peak_bytes'] / _MIB:,.0f}",
        )
        for row in rows
        for one in row.facts.get("sizes", ())
    ]
    return [_COLUMNS, *lines]
