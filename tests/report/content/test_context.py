"""The words of tables: complete in both languages, all of them used; and how numbers are printed."""

import json
import re
from pathlib import Path
from string import Formatter

import pytest

import patent_hier
from patent_hier.data.splits import PARTS
from patent_hier.evaluation.frequency import BANDS, GROUPS
from patent_hier.evaluation.seeds import Spread, as_score
from patent_hier.report.content.context import joined, seeds_of
from patent_hier.report.scores import LEAKAGE_COLUMNS
from patent_hier.report.tables import interval, mean_and_sd, percent, with_interval
from patent_hier.taxonomy.symbols import IPC_LEVELS

PACKAGE = Path(patent_hier.__file__).parent
WORDS = json.loads((PACKAGE / "resources" / "report_words.json").read_text("utf-8"))


def facts(text):
    return sorted({name for _, name, _, _ in Formatter().parse(text) if name})


@pytest.mark.parametrize("key", WORDS)
def test_every_word_has_both_languages_with_the_same_facts(key):
    en, zh = WORDS[key]
    assert en.strip() == en != ""
    assert facts(en) == facts(zh)
    assert en.isascii()
    assert re.search(r"[\u4e00-\u9fff]", zh) or key in ("tests_p", "tests_p_holm", "layers_n", "sets_ndcg_5")


def test_every_word_is_used():
    sources = "".join(path.read_text("utf-8") for path in (PACKAGE / "report").rglob("*.py")).replace("'", '"')
    ends = {f"leakage_{column}" for column in LEAKAGE_COLUMNS} | {f"{name}_paper" for name in WORDS}
    ends |= (
        {f"level_{name}" for name in IPC_LEVELS}
        | {f"part_{name}" for name in PARTS}
        | {f"group_{name}" for name in GROUPS}
        | {f"band_{name}" for name in BANDS}
        | {f"figure_drift_{name}" for name in ("characters", "bigrams", "latin", "length", "confidence", "labels")}
    )
    for key in WORDS:
        beginning, _, end = key.partition("_")
        whole = f'"{key}"' in sources
        assert whole or key in ends or (f'f"{beginning}_{{' in sources and f'"{end}"' in sources), key


def test_an_unknown_word_and_a_missing_fact_are_errors(contexts):
    with pytest.raises(KeyError, match="nonsense"):
        contexts["en"].word("nonsense")
    with pytest.raises(KeyError, match="model"):
        contexts["en"].word("row_paper")
    assert contexts["en"].word("row_paper", model="{x} `y`") == "{x} `y` (paper)"
    assert contexts["zh"].word("row_paper", model="CNN") == "CNN（论文）"


def test_numbers_as_printed():
    one = Spread((0.8034,), 0.8034, None, 200, 9, (0.77049, 0.83351))
    two = Spread((0.8, 0.81), 0.805, 0.00707, 200, 9, (0.77, 0.84))
    assert (percent(0.12345), percent(None)) == ("12.3", "–")
    assert (mean_and_sd(one), mean_and_sd(two)) == ("80.3", "80.5 ± 0.7")
    assert (interval(as_score(one)), with_interval(two), with_interval(None)) == (
        "77.0–83.4",
        "80.5 ± 0.7\n(77.0–84.0)",
        "–",
    )
    assert (seeds_of({3: None, 1: None}), seeds_of([-1]), joined([2, None, 1, 2])) == ("1, 3", "–", "1, 2")


def test_facts_of_the_corpus(context):
    assert len(context.systems[0].first.document_ids) == (context.documents["part"] == 3).sum() == 100
    assert context.pen.names["A"] == "Daily life and health"
    assert set(context.pen.names) == set("ABCDEFGH") | set(context.documents["class"])
