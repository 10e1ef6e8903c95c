"""The report's words: complete in both languages, all of them used; and how numbers are printed."""

import ast
import json
import re
from pathlib import Path
from string import Formatter

import numpy as np
import pytest

import patent_hier
from patent_hier.errors import ConfigError
from patent_hier.evaluation.seeds import Spread, as_score
from patent_hier.report.content.context import (
    interval,
    mean_and_sd,
    seeds_of,
    with_interval,
)
from patent_hier.report.tables import percent

PACKAGE = Path(patent_hier.__file__).parent
TEXTS = json.loads((PACKAGE / "resources" / "report_text.json").read_text("utf-8"))
# Keys that the code puts together: the beginning, and what may follow. A new ``say(f"…")`` must be added here.
PUT_TOGETHER = {
    "titles_": {"levels", "count", "weight"},
    "part_": {"train", "val", "calibration", "test"},
    "group_": {"head", "middle", "tail", "unseen"},
    "ways_": {"section", "oracle", "product", "class", "routing_loss", "top_3", "macro_f1", "classes_named"},
    "tests_": {"first", "second", "difference", "interval", "only_first", "only_second", "p", "p_holm"},
    "leakage_": {"section", "clean_section", "class", "clean_class", "leaked"},
    "layers_": {"node", "n", "val", "test", "interval", "documents", "classes"},
    "cost_": {"parameters", "seconds", "documents_s", "scored_s", "memory", "threads", "device"},
    "folders_": {"configuration", "nodes", "seeds", "group", "date", "commit", "precision"},
}
# Keys that stand in a variable before they are said.
IN_VARIABLES = {"layers_apart", "layers_alike", "section_model", "flat_model", "hierarchical"}


def said() -> tuple[set[str], set[str]]:
    """Keys of all calls of ``say`` in the report: whole ones, and the beginnings of those that are put together."""
    whole, beginnings = set(), set()
    for path in (PACKAGE / "report").rglob("*.py"):
        if path.name == "build.py" and "pipeline.progress import say" not in path.read_text("utf-8"):
            raise AssertionError("build.py has its own say")
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if function != "say" or (path.name == "build.py" and isinstance(call.func, ast.Name)):
                continue
            match call.args[0]:
                case ast.Constant(value=str(key)):
                    whole.add(key)
                case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]):
                    beginnings.add(start)
                case ast.Name() as name:
                    assert name.id in ("key", "label", "kind"), f"{path.name}: say({name.id})"
                case other:
                    raise AssertionError(f"{path.name}: say({ast.unparse(other)})")
    return whole, beginnings


def placeholders(text: str) -> list[str]:
    return sorted({name for _, name, _, _ in Formatter().parse(text) if name is not None})


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_has_both_languages_with_the_same_facts(key):
    own = TEXTS[key]
    assert set(own) == {"en", "zh"}
    assert all(text.strip() == text and text for text in own.values())
    assert placeholders(own["en"]) == placeholders(own["zh"])
    assert own["en"].count("`") == own["zh"].count("`")
    assert own["en"].isascii() or set(own["en"]) - set(map(chr, range(128))) <= set("–±")


def test_every_text_is_said_and_every_said_text_is_there():
    whole, beginnings = said()
    assert beginnings == set(PUT_TOGETHER)
    put_together = {start + end for start, ends in PUT_TOGETHER.items() for end in ends}
    assert whole | put_together | IN_VARIABLES == set(TEXTS)


def test_keys_in_variables_stand_in_the_sources():
    sources = "".join(path.read_text("utf-8") for path in (PACKAGE / "report" / "content").glob("*.py"))
    for key in IN_VARIABLES:
        assert f'"{key}"' in sources
    for start, ends in PUT_TOGETHER.items():
        for end in ends if start != "part_" and start != "group_" else ():
            assert f'"{end}"' in sources


def test_chinese_texts_are_chinese():
    plain = [key for key, own in TEXTS.items() if not re.search(r"[\u4e00-\u9fff]", own["zh"])]
    assert plain == ["tests_p", "tests_p_holm", "layers_n"]


def test_an_unknown_text_and_a_missing_fact_are_errors(context):
    with pytest.raises(ConfigError, match="no text 'nonsense'"):
        context.say("nonsense")
    with pytest.raises(ConfigError, match="no text 'missing' with 'name'"):
        context.say("missing")


def test_facts_are_put_in_as_they_are(contexts):
    assert contexts["en"].say("row_paper", model="{x} `y`") == "{x} `y` (paper)"
    assert contexts["zh"].say("row_paper", model="CNN") == "CNN（论文）"


def test_numbers_as_printed():
    one = Spread((0.8034,), 0.8034, None, 200, 9, (0.77049, 0.83351))
    two = Spread((0.8, 0.81), 0.805, 0.00707, 200, 9, (0.77, 0.84))
    assert percent(0.12345) == "12.3"
    assert (mean_and_sd(one), mean_and_sd(two)) == ("80.3", "80.5 ± 0.7")
    assert (interval(one), with_interval(two)) == ("77.0–83.4", "80.5 ± 0.7\n(77.0–84.0)")
    score = as_score(one)
    assert (score.value, score.n_documents, score.n_classes_with_support) == (0.8034, 200, 9)
    assert (interval(score), seeds_of({3: None, 1: None})) == ("77.0–83.4", "1, 3")


def test_facts_of_the_corpus(context):
    assert len(context.targets) == int((context.parts == 3).sum()) == 100
    assert sum(context.train_counts.values()) == int((context.parts == 0).sum())
    assert context.names["A"] == "Daily life and health"
    assert set(context.names) == set("ABCDEFGH") | set(np.unique(context.truth.classes))
    assert not context.is_demo
