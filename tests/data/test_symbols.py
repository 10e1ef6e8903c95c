import operator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.symbols import LABELS, _read_cached, symbol_columns
from patent_hier.taxonomy.symbols import EDITIONS, MIN_LEVELS, SymbolError, parse_symbols

plain = st.from_regex(r"[A-I](?:0[1-9]|16|99)[A-D][0-9]{1,4}/[0-9]{2,6}", fullmatch=True)
decorated = st.builds(
    lambda blank, symbol, version, end: blank + symbol + version + end,
    st.sampled_from(["", "", " "]),
    plain,
    st.sampled_from(["", "", "(2006.01)I", "(2009.01)", " (2006.01)IN", "(206.01)I", "(2006.01)X"]),
    st.sampled_from(["", "", "  ", "\n", "\u3000"]),
)
odd = st.sampled_from(
    [
        *(
            "",
            "A01",
            "A01B",
            "a01b1/00",
            "01-01 (12)",
            "A01B0001020000",
            "x",
            "Ａ０１Ｂ１／００",
            "A",
            "A01B 1/02",
            "06",
        ),
        *("A01B-001/02", "A01B0016/02", "A01B-00016/02", "A01B 016/02 (2006.01)", "A01C1/00-3/00", "[1]", '"A01B1/00"'),
    ]
)
around = st.sampled_from(["%s", "%s", "%s", '["%s"]', "['%s']", '="%s"', "%s;"])
fields = st.lists(decorated | odd, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from([";", "; ", "|", ";;", ", ", "、", "\u2002；", " ", '", "', "','"]).map(
        lambda mark: mark.join(parts)
    )
)
fields = st.builds(operator.mod, around, fields)


def test_long_fields_are_kept_by_no_cache() -> None:
    long = [f"参见{number}" + "x" * 1000 for number in range(50)]
    before = _read_cached.cache_info().currsize
    assert len(symbol_columns(pa.array(long), "latest", "group").unusable) == 50
    assert _read_cached.cache_info().currsize == before
    symbol_columns(pa.array([f"外观{before}"]), "latest", "group")
    assert _read_cached.cache_info().currsize == before + 1


@given(st.lists(fields | st.lists(plain, max_size=3).map(";".join), max_size=12), st.sampled_from(EDITIONS))
@pytest.mark.parametrize("level", MIN_LEVELS)
def test_fields_are_read_as_one_by_one(level: str, texts: list[str], edition: str) -> None:
    found = symbol_columns(pa.array(texts, pa.string()), edition, level)
    usable, columns, unusable = [], [], {}
    for place, text in enumerate(texts):
        try:
            symbols = parse_symbols(text, edition, level)
        except SymbolError as error:
            unusable[place] = (error.reason, error.value)
            continue
        usable.append(place)
        main = symbols.main
        lists = list(map(str, symbols.further)), [skipped.value for skipped in symbols.skipped]
        columns.append((main.section, main.ipc_class, main.subclass, main.main_group, main.subgroup, *lists))
    assert found.usable.tolist() == usable
    assert found.unusable == unusable
    assert tuple(found.columns) == LABELS
    assert list(zip(*(found.columns[name].to_pylist() for name in LABELS), strict=True)) == columns
