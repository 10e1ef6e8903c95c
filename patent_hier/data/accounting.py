"""Counts of the rows of raw files: kept, rejected or duplicate."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from patent_hier.data.texts import WARNINGS
from patent_hier.errors import DataError
from patent_hier.reading.rows import RowFault
from patent_hier.taxonomy.spellings import shape_of
from patent_hier.taxonomy.symbols import RejectReason

DESIGNS = str(RejectReason.LOCARNO)
UNREAD = str(RejectReason.MALFORMED)
_TOP_REASONS = 3
_MOST_SHAPES = 1000  # most shapes that are counted; a file with more has no common shape
_COMMON = 0.9  # share of unreadable symbols from which their shape is worth reporting


@dataclass
class Accounting:
    """Counts of rows, which balance: rows = kept + rejected + duplicates.

    Attributes:
        rows: Records in the file, without the header.
        kept: Rows that became documents.
        rejected: Number of rejected rows by reason.
        duplicates: Rows identical to an earlier one, or with the same id, text and main symbol.
        blank_lines: Empty lines, which do not count as rows.
        warnings: Number of kept documents by the kind of oddity.
        repeated_headers: Further header lines, which do not count as rows.
        shapes: Number of unreadable symbols by shape, such as ``A99A.999/99``; not saved.
    """

    rows: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    blank_lines: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    repeated_headers: int = 0
    shapes: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    def count_unread(self, symbols: Iterable[str]) -> None:
        """Count the shapes of symbols that cannot be read."""
        for shape in map(shape_of, symbols):
            if shape in self.shapes or len(self.shapes) < _MOST_SHAPES:
                self.shapes[shape] += 1

    @classmethod
    def total(cls, parts: Iterable["Accounting"]) -> "Accounting":
        """Return the sum of the counts of several parts."""
        result = cls()
        for part in parts:
            result.rows += part.rows
            result.kept += part.kept
            result.rejected += part.rejected
            result.duplicates += part.duplicates
            result.blank_lines += part.blank_lines
            result.warnings += part.warnings
            result.repeated_headers += part.repeated_headers
            result.shapes += part.shapes
        return result

    @property
    def reject_share(self) -> float:
        """Share of rejected rows among all rows except designs and duplicates; 0 if there are no such rows."""
        designs = self.rejected[DESIGNS]
        judged = self.rows - designs - self.duplicates
        return (self.rejected.total() - designs) / judged if judged else 0.0

    def check(self) -> None:
        """Check that every row was counted exactly once.

        Raises:
            DataError: If the counts do not balance, which would be a bug.
        """
        counted = self.kept + self.rejected.total() + self.duplicates
        if counted != self.rows:
            raise DataError(f"{self.rows} rows were read but {counted} were counted; please report this as a bug")

    def problem(self, max_reject_share: float) -> str | None:
        """Return a one-line reason not to build a corpus from these rows, or None if there is none.

        Args:
            max_reject_share: Largest allowed :attr:`reject_share`.
        """
        others = Counter({reason: count for reason, count in self.rejected.items() if reason != DESIGNS})
        counts = ", ".join(f"{reason} {count:,}" for reason, count in _ranked(self.rejected)) or "no rows"
        if not self.kept:
            advice = self._advice("check data.encoding, data.columns and data.text")
            return f"no valid row among the {self.rows:,} rows ({counts}); {advice}"
        if self.reject_share > max_reject_share:
            top = ", ".join(f"{reason} {count:,}" for reason, count in _ranked(others)[:_TOP_REASONS])
            return (
                f"{self.reject_share:.1%} of the rows are rejected (not counting designs and duplicates): {top}; "
                + self._advice("check data.encoding, data.text and data.min_symbol")
                + f", or raise data.max_reject_share={max_reject_share}"
            )
        return None

    def _unread(self) -> str:
        """Return advice that names the shape common to nearly all unreadable symbols; empty if there is none."""
        total = self.rejected[UNREAD]
        shape, count = next(iter(self.shapes.most_common(1)), ("", 0))
        if count < 2 or count < _COMMON * total:
            return ""
        return (
            f"{count:,} of {total:,} unreadable symbols have the form {shape} (9: a digit, A: a letter), but symbols "
            "such as A01D42/04 are expected; name another column in data.columns.symbols, or convert the symbols; "
        )

    def _advice(self, usual: str) -> str:
        """Return advice on rejected rows; if missing quotes cause most rejections, the advice is only about quotes."""
        broken = self.rejected[RowFault.LINE_BREAK_WITHOUT_QUOTES]
        is_cause = 2 * broken > self.rejected.total() - self.rejected[DESIGNS]
        return (
            "their records span several lines without quotes; export the file with quotes"
            if is_cause
            else self._unread() + usual
        )

    def as_dict(self) -> Mapping[str, object]:
        """Return the counts as JSON-compatible values, the most frequent reasons first."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "rejected": dict(_ranked(self.rejected)),
            "duplicates": self.duplicates,
            "blank_lines": self.blank_lines,
            "warnings": dict(_ranked(self.warnings)),
            "repeated_headers": self.repeated_headers,
        }

    @classmethod
    def from_dict(cls, counts: Mapping[str, Any]) -> Self:
        """Return the counts that :meth:`as_dict` saved."""
        counters = {name: Counter(counts[name]) for name in ("rejected", "warnings")}
        return cls(**{**counts, **counters})

    def lines(self) -> list[str]:
        """Return a table to print: first the counts that add up to the rows, then the other counts."""
        table = [("rows", self.rows), ("= kept", self.kept)]
        table += [(f"+ rejected: {reason}", count) for reason, count in _ranked(self.rejected)]
        table += [("+ duplicates", self.duplicates)]
        beside = (("(blank lines)", self.blank_lines), ("(repeated headers)", self.repeated_headers))
        table += [line for line in beside if line[1]]
        table += [(f"(warning: {name})", count) for name, count in _ranked(self.warnings)]
        width = max(len(name) for name, _ in table)
        digits = len(f"{self.rows:,}")
        lines = [f"{name:<{width}}  {count:>{digits},}" for name, count in table]
        return lines + [f"{name}: {WARNINGS[name]}" for name, _ in _ranked(self.warnings) if name in WARNINGS]


class RefusedFileError(DataError):
    """A raw file has no valid row or too many rejected rows.

    Attributes:
        accounting: Counts of the rows.
    """

    def __init__(self, message: str, accounting: Accounting) -> None:
        super().__init__(message)
        self.accounting = accounting


def files_shown(files: Sequence[Path]) -> str:
    """Return the names of a corpus's raw files for a message."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def refuse_rejects(accounting: Accounting, source: str, max_reject_share: float) -> None:
    """Refuse raw files with no valid row or too many rejected rows.

    Raises:
        RefusedFileError: If so; the message names the most frequent reasons.
    """
    if problem := accounting.problem(max_reject_share):
        raise RefusedFileError(f"{source}: {problem}", accounting)


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """Return the counts, the most frequent first; ties are ordered by name, so that the order of rows has no effect."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
