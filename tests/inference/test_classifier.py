import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import patent_hier
from patent_hier.artifacts import find_damage
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, ConfigError, DataError, IncompleteError
from patent_hier.evaluation.selective import NEVER, Thresholds
from patent_hier.inference.calibration import Calibration
from patent_hier.inference.classifier import HierarchicalClassifier, text_problem
from patent_hier.inference.predictor import load_system

SYSTEMS = [("linear", "hier"), ("textcnn", "flat"), ("combination", "hier")]
TEXTS = [
    "一种激光测距装置，包括壳体和光电探测器。",
    "一种用于治疗糖尿病的中药组合物及其制备方法",
    "LED",
    "一种装置" * 200,
]


@pytest.fixture(scope="module")
def loaded(made):
    found = {system: HierarchicalClassifier.from_pretrained(made.result(*system)) for system in SYSTEMS}
    return lambda model, level: found[model, level]


@pytest.fixture
def linear(loaded):
    return loaded("linear", "hier")


def numbers(predictions):
    """All labels, and all numbers, of predictions."""
    labels, values = [], []
    for one in predictions:
        labels += [one.decision.level, one.decision.label, *(path.ipc_class for path in one.paths)]
        labels += [score.section for score in one.sections]
        values += [one.decision.confidence, *(score.probability for score in one.sections)]
        values += [
            v for path in one.paths for v in (path.probability, path.section_probability, path.class_given_section)
        ]
    return labels, np.array(values)


@pytest.mark.parametrize(("model", "level"), SYSTEMS)
def test_saved_and_reloaded_it_says_the_same(loaded, model, level, tmp_path):
    own = loaded(model, level)
    own.save_pretrained(tmp_path / "model", license="mit")
    assert find_damage(tmp_path / "model") is None
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    again = HierarchicalClassifier.from_pretrained(tmp_path / "elsewhere")
    assert again.version == own.version
    assert again.calibration == own.calibration
    assert again.facts == json.loads(json.dumps(own.facts))
    expected_labels, expected = numbers(own.predict(TEXTS, 5, target_accuracy=0.7))
    for batch_size in (1, 3, 64):
        labels, values = numbers(again.predict(TEXTS, 5, target_accuracy=0.7, batch_size=batch_size))
        assert labels == expected_labels
        np.testing.assert_allclose(values, expected, atol=1e-6, rtol=0)
    again.save_pretrained(tmp_path / "third")
    assert HierarchicalClassifier.from_pretrained(tmp_path / "third").version == own.version


def test_neighbours_in_a_batch_do_not_matter(loaded):
    for system in SYSTEMS:
        own = loaded(*system)
        together, alone = own.predict(TEXTS), [own.predict([text])[0] for text in TEXTS]
        assert numbers(together)[0] == numbers(alone)[0]
        np.testing.assert_allclose(numbers(together)[1], numbers(alone)[1], atol=1e-6, rtol=0)


def test_an_export_holds_no_code_no_paths_and_a_card(loaded, made, tmp_path):
    loaded("combination", "hier").save_pretrained(tmp_path / "model")
    files = [file for file in (tmp_path / "model").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".yaml", ".txt", ".md"}
    for file in files:
        if file.suffix != ".safetensors":
            assert str(made.folder) not in file.read_text("utf-8"), file
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "Trained on generated demo data: not comparable" in card
    assert card.startswith("---\nlanguage: zh\n")
    assert "license_name: unspecified" in card
    labels = read_json(tmp_path / "model" / "labels.json")
    codes = [one["code"] for section in labels["sections"] for one in section["classes"]]
    assert codes == list(loaded("combination", "hier").system.classes)
    assert labels["sections"][0]["zh"]


def test_damage_of_an_export_is_named(linear, tmp_path):
    linear.save_pretrained(tmp_path / "model")
    for name in ("calibration.json", "config.json", "labels.json"):
        shutil.copytree(tmp_path / "model", tmp_path / name)
        file = tmp_path / name / name
        file.write_text(file.read_text("utf-8").replace("0", "1", 1) + " ", "utf-8")
        with pytest.raises(ArtifactError, match=f"{name} is damaged"):
            HierarchicalClassifier.from_pretrained(tmp_path / name)


def test_an_export_replaces_only_an_export(linear, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="exists and holds no system, so it is not replaced"):
        linear.save_pretrained(tmp_path / "mine")
    linear.save_pretrained(tmp_path / "model")
    linear.save_pretrained(tmp_path / "model", license="apache-2.0")
    assert "license: apache-2.0" in (tmp_path / "model" / "README.md").read_text("utf-8")
    with pytest.raises(ConfigError, match="is the folder that the model was loaded from"):
        HierarchicalClassifier.from_pretrained(tmp_path / "model").save_pretrained(tmp_path / "model")


def test_what_is_no_system_is_refused(made, tmp_path):
    with pytest.raises(ConfigError, match="holds no finished result"):
        HierarchicalClassifier.from_pretrained(tmp_path)
    with pytest.raises(IncompleteError, match="makes no whole paths"):
        HierarchicalClassifier.from_pretrained(made.node("linear", "A"))


@pytest.mark.parametrize("top_k", [1, 3])
def test_without_temperatures_paths_are_the_systems(made, loaded, top_k):
    for system in SYSTEMS:
        own = load_system(made.result(*system))
        plain = HierarchicalClassifier(own, None, {})
        assert [list(one.paths) for one in plain.predict(TEXTS, top_k)] == own.paths(TEXTS, top_k)


def test_what_calibration_is_worth_is_measured_on_other_documents(loaded):
    for system in SYSTEMS:
        own = loaded(*system).calibration
        assert own is not None
        assert set(own.temperatures) == set(loaded(*system).system.nodes)
        error = own.measured["calibration_error"]
        assert error["after"].keys() == error["before"].keys() >= {"class", "section"}
        assert own.measured["documents"] > own.documents > 0
        assert Calibration.from_dict(json.loads(json.dumps(own.as_dict()))) == own


@pytest.fixture
def strict(linear):
    """The system with thresholds of our choice: class, then section."""

    def at(ipc_class, section):
        assert linear.calibration is not None
        thresholds = [Thresholds(0.9, ipc_class, section)]
        return HierarchicalClassifier(linear.system, replace(linear.calibration, thresholds=thresholds), {})

    return at


def test_it_backs_off_from_class_to_section_to_nothing(strict):
    (likely,) = strict(0, 0).predict(TEXTS[:1], target_accuracy=0.9)
    path, section = likely.paths[0], likely.sections[0]
    assert (likely.decision.level, likely.decision.label) == ("class", path.ipc_class)
    assert likely.decision.reason == f"class {path.probability:.3f} >= 0.000"
    (only,) = strict(NEVER, section.probability).predict(TEXTS[:1], target_accuracy=0.9)
    assert (only.decision.level, only.decision.label) == ("section", section.section)
    assert "< any confidence (the target is not reached), section" in only.decision.reason
    (nothing,) = strict(1.1, 1.1).predict(TEXTS[:1], target_accuracy=0.9)
    assert (nothing.decision.level, nothing.decision.label) == ("undecided", None)
    assert nothing.decision.confidence == section.probability
    assert nothing.paths == likely.paths  # what is likely is still told
    (plain,) = strict(1.1, 1.1).predict(TEXTS[:1])
    assert plain.decision.reason == "likeliest class"
    assert plain.decision.target_accuracy is None


def test_the_examiners_section_is_taken_for_granted(strict, linear):
    for section in "ABH":
        (given,) = linear.predict(TEXTS[:1], force=section)
        assert {path.section for path in given.paths} == {section}
        assert given.decision.label == given.paths[0].ipc_class
        assert given.decision.confidence == given.paths[0].class_given_section
        (doubtful,) = strict(1.1, 1.1).predict(TEXTS[:1], force=section, target_accuracy=0.9)
        assert (doubtful.decision.level, doubtful.decision.label) == ("section", section)


def test_wrong_arguments_are_refused(linear):
    for arguments, message in (
        ({"top_k": 0}, "top_k=0"),
        ({"top_k": 1000}, "top_k=1000"),
        ({"force": "Z"}, "section 'Z' is not one of"),
        ({"beam": 9}, "beam=9"),
        ({"target_accuracy": 1.5}, "target accuracy 1.5 is out of range"),
        ({"target_accuracy": 0}, "target accuracy 0 is out of range"),
    ):
        with pytest.raises(ConfigError, match=message):
            linear.predict(TEXTS, **arguments)
    with pytest.raises(ConfigError, match=r"no calibration, because its split left no documents"):
        HierarchicalClassifier(linear.system, None, {}).predict(TEXTS, target_accuracy=0.9)


@pytest.mark.parametrize(
    ("text", "problem"), [("", "no words"), (" \n。", "no words"), ("一\ud800", "no valid Unicode"), ("一", None)]
)
def test_texts_that_cannot_be_read(linear, text, problem):
    found = text_problem(text)
    assert (found is None) == (problem is None)
    if problem:
        with pytest.raises(DataError, match=f"text 1 .*{problem}"):
            linear.predict(["一种装置", text])


def test_nothing_in_nothing_out(linear):
    assert linear.predict([]) == []


def test_white_space_and_composition_do_not_matter(linear):
    first, second = linear.predict(["一种  cafe\u0301\n装置", "一种 café 装置"])
    assert first == second


def test_it_is_there_by_its_short_name():
    assert patent_hier.HierarchicalClassifier is HierarchicalClassifier
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        patent_hier.Nothing  # noqa: B018


def test_a_repository_of_the_hub(linear, tmp_path, monkeypatch):
    import huggingface_hub

    uploaded = tmp_path / "hub"

    class Api:
        def create_repo(self, repo_id, *, private, exist_ok):
            assert (repo_id, private, exist_ok) == ("office/ipc", True, True)

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, uploaded)
            return f"https://example.org/{repo_id}/commit/{commit_message}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert linear.push_to_hub("office/ipc") == f"https://example.org/office/ipc/commit/Model {linear.version}"
    asked = []
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, **settings: asked.append((name, settings["revision"])) or str(uploaded),
    )
    again = HierarchicalClassifier.from_pretrained("office/ipc", revision="v1")
    assert asked == [("office/ipc", "v1")]
    assert again.predict(TEXTS) == linear.predict(TEXTS)


def test_a_repository_that_cannot_be_had(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="office/nothing is no folder here, and the hub gave nothing"):
        HierarchicalClassifier.from_pretrained("office/nothing")
