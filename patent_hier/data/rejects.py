"""``rejects.csv``: the rows that are no documents, for people with a spreadsheet."""

import csv
from collections.abc import Iterable
from typing import IO

from patent_hier.data.raw import Rejection
from patent_hier.sanitize import cell, one_line

REJECTS_ENCODING = "utf-8-sig"  # the mark at the start makes spreadsheets read the file as UTF-8


class RejectsWriter:
    r"""Writes rejections as CSV with the columns ``line_number``, ``reason`` and ``value``.

    Values are made harmless: control characters, line breaks among them, become ``\xNN``, and a value that a
    spreadsheet would run as a formula gets an apostrophe in front.

    Args:
        file: A text file opened with ``newline=""`` and :data:`REJECTS_ENCODING`.
    """

    def __init__(self, file: IO[str]) -> None:
        self._writer = csv.writer(file)
        self._writer.writerow(Rejection._fields)

    def write(self, rejections: Iterable[Rejection]) -> None:
        """Append rejections."""
        self._writer.writerows((line, str(reason), cell(one_line(value))) for line, reason, value in rejections)
