"""``patent-hier learn`` and ``migrate`` as an office meets them: a finished system, corrections, a new edition."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from patent_hier.artifacts import MANIFEST, find_damage
from patent_hier.atomic import read_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.feedback import FeedbackStore, Judgement
from patent_hier.inference.blocked import BLOCKED_FILE
from patent_hier.pipeline.collecting import find_runs
from patent_hier.pipeline.node import read_predictions
from tests.commands import TINY_OF, Outcome, command

LINEAR = ("model=linear", "level=hier", "data.depth=subclass", *TINY_OF["linear"])
NETWORK = ("model=textcnn", "features=chars", "level=shared", *TINY_OF["textcnn"])


class Place:
    """Systems of the demo corpus, and corrections: documents that another seed generates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = (f"runs_dir={folder / 'runs'}", f"cache_dir={folder / 'cache'}")
        assert command("run", *LINEAR, *self.where).status == 0
        write_demo_csv(folder / "other.csv", 300, 5)
        with (folder / "other.csv").open(encoding="gb18030", errors="replace", newline="") as file:
            self.header, *rows = csv.reader(file)
        for number, row in enumerate(rows):  # no document of the corpus has these numbers
            row[self.header.index("公开号")] = f"CN9{number:08d}A"
            row[self.header.index("申请号")] = ""
        self.feedback = self.write("feedback", rows[:150])
        self.rows = rows[:150]
        (self.linear,) = self.results("linear")

    def results(self, model: str) -> list[Path]:
        return sorted((self.folder / "runs" / model).glob("result-*"), key=lambda folder: folder.stat().st_mtime_ns)

    def learn(self, model: Path, feedback: Path, *words: object) -> Outcome:
        return command("learn", model, feedback, *words)

    def write(self, name: str, rows: list[list[str]]) -> Path:
        path = self.folder / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.header, *rows])
        return path

    def scrambled(self) -> Path:
        """Corrections that say of each document what is true of another."""
        place = self.header.index("专利分类")
        symbols = [row[place] for row in self.rows]
        rows = [list(row) for row in self.rows]
        for row, symbol in zip(rows, symbols[75:] + symbols[:75], strict=True):
            row[place] = symbol
        return self.write("scrambled", rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("learn"))


def record(result: Path, kind: str = "learnt") -> dict[str, object]:
    facts: dict[str, object] = json.loads(
        result.with_name(result.name.replace("result", kind, 1) + ".json").read_text("utf-8")
    )
    return facts


def test_a_new_version_from_corrections_and_a_second_one(place: Place) -> None:
    before = read_json(place.linear / MANIFEST)
    (place.linear / BLOCKED_FILE).write_text("code,reason\nA01B,not ours\n", "utf-8")
    done = place.learn(place.linear, place.feedback, "--held-out", "0.3")
    assert (done.status, done.err) == (0, "")
    (new,) = [folder for folder in place.results("linear") if folder != place.linear]
    facts = record(new)
    assert (facts["version"], facts["before"], facts["problem"]) == (2, place.linear.name, None)
    counts = facts["corrections"]
    assert isinstance(counts, dict)
    assert counts["learnt"] + counts["held out"] + counts["of val, calibration or test"] <= 150
    assert {"section", "class", "subclass"} == set(facts["test"]) == set(facts["held_out_corrections"])  # type: ignore[arg-type, call-overload]
    assert "held-out corrections" in done.out
    assert read_json(place.linear / MANIFEST) == before
    assert find_damage(place.linear) is None
    assert (new / BLOCKED_FILE).read_text("utf-8") == "code,reason\nA01B,not ours\n"
    manifest = read_json(new / MANIFEST)
    assert manifest["data"] == before["data"]  # so the report shows both, and both can be combined

    one = place.folder / "one.csv"
    one.write_text("公开号,摘要,专利分类\nCN999999999A,一种全新的装置及其方法,H01L21/00\n", "utf-8")
    again = place.learn(new, one, "--held-out", "0", "--force")
    assert again.status == 0, again.err
    last = place.results("linear")[-1]
    facts = record(last)
    assert facts["version"] == 3
    assert facts["corrections"]["learnt"] == counts["learnt"] + 1  # type: ignore[index]  # none is forgotten
    assert facts["corrections"]["held out"] == counts["held out"]  # type: ignore[index]  # nor taught what tests it


@pytest.mark.slow
def test_a_worse_system_is_refused(place: Place) -> None:
    before = place.results("linear")
    done = place.learn(place.linear, place.scrambled(), "--weight", "50")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "the new system is refused" in done.err
    assert place.results("linear") == before
    files = (place.folder / "runs" / "linear").glob("learnt-*.json")
    (refused,) = (facts["suite"] for file in files if (facts := read_json(file))["refused"])
    corpus = Corpus.open(next((place.folder / "cache" / "corpora").glob("demo-*")))
    split = place.folder / "cache" / "splits" / read_json(place.linear / MANIFEST)["data"]["split"]
    suites = {run.manifest["suite"] for run in find_runs(place.folder / "runs", corpus, split)}
    assert refused not in suites  # no report counts it
    assert read_json(place.linear / MANIFEST)["suite"] in suites
    forced = place.learn(place.linear, place.folder / "scrambled.csv", "--weight", "50", "--force")
    assert forced.status == 0
    facts = record(place.results("linear")[-1])
    assert facts["forced"] is True
    assert facts["problem"]


@pytest.mark.slow
def test_a_network_goes_on_from_its_weights(place: Place) -> None:
    assert command("run", *NETWORK, *place.where).status == 0
    (first,) = place.results("textcnn")
    done = place.learn(first, place.feedback, "--replay", "20", "--passes", "1", "--force")
    assert (done.status, done.err) == (0, "")
    new = place.results("textcnn")[-1]
    training = read_json(nodes(new)["shared"] / "metrics.json")["training"]
    assert (training["learn"]["replay"], training["epochs"]) == (20, 1)
    assert training["learn"]["corrections"] == record(new)["corrections"]["learnt"]  # type: ignore[index]
    old, own = (load_file(nodes(one)["shared"] / "model" / "model.safetensors") for one in (first, new))
    moved = max(float(np.abs(old[name] - own[name]).max()) for name in old if old[name].shape == own[name].shape)
    assert 0 < moved < 0.2  # from a fresh start they would be farther apart


def nodes(result: Path) -> dict[str, Path]:
    return {node: result.parent / Path(path).name for node, path in read_json(result / MANIFEST)["nodes"].items()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--held-out", "1"), "--held-out 1 is out of range"),
        (("--passes", "0"), "--passes 0 is out of range"),
        (("learn.weight=3",), "because learn sets it itself"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(place: Place, words: tuple[str, ...], said: str) -> None:
    done = place.learn(place.linear, place.feedback, *words)
    assert done.status != 0
    assert said in done.err
    assert done.err.count("\n") == 1


def test_corrections_of_held_out_documents_alone_teach_nothing(place: Place) -> None:
    (folder,) = (place.folder / "cache" / "corpora").glob("demo-*")
    corpus, table = Corpus.open(folder), place.folder / "known.csv"
    predictions = read_predictions(nodes(place.linear)["root"])
    texts = dict(zip(corpus.document_ids.to_pylist(), corpus.column("text").to_pylist(), strict=True))
    lines = [f"{name},{texts[name]},A01B" for name in predictions.document_ids.tolist()]
    table.write_text("公开号,摘要,专利分类\n" + "\n".join(lines) + "\n", "utf-8")
    done = place.learn(place.linear, table)
    assert done.status != 0
    assert "has no correction to learn from" in done.err


@pytest.mark.slow
def test_an_edition_in_which_one_class_moved(place: Place) -> None:
    """Everything outside the moved class's section stays to the last bit; what moved has its new label."""
    table = place.folder / "concordance.csv"
    table.write_text("old,new\nG06,G16\n", "utf-8")
    done = command("migrate", place.linear, table)
    assert (done.status, done.err) == (0, "")
    new = place.results("linear")[-1]
    facts = record(new, "migrated")
    assert facts["nodes"] == {node: "heads" if node == "G" else "taken over" for node in nodes(place.linear)}
    for node, old in nodes(place.linear).items():
        own = nodes(new)[node]
        for name in ("predictions.parquet", "model/model.safetensors", "model/classifier.json"):
            assert ((own / name).read_bytes() == (old / name).read_bytes()) == (node != "G")
    before, after = (read_predictions(nodes(one)["G"]) for one in (place.linear, new))
    assert "G06" in before.tree.codes
    assert {"G06", "G06F"}.isdisjoint(after.tree.codes.tolist())
    assert "G16" in after.tree.codes
    moved = [
        (old, own) for old, own in zip(before.levels[0].targets, after.levels[0].targets, strict=True) if old != own
    ]
    assert moved
    assert set(moved) == {("G06", "G16")}
    assert facts["gone"]
    test = facts["test"]
    assert isinstance(test, dict)
    assert test["unchanged"]["section"]["same"] == test["unchanged"]["section"]["documents"]
    again = command("migrate", place.linear, table)  # all is finished, and the record stays
    assert (again.status, record(new, "migrated")["nodes"]) == (0, facts["nodes"])
    # A system in a new edition goes on learning.
    assert place.learn(new, place.feedback, "--force").status == 0
    assert "G16" in read_predictions(nodes(place.results("linear")[-1])["G"]).tree.codes


def test_a_network_keeps_all_but_the_rows_of_the_heads_concerned(place: Place) -> None:
    assert command("run", *NETWORK, *place.where).status == 0
    first = next(one for one in place.results("textcnn") if not record_exists(one))
    table = place.folder / "network.csv"
    table.write_text("old,new\nG06,G16\n", "utf-8")
    done = command("migrate", first, table, "--passes", "1")
    assert (done.status, done.err) == (0, "")
    new = place.results("textcnn")[-1]
    old, own = (load_file(nodes(one)["shared"] / "model" / "model.safetensors") for one in (first, new))
    before, after = (read_predictions(nodes(one)["shared"]).tree for one in (first, new))
    assert all(np.array_equal(old[name], own[name]) for name in old if not name.startswith("output"))
    for level in after.levels:
        for code in after.labels(level):
            (there,), (here,) = before.find(level, [code]), after.find(level, [code])
            concerned = level == "class" and code.startswith("G")
            if there >= 0:
                assert np.array_equal(old["output.weight"][there], own["output.weight"][here]) != concerned, code


@pytest.mark.slow
def test_one_softmax_goes_on_with_all_documents(place: Place) -> None:
    flat = [word if word != "level=shared" else "level=flat" for word in NETWORK]
    assert command("run", *flat, *place.where).status == 0
    (first,) = (one for one in place.results("textcnn") if "flat" in one.name)
    table = place.folder / "flat.csv"
    table.write_text("old,new\nG06,G16\n", "utf-8")
    done = command("migrate", first, table, "--passes", "1")
    assert (done.status, done.err) == (0, "")
    new = place.results("textcnn")[-1]
    assert record(new, "migrated")["nodes"] == {"flat": "trained further"}
    training = read_json(nodes(new)["flat"] / "metrics.json")["training"]
    assert (
        training["train_documents"] == read_json(nodes(first)["flat"] / "metrics.json")["training"]["train_documents"]
    )


@pytest.mark.slow
def test_nothing_to_learn_leaves_the_network_as_it_is(place: Place) -> None:
    """A section without a correction, and no documents of the corpus to rehearse."""
    nine = [word if word != "level=shared" else "level=hier" for word in NETWORK]
    assert command("run", *nine, *place.where).status == 0
    (first,) = (one for one in place.results("textcnn") if "hier" in one.name)
    table = place.folder / "few.csv"
    table.write_text("公开号,摘要,专利分类\nCN999999998A,一种全新的装置及其方法,H01L21/00\n", "utf-8")
    done = place.learn(first, table, "--replay", "0", "--held-out", "0", "--passes", "1", "--force")
    assert (done.status, done.err) == (0, "")
    new = place.results("textcnn")[-1]
    for node, folder in nodes(first).items():
        weights = [load_file(one / "model" / "model.safetensors") for one in (folder, nodes(new)[node])]
        same = all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert same == (node not in ("root", "H")), node


@pytest.mark.slow
def test_a_system_learns_from_what_the_page_has_collected(place: Place) -> None:
    """The export of judgements: one symbol each, and a text under the name of one field."""
    store = FeedbackStore.open(place.folder / "judgements.sqlite", create=True)
    text, symbols = place.header.index("摘要"), place.header.index("专利分类")
    for number, row in enumerate(place.rows[:40]):
        label = row[symbols].split(";")[0][:4]
        facts = (row[text], "abstract", {}, "corrected", label, "subclass", "A01B", 0.5, "version")
        store.add(Judgement(f"00000000-0000-4000-8000-{number:012d}", *facts))
    store.close()
    export = place.folder / "export.csv"
    assert command("feedback", place.folder / "judgements.sqlite", "--export", export).status == 0
    done = place.learn(place.linear, export, "--force")
    assert (done.status, done.err) == (0, "")
    counts = record(place.results("linear")[-1])["corrections"]
    assert isinstance(counts, dict)
    assert counts["given"] > 30  # some texts of the demo are equal


def record_exists(result: Path) -> bool:
    return any(
        result.with_name(result.name.replace("result", kind, 1) + ".json").exists() for kind in ("learnt", "migrated")
    )


def test_a_migrated_corpus_is_a_raw_file(place: Place) -> None:
    folder = next((place.folder / "cache" / "corpora").glob("demo-*"))
    table, output = place.folder / "moves.csv", place.folder / "new.csv"
    table.write_text("old,new\nG06F,G16Z\nA99,\n", "utf-8")
    done = command("migrate", folder, table, "--output", output)
    assert (done.status, done.err) == (0, "")
    checked = command("prepare", "--check", "data=cnipa", f"data.path={output}")
    assert checked.status == 0, checked.err
    assert "prepare would accept this file" in checked.out
    again = command("migrate", folder, table, "--output", output)
    assert "exists; choose another --output" in again.err
    assert "needs a file; use --output NEW.csv" in command("migrate", folder, table).err
