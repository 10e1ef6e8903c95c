"""``patent-hier report`` as a user meets it: what it makes, what it says of what is missing, what it refuses."""

import json
import re
import shlex
import shutil

import pytest

from tests.commands import Outcome, command
from tests.report.reading import Page, listings, markdown_table
from tests.report.worlds import World, csv_world, world

ABSENT = "–"
WARNING = {"en": "Demo data: not comparable with the paper", "zh": "演示数据：不可与论文比较"}
PAPER_NOTE = {
    "en": "rows are for its own corpus; compare them only with results on that corpus.",
    "zh": "论文各行针对论文自己的语料，只能与该语料上的结果比较。",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> World:
    """A linear model, hierarchical with two seeds, and flat."""
    own = csv_world(
        tmp_path_factory.mktemp("cli-report"), {"A01B1/00": 60, "A23L1/00": 40, "B05B1/00": 60, "D01B1/00": 30}
    )
    own.run("linear", "level=hier", "seed=1,2", "--multirun")
    own.run("linear", "level=flat")
    return own


@pytest.fixture
def copied(place, tmp_path) -> World:
    """The results once more, for a test that changes them."""
    shutil.copytree(place.runs, tmp_path / "runs", ignore=shutil.ignore_patterns("report-*"))
    words = [word for word in place.words if not word.startswith("runs_dir=")]
    return World((*words, f"runs_dir={tmp_path / 'runs'}"), tmp_path / "runs", place.cache)


@pytest.fixture(scope="module")
def whole(place) -> dict[str, object]:
    """The numbers of the report from which nothing was removed."""
    done = place.report()
    assert (done.status, done.err) == (0, ""), done
    return numbers(place)


def numbers(own: World):
    return json.loads((own.folder() / "scores.json").read_text("utf-8"))


def texts(own: World) -> dict[str, str]:
    return {"en": text(own, "report.md"), "zh": text(own, "report.zh.md"), "html": text(own, "report.html")}


def text(own: World, name: str) -> str:
    return (own.folder() / name).read_text("utf-8")


def retrain(printed: str, own: World) -> Outcome:
    """Run a command as the report printed it; the copied results lie elsewhere than the overrides say."""
    python, script, *words = shlex.split(printed)
    assert (python, script) == ("python", "run.py")
    done = command("run", *words, f"runs_dir={own.runs}")
    assert done.status == 0, done
    return done


# --- what is missing


REMOVED = {
    "a section's node": ("linear", "B", 1, "hier", "B", "linear (seed 1): no result for B"),
    "the root": ("linear", "root", 1, "hier", "root", "linear (seed 1): no result for root"),
    "the flat classifier": ("linear", "flat", 1, "flat", "flat", "linear (seed 1): no result for flat"),
    "a node of the other seed": ("linear", "D", 2, "hier", "D", "linear (seed 2): no result for D"),
}


def remove(own: World, model: str, node: str, seed: int) -> None:
    for folder in (own.runs / model).glob(f"{node}-*"):
        if json.loads((folder / "manifest.json").read_text("utf-8"))["seed"] == seed:
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    "what", [what if what == "a section's node" else pytest.param(what, marks=pytest.mark.slow) for what in REMOVED]
)
def test_what_is_missing_is_said_and_comes_back(what, copied, whole):
    model, node, seed, level, told, row = REMOVED[what]
    remove(copied, model, node, seed)
    done = copied.report()
    assert done.status == 1
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert f"lacks nodes of {model} seed={seed}: {told}; train them with: python run.py " in done.err

    (printed,) = [line for line in listings(copied.folder() / "report.md") if f"model={model} " in line]
    assert printed in done.err
    assert f"level={level}" in printed.split()
    for language, note in (("en", "> **Missing.** "), ("zh", "> **缺失：** ")):
        (line,) = [line for line in texts(copied)[language].splitlines() if line.startswith(f"{note}{model}")]
        assert all(word in line for word in (model, str(seed), told))
        assert printed in listings(copied.folder() / ("report.md" if language == "en" else "report.zh.md"))

    tables = {
        "ways": markdown_table(copied.folder() / "report.md", "Accuracy (%) with"),
        "table 2": markdown_table(copied.folder() / "report.md", "Table 2"),
    }
    for name, rows in tables.items():
        found = [own for own in rows if own[0] == row]
        expected = [] if (name, level) == ("table 2", "flat") else [(row, *(ABSENT for _ in rows[0][1:]))]
        assert found == expected, name
    if level == "hier":
        assert row in [name for name, *_ in numbers(copied)["table_2"]["rows"]]

    again = retrain(printed, copied)
    assert again.out.count("already finished") == (0 if level == "flat" else 3)
    done = copied.report()
    assert (done.status, done.err) == (0, ""), done
    assert numbers(copied) == whole


@pytest.mark.slow
def test_the_other_seed_stays_in_the_report(copied, whole):
    remove(copied, "linear", "root", 2)
    assert copied.report().status == 1
    names = [name for name, *_ in numbers(copied)["table_2"]["rows"]]
    assert {"linear (seed 1)", "linear (seed 2): no result for root"} <= set(names)
    before = {name for name, *_ in whole["table_2"]["rows"]}
    assert "linear (seed 1, 2)" in before
    (item,) = numbers(copied)["hierarchical"]
    assert item["L1"]["sd"] is None


@pytest.mark.slow
def test_two_missing_results_are_both_told(copied):
    remove(copied, "linear", "A", 1)
    remove(copied, "linear", "D", 1)
    remove(copied, "linear", "B", 2)
    done = copied.report()
    assert "linear seed=1: A, D; linear seed=2: B; train them with: " in done.err
    assert done.err.count("python run.py") == 2
    assert done.err.count("\n") == 1


def test_a_result_whose_nodes_are_all_gone_is_told(copied):
    for node in ("root", "A", "B", "D"):
        remove(copied, "linear", node, 1)
    done = copied.report()
    assert done.status == 1
    assert "linear seed=1: root, A, B, D" in done.err


def test_a_damaged_result_is_refused_in_one_line(copied):
    assert copied.report().status == 0
    before = text(copied, "report.html")
    file = min((copied.runs / "linear").glob("B-*")) / "predictions.parquet"
    file.write_bytes(file.read_bytes() + b"x")
    done = copied.report()
    assert done.status == 1
    assert done.err.startswith(f"error: result {file.parent} is damaged")
    assert done.err.count("\n") == 1
    assert "delete it and run again: python run.py model=linear" in done.err
    assert text(copied, "report.html") == before


def test_a_result_damaged_at_equal_size_is_refused_in_one_line(copied):
    file = min((copied.runs / "linear").glob("B-*")) / "predictions.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    done = copied.report()
    assert done.status == 1
    assert str(file) in done.err
    assert done.err.count("\n") == 1
    assert not list(copied.runs.glob("report-*"))


# --- once, and again


def stamps(own: World) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns
        for path in own.runs.rglob("*")
        if path.is_file() and ".locks" not in path.parts
    }


def test_a_second_call_writes_nothing(place, whole):
    before = stamps(place)
    done = place.report()
    assert done.status == 0
    assert f"report: up to date  {place.folder() / 'report.html'}" in done.out
    assert "linear (seed 1, 2)" in done.out
    assert stamps(place) == before


@pytest.mark.slow
def test_other_evidence_writes_it_anew(copied, whole):
    first = copied.report()
    assert "report: written" in first.out
    copied.run("logistic", "level=flat")
    second = copied.report()
    assert (second.status, "report: written" in second.out) == (0, True)
    assert {item["name"] for item in numbers(copied)["flat"]} == {"linear", "logistic"}
    assert numbers(copied)["hierarchical"] == whole["hierarchical"]
    assert not list(copied.runs.glob(".partial-*"))


@pytest.mark.slow
def test_another_split_is_another_report(copied, whole):
    copied.run("linear", "level=flat", "split.seed=5")
    assert copied.report().status == 0
    assert numbers(copied) == whole
    done = copied.report("split.seed=5", "--output", str(copied.runs / "other"))
    assert done.status == 0
    other = json.loads((copied.runs / "other" / "scores.json").read_text("utf-8"))
    assert (other["hierarchical"], [item["name"] for item in other["flat"]]) == ([], ["linear"])


@pytest.mark.slow
def test_another_corpus_is_another_report(copied, tmp_path, whole):
    other = csv_world(tmp_path, {"A01B1/00": 30, "B05B1/00": 30})._replace(runs=copied.runs)
    other = other._replace(words=(*other.words[:-2], *copied.words[-1:], other.words[-1]))
    other.run("linear", "level=flat")
    assert copied.report().status == 0
    assert numbers(copied) == whole


# --- little or nothing


def test_nothing_has_been_run(place, tmp_path, whole):
    empty = place._replace(words=(*place.words, f"runs_dir={tmp_path / 'none'}"), runs=tmp_path / "none")
    done = empty.report()
    assert (done.status, done.err) == (0, "")
    for language, sentence in (("en", "This corpus and split have no complete result yet"), ("zh", "尚无完整结果")):
        assert sentence in texts(empty)[language]
    (documents,) = [row[1] for row in whole["table_2"]["rows"] if row[0] == "test documents"]
    assert f"; {documents} test documents;" in text(empty, "report.md")
    assert numbers(empty)["hierarchical"] == numbers(empty)["flat"] == []
    rows = {name: cells for name, *cells in numbers(empty)["table_2"]["rows"]}
    for model in ("bertcnn", "textcnn", "rnn"):
        assert set(rows[f"{model} (not run)"]) == {ABSENT}
    assert rows["CNN (paper)"][0] == "81.7"


@pytest.mark.slow
def test_only_a_flat_model_and_the_warning_of_demo_data(tmp_path):
    demo = world(tmp_path, "data=demo", "data.rows=400")
    demo.run("logistic", "level=flat")
    done = demo.report()
    assert (done.status, done.err) == (0, "")
    assert numbers(demo)["hierarchical"] == []
    assert [item["name"] for item in numbers(demo)["flat"]] == ["logistic"]
    assert "logistic, flat" in [name for name, *_ in markdown_table(demo.folder() / "report.md", "Accuracy (%) with")]
    assert "demo data: not comparable with the paper" in done.out
    own = texts(demo)
    assert f"> **Warning.** {WARNING['en']}" in own["en"]
    assert f"> **注意：** {WARNING['zh']}" in own["zh"]
    assert all(warning in own["html"] for warning in WARNING.values())
    assert PAPER_NOTE["en"] not in done.out
    assert not any(note in own["html"] for note in PAPER_NOTE.values())


@pytest.mark.slow
def test_only_nine_models_and_no_warning_for_other_data(copied):
    shutil.rmtree(copied.node("linear", "flat"))
    shutil.rmtree(copied.node("linear", "result-flat"))
    done = copied.report()
    assert (done.status, done.err) == (0, "")
    assert numbers(copied)["flat"] == []
    assert [item["name"] for item in numbers(copied)["hierarchical"]] == ["linear"]
    for own in (*texts(copied).values(), done.out):
        assert not [warning for warning in (*WARNING.values(), "not comparable") if warning in own]
    assert PAPER_NOTE["en"] in done.out.splitlines()[-2]
    own = texts(copied)
    assert all(note in own[language] and note in own["html"] for language, note in PAPER_NOTE.items())


# --- words of the command


def test_help_and_misuse():
    done = command("report", "--help")
    assert (done.status, done.err) == (0, "")
    assert "usage: patent-hier report" in done.out
    done = command("report", "--outptu", "x")
    assert (done.status, done.err.count("\n")) == (2, 1)
    done = command("report", "data=nothing")
    assert (done.status, done.err.count("\n")) == (2, 1)


def test_a_folder_of_other_things_is_not_replaced(place, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.md").write_text("years of work", "utf-8")
    done = place.report("--output", tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.md").read_text("utf-8") == "years of work"
    assert (done.status, done.err.count("\n")) == (2, 1)


def test_hostile_names_stay_text(place, tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    folder = tmp_path / hostile
    folder.mkdir()
    own = csv_world(folder)
    words = tuple(f'{name}="{value}"' for name, value in (word.split("=", 1) for word in own.words))
    own = own._replace(words=words)
    own.run("logistic", "level=flat")
    done = own.report()
    assert done.status == 0, done
    page = Page(own.folder() / "report.html")
    assert not [attributes for tag, attributes in page.elements if "onerror" in attributes]
    assert any(hostile in data for tag, data in page.texts if tag == "code")
    assert {tag for tag, _ in page.elements} & {"b", "img"} == {"img"}  # the figures'
    for name in ("report.md", "report.zh.md"):
        outside = "".join(text(own, name).split("```")[::2])
        assert not re.search(r"(?<!\\)<(b>|img)", outside)
