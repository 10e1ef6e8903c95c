"""Detection of the columns of a raw file from its header."""

from collections.abc import Collection, Mapping, Sequence

from patent_hier.data.headers import Match, field_of, find_known, find_named, fold_loosely, fold_name, known_headers
from patent_hier.data.raw import PAPER_COLUMNS, Layout, RawFormat
from patent_hier.errors import DataError

_REQUIRED = "symbols"
_ADVICE = "set the columns with data.columns (for instance data.columns.symbols=IPC) and data.text"
_TEXT_ADVICE = "set the text columns with --text and the column of true symbols with --symbols"
_SHOWN = 40  # most names of a header, and characters of a name, in a message


def find_columns(names: Sequence[str], fmt: RawFormat, source: object) -> Layout:
    """Match a header with the names in the format, else with known headers (:mod:`patent_hier.data.headers`).

    Args:
        names: Column names in the header.
        fmt: Format with the expected names.
        source: Name of the file, for messages.

    Raises:
        DataError: If a required column is missing or occurs twice. Required are the symbols, the text, and every column
            that ``fmt.columns`` names explicitly.
    """
    own = [ours for ours, name in fmt.columns.items() if fold_name(name) != fold_name(PAPER_COLUMNS[ours])]
    return _Header(names, fmt, source, _ADVICE).layout(needed=(_REQUIRED, *own), explicit=fmt.columns)


def find_text(names: Sequence[str], fmt: RawFormat, source: object, needed: Sequence[str] = ()) -> Layout:
    """Match the header of a file to classify; only the text is required.

    Args:
        names: Column names in the header.
        fmt: Format with the expected names; other columns are used if the file has them or known headers for them.
        source: Name of the file, for messages.
        needed: Our names of columns that must be present under the name in ``fmt``.

    Raises:
        DataError: If a text column or another required column is missing or occurs twice.
    """
    return _Header(names, fmt, source, _TEXT_ADVICE).layout(needed=needed, explicit=needed)


def accepted_headers(fmt: RawFormat, name: str) -> list[str]:
    """Return the headers accepted for a column, for a reader outside Python; :func:`find_text` has the same order.

    Args:
        fmt: Format with the expected names.
        name: A text column of the format, or our name of a column.

    Returns:
        The expected header, then the known headers of the same field, the preferred one first, all in the form of
        :func:`patent_hier.data.headers.fold_loosely`.
    """
    ours = field_of(name)
    if ours is None:
        return [fold_loosely(name)]
    own = fold_loosely(fmt.header_names.get(ours, name))
    return list(dict.fromkeys((own, *known_headers()[ours])))


class _Header:
    """A header compared with the names of a format."""

    def __init__(self, names: Sequence[str], fmt: RawFormat, source: object, advice: str) -> None:
        self._names = names
        self._format = fmt
        self._source = source
        self._advice = advice

    def layout(self, needed: Collection[str], explicit: Collection[str]) -> Layout:
        """Return the positions of the columns.

        Args:
            needed: Our names of columns that must be present.
            explicit: Our names of columns that only match the name in the format.
        """
        columns: dict[str, Match] = {}
        for ours, name in self._format.header_names.items():
            match = self._named(name, ours in needed) or (None if ours in explicit else find_known(self._names, ours))
            if match is not None:
                columns[ours] = match
        texts = [self._text(name, columns) for name in self._format.text]
        absent = [self._format.header_names[ours] for ours in needed if ours not in columns]
        absent += [name for name, match in zip(self._format.text, texts, strict=True) if match is None]
        if absent:
            raise DataError(
                f"{self._source} has no column {', '.join(dict.fromkeys(absent))}; its columns are "
                f"{_shown(self._names)}; {self._advice}{self._hint()}"
            )
        found = {ours: match for ours, match in columns.items() if match.is_known}
        for name, match in zip(self._format.text, texts, strict=True):
            if match and match.is_known:
                found["text" if len(texts) == 1 else f"text {name}"] = match
        return Layout(
            tuple(self._names),
            {ours: match.position for ours, match in columns.items()},
            tuple(match.position for match in texts if match),
            found={name: (self._names[match.position].strip(), *match.others) for name, match in found.items()},
        )

    def _named(self, name: str, is_needed: bool) -> Match | None:
        """Return the first column with a name; a required name must not occur twice."""
        places = find_named(self._names, name)
        if is_needed and len(places) > 1:
            raise DataError(f"{self._source} has more than one column {name}; rename all but one")
        return Match(places[0]) if places else None

    def _text(self, name: str, columns: Mapping[str, Match]) -> Match | None:
        """Return a text column by its name or by a known header of the same field."""
        if match := self._named(name, is_needed=True):
            return match
        ours = field_of(name)
        if ours is None or (ours in self._format.columns and ours not in columns):
            return None
        match = columns.get(ours) or find_known(self._names, ours)
        return None if match is None else match._replace(is_known=True)

    def _hint(self) -> str:
        """Return a hint with the text columns that the header has."""
        known = [match for ours in ("title", "abstract") if (match := find_known(self._names, ours))]
        names = ", ".join(self._names[match.position] for match in known)
        return f"; available text columns: {names}" if names else ""


def _shown(names: Sequence[str]) -> str:
    """Return a header for a one-line message, even if it is not really a header."""
    shown = [name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…" for name in map(_one_line, names[:_SHOWN])]
    return ", ".join(shown) + (", …" if len(names) > _SHOWN else "")


def _one_line(name: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in name)
