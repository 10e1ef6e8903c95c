"""``patent-hier distill`` as a user meets it: a finished system, texts, one network, the difference."""

import re
from pathlib import Path

import pytest

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.data.answers import Answers
from patent_hier.errors import ConfigError
from patent_hier.pipeline.stages import Corpus
from tests.commands import TINY_OF, Outcome, command

STUDENT = ("model=textcnn", "features=chars", *TINY_OF["textcnn"])


class Place:
    """A teacher of the demo corpus, and texts: of every part of it, and others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = (f"runs_dir={folder / 'runs'}", f"cache_dir={folder / 'cache'}")
        assert command("run", "model=naive_bayes", "level=hier", *TINY_OF["naive_bayes"], *self.where).status == 0
        (self.teacher,) = (folder / "runs" / "naive_bayes").glob("result-hier-*")
        (corpus,) = (folder / "cache" / "corpora").glob("demo-*")
        self.corpus = Corpus.open(corpus)
        known = [str(text) for text in self.corpus.column("text").to_pylist()]
        self.texts = folder / "texts.txt"
        new = [f"{first[:30]}{second[-30:]}" for first, second in zip(known[:40], known[40:80], strict=True)]
        self.texts.write_text("\n".join([*new, new[0], "，。！", *(f"{text} " for text in known)]), "utf-8")
        self.new = len(set(new))

    def distill(self, *words: object) -> Outcome:
        return command("distill", self.teacher, *STUDENT, *self.where, *words)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("distill"))


def test_a_student_of_texts_and_what_it_loses(place: Place) -> None:
    done = place.distill("level=flat", "--text", place.texts)
    assert (done.status, done.err) == (0, "")
    (folder,) = (place.folder / "cache" / "answers").glob("[0-9a-f]*")
    answers = Answers.open(folder)
    assert (len(answers.document_ids), len(answers.texts)) == (0, place.new)
    (split,) = (place.folder / "cache" / "splits").glob("random-*")
    counts = read_json(split / MANIFEST)["documents"]
    held_out = sum(counts[part] for part in ("val", "calibration", "test"))
    dropped = answers.facts["dropped"]
    assert (dropped["no text"], dropped["repeated"]) == (1, 1)
    assert dropped["in val, calibration or test"] >= held_out  # of equal texts, one may be in train
    assert dropped["in val, calibration or test"] + dropped["in train"] == place.corpus.size
    assert f"{dropped['in val, calibration or test']} in val, calibration or test" in done.out

    (node,) = (place.folder / "runs" / "textcnn").glob("flat-*")
    taught = read_json(node / "metrics.json")["training"]["distill"]
    assert (taught["documents"], taught["texts"], taught["text_weight"]) == (0, place.new, 1.0)
    (file,) = (place.folder / "runs" / "textcnn").glob("distilled-*.json")
    compared = read_json(file)["levels"]["class"]
    test = read_json(node / "metrics.json")["test"]["levels"]["class"]["accuracy"]
    assert compared["student"] == test["value"]
    assert compared["difference"] == pytest.approx(compared["student"] - compared["teacher"])
    assert compared["interval"][0] <= compared["difference"] <= compared["interval"][1]
    theirs = read_json(place.teacher / "result.json")["levels"]["class"]["accuracy"]["value"]
    assert compared["teacher"] == theirs
    assert re.search(rf"class: student {100 * compared['student']:.1f} %, teacher {100 * theirs:.1f} %", done.out)

    again = place.distill("level=flat", "--text", place.texts)
    assert "already finished" in again.out


@pytest.mark.slow
def test_training_documents_as_well_and_settings_that_change_the_result(place: Place) -> None:
    done = place.distill("level=shared", "--on", "both", "--text", place.texts, "distill.weight=0.3")
    assert (done.status, done.err) == (0, "")
    assert "its answers on them are too certain" in done.out
    (node,) = (place.folder / "runs" / "textcnn").glob("shared-*")
    facts = read_json(node / "metrics.json")["training"]
    assert (facts["distill"]["documents"], facts["distill"]["weight"]) == (facts["train_documents"], 0.3)
    own = read_json(node / MANIFEST)
    assert own["content"]["distill"]["weight"] == 0.3
    assert (
        "distill" not in read_json(next((place.folder / "runs" / "naive_bayes").glob("root-*")) / MANIFEST)["content"]
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("level=hier", "--on", "train"), "use level=flat or level=shared"),
        (("level=flat", "--on", "all"), "--on all is unknown"),
        (("level=flat", "--on", "both"), "cannot be combined"),
        (("level=flat", "--text", "no.txt"), "--text no.txt is not a file"),
        (("level=flat", "split.seed=5"), "use the data=... and split=... of the teacher"),
        (("level=flat", "data.depth=subclass"), " is class; use data.depth=class"),
        (("level=flat", "distill.answers=x"), "creates the answers itself"),
        (("level=flat", "trainer.class_weights=true"), "trainer.class_weights=true"),
    ],
)
def test_misuse_is_one_line(place: Place, words: tuple[str, ...], said: str) -> None:
    outcome = place.distill(*words)
    assert outcome.status == ConfigError.exit_status
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_student_is_a_network(place: Place) -> None:
    outcome = command("distill", place.teacher, "model=linear", "level=flat", *place.where)
    assert "needs a network; model=linear is not a network" in outcome.err


def test_answers_of_other_data_are_refused(place: Place) -> None:
    place.distill("level=flat", "--text", place.texts)
    (folder,) = [
        path
        for path in (place.folder / "cache" / "answers").glob("[0-9a-f]*")
        if not Answers.open(path).document_ids.size
    ]
    for words, said in [
        (("level=flat", "split.seed=5"), "belongs to split"),
        (("level=section",), "use level=flat or level=shared"),
        (("level=flat", f"distill.answers={place.folder}"), "contains no answers of a teacher"),
    ]:
        outcome = command("run", *STUDENT, *place.where, f"distill.answers={folder}", *words)
        assert outcome.status == ConfigError.exit_status
        assert said in outcome.err
