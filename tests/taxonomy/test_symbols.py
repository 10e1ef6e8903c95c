import itertools
import pickle
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import ConfigError, DataError
from patent_hier.taxonomy import symbols as ipc
from patent_hier.taxonomy.symbols import IpcSymbol, Level, RejectReason, SkippedSymbol, SymbolError, parse_symbols

MOWER = IpcSymbol("A01", "D", 42, "04")


def reason_of(text: str, **settings: str) -> RejectReason:
    with pytest.raises(SymbolError) as caught:
        IpcSymbol.parse(text, **settings)
    assert caught.value.value == text
    assert "\n" not in str(caught.value)
    return caught.value.reason


# --- classes and editions


def test_edition_2017_is_the_papers() -> None:
    counts = Counter(code[0] for code in ipc.all_classes("2017"))
    assert counts == {"A": 16, "B": 38, "C": 21, "D": 9, "E": 8, "F": 18, "G": 14, "H": 6}
    assert len(set(ipc.CLASSES_2017)) == len(ipc.CLASSES_2017) == 130
    assert list(ipc.CLASSES_2017) == sorted(ipc.CLASSES_2017)
    section_d = [code for code in ipc.all_classes("2017") if code[0] == "D"]
    assert section_d == ["D01", "D02", "D03", "D04", "D05", "D06", "D07", "D21", "D99"]
    assert {section + "99" for section in ipc.SECTIONS} < set(ipc.CLASSES_2017)


def test_latest_edition_adds_two_classes() -> None:
    assert set(ipc.all_classes()) - set(ipc.CLASSES_2017) == {"G16", "H10"}
    assert len(ipc.all_classes()) == 132
    assert ipc.all_classes()[-7:] == ("H01", "H02", "H03", "H04", "H05", "H10", "H99")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ipc.all_classes("2016"), "'2016'"),
        (lambda: IpcSymbol.parse("A01", edition="8"), "'8'"),
        (lambda: parse_symbols("A01", min_level="section"), "'section'"),
    ],
)
def test_unknown_settings_are_named(call, named) -> None:
    with pytest.raises(ConfigError, match=named):
        call()


# --- one symbol


SPELLINGS = (
    *("A01D42/04", "A01D 42/04", "A01D  42/04", "A01D0042/04", "A01D0042040000", "A01D42/040000", "a01d42/04"),
    *("  A01D42/04 \t", "A01D42/04(2006.01)I", "A01D42/04(2006.01)n", "A01D42/04 (2006.01)", "A01D 42/04 (2006.01) A"),
    *(
        "A01D42/04(2006.01)AI",
        "A01D42/04（2006.01）I",
        "Ａ０１Ｄ４２／０４",
        "ａ０１ｄ\u3000４２／０４（２００６．０１）ｉ",
    ),
    *("\u2002A01D42/04(2006.01)I\u00a0", "A01D\u00a042/04", "\ufeffA01D42/04"),
)


@pytest.mark.parametrize("text", SPELLINGS)
def test_spellings_of_one_subgroup(text: str) -> None:
    assert IpcSymbol.parse(text) == MOWER


def test_levels_are_full_codes() -> None:
    levels = [MOWER.section, MOWER.ipc_class, MOWER.subclass, MOWER.main_group, MOWER.subgroup]
    assert levels == ["A", "A01", "A01D", "A01D42/00", "A01D42/04"]
    assert MOWER.depth is Level.SUBGROUP


@pytest.mark.parametrize(
    ("text", "spelled", "depth"),
    [
        ("A01D0042000000", "A01D42/00", Level.MAIN_GROUP),
        ("A01D42/00", "A01D42/00", Level.MAIN_GROUP),
        ("A01B", "A01B", Level.SUBCLASS),
        ("Ａ０１ ", "A01", Level.CLASS),
        ("A61K0031100000", "A61K31/10", Level.SUBGROUP),  # the second digit stays, zero or not
        ("H01L21/02002", "H01L21/02002", Level.SUBGROUP),
        ("B29K2105/00", "B29K2105/00", Level.MAIN_GROUP),
    ],
)
def test_depth(text: str, spelled: str, depth: Level) -> None:
    symbol = IpcSymbol.parse(text)
    assert str(symbol) == spelled
    assert symbol.depth is depth
    assert (symbol.subclass is None) == (depth is Level.CLASS)
    assert (symbol.main_group is None) == (depth in (Level.CLASS, Level.SUBCLASS))
    assert (symbol.subgroup is None) == (depth is not Level.SUBGROUP)


def test_order_is_the_schemes() -> None:
    in_order = ["A01", "A01B", "A01D", "A01D9/00", "A01D42/00", "A01D42/02", "A01D42/025", "A01D42/03", "A21"]
    assert [str(symbol) for symbol in sorted(map(IpcSymbol.parse, reversed(in_order)))] == in_order


REJECTED = {
    RejectReason.EMPTY: ["", " \u3000"],
    RejectReason.INCOMPLETE: ["A"],
    RejectReason.LOCARNO: ["06-01", "01-01 (12)  ", "06-01(11)", "０６－０１（１１）", "LOC(12)Cl.06-01"],
    RejectReason.UNKNOWN_CLASS: ["Y02E10/50", "A02B1/00"],  # CPC only
    RejectReason.MALFORMED: [
        "0601",  # four digits may be anything, a damaged number for one
        *("45-01", "6-1"),  # Locarno ends at class 32
        *("Y", "A1D42/04"),
        *("A01D42", "A01D42/"),  # may be any subgroup, cut off at the slash
        "A01D42/4",  # may be 42/04 or 42/40
        "G01N23/2000",  # 23/20008, cut off
        *("A01D42/0000004", "A01D00042/04", "A01D0/04", "A01D0000040000"),
        *("A01D42-04", "A01D42/04,06"),  # in a list of symbols a dash is a range (42/00 to 42/04), not one symbol
        *("A01D42/04;", "A01D42/04\x00", "A01D42/04(2006.01"),  # a field, not a symbol: see parse_symbols
        *("A⓪①", "A٠١"),  # other scripts' digits are no digits here
        *("2.0193E+12", "发明专利"),
    ],
}


@pytest.mark.parametrize(("text", "reason"), [(text, reason) for reason, own in REJECTED.items() for text in own])
def test_rejects(text: str, reason: RejectReason) -> None:
    assert reason_of(text) is reason


@pytest.mark.parametrize(
    ("text", "shallowest"), [("A01", "class"), ("A01D", "subclass"), ("A01D42/00", "group"), ("A01D42/04", "group")]
)
def test_min_level(text: str, shallowest: str) -> None:
    allowed = ipc.MIN_LEVELS[: ipc.MIN_LEVELS.index(shallowest) + 1]
    for level in ipc.MIN_LEVELS:
        if level in allowed:
            assert str(IpcSymbol.parse(text, min_level=level)) == text
        else:
            assert reason_of(text, min_level=level) is RejectReason.INCOMPLETE


def test_class_of_a_later_edition() -> None:
    assert IpcSymbol.parse("G16H50/20", edition="latest").ipc_class == "G16"
    with pytest.raises(SymbolError, match="edition 'latest' has this class") as caught:
        IpcSymbol.parse("ｇ16H50/20", edition="2017")
    assert caught.value.reason is RejectReason.UNKNOWN_CLASS
    with pytest.raises(SymbolError, match="the edition is 'latest'"):
        IpcSymbol.parse("Y02E10/50")


def test_error_is_one_short_line_and_survives_pickling() -> None:
    error = SymbolError(RejectReason.MALFORMED, "x\n" * 500, "look")
    assert len(str(error)) < 200
    assert "\n" not in str(error)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.reason, copy.value, str(copy)) == (error.reason, error.value, str(error))
    assert isinstance(error, DataError)


def test_reasons_have_words_and_are_found_by_value() -> None:
    assert all(reason.description for reason in RejectReason)
    assert RejectReason("locarno_design") is RejectReason.LOCARNO


# --- a whole field


def test_field_of_a_real_gazette() -> None:
    field = parse_symbols("H04W8/26(2009.01)I;\u2002H04W84/12(2009.01)I;  ")
    assert str(field.main) == "H04W8/26"
    assert [str(symbol) for symbol in field.further] == ["H04W84/12"]
    assert field.skipped == ()


@pytest.mark.parametrize("separator", [";", "；", "|", "｜", "\n", "\r\n", " ; ", ";;"])
def test_separators(separator: str) -> None:
    field = parse_symbols(separator.join(["A01D42/04", "B33Y10/00", "C12N"]))
    assert [str(symbol) for symbol in (field.main, *field.further)] == ["A01D42/04", "B33Y10/00", "C12N"]


def test_further_symbols_are_counted_once() -> None:
    field = parse_symbols("A01D42/04;B33Y10/00;a01d 42/04;B33Y 10/00(2015.01)I;A01B")
    assert [str(symbol) for symbol in field.further] == ["B33Y10/00", "A01B"]


def test_bad_further_symbols_are_returned() -> None:
    field = parse_symbols("A01D42/04;Y02E 10/50;B33Y10/00;ｘ;G16H50/20;A", edition="2017")
    assert [str(symbol) for symbol in field.further] == ["B33Y10/00"]
    unknown = [SkippedSymbol(text, RejectReason.UNKNOWN_CLASS) for text in ("Y02E 10/50", "G16H50/20")]
    malformed, incomplete = SkippedSymbol("ｘ", RejectReason.MALFORMED), SkippedSymbol("A", RejectReason.INCOMPLETE)
    assert field.skipped == (unknown[0], malformed, unknown[1], incomplete)


def test_further_symbols_must_be_as_deep_as_the_main_one() -> None:
    field = parse_symbols("A01D42/04;B33Y;C12N1/00;A21", min_level="group")
    assert [str(symbol) for symbol in field.further] == ["C12N1/00"]
    assert field.skipped == tuple(SkippedSymbol(text, RejectReason.INCOMPLETE) for text in ("B33Y", "A21"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" ;； ", RejectReason.EMPTY),
        ("06-01 (12);06-02 (12)", RejectReason.LOCARNO),
        ("Y02E10/50;A01D42/04", RejectReason.UNKNOWN_CLASS),  # a further symbol never becomes the label
        ("A;A01D42/04", RejectReason.INCOMPLETE),
    ],
)
def test_field_without_main_symbol(text: str, reason: RejectReason) -> None:
    with pytest.raises(SymbolError) as caught:
        parse_symbols(text)
    assert caught.value.reason is reason


# How databases export a field of the symbols C08L5/08 and A61K9/16.
EXPORTED = (
    *("C08L5/08, A61K9/16", "C08L5/08，A61K9/16", "C08L5/08、A61K9/16;", "C08L 5/08 | A61K 9/16", "C08L5/08//A61K9/16"),
    *("C08L-005/08; A61K-009/16", "C08L‐005/08, A61K‐009/16", "C08L0005/08;A61K0009/16", "C08L 005/08 A61K 009/16"),
    *('["C08L5/08", "A61K9/16"]', "['C08L5/08','A61K9/16']", "[C08L5/08, A61K9/16]", '="C08L5/08;A61K9/16"'),
    *("[1] C08L5/08 [2] A61K9/16", "【1】C08L5/08【2】A61K9/16", "1. C08L5/08; 2. A61K9/16", "(1)C08L5/08 (2)A61K9/16"),
    *(
        "Int.Cl. C08L5/08 (2006.01) A61K 9/16 (2006.01)",
        "(51)Int.Cl.7: C08L5/08; A61K9/16",
        "Int. Cl.⁸ C08L5/08,A61K9/16",
    ),
    *(
        "IPC: C08L5/08; IPC: A61K9/16",
        "IPC(8)：C08L5/08；A61K9/16",
        "IPC分类号：C08L5/08，A61K9/16",
        "主分类号:C08L5/08;A61K9/16",
    ),
    *("C08L5/08(2006.01)I A61K9/16(2006.01)N", "C08L5/08(2006.01)IA61K9/16(2006.01)N", "C08L5/08 [2006.01], A61K9/16"),
    "C08L   5/08        20060101AFI20051220RMJP        A61K   9/16        20060101ALI20051220RMJP",
    *(
        "C08L000508000020060101AFI20060101BHCN;A61K0009160000 20060101ALN",
        "C08L5/08 20060101 A F I 20051008 R M EP|A61K9/16",
    ),
    *("C08L5/08_x000D_\nA61K9/16", "C08L5/08<br>A61K9/16", "C08L5/08<br/>A61K9/16<BR>", "C08L5/08&nbsp;; A61K9/16"),
    *(
        "C08L5/08 (几丁质；C08L7/00 优先); A61K9/16",
        "C08L5/08[几丁质],A61K9/16",
        "C08L5/08：几丁质;A61K9/16 - granules",
    ),
    *("Ｃ０８Ｌ５／０８，Ａ６１Ｋ９／１６", "c08l5/08, a61k9/16", "C08L5/08*; A61K9/16(I)", "C08L5∕08; A61K9⁄16"),
    '[{"code": "C08L5/08"}, {"code": "A61K9/16"}]',
)


@pytest.mark.parametrize("text", EXPORTED)
def test_fields_of_databases(text: str) -> None:
    field = parse_symbols(text, min_level="group")
    assert [str(symbol) for symbol in (field.main, *field.further)] == ["C08L5/08", "A61K9/16"]
    assert field.skipped == ()


@pytest.mark.parametrize(
    "text", ["C08L5/08-7/00", "C08L5/08 to C08L7/00", "见 C08L5/08", "C08L5-08", "C08L.5/08", "C08L508", "A, C08L5/08"]
)
def test_what_may_mean_several_symbols_is_refused(text: str) -> None:
    with pytest.raises(SymbolError) as caught:
        parse_symbols(text)
    assert (caught.value.reason, caught.value.value) == (RejectReason.MALFORMED, text)


def test_an_explanation_gives_no_symbols_and_strays_are_told() -> None:
    field = parse_symbols("C08L5/08 参见 A61K9/16, 9/20, Y02A1/00")
    assert (str(field.main), field.further) == ("C08L5/08", ())
    assert [(one.value, one.reason) for one in field.skipped] == [
        ("9/20", RejectReason.MALFORMED), ("Y02A1/00", RejectReason.UNKNOWN_CLASS),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['["14-02"]', "14-02, 14-03", '="14-02"', "14-02 (11)、14-03"])
def test_designs_are_known_in_lists(text: str) -> None:
    with pytest.raises(SymbolError) as caught:
        parse_symbols(text)
    assert caught.value.reason is RejectReason.LOCARNO


# --- properties

PARTS = (st.sampled_from(ipc.all_classes()), st.sampled_from("BCDFGHKLMNPQ"), st.integers(1, 9999))
SUB_DIGITS = st.from_regex(r"[0-9]{2}|[0-9]{2,5}[1-9]", fullmatch=True)
SYMBOLS = st.one_of(st.builds(IpcSymbol, *parts) for parts in (PARTS[:1], PARTS[:2], (*PARTS, SUB_DIGITS)))
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


@st.composite
def spelled(draw: st.DrawFn) -> tuple[IpcSymbol, str]:
    symbol = draw(SYMBOLS)
    text = symbol.ipc_class + symbol.subclass_letter
    if symbol.main_number:
        padded = f"{text}{symbol.main_number:>4}/{symbol.sub_digits}"
        fixed = f"{text}{symbol.main_number:04}{symbol.sub_digits:0<6}"
        text = draw(st.sampled_from([str(symbol), padded, fixed, f"{text} {symbol.main_number}/{symbol.sub_digits}"]))
        text += draw(st.sampled_from(["", "(2006.01)", " (2006.01)", "(2023.01)I", "（2009.01）N", "(2006.01) a"]))
    text = draw(st.sampled_from([str, str.lower, lambda text: text.translate(FULL_WIDTH)]))(text)
    blanks = st.text(alphabet=" \t\u00a0\u2002\u3000", max_size=2)
    return symbol, draw(blanks) + text + draw(blanks)


@given(spelled())
def test_every_spelling_is_read_alike(case: tuple[IpcSymbol, str]) -> None:
    symbol, text = case
    assert IpcSymbol.parse(text) == symbol


@given(SYMBOLS)
def test_levels_are_prefixes_of_one_another(symbol: IpcSymbol) -> None:
    codes = [symbol.section, symbol.ipc_class, symbol.subclass, symbol.main_group, symbol.subgroup]
    present = [code for code in codes if code is not None]
    assert codes[: len(present)] == present
    stems = [code.removesuffix("/00") if level == 3 else code for level, code in enumerate(present)]
    assert all(lower.startswith(upper) for upper, lower in itertools.pairwise(stems))
    assert str(symbol) == present[-1]
    assert symbol.depth is list(Level)[len(present) - 1]


@given(st.lists(spelled(), min_size=1, max_size=5), st.sampled_from([";", "；", "|", "\n"]))
def test_field_keeps_every_symbol(cases: list[tuple[IpcSymbol, str]], separator: str) -> None:
    symbols = [symbol for symbol, _ in cases]
    field = parse_symbols(separator.join(text for _, text in cases))
    assert [field.main, *field.further] == list(dict.fromkeys(symbols))
    assert field.skipped == ()


NOISE = st.one_of(st.text(), st.text(alphabet="ABHYZ019/-;| ()．１Ａ；\n\x00I", max_size=24))


@given(NOISE, st.sampled_from(ipc.EDITIONS), st.sampled_from(ipc.MIN_LEVELS))
def test_noise_raises_nothing_but_symbol_errors(text: str, edition: str, level: str) -> None:
    for read in (IpcSymbol.parse, parse_symbols):
        outcome: object
        try:
            outcome = read(text, edition, level)
        except SymbolError as error:
            outcome = str(error)
        if isinstance(outcome, str):
            assert len(outcome.splitlines()) == 1
        else:
            symbol = getattr(outcome, "main", outcome)
            assert IpcSymbol.parse(str(symbol), edition, level) == symbol


def test_import_leaves_the_heavy_modules_alone() -> None:
    slow = {"csv", "lzma", "numpy", "pandas", "torch"}
    code = f"import sys, patent_hier.taxonomy.symbols; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
