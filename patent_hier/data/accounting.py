"""Where every row of a raw file went."""

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
_MOST_SHAPES = 1000  # kept; a file whose symbols have so many has no common one
_COMMON = 0.9  # fraction of unread symbols that makes their shape worth telling


@dataclass
class Accounting:
    """Counts of rows, which balance: rows = kept + rejected by reason + duplicates.

    Attributes:
        rows: Records of the file, its header not counted.
        kept: Rows that became documents.
        rejected: Rows by the reason that they were rejected for.
        duplicates: Rows that are the same as an earlier one, or have its id, text and main symbol.
        blank_lines: Empty lines, which are no rows.
        warnings: Kept documents by what was odd about them.
        repeated_headers: Further header lines, which are no rows.
        shapes: Symbols that could not be read by their shape, such as ``A99A.999/99``; not written.
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
        """Remember the shape of symbols that could not be read."""
        for shape in map(shape_of, symbols):
            if shape in self.shapes or len(self.shapes) < _MOST_SHAPES:
                self.shapes[shape] += 1

    @classmethod
    def total(cls, parts: Iterable["Accounting"]) -> "Accounting":
        """The counts of several parts together."""
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
        """Fraction of rejected rows among all rows but designs and duplicates; 0 if there is no such row."""
        designs = self.rejected[DESIGNS]
        judged = self.rows - designs - self.duplicates
        return (self.rejected.total() - designs) / judged if judged else 0.0

    def check(self) -> None:
        """Make sure that every row was counted once.

        Raises:
            DataError: If not; this would be a fault of the program.
        """
        counted = self.kept + self.rejected.total() + self.duplicates
        if counted != self.rows:
            raise DataError(f"{self.rows} rows went in but {counted} were counted; please report this as a bug")

    def problem(self, max_reject_share: float) -> str | None:
        """Why no corpus should be made of these rows, in one line, or None if one should.

        Args:
            max_reject_share: Largest allowed :attr:`reject_share`.
        """
        others = Counter({reason: count for reason, count in self.rejected.items() if reason != DESIGNS})
        counts = ", ".join(f"{reason} {count:,}" for reason, count in _ranked(self.rejected)) or "no rows"
        if not self.kept:
            advice = self._advice("check data.encoding, data.columns and data.text")
            return f"no valid row among {self.rows:,} ({counts}); {advice}"
        if self.reject_share > max_reject_share:
            top = ", ".join(f"{reason} {count:,}" for reason, count in _ranked(others)[:_TOP_REASONS])
            return (
                f"{self.reject_share:.1%} of the rows are rejected (designs and duplicates not counted): {top}; "
                + self._advice("check data.encoding, data.text and data.min_symbol")
                + f", or raise data.max_reject_share={max_reject_share}"
            )
        return None

    def _unread(self) -> str:
        """The shape that nearly all unread symbols share, in words; empty if there is none."""
        total = self.rejected[UNREAD]
        shape, count = next(iter(self.shapes.most_common(1)), ("", 0))
        if count < 2 or count < _COMMON * total:
            return ""
        return (
            f"{count:,} of {total:,} unread symbols look like {shape}, where A01D42/04 would be read (9: a digit, "
            "A: a letter); name another column by data.columns.symbols, or write them so; "
        )

    def _advice(self, usual: str) -> str:
        """What to do about rejected rows; where most have one cause that a file's maker can end, that."""
        broken = self.rejected[RowFault.LINE_BREAK_WITHOUT_QUOTES]
        is_cause = 2 * broken > self.rejected.total() - self.rejected[DESIGNS]
        return (
            "their records go over several lines without quotes; export them with quotes"
            if is_cause
            else self._unread() + usual
        )

    def as_dict(self) -> Mapping[str, object]:
        """The counts as JSON can hold them, the most frequent reasons first."""
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
        """The counts that :meth:`as_dict` gave."""
        counters = {name: Counter(counts[name]) for name in ("rejected", "warnings")}
        return cls(**{**counts, **counters})

    def lines(self) -> list[str]:
        """A table to print: what adds up to the rows first, then what is counted beside them."""
        table = [("rows", self.rows), ("= kept", self.kept)]
        table += [(f"+ rejected: {reason}", count) for reason, count in _ranked(self.rejected)]
        table += [("+ duplicates", self.duplicates)]
        beside = (("(blank lines, no rows)", self.blank_lines), ("(repeated headers, no rows)", self.repeated_headers))
        table += [line for line in beside if line[1]]
        table += [(f"(warning: {name})", count) for name, count in _ranked(self.warnings)]
        width = max(len(name) for name, _ in table)
        digits = len(f"{self.rows:,}")
        lines = [f"{name:<{width}}  {count:>{digits},}" for name, count in table]
        return lines + [f"{name}: {WARNINGS[name]}" for name, _ in _ranked(self.warnings) if name in WARNINGS]


class RefusedFileError(DataError):
    """A raw file has no valid row or too many rejected ones.

    Attributes:
        accounting: Where every row went.
    """

    def __init__(self, message: str, accounting: Accounting) -> None:
        super().__init__(message)
        self.accounting = accounting


def files_shown(files: Sequence[Path]) -> str:
    """The raw files of a corpus, one or more, for messages."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def refuse_rejects(accounting: Accounting, source: str, max_reject_share: float) -> None:
    """Refuse rows of which too few are good.

    Raises:
        RefusedFileError: Naming the most frequent reasons.
    """
    if problem := accounting.problem(max_reject_share):
        raise RefusedFileError(f"{source}: {problem}", accounting)


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, equally frequent ones by name: the order must not depend on that of the file."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
