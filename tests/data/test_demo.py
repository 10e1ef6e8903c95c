import csv
import io
import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from patent_hier.data import demo_text
from patent_hier.data.demo import DemoTruth, write_demo_csv
from patent_hier.data.demo_rows import ABSTRACT, COLUMNS, DEFECTS, STATUS, SYMBOLS
from patent_hier.errors import ConfigError
from patent_hier.taxonomy.symbols import CLASSES_2017, Level, SymbolError, parse_symbols

TABLE_1_ORDER = "BGAHFCED"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, DemoTruth]:
    path = tmp_path_factory.mktemp("demo") / "demo.csv"
    truth = write_demo_csv(path)
    return path.read_bytes(), truth


@pytest.fixture(scope="module")
def documents(written: tuple[bytes, DemoTruth]) -> list[list[str]]:
    return [row for row in well_formed(written[0]) if row[ABSTRACT].strip() and label(row)]


def well_formed(raw: bytes) -> list[list[str]]:
    """Distinct rows of 16 fields, read by the standard library after setting aside what would upset it."""
    text = re.sub(r"^[^\n]*,\"[^\",\n]*,[^\"\n]*\r\n", "", raw.decode("gb18030", "replace"), flags=re.MULTILINE)
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    whole = [tuple(row) for row in rows if len(row) == len(COLUMNS) and not re.search("[\0\ufffd]", "".join(row))]
    return [list(row) for row in dict.fromkeys(whole)]


def label(row: list[str]) -> str | None:
    try:
        return parse_symbols(row[SYMBOLS], edition="2017", min_level="group").main.ipc_class
    except SymbolError:
        return None


def test_equal_settings_give_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_demo_csv(tmp_path / name, rows=400, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_rows_of_several_texts_are_longer_and_nothing_else(tmp_path: Path) -> None:
    one, two = (write_demo_csv(tmp_path / str(texts), rows=400, texts=texts) for texts in (1, 2))
    assert one == two
    sizes = [(tmp_path / str(texts)).stat().st_size / one.rows for texts in (1, 2)]
    assert 150 < sizes[1] - sizes[0] < 300  # bytes


def test_truth_agrees_with_an_independent_reading(written: tuple[bytes, DemoTruth], documents: list[list[str]]) -> None:
    truth = written[1]
    assert len(documents) == truth.kept == 6000
    assert Counter(label(row) for row in documents) == truth.classes
    assert truth.rows == truth.kept + truth.duplicates + sum(truth.rejects.values())
    designs = [row for row in well_formed(written[0]) if row[-2] == "外观设计"]
    assert len(designs) == truth.rejects["locarno_design"]
    assert all(not row[ABSTRACT] and re.fullmatch(r"\d\d-\d\d.*", row[SYMBOLS]) for row in designs)


def test_duplicate_rows_follow_their_original(written: tuple[bytes, DemoTruth]) -> None:
    lines = written[0].split(b"\r\n")
    repeated = sum(line == before and line != b"" for before, line in pairwise(lines))
    assert repeated == written[1].duplicates == 60


def test_sections_keep_the_order_of_table_1_and_classes_their_floor(written: tuple[bytes, DemoTruth]) -> None:
    truth = written[1]
    sections = Counter(code[0] for code in truth.classes.elements())
    assert "".join(section for section, _ in sections.most_common()) == TABLE_1_ORDER
    assert sections["D"] >= 500
    assert sorted(truth.classes) == sorted(CLASSES_2017)
    assert min(truth.classes.values()) >= 30


@pytest.mark.parametrize("rows", [300, 1234])
def test_small_corpora_cover_every_class_and_every_defect(tmp_path: Path, rows: int) -> None:
    truth = write_demo_csv(tmp_path / "demo.csv", rows=rows)
    assert truth.kept == rows
    assert len(truth.classes) == 130
    assert set(truth.defects) == {defect.value for defect in DEFECTS}


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rows=129"):
        write_demo_csv(tmp_path / "demo.csv", rows=129)
    assert not (tmp_path / "demo.csv").exists()


def test_every_kind_of_broken_row_is_there(written: tuple[bytes, DemoTruth]) -> None:
    raw, truth = written
    assert all(truth.defects[defect.value] >= 5 for defect in DEFECTS)
    lines = raw.split(b"\r\n")[1:-1]
    assert sum(b"\xff\xfe" in line for line in lines) == truth.defects["undecodable"]
    assert sum(b"\0" in line for line in lines) == truth.defects["nul_byte"]
    assert sum(line.count(b'"') == 1 for line in lines) == truth.defects["unclosed_quote"]
    plain = [line for line in lines if b'"' not in line]
    short = sum(line.count(b",") < len(COLUMNS) - 1 for line in plain)
    assert short == truth.defects["short_row"] + 2 * truth.defects["raw_line_break"] == truth.rejects["too_few_fields"]
    assert sum(line.count(b",") > len(COLUMNS) - 1 for line in plain) == truth.defects["long_row"]
    rows = [row for row in well_formed(raw) if row[-2] != "外观设计"]
    assert sum(not row[ABSTRACT].strip() for row in rows) == truth.defects["empty_abstract"]
    unusable = sum(label(row) is None for row in rows)
    assert unusable == sum(truth.defects[name] for name in ("empty_symbol", "malformed_symbol", "unknown_class"))


def test_odd_but_valid_spellings_and_fields_are_there(documents: list[list[str]]) -> None:
    mains = [row[SYMBOLS].split(";")[0] for row in documents]
    for odd in (
        r"[Ａ-Ｈ].*",
        r"[a-h]\d\d.*",
        r".*\(2006\.01\)I",
        r"[A-H]\d\d[A-Z]\d{10}",
        r".*  ",
        r"[A-H]\d\d[A-Z] \d.*",
    ):
        assert sum(re.fullmatch(odd, main) is not None for main in mains) >= 10, odd
    assert sum(";" in row[SYMBOLS] for row in documents) > 1000
    for special in ('"', ",", "\n", "𣲗"):
        assert sum(special in row[ABSTRACT] for row in documents) >= 30, special
    assert all(parse_symbols(row[SYMBOLS]).main.depth in (Level.MAIN_GROUP, Level.SUBGROUP) for row in documents)


def test_metadata_fit_together(documents: list[list[str]]) -> None:
    for column in ("申请号", "公开号"):
        numbers = [row[COLUMNS.index(column)] for row in documents]
        assert len(set(numbers)) == len(numbers)
    kinds = {(row[2][-1], row[-2], row[-1]) for row in documents}
    assert kinds == {(letter, *STATUS[letter]) for letter in "ABU"}
    assert all(re.fullmatch(r"CN\d{9}[ABU]", row[2]) for row in documents)
    assert all("2016.01.01" < row[1] < row[3] <= "2017.12.31" for row in documents)
    largest = Counter(row[7] for row in documents if row[7] != "个人").most_common(1)[0][1]
    assert largest >= 10


def test_twins_share_applicant_and_day(written: tuple[bytes, DemoTruth], documents: list[list[str]]) -> None:
    def key(row: list[str]) -> tuple[str, ...]:
        return row[1], row[4], row[7], row[8], row[ABSTRACT].replace("实用新型", "发明")

    pairs: dict[tuple[str, ...], list[str]] = {}
    for row in documents:
        pairs.setdefault(key(row), []).append(row[2][-1])
    twins = [kinds for kinds in pairs.values() if len(kinds) > 1]
    assert len(twins) == written[1].twins == 90
    assert all(kinds == ["A", "U"] for kinds in twins)


def test_abstracts_read_like_abstracts(documents: list[list[str]]) -> None:
    abstracts = [row[ABSTRACT] for row in documents]
    assert 95 <= sum(map(len, abstracts)) / len(abstracts) <= 125
    assert max(map(len, abstracts)) <= 200
    assert all(text.endswith("。") for text in abstracts)
    assert not any(re.search(r"%\(|\{|\}|，。|，，|；。", text) for text in abstracts)
    assert all(len(row[4]) <= 40 and row[4].startswith("一种") for row in documents)


def test_lexicon_has_terms_of_its_own_for_every_class() -> None:
    topics = demo_text.read_topics()
    assert [topic.code for topic in topics] == list(CLASSES_2017)
    assert all(len(set(topic.terms)) == len(topic.terms) >= 12 for topic in topics)
    owned = Counter(term for topic in topics for term in topic.terms)
    assert max(owned.values()) == 1
    common = {term for topic in topics for term in (*topic.shared, *(term for term, _ in topic.ambiguous))}
    assert not common & owned.keys()
    assert all(topic.shared and len(topic.near) >= 2 and topic.code not in topic.near for topic in topics)
    assert {near for topic in topics for near in topic.near} <= set(CLASSES_2017)


def test_ambiguous_terms_are_told_apart_by_their_field_of_use_only() -> None:
    senses = [(term, context, topic.code) for topic in demo_text.read_topics() for term, context in topic.ambiguous]
    assert len({(term, context) for term, context, _ in senses}) == len(senses)
    for place in (0, 1):
        for word in {sense[place] for sense in senses}:
            assert len({sense[2] for sense in senses if sense[place] == word}) >= 2, word


def test_linear_model_finds_sections_but_not_all(documents: list[list[str]]) -> None:
    rows = documents.copy()
    random.Random(0).shuffle(rows)
    texts, sections = [row[ABSTRACT] for row in rows], [str(label(row))[0] for row in rows]
    cut = len(rows) // 10
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2)
    model = LinearSVC().fit(vectorizer.fit_transform(texts[cut:]), sections[cut:])
    accuracy = model.score(vectorizer.transform(texts[:cut]), sections[:cut])
    assert 0.75 <= accuracy <= 0.91
