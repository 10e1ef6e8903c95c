"""From the fields of symbols of many rows to the columns that they give.

:mod:`patent_hier.taxonomy.symbols` decides what a field means. Most fields spell whole symbols plainly, and these are
cut up together; every other field is asked for by itself.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.taxonomy.symbols import RejectReason, SymbolError, all_classes, parse_symbols

LABELS = ("section", "ipc_class", "subclass", "main_group", "subgroup", "further_symbols", "skipped_symbols")

# Symbols as the scheme writes them, perhaps with the version and its letters, and blanks that mean nothing. Of the
# spellings that `parse_symbols` knows these are the common ones; all of them go down to a group.
_SYMBOL = r"[A-H][0-9]{2}[A-Z][1-9][0-9]{0,3}/(?:[0-9]{2}|[0-9]{2,4}[1-9])(?:\([0-9]{4}\.[0-9]{2}\)[ACIN]{0,3})?"
_PLAIN = f"^{_SYMBOL}(?:; *{_SYMBOL})* *$"
_DECORATION = r"\([0-9.]*\)[ACIN]*| "
# Spellings that come to these by rules: Derwent's F23G-005/46 and other zeros before a main group; other separators.
_MAIN_GROUP = r"([A-H][0-9]{2}[A-Z])[- ]?(?:0([1-9][0-9]{0,2})|00([1-9][0-9]?)|000([1-9])|([1-9][0-9]{0,3}))/"
_SEPARATOR = r"[ \x{2002}\"']*[;,|\r\n\x{FF0C}\x{FF1B}\x{3001}\x{FF5C}][ \x{2002}\"']*"
_AROUND = "; =[]\"'"  # of lists in JSON and formulas
_CACHE = 1 << 12  # designs recur, and so do odd spellings
_CACHED = 64  # characters; longer fields are kept by no cache, or it would grow with the file
_LISTS = pa.list_(pa.string())
_TYPES = dict(zip(LABELS, [pa.string()] * 5 + [_LISTS] * 2, strict=True))


class Unusable(NamedTuple):
    """Why a field has no main symbol, and the text that is to blame."""

    reason: RejectReason
    value: str


class SymbolColumns(NamedTuple):
    """Columns read from fields of symbols, and why some fields give none.

    Attributes:
        usable: Places of the fields with a main symbol, ascending.
        columns: By the names in :data:`LABELS`, a value for each of these.
        unusable: Why the others have none, by place.
    """

    usable: NDArray[np.int64]
    columns: "dict[str, pa.Array[Any]]"
    unusable: dict[int, Unusable]


def symbol_columns(fields: "pa.Array[Any]", edition: str, min_symbol: str) -> SymbolColumns:
    """Read ``(n,)`` fields as :func:`patent_hier.taxonomy.symbols.parse_symbols` does; arguments as there."""
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
    """The fields, those of the odd ones that become plain by simple rules as they are then."""
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
    """Which lists of plain symbols hold known classes only, and no symbol twice."""
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
    """The columns of lists of plain symbols, of which the first is the main one."""
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
    ends: Any = pa.array(offsets.astype(np.int32))  # the stubs take any array from NumPy for one of booleans
    return pa.ListArray.from_arrays(ends, values)


def _read(field: str, edition: str, min_symbol: str) -> tuple[object, ...] | Unusable:
    """The values for one field, in the order of :data:`LABELS`."""
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
