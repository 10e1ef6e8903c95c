"""Below the class: local classifiers, one shared network and a flat model of whole symbols; parts; all symbols."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from patent_hier.artifacts import seal
from patent_hier.atomic import write_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import corpus_labels
from patent_hier.errors import ArtifactError
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.predictor import load_system
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import NONE
from tests.commands import TINY_OF, Outcome, command
from tests.integration.conftest import contents, predictions, read, scores
from tests.report.reading import markdown_table
from tests.report.worlds import World, world

TRAINED = {"hier": ("bertcnn", 9), "shared": ("bertcnn", 1), "flat": ("linear", 1)}  # level -> model, its nodes
TABLE_2 = "in the layout of the paper's Table 2"


class Deep:
    """Results down to the subgroup, and an ordinary one down to the class."""

    def __init__(self, folder: Path) -> None:
        self.world: World = world(folder, "data.rows=800")  # more than 200 subgroups: only the best are kept
        self.first: dict[str, Outcome] = {level: self.run(level) for level in TRAINED}

    def run(self, level: str, command_name: str = "run", *words: str) -> Outcome:
        model, _ = TRAINED[level]
        own = [f"model={model}", *TINY_OF[model], *self.world.words, "data.depth=subgroup", f"level={level}", *words]
        done = command(command_name, *own)
        assert (done.status, done.err) == (0, ""), done
        return done

    def node(self, level: str, node: str = "") -> Path:
        return self.world.node(TRAINED[level][0], node or level)

    def result(self, level: str) -> Path:
        return self.world.node(TRAINED[level][0], f"result-{level}")


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Deep:
    return Deep(tmp_path_factory.mktemp("deep"))


@pytest.mark.parametrize("level", TRAINED)
def test_all_levels_are_scored_and_printed(deep, level):
    content = scores(deep.result(level))
    assert list(content["levels"]) == list(IPC_LEVELS)
    counts = [own["accuracy"]["n_documents"] for own in content["levels"].values()]
    assert counts[0] == counts[1] == content["n_documents"]
    assert counts == sorted(counts, reverse=True)
    assert content["levels"]["subgroup"]["unseen_documents"] > 0
    assert (content["levels"]["subgroup"]["oracle"] is None) == (level == "flat")
    out = deep.first[level].out
    assert (TABLE_2 in out) == (level == "hier")
    table = out[out.index("Scores (%) by level over") :]
    assert [line.split()[0] for line in table.splitlines()[3:8]] == list(IPC_LEVELS)
    assert "class.accuracy" not in out
    assert f"every score with its interval: {deep.result(level) / 'result.md'}" in out
    whole = (deep.result(level) / "result.csv").read_text("utf-8")
    assert all(f"\n{name}.macro_f1," in whole for name in IPC_LEVELS)


@pytest.mark.parametrize("level", TRAINED)
def test_accuracy_follows_from_the_corpus(deep, level):
    """The answers at each level, compared with the corpus's own symbols."""
    (folder,) = (deep.world.cache / "corpora").glob("demo-*")
    corpus = Corpus.open(folder)
    labels = corpus_labels(corpus, "subgroup")
    place_of = {name: row for row, name in enumerate(corpus.document_ids.to_pylist())}
    root = predictions(deep.node(level, "root" if level == "hier" else level)).select("test")
    true = labels.tree.names(labels.main[[place_of[name] for name in root.document_ids]])
    answers = {name: [None] * len(root) for name in IPC_LEVELS}
    if level == "hier":
        sections = root.tree.names(root.levels[0].greedy)
        answers["section"] = sections.tolist()
        for section in set(sections):
            part = predictions(deep.node(level, section)).select("test")
            for own in part.levels:
                names = np.array(part.tree.labels(own.level), object)
                for row in np.flatnonzero((sections == section) & (own.greedy != NONE)):
                    answers[own.level][row] = names[own.greedy[row]]
    else:
        for own in root.levels:
            best = own.best(1)[0][:, 0] if level == "flat" else own.greedy
            names = (*root.tree.labels(own.level), None)  # NONE, from the end
            answers[own.level] = [names[position] for position in best]
    for column, (name, own) in enumerate(scores(deep.result(level))["levels"].items()):
        known = true[:, column] != None  # noqa: E711  # an array is compared, element by element
        hits = (np.array(answers[name], object) == true[:, column])[known]
        assert (own["accuracy"]["value"], own["accuracy"]["n_documents"]) == (pytest.approx(hits.mean()), len(hits))


@pytest.mark.parametrize("level", TRAINED)
def test_a_second_run_makes_nothing(deep, level):
    before = contents(deep.world.runs)
    assert deep.run(level).out.count("already finished") == TRAINED[level][1]
    assert "saved in" in deep.run(level, "aggregate").out
    assert contents(deep.world.runs) == before


def test_a_part_below_a_class(deep):
    words = [*TINY_OF["linear"], *deep.world.words, "model=linear", "data.depth=subclass", "level=node"]
    done = command("run", *words, "node=A01")
    assert (done.status, done.err) == (0, ""), done
    part = predictions(deep.node("flat", "A01"))
    assert (part.tree.root, part.tree.levels) == ("A01", ("subclass",))
    assert all(code.startswith("A01") for code in part.tree.codes)
    assert {target[:3] for target in part.levels[0].targets if target} == {"A01"}
    refused = command("run", *words, "node=Q")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "node=Q is not a label of the corpus" in refused.err
    assert "choose one of root, flat, shared, A, B" in refused.err


def test_all_symbols_of_a_document_are_learnt(deep):
    words = [*TINY_OF["linear"], *deep.world.words, "model=linear", "level=node", "node=root"]
    assert [command("run", *words, f"data.labels={labels}").status for labels in ("first", "all")] == [0, 0]
    folders = list((deep.world.runs / "linear").glob("root-*"))
    config = {read(folder, "manifest.json")["content"]["labels"]: folder for folder in folders}
    first, every = (predictions(config[labels]) for labels in ("first", "all"))
    assert first.levels[0].targets.tolist() == every.levels[0].targets.tolist()  # scored by the main symbol alone
    assert not np.allclose(first.scores().log_prob, every.scores().log_prob)


@pytest.mark.slow
def test_report_and_audit_compare_by_class_and_show_the_rest(deep):
    names = {"hier": "bertcnn, hierarchical", "shared": "bertcnn, shared", "flat": "linear, flat"}
    done = deep.world.report()
    assert (done.status, done.err) == (0, ""), done
    text = deep.world.folder() / "report.md"
    assert "### Every level" in text.read_text("utf-8")
    _, *rows = markdown_table(text, "Scores of every system at every level")
    assert [row[1] for row in rows] == len(TRAINED) * ["section", "class", "subclass", "main group", "subgroup"]
    ways = {row[0]: row for row in markdown_table(text, "Accuracy (%) with")}
    for level, name in names.items():
        own = scores(deep.result(level))["levels"]
        shown = [row[2].split()[0] for row in rows if row[0] == name]
        assert shown == [f"{100 * one['accuracy']['value']:.1f}" for one in own.values()]
        assert ways[name][4].split()[0] == shown[1]
    header, *errors = markdown_table(text, "Level of the first error")
    assert header[1:-1] == ("section", "class", "subclass", "main group", "subgroup")
    assert all(sum(float(cell.split()[0]) for cell in row[1:]) == pytest.approx(100, abs=0.4) for row in errors[:2])
    _, *bands = markdown_table(text, "Top 1 / top 5 (%)")
    assert [row[1] for row in bands] == (len(TRAINED) + 1) * ["section", "class", "subclass", "main group", "subgroup"]
    audit = command("audit", *deep.world.words)
    assert (audit.status, audit.err) == (0, ""), audit
    (folder,) = deep.world.runs.glob("audit-*")
    assert len(read(folder, "audit.json")["leakage"]) == len(TRAINED)


def test_members_that_go_deeper_make_a_system_that_does(deep, tmp_path):
    results = [deep.result(level) for level in ("shared", "flat")]
    done = command("combine", *results, "--runs-dir", deep.world.runs)
    assert (done.status, done.err) == (0, ""), done
    result, node = (deep.world.node("combination", name) for name in ("result-shared", "shared"))
    assert list(scores(result)["levels"]) == list(IPC_LEVELS)
    facts = read(node, "model/classifier.json")
    assert {len(member["weight"]) for member in facts["members"]} == {len(facts["unknown"])} == {5}
    before = contents(deep.world.runs / "combination")
    assert command("combine", *reversed(results), "--runs-dir", deep.world.runs).out.count("already finished") == 1
    assert contents(deep.world.runs / "combination") == before

    # New texts get what the held-out documents got, also after an export.
    own = predictions(node).select("test")
    (folder,) = (deep.world.cache / "corpora").glob("demo-*")
    corpus = Corpus.open(folder)
    texts = dict(zip(corpus.document_ids.to_pylist(), corpus.column("text").to_pylist(), strict=True))
    exported = tmp_path / "exported"
    assert command("export", result, exported).status == 0
    for place in (result, exported):
        system = HierarchicalClassifier.from_pretrained(place).system
        found = system.whole(system.log_prob([texts[name] for name in own.document_ids])).log_prob
        for one in own.levels:
            codes, log_prob = one.best(1)
            names = np.array(own.tree.labels(one.level), object)[codes[:, 0]]
            at = system.tree.find(one.level, names)
            assert found[np.arange(len(own)), at] == pytest.approx(log_prob[:, 0], abs=2e-3)


def test_a_combination_over_levels_with_other_numbers_is_refused(deep, tmp_path):
    results = [deep.result(level) for level in ("shared", "flat")]
    assert command("combine", *results, "--runs-dir", deep.world.runs).status == 0
    runs = shutil.copytree(deep.world.runs, tmp_path / "runs")
    (node,), (result,) = ((runs / "combination").glob(f"{name}-*") for name in ("shared", "result-shared"))
    facts = read(node, "model/classifier.json")
    damages = [{"unknown": [0.0]}, {"unknown": [1e9] * 5}, {"unknown": None}, {"unknown": ["x"] * 5}]
    for damage in damages:
        write_json(node / "model" / "classifier.json", {**facts, **damage})
        manifest = read(node, "manifest.json")
        del manifest["files"]
        seal(node, manifest)
        with pytest.raises(ArtifactError, match="combine again"):
            load_system(result)
