"""Names of IPC sections and classes, and titles of deeper levels from a user's own table."""

import csv
import functools
import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from patent_hier.errors import ConfigError, DataError
from patent_hier.ipc import IpcSymbol, SymbolError
from patent_hier.text_files import open_lines

LANGUAGES: tuple[str, ...] = ("zh", "en")


def name_of(code: str, language: str = "zh") -> str:
    """The short name of a section or class, in this project's own wording.

    Args:
        code: ``"A"`` or ``"A01"``.
        language: ``"zh"`` or ``"en"``.

    Raises:
        DataError: If the code is no section or class of the latest edition.
        ConfigError: If the language is unknown.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"unknown language {language!r}; choose one of {', '.join(LANGUAGES)}")
    try:
        return _names()[code][language]
    except KeyError:
        raise DataError(f"no name for {code!r}; sections (A) and classes (A01) have one") from None


def known_name(codes: Sequence[str], language: str = "zh") -> str:
    """The short name of the last of some codes that has one, in this project's own wording; empty if none has.

    Args:
        codes: Such as the labels on a path, from the top.
        language: ``"zh"`` or ``"en"``.
    """
    return next((_names()[code][language] for code in reversed(codes) if code in _names()), "")


@functools.cache
def _names() -> dict[str, dict[str, str]]:
    text = (resources.files("patent_hier.resources") / "ipc_names.csv").read_text("utf-8")
    return {row["code"]: row for row in csv.DictReader(text.splitlines())}


def read_titles(path: Path) -> dict[str, str]:
    """Read official or deeper titles from a user's table.

    Args:
        path: CSV in UTF-8 with a column ``code`` and one whose name starts with ``title`` (the first one counts);
            ``.csv.xz`` and ``.csv.gz`` are read compressed. Rows without a title are passed over.

    Returns:
        Title by code. A code that is an IPC symbol is spelled as ``str(IpcSymbol)`` spells it, any other as it stands.

    Raises:
        DataError: If the file cannot be read, lacks a column, holds no title, or has two titles for one code.
    """
    try:
        with open_lines(path, newline="") as lines:
            return _titles(path, csv.reader(lines))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (csv.Error, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); fetch or export it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error


def _titles(path: Path, rows: Iterator[list[str]]) -> dict[str, str]:
    header = [name.strip().lower() for name in next(rows, [])]
    title_columns = [place for place, name in enumerate(header) if name.startswith("title")]
    if "code" not in header or not title_columns:
        raise DataError(f"{path} has the columns {header}; it needs 'code' and one that starts with 'title'")
    code_column, title_column = header.index("code"), title_columns[0]
    titles: dict[str, str] = {}
    for row in rows:
        if len(row) <= max(code_column, title_column) or not row[title_column].strip():
            continue
        code, title = _canonical(row[code_column].strip()), row[title_column].strip()
        if titles.setdefault(code, title) != title:
            raise DataError(f"{path} has two titles for {code!r}: {titles[code]!r} and {title!r}; keep one")
    if not titles:
        raise DataError(f"{path} holds no title; its column {header[title_column]!r} is empty")
    return titles


def _canonical(code: str) -> str:
    try:
        return str(IpcSymbol.parse(code))
    except SymbolError:  # a section, or a code of another scheme: kept as it stands
        return code
