import pytest

from patent_hier.data.splits import CALIBRATION, TRAIN, load
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.pipeline import known_patents
from patent_hier.pipeline.known_patents import calibration_texts, find_known_patents, labelled_calibration
from tests.inference.worlds import world


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory)


def test_they_are_the_training_documents(made):
    (split,) = [folder for folder in (made.folder / "cache" / "splits").iterdir() if folder.name[0] != "."]
    data = {"corpus": made.corpus.fingerprint, "split": split.name}
    known = find_known_patents(data, made.folder / "cache")
    ids, parts = load(split)
    train = {name for name, part in zip(ids.to_pylist(), parts, strict=True) if part == TRAIN}
    texts = made.texts()
    for name in list(texts)[:30]:
        (found,) = known.nearest([texts[name]], 1)
        assert found[0].document_id in train
        assert found[0].title
        if name in train:
            assert texts[found[0].document_id] == texts[name]
            assert found[0].similarity == pytest.approx(1, abs=1e-5)


def test_what_is_not_there_is_said(made, tmp_path, capsys):
    assert find_known_patents({"corpus": "gone", "split": "gone"}, tmp_path) is None
    assert find_known_patents({}, made.folder / "cache") is None
    assert capsys.readouterr().out.count("similar patents are not shown: the model's corpus is not in") == 2


def test_very_many_are_indexed_only_if_asked_for(made, monkeypatch, capsys):
    monkeypatch.setattr(known_patents, "MOST_BY_ITSELF", 10)
    monkeypatch.setattr(known_patents, "neighbours_fingerprint", lambda corpus, split: "other")
    (split,) = [folder for folder in (made.folder / "cache" / "splits").iterdir() if folder.name[0] != "."]
    data = {"corpus": made.corpus.fingerprint, "split": split.name}
    assert find_known_patents(data, made.folder / "cache") is None
    assert "needs --index-all" in capsys.readouterr().out
    assert find_known_patents(data, made.folder / "cache", even_many=True) is not None


def test_texts_of_the_calibration_part(made, tmp_path):
    (split,) = [folder for folder in (made.folder / "cache" / "splits").iterdir() if folder.name[0] != "."]
    data = {"corpus": made.corpus.fingerprint, "split": split.name}
    ids, parts = load(split)
    texts = made.texts()
    expected = [texts[name] for name, part in zip(ids.to_pylist(), parts, strict=True) if part == CALIBRATION]
    assert calibration_texts(data, made.folder / "cache") == expected
    assert expected
    assert calibration_texts(data, tmp_path) == calibration_texts({}, made.folder / "cache") == []


def test_labelled_documents_of_the_calibration_part(made, tmp_path):
    for own, level in ((made, "ipc_class"), (made.deep, "subgroup")):
        classifier = HierarchicalClassifier.from_pretrained(own.result("linear", "hier"))
        labelled = labelled_calibration(classifier, made.folder / "cache")
        assert labelled.documents == calibration_texts(classifier.facts["data"], made.folder / "cache")
        table = made.corpus.table(["text", level]).to_pydict()
        truth = dict(zip(table["text"], table[level], strict=True))
        known = [(truth[text], label) for text, label in zip(labelled.documents, labelled.truth, strict=True)]
        assert all(label == expected for expected, label in known if expected)
        assert labelled_calibration(classifier, tmp_path) is None
