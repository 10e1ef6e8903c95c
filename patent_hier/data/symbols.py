"""Conversion of the symbol fields of many rows into label columns.

:mod:`patent_hier.taxonomy.symbols` defines the meaning of a field. Most fields contain plainly spelled, complete
symbols and are parsed together; every other field is parsed individually.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.taxonomy.symbols import RejectReason, SymbolError, all_classes, parse_symbols

LABELS = ("section", "ipc_class", "subclass", "main_group", "subgroup", "further_symbols", "skipped_symbols")

# Symbols as the scheme writes them, optionally with the version, its letters and meaningless blanks. These are the
# common ones among the spellings that `parse_symbols` accepts; all of them go down to a group.
_SYMBOL = r"[A-H][0-9]{2}[A-Z][1-9][0-9]{0,3}/(?:[0-9]{2}|[0-9]{2,4}[1-9])(?:\([0-9]{4}\.[0-9]{2}\)[ACIN]{0,3})?"
_PLAIN = f"^{_SYMBOL}(?:; *{_SYMBOL})* *$"
_DECORATION = r"\([0-9.]*\)[ACIN]*| "
# Spellings that simple rules convert to these: Derwent's F23G-005/46, other leading zeros, other separators.
_MAIN_GROUP = r"([A-H][0-9]{2}[A-Z])[- ]?(?:0([1-9][0-9]{0,2})|00([1-9][0-9]?)|000([1-9])|([1-9][0-9]{0,3}))/"
_SEPARATOR = r"[ \x{2002}\"']*[;,|\r\n\x{FF0C}\x{FF1B}\x{3001}\x{FF5C}][ \x{2002}\"']*"
_AROUND = "; =[]\"'"  # characters around JSON lists and formulas
_CACHE = 1 << 12  # designs and unusual spellings recur
_CACHED = 64  # characters; longer fields are not cached, or the cache would grow with the file
_LISTS = pa.list_(pa.string())
_TYPES = dict(zip(LABELS, [pa.string()] * 5 + [_LISTS] * 2, strict=True))


class Unusable(NamedTuple):
    """Reason why a field has no main symbol, and the offending text."""

    reason: RejectReason
    value: str


class SymbolColumns(NamedTuple):
    """Columns parsed from symbol fields, and the reasons for unusable fields.

    Attributes:
        usable: Positions of the fields with a main symbol, ascending.
        columns: Columns by the names in :data:`LABELS`, with a value for each usable field.
        unusable: Reasons for the unusable fields, by position.
    """

    usable: NDArray[np.int64]
    columns: "dict[str, pa.Array[Any]]"
    unusable: dict[int, Unusable]


def symbol_columns(fields: "pa.Array[Any]", edition: str, min_symbol: str) -> SymbolColumns:
    """Parse ``(n,)`` fields like :func:`patent_hier.taxonomy.symbols.parse_symbols`, with the same arguments."""
    is_sure = np.array(pc.match_substring_regex(fields, _PLAIN))
    plain = fields
    if not is_sure.all():
        plain = _respelled(fields, ~is_sure)
        is_sure = np.array(pc.match_substring_regex(plain, _PLAIN))
    lists = pc.split_pattern(_undecorated(plain.filter(pa.array(is_sure))), ";")
    is_known = _sure(lists, edition)
    if not is_known.all():
        is_sure[is_sure] = is_known
        lists = lists.filter(pa.array(is_known))
    others = np.flatnonzero(~is_sure)
    read = [_read(str(field), edition, min_symbol) for field in fields.take(others).to_pylist()]
    is_usable = np.array([not isinstance(symbols, Unusable) for symbols in read], np.bool_)
    places = np.concatenate([np.flatnonzero(is_sure), others[is_usable]])
    order = np.argsort(places)
    odd = zip(*(symbols for symbols in read if not isinstance(symbols, Unusable)), strict=True)
    odd_columns = dict(zip(LABELS, odd, strict=False))
    return SymbolColumns(
        np.sort(places),
        {
            name: pa.concat_arrays([column, pa.array(odd_columns.get(name, ()), _TYPES[name])]).take(order)
            for name, column in _cut(lists).items()
        },
        {
            int(place): symbols
            for place, symbols in zip(others.tolist(), read, strict=True)
            if isinstance(symbols, Unusable)
        },
    )


def _respelled(fields: "pa.Array[Any]", is_odd: NDArray[np.bool_]) -> "pa.Array[Any]":
    """Return the fields, with those odd fields rewritten that simple rules can turn into the plain form."""
    odd = fields.filter(pa.array(is_odd))
    plain = pc.replace_substring_regex(odd, _SEPARATOR, ";")
    plain = pc.replace_substring_regex(pc.utf8_trim(plain, _AROUND), _MAIN_GROUP, r"\1\2\3\4\5/")
    chosen = pc.if_else(pc.match_substring_regex(plain, _PLAIN), plain, odd)
    result: pa.Array[Any] = pc.replace_with_mask(fields, pa.array(is_odd), chosen)
    return result


def _undecorated(fields: "pa.Array[Any]") -> "pa.Array[Any]":
    is_decorated = pc.match_substring_regex(fields, "[( ]")
    return pc.replace_substring_regex(fields, _DECORATION, "") if pc.any(is_decorated).as_py() else fields


def _sure(lists: "pa.ListArray[Any]", edition: str) -> NDArray[np.bool_]:
    """Return which lists of plain symbols contain only known classes and no symbol twice."""
    if not len(lists):
        return np.zeros(0, np.bool_)
    symbols = lists.flatten()
    classes = pc.utf8_slice_codeunits(symbols, 0, 3)
    is_known = np.array(pc.is_in(classes, pa.array(all_classes(edition))))
    offsets = np.array(lists.offsets)
    is_sure: NDArray[np.bool_] = np.logical_and.reduceat(is_known, offsets[:-1])
    encoded = symbols.dictionary_encode()
    owners = np.repeat(np.arange(len(lists)), np.diff(offsets))
    pairs, counts = np.unique(owners * len(encoded.dictionary) + np.array(encoded.indices), return_counts=True)
    is_sure[pairs[counts > 1] // len(encoded.dictionary)] = False
    return is_sure


def _cut(lists: "pa.ListArray[Any]") -> "dict[str, pa.Array[Any]]":
    """Return the columns of lists of plain symbols; the first symbol of each list is the main symbol."""
    symbols, offsets = lists.flatten(), np.array(lists.offsets)
    is_main = np.zeros(len(symbols), np.bool_)
    is_main[offsets[:-1]] = True
    main = symbols.filter(pa.array(is_main))
    further = symbols.filter(pa.array(~is_main))
    is_main_group = pc.ends_with(main, "/00")
    columns = (
        pc.utf8_slice_codeunits(main, 0, 1),
        pc.utf8_slice_codeunits(main, 0, 3),
        pc.utf8_slice_codeunits(main, 0, 4),
        pc.replace_substring_regex(main, "/.*", "/00"),
        pc.if_else(is_main_group, pa.scalar(None, pa.string()), main),
        _lists(offsets - np.arange(len(offsets)), further),
        _lists(np.zeros(len(offsets)), further.slice(0, 0)),
    )
    return dict(zip(LABELS, columns, strict=True))


def _lists(offsets: NDArray[Any], values: "pa.Array[Any]") -> "pa.Array[Any]":
    ends: Any = pa.array(offsets.astype(np.int32))  # the type stubs treat any NumPy array as boolean
    return pa.ListArray.from_arrays(ends, values)


def _read(field: str, edition: str, min_symbol: str) -> tuple[object, ...] | Unusable:
    """Return the values of one field in the order of :data:`LABELS`, or the reason why it is unusable."""
    return (_read_cached if len(field) <= _CACHED else _read_anew)(field, edition, min_symbol)


def _read_anew(field: str, edition: str, min_symbol: str) -> tuple[object, ...] | Unusable:
    try:
        symbols = parse_symbols(field, edition, min_symbol)
    except SymbolError as error:
        return Unusable(error.reason, error.value)
    main = symbols.main
    further, skipped = tuple(map(str, symbols.further)), tuple(symbol.value for symbol in symbols.skipped)
    return main.section, main.ipc_class, main.subclass, main.main_group, main.subgroup, further, skipped


_read_cached = functools.lru_cache(maxsize=_CACHE)(_read_anew)
