"""Detection of the columns of a raw file from its header."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from patent_hier.data.headers import Match, field_of, find_known, find_named, fold_loosely, fold_name, known_headers
from patent_hier.data.raw import PAPER_COLUMNS, Layout, RawFormat
from patent_hier.errors import DataError

_REQUIRED = "symbols"
_TEXT = "text"
_TEXT_FIELDS = ("abstract", "title", "first_claim", "claims")  # in order of preference
_OPTIONS = {"symbols": "--symbols", "applicant": "--applicant", "application_date": "--date", _TEXT: "--text"}
_SHOWN = 40  # most names of a header, and characters of a name, in a message
_NAME = "NAME"  # placeholder in advice
_LIKE_SYMBOLS = ("ipc", "分类", "classification")
_UNLIKE_SYMBOLS = ("cpc", "洛迦诺", "locarno", "国民经济", "行业", "产业", "外观")  # other classifications
_SPELLABLE = re.compile(rf"[^'\"\\$]{{1,{_SHOWN}}}")  # in an override or option
_IN_HYDRA_QUOTES = re.compile(r"[\[\]{},:=]")
_PLAIN = re.compile(r"[\w./+-]+")  # a word that no shell changes


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
    return _Header(names, fmt, source, _override).layout(needed=(_REQUIRED, *own), explicit=fmt.columns)


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
    return _Header(names, fmt, source, _option).layout(needed=needed, explicit=needed)


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
    """A header compared with the names of a format.

    Args:
        names: Column names in the header.
        fmt: Format with the expected names.
        source: Name of the file, for messages.
        spell: Returns the word of a command that sets a column: our name or ``text``, then the headers.
    """

    def __init__(
        self, names: Sequence[str], fmt: RawFormat, source: object, spell: Callable[[str, Sequence[str]], str]
    ) -> None:
        self._names = names
        self._format = fmt
        self._source = source
        self._spell = spell

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
        missing = [ours for ours in needed if ours not in columns]
        absent = [self._format.header_names[ours] for ours in missing]
        absent += [name for name, match in zip(self._format.text, texts, strict=True) if match is None]
        if absent:
            advice = self._advice(missing if None not in texts else [*missing, _TEXT], texts)
            raise DataError(
                f"{self._source} has no column {', '.join(dict.fromkeys(absent))}; its columns are "
                f"{_shown(self._names)}; {advice}"
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

    def _advice(self, missing: Sequence[str], texts: Sequence[Match | None]) -> str:
        """Return advice on the missing columns, with columns of this header where it has suitable ones."""
        found = {ours: self._texts(texts) if ours == _TEXT else self._like(ours) for ours in missing}
        tries = " ".join(self._spell(ours, names) for ours, names in found.items() if names)
        rest = " ".join(self._spell(ours, [_NAME]) for ours, names in found.items() if not names)
        advice = [f"try {tries}"] * bool(tries) + [f"name the column with {rest}"] * bool(rest)
        return "; ".join(advice)

    def _texts(self, texts: Sequence[Match | None]) -> list[str]:
        """Return the requested text columns that the header has, else a known text column."""
        places = dict.fromkeys(match.position for match in texts if match)
        if places:
            return self._spellable(list(places))
        known = [match.position for ours in _TEXT_FIELDS if (match := find_known(self._names, ours))]
        return self._spellable(known)[:1]

    def _like(self, ours: str) -> list[str]:
        """Return a column that is known to hold one of our fields, or for symbols looks as if it does."""
        match = find_known(self._names, ours)
        places = [] if match is None else [match.position]
        if ours == _REQUIRED:
            folded = [fold_loosely(name) for name in self._names]
            places += [
                place
                for place, name in enumerate(folded)
                if any(part in name for part in _LIKE_SYMBOLS) and not any(part in name for part in _UNLIKE_SYMBOLS)
            ]
        return self._spellable(places)[:1]

    def _spellable(self, places: Sequence[int]) -> list[str]:
        names = [self._names[place].strip() for place in places]
        return [name for name in names if name.isprintable() and _SPELLABLE.fullmatch(name)]


def _override(ours: str, names: Sequence[str]) -> str:
    """Return the override that sets a column, in quotes if a shell needs them."""
    words = [f'"{name}"' if _IN_HYDRA_QUOTES.search(name) else name for name in names]
    if ours == _TEXT:
        return f"'data.text=[{','.join(words)}]'"
    word = f"data.columns.{ours}={words[0]}"
    return word if _PLAIN.fullmatch(words[0]) else f"'{word}'"


def _option(ours: str, names: Sequence[str]) -> str:
    """Return the option that sets a column, in quotes if a shell needs them."""
    value = ",".join(names)
    return f"{_OPTIONS[ours]} {value if _PLAIN.fullmatch(value.replace(',', '')) else repr(value)}"


def _shown(names: Sequence[str]) -> str:
    """Return a header for a one-line message, even if it is not really a header."""
    shown = [name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…" for name in map(_one_line, names[:_SHOWN])]
    return ", ".join(shown) + (", …" if len(names) > _SHOWN else "")


def _one_line(name: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in name)
