"""Ensembles, beyond the tests of the command: members whose files differ in order, documents or parts."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from patent_hier.artifacts import seal
from patent_hier.data.context import documents_at
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import score_levels
from patent_hier.evaluation.pooling import FLOOR
from patent_hier.evaluation.system import positions
from patent_hier.inference.predictor import load_system
from patent_hier.pipeline import combine as module
from patent_hier.pipeline.combine import combine
from patent_hier.report.results import save_suite
from tests.pipeline.conftest import change, make_settings
from tests.pipeline.test_members import finish

NODES = ["root", "A", "B", "C"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two flat results and their ensemble."""
    folder = tmp_path_factory.mktemp("combine")
    results = [finish(make_settings(folder, model), "flat") for model in ("knn", "naive_bayes")]
    return folder, results, combine(results, folder / "runs")


@pytest.fixture
def copied(place, tmp_path):
    """A copy of the members, without the ensemble."""
    runs = shutil.copytree(place[0] / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns("combination"))
    return runs, [runs / result.parent.name / result.name for result in place[1]]


def folders(made):
    """Return the folders by node, of the local classifiers and the flat one."""
    return {node: folder for suite in made for node, folder in suite.nodes.items()}


def flat_of(made):
    return NetworkPredictions.read(folders(made)["flat"] / "predictions.parquet")


def weights_of(folder):
    return json.loads((folder / "metrics.json").read_text("utf-8"))["training"]["weights"]


def rewrite(runs, change, model="naive_bayes"):
    """Change the predictions of a model, as if it had given other scores."""
    (folder,) = (runs / model).glob("flat-*")
    change(NetworkPredictions.read(folder / "predictions.parquet")).write(folder / "predictions.parquet")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    del manifest["files"]
    seal(folder, manifest)


def test_flat_members_make_a_hierarchical_system(place):
    folder, _, made = place
    assert [list(suite.nodes) for suite in made] == [NODES, ["flat"]]
    assert {path.parent for path in folders(made).values()} == {folder / "runs" / "combination"}
    local = NetworkPredictions.read(folders(made)["C"] / "predictions.parquet")
    assert (local.tree.codes.tolist(), np.unique(local.levels[0].log_prob).tolist()) == (["C07"], [0.0])
    assert NetworkPredictions.read(folders(made)["root"] / "predictions.parquet").tree.codes.tolist() == ["A", "B", "C"]
    assert flat_of(made).flat


def test_the_order_of_the_words_is_nothing(place):
    _, results, made = place
    assert folders(combine(results[::-1], place[0] / "runs")) == folders(made)


@pytest.mark.parametrize("part", ["val", "calibration", "test"])
def test_weights_are_fitted_to_val_alone(part, place, copied):
    """A member that is right on every document of a part gets another weight only if the part is val."""

    def always_right(own):
        joint = np.concatenate([level.log_prob for level in own.levels], axis=1)
        right = np.full_like(joint, -20.0)
        for level in own.levels:
            rows = np.flatnonzero(level.target_codes >= 0)
            right[rows, own.tree.span(level.level).start + level.target_codes[rows]] = 0.0
        joint = np.where((own.parts == part)[:, None], right, joint)
        return replace(own, levels=tuple(score_levels(own.tree, joint, [level.targets for level in own.levels])))

    runs, results = copied
    rewrite(runs, always_right)
    made = combine(results, runs)
    for node in ("flat", "root"):
        weights = [list(weights_of(folders(suites)[node]).values()) for suites in (made, place[2])]
        assert (weights[0] == pytest.approx(weights[1], abs=1e-6)) == (part != "val"), weights


def test_members_without_val_are_refused_in_one_line(copied):
    runs, results = copied
    for result in results:
        rewrite(
            runs, lambda own: replace(own, parts=np.where(own.parts == "val", "test", own.parts)), result.parent.name
        )
    with pytest.raises(
        ConfigError, match=r"fitted to the part val, which is empty in the members' split; .*split\.val"
    ):
        combine(results, runs)


def test_another_version_is_another_combination(place, monkeypatch, tmp_path):
    before = {path.name for path in folders(place[2]).values()}
    monkeypatch.setattr(module, "COMBINE_VERSION", module.COMBINE_VERSION + 1)
    assert before.isdisjoint(path.name for path in folders(combine(place[1], tmp_path)).values())


def test_documents_in_another_order_are_put_in_order(place, copied):
    runs, results = copied
    rewrite(runs, lambda own: own.take(np.arange(len(own))[::-1]))
    made = combine(results, runs)
    assert folders(made)["flat"].name != folders(place[2])["flat"].name  # its predictions are other bytes
    ours, theirs = flat_of(made), flat_of(place[2])
    assert np.array_equal(ours.document_ids, theirs.document_ids)
    for one, other in zip(ours.levels, theirs.levels, strict=True):
        assert np.array_equal(one.log_prob, other.log_prob)
        assert one.targets.tolist() == other.targets.tolist()


def _fewer(own):
    return own.take(np.arange(1, len(own)))


def _other_document(own):
    return replace(own, document_ids=np.array(["CN0", *own.document_ids[1:]], object))


def _other_part(own):
    return replace(own, parts=np.array(["test" if part == "val" else part for part in own.parts], object))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_fewer, "documents, but another node"),
        (_other_document, "is not in the predictions of"),
        (_other_part, "parts"),
    ],
)
def test_other_documents_are_refused(change, words, copied):
    runs, results = copied
    rewrite(runs, change)
    with pytest.raises(ArtifactError, match=words) as caught:
        combine(results, runs)
    assert "naive_bayes" in str(caught.value)
    assert [path.name for path in (runs / "combination").iterdir()] == [".locks"]


def test_a_damaged_node_of_the_combination_is_not_replaced(copied):
    runs, results = copied
    made = combine(results, runs)
    (folders(made)["A"] / "history.json").write_text("[{}]", "utf-8")
    with pytest.raises(ArtifactError, match="is damaged"):
        combine(results, runs)
    assert (folders(made)["A"] / "history.json").read_text("utf-8") == "[{}]"


def test_members_of_several_depths_answer_down_to_the_shallowest(place, tmp_path, capsys):
    """A subclass network beside class networks: the pool of its class probabilities, on files and on new texts."""
    folder, (neighbours, _), _ = place
    deeper = finish(change(make_settings(folder, "naive_bayes"), "data", depth="subclass"), "shared")
    made = combine([neighbours, deeper], tmp_path)
    assert (
        "naive_bayes shared seed 1 reaches subclass; only its levels down to class are used" in capsys.readouterr().out
    )
    assert [list(suite.nodes) for suite in made] == [NODES, ["flat"]]
    for suite in made:
        save_suite(suite)
        system = load_system(suite.folder)
        assert system.tree.depth == "class"
        corpus = Corpus.open(next((folder / "cache" / "corpora").glob("gazette-*")))
        for node, path in suite.nodes.items():
            own = NetworkPredictions.read(path / "predictions.parquet")
            places = positions(own.document_ids, corpus.document_ids.to_numpy(), "the corpus")
            scores = system.log_prob(documents_at(corpus, (), places), only=[node])[node]
            assert scores.flat == own.flat
            np.testing.assert_allclose(scores.log_prob, own.scores().log_prob, atol=1e-4)
    pair = [NetworkPredictions.read(next(one.parent.glob(f"{n}-*")) / "predictions.parquet").scores() for one, n in (
        (neighbours, "flat"), (deeper, "shared")
    )]  # fmt: skip
    weights = list(weights_of(folders(made)["flat"]).values())
    names = list(weights_of(folders(made)["flat"]))
    assert [name.split("/")[0] for name in names] == ["knn", "naive_bayes"]
    pooled = sum(weight * np.maximum(own.at("class"), FLOOR) for weight, own in zip(weights, pair, strict=True))
    pooled -= np.logaddexp.reduce(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(flat_of(made).level("class").log_prob, pooled, atol=1e-4)


def test_deep_members_can_be_asked_for_classes_only(place, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEAST_DOCUMENTS", 10)
    folder, *_ = place
    base = change(make_settings(folder, "naive_bayes"), "data", depth="subclass")
    members = [finish(base, "shared"), finish(change(base, "data", depth="main_group"), "shared")]
    whole, asked = combine(members, tmp_path), combine(members, tmp_path, depth="class")
    assert [list(suite.nodes) for suite in whole] == [["shared"]]
    assert [list(suite.nodes) for suite in asked] == [NODES, ["flat"]]
    assert flat_of(asked).tree.levels == ("section", "class")
    assert folders(whole)["shared"].name.split("-")[1] not in {
        path.name.split("-")[1] for path in folders(asked).values()
    }
    with pytest.raises(ConfigError, match="not every member reaches depth main_group; choose one of class, subc"):
        combine(members, tmp_path, depth="main_group")
