"""Finding out where the columns of a raw file stand, from the names in its header."""

from collections.abc import Collection, Mapping, Sequence

from patent_hier.data.headers import Match, field_of, find_known, find_named, fold_name
from patent_hier.data.raw import PAPER_COLUMNS, Layout, RawFormat
from patent_hier.errors import DataError

_REQUIRED = "symbols"
_ADVICE = "data.columns (for instance data.columns.symbols=IPC) and data.text name the columns to use"
_TEXT_ADVICE = "--text names the columns to read, --symbols that of true symbols"
_SHOWN = 40  # names of a header, and characters of a name, that a message repeats


def find_columns(names: Sequence[str], fmt: RawFormat, source: object) -> Layout:
    """Match a header with the names of the format, else with known headers (:mod:`patent_hier.data.headers`).

    Args:
        names: Those of the header.
        fmt: Names of the columns.
        source: The file's name, for messages.

    Raises:
        DataError: If a needed column is missing or occurs twice. Needed are the symbols, the text, and each column
            that ``fmt.columns`` names itself.
    """
    own = [ours for ours, name in fmt.columns.items() if fold_name(name) != fold_name(PAPER_COLUMNS[ours])]
    return _Header(names, fmt, source, _ADVICE).layout(needed=(_REQUIRED, *own), explicit=fmt.columns)


def find_text(names: Sequence[str], fmt: RawFormat, source: object, needed: Sequence[str] = ()) -> Layout:
    """Match the header of a file to be classified: only the text is needed.

    Args:
        names: As in :func:`find_columns`, and so are ``fmt`` and ``source``.
        fmt: Its other columns are taken where the file has them, or known headers for them.
        source: The file's name.
        needed: Our names of columns that must be there under the name that ``fmt`` gives.

    Raises:
        DataError: If a column of the text, or a needed one, is missing or occurs twice.
    """
    return _Header(names, fmt, source, _TEXT_ADVICE).layout(needed=needed, explicit=needed)


class _Header:
    """The names of a header, held against those of a format."""

    def __init__(self, names: Sequence[str], fmt: RawFormat, source: object, advice: str) -> None:
        self._names = names
        self._format = fmt
        self._source = source
        self._advice = advice

    def layout(self, needed: Collection[str], explicit: Collection[str]) -> Layout:
        """Where the columns stand.

        Args:
            needed: Our names of those that must be there.
            explicit: Our names of those that only the format's name will do for.
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
                f"{self._source} has no column {', '.join(dict.fromkeys(absent))}; it has {_shown(self._names)}; "
                f"{self._advice}{self._hint()}"
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
        """The column of a name; of several the first, unless it is needed."""
        places = find_named(self._names, name)
        if is_needed and len(places) > 1:
            raise DataError(f"{self._source} has more than one column {name}; rename all but one")
        return Match(places[0]) if places else None

    def _text(self, name: str, columns: Mapping[str, Match]) -> Match | None:
        """A column of the text, or the one that is known for the same."""
        if match := self._named(name, is_needed=True):
            return match
        ours = field_of(name)
        if ours is None or (ours in self._format.columns and ours not in columns):
            return None
        match = columns.get(ours) or find_known(self._names, ours)
        return None if match is None else match._replace(is_known=True)

    def _hint(self) -> str:
        """Texts that the header does have, in words."""
        known = [match for ours in ("title", "abstract") if (match := find_known(self._names, ours))]
        names = ", ".join(self._names[match.position] for match in known)
        return f"; texts there: {names}" if names else ""


def _shown(names: Sequence[str]) -> str:
    """A header for a message of one line, even if it is not a header at all."""
    shown = [name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…" for name in map(_one_line, names[:_SHOWN])]
    return ", ".join(shown) + (", …" if len(names) > _SHOWN else "")


def _one_line(name: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in name)
