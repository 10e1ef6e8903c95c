import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import patent_hier
from patent_hier.artifacts import find_damage
from patent_hier.atomic import read_json
from patent_hier.data.raw import normalise
from patent_hier.errors import ArtifactError, ConfigError, DataError, IncompleteError
from patent_hier.evaluation.decoding import decode
from patent_hier.evaluation.selective import NEVER, Thresholds
from patent_hier.evaluation.set_rule import SetRule
from patent_hier.inference.calibration import Calibration
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.predictor import paths_of
from patent_hier.inference.texts import text_problem
from tests.inference.worlds import paths_by

SYSTEMS = [
    ("class", "linear", "hier"),
    ("class", "textcnn", "flat"),
    ("class", "combination", "hier"),
    ("subgroup", "linear", "hier"),
    ("subgroup", "textcnn", "shared"),
]
TEXTS = [
    "一种激光测距装置，包括壳体和光电探测器。",
    "一种用于治疗糖尿病的中药组合物及其制备方法",
    "LED",
    "一种装置" * 200,
]


@pytest.fixture(scope="module")
def loaded(made):
    found = {
        (depth, *system): HierarchicalClassifier.from_pretrained(made._replace(depth=depth).result(*system))
        for depth, *system in SYSTEMS
    }
    return lambda *system: found[system]


@pytest.fixture
def linear(loaded):
    return loaded("class", "linear", "hier")


@pytest.fixture
def deep(loaded):
    return loaded("subgroup", "linear", "hier")


TRADITIONAL = "一種激光測距裝置，包括殼體與光電探測器。"


def test_texts_that_training_has_not_shown_are_told(linear, tmp_path):
    plain, traditional, english = linear.predict([TEXTS[0], TRADITIONAL, "A device for measuring distances"])
    assert (plain.strange, traditional.strange, english.strange) == (None, "traditional", "latin")
    assert "strange" not in plain.as_dict()
    linear.save_pretrained(tmp_path / "model")
    saved = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert saved.system.characters == linear.system.characters
    saved.system = saved.system.converting("t2s")
    (converted,) = saved.predict([TRADITIONAL])
    (simplified,) = linear.predict(["一种激光测距装置，包括壳体与光电探测器。"])
    assert converted == simplified
    (tmp_path / "model" / "characters.json").write_text("{}", "utf-8")
    with pytest.raises(ArtifactError):
        HierarchicalClassifier.from_pretrained(tmp_path / "model")


def numbers(predictions):
    """All labels, and all numbers, of predictions."""
    labels, values = [], []
    for one in predictions:
        steps = [step for path in one.paths for step in path.steps]
        likely = [score for own in one.levels.values() for score in own]
        labels += [one.decision.level, one.decision.label, *(step.label for step in steps)]
        labels += [score.label for score in likely]
        values += [one.decision.confidence, *(score.probability for score in likely)]
        values += [number for step in steps for number in (step.probability, step.conditional)]
    return labels, np.array(values)


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_reloaded_it_says_the_same(loaded, system, tmp_path):
    own = loaded(*system)
    own.save_pretrained(tmp_path / "model", license="mit")
    assert find_damage(tmp_path / "model") is None
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    again = HierarchicalClassifier.from_pretrained(tmp_path / "elsewhere")
    assert again.version == own.version
    assert again.calibration == own.calibration
    assert again.calibration.sets.thresholds.keys() == set(own.system.tree.levels)
    assert again.facts == json.loads(json.dumps(own.facts))
    expected_labels, expected = numbers(own.predict(TEXTS, 5, target_accuracy=0.7))
    for batch_size in (1, 3, 64):
        labels, values = numbers(again.predict(TEXTS, 5, target_accuracy=0.7, batch_size=batch_size))
        assert labels == expected_labels
        np.testing.assert_allclose(values, expected, atol=1e-6, rtol=0)
    again.save_pretrained(tmp_path / "third")
    assert HierarchicalClassifier.from_pretrained(tmp_path / "third").version == own.version


@pytest.mark.parametrize("beam", [1, 2])
def test_a_beam_follows_the_likeliest_labels_only(linear, deep, beam):
    for own in (linear, deep):
        (one,) = own.predict(TEXTS[:1], beam=beam)
        likeliest = {score.label for score in one.levels["section"][:beam]}
        assert {path.labels[0] for path in one.paths} <= likeliest
        assert (one.decision.label, one.decision.confidence) == (one.paths[0].label, one.paths[0].probability)


def test_neighbours_in_a_batch_do_not_matter(loaded):
    for system in SYSTEMS:
        own = loaded(*system)
        together, alone = own.predict(TEXTS), [own.predict([text])[0] for text in TEXTS]
        assert numbers(together)[0] == numbers(alone)[0]
        np.testing.assert_allclose(numbers(together)[1], numbers(alone)[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("system", [SYSTEMS[2], SYSTEMS[3]])
def test_an_export_holds_no_code_no_paths_and_a_card(loaded, made, system, tmp_path):
    own = loaded(*system)
    own.save_pretrained(tmp_path / "model")
    files = [file for file in (tmp_path / "model").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".yaml", ".txt", ".md"}
    for file in files:
        if file.suffix != ".safetensors":
            assert str(made.folder) not in file.read_text("utf-8"), file
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "Trained on generated demo data: not comparable" in card
    assert card.startswith("---\nlanguage: zh\n")
    assert "license_name: unspecified" in card
    tree = own.system.tree
    for level in tree.levels:
        assert f"{level} {len(tree.labels(level))}" in card
        assert f"\n| {level}, three likeliest | " in card
    table = read_json(tmp_path / "model" / "labels.json")
    assert [one["code"] for one in table["labels"]] == tree.codes.tolist()
    assert [one["parent"] for one in table["labels"]] == tree.names(tree.parents).tolist()
    assert all(one["zh"] and one["en"] for one in table["labels"] if one["level"] in ("section", "class"))


def test_titles_travel_with_an_export(deep, made, tmp_path):
    assert deep.system.titles == {}  # training had no table
    table = tmp_path / "titles.csv"
    subclass = deep.system.tree.labels("subclass")[0]
    table.write_text(f"code,level,title\nG,section,物理\n{subclass},subclass,定位（雷达）\n", "utf-8")
    own = HierarchicalClassifier.from_pretrained(made.deep.result("linear", "hier"), titles=table)
    own.save_pretrained(tmp_path / "model")
    table.unlink()
    again = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert again.system.tree.titles == own.system.titles
    assert own.system.titles == {"G": "物理", subclass: "定位"}
    assert again.version == deep.version
    assert "IPC labels of Chinese patents" in (tmp_path / "model" / "README.md").read_text("utf-8")


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
    with pytest.raises(ConfigError, match="its manifest is not of kind system, so it is not replaced"):
        linear.save_pretrained(tmp_path / "mine")
    linear.save_pretrained(tmp_path / "model")
    linear.save_pretrained(tmp_path / "model", license="apache-2.0")
    assert "license: apache-2.0" in (tmp_path / "model" / "README.md").read_text("utf-8")
    with pytest.raises(ConfigError, match="is the folder that the model was loaded from"):
        HierarchicalClassifier.from_pretrained(tmp_path / "model").save_pretrained(tmp_path / "model")


def test_what_is_no_system_is_refused(made, tmp_path):
    with pytest.raises(ConfigError, match="holds no finished result"):
        HierarchicalClassifier.from_pretrained(tmp_path)
    with pytest.raises(IncompleteError, match="cannot form complete paths"):
        HierarchicalClassifier.from_pretrained(made.node("linear", "A"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_without_calibration_paths_are_the_systems(made, loaded, system):
    own = loaded(*system).system
    scores = own.whole(own.log_prob([normalise(text) for text in TEXTS]))
    assert paths_by(own, TEXTS) == paths_of(scores, decode(scores, 3))


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_calibration_is_worth_is_measured_on_other_documents(loaded, system):
    own, levels = loaded(*system).calibration, loaded(*system).system.tree.levels
    assert own is not None
    assert set(own.scalings) == set(loaded(*system).system.nodes)
    assert own.choices
    assert set(own.choices) <= set(levels)
    error = own.measured["calibration_error"]
    for when in ("before", "after"):
        assert tuple(error[when]["levels"]) == levels
        assert {node: set(one) for node, one in error[when]["nodes"].items()} == {
            node: set(one) for node, one in own.scalings.items() if one
        }
    assert set(own.measured["accuracy"]) == set(own.measured["risk_coverage"]) == set(levels)
    assert own.measured["documents"] > own.documents > 0
    assert Calibration.from_dict(json.loads(json.dumps(own.as_dict())), levels) == own


@pytest.fixture
def strict():
    """A system with thresholds of our choice, from the deepest level up."""

    def at(own, *values):
        assert own.calibration is not None
        levels = own.system.tree.levels
        thresholds = [Thresholds(0.9, dict(zip(levels, reversed(values), strict=True)))]
        return HierarchicalClassifier(own.system, replace(own.calibration, thresholds=thresholds), {})

    return at


def test_it_backs_off_from_class_to_section_to_nothing(strict, linear):
    (likely,) = strict(linear, 0, 0).predict(TEXTS[:1], target_accuracy=0.9)
    path, section = likely.paths[0], likely.levels["section"][0]
    assert (likely.decision.level, likely.decision.label) == ("class", path.label)
    assert likely.decision.reason == f"class {path.probability:.3f} >= 0.000"
    (only,) = strict(linear, NEVER, section.probability).predict(TEXTS[:1], target_accuracy=0.9)
    assert (only.decision.level, only.decision.label) == ("section", section.label)
    assert (
        only.decision.reason
        == f"section {section.probability:.3f} >= {section.probability:.3f}, no threshold for class"
    )
    (nothing,) = strict(linear, 1.1, 1.1).predict(TEXTS[:1], target_accuracy=0.9)
    assert (nothing.decision.level, nothing.decision.label) == ("undecided", None)
    assert nothing.decision.confidence == section.probability
    assert nothing.decision.reason == (
        f"class {likely.levels['class'][0].label} {likely.levels['class'][0].probability:.3f} < threshold 1.100, "
        f"section {section.label} {section.probability:.3f} < threshold 1.100"
    )
    (partly,) = strict(linear, NEVER, 1.1).predict(TEXTS[:1], target_accuracy=0.9)
    assert partly.decision.reason == (
        f"section {section.label} {section.probability:.3f} < threshold 1.100, no threshold for class"
    )
    (never,) = strict(linear, NEVER, NEVER).predict(TEXTS[:1], target_accuracy=0.9)
    assert (never.decision.level, never.decision.reason) == ("undecided", "no level can guarantee 90 %")
    assert nothing.paths == likely.paths  # what is likely is still told
    (plain,) = strict(linear, 1.1, 1.1).predict(TEXTS[:1])
    assert plain.decision.reason == "likeliest class"
    assert plain.decision.target_accuracy is None


def test_it_backs_off_level_by_level(strict, deep):
    levels = deep.system.tree.levels
    for place, level in enumerate(reversed(levels)):
        thresholds = [NEVER] * place + [0] * (len(levels) - place)
        (only,) = strict(deep, *thresholds).predict(TEXTS[:1], target_accuracy=0.9)
        best = only.levels[level][0]
        assert (only.decision.level, only.decision.label) == (level, best.label)
        assert only.decision.confidence == pytest.approx(best.probability)
        assert " < " not in only.decision.reason
        without = ", ".join(levels[len(levels) - place :])
        assert only.decision.reason.partition(", ")[2] == (f"no threshold for {without}" if place else "")


def test_levels_are_the_likeliest_labels_and_add_up(linear, deep):
    for own in (linear, deep):
        tree = own.system.tree
        (one,) = own.predict(TEXTS[:1], min(len(tree.ends), 130))
        assert tuple(one.levels) == tree.levels
        assert {score.label for score in one.levels["section"]} == set(tree.labels("section"))
        for scores in one.levels.values():
            assert [score.probability for score in scores] == sorted((s.probability for s in scores), reverse=True)
        classes = {score.label: score.probability for score in one.levels["class"]}
        for section in one.levels["section"]:
            below = sum(value for label, value in classes.items() if label.startswith(section.label))
            assert section.probability == pytest.approx(below, abs=1e-5)


def test_the_examiners_section_is_taken_for_granted(strict, linear):
    for section in "ABH":
        (given,) = linear.predict(TEXTS[:1], force=section)
        assert {path.labels[0] for path in given.paths} == {section}
        assert [(score.label, score.probability) for score in given.levels["section"]] == [(section, 1)]
        assert given.decision.label == given.paths[0].label
        assert given.decision.confidence == given.paths[0].probability
        assert given.paths[0].probability == pytest.approx(given.paths[0].steps[-1].conditional)
        known = {path.label: path.steps[-1].conditional for path in linear.predict(TEXTS[:1], 130)[0].paths}
        assert all(path.probability == pytest.approx(known[path.label], abs=1e-6) for path in given.paths)
        assert given.decision.reason == f"likeliest class within the specified section {section}"
        assert [score.label for score in given.levels["class"]] == [path.label for path in given.paths]
        (doubtful,) = strict(linear, 1.1, 1.1).predict(TEXTS[:1], force=section, target_accuracy=0.9)
        assert (doubtful.decision.level, doubtful.decision.label) == ("section", section)
        assert doubtful.decision.reason.endswith(f"section {section} was specified")


def test_a_label_of_any_level_is_taken_for_granted(strict, deep):
    """All that is said is said given it."""
    tree = deep.system.tree
    for place, level in enumerate(tree.levels):
        label = next(code for code in reversed(tree.labels(level)) if level != "subgroup" or not code.endswith("/00"))
        (given,) = deep.predict(TEXTS[:1], force=label)
        (position,) = tree.find(level, [label]).tolist()
        below = tree.ancestors(level) == position
        assert all(path.labels[place] == label for path in given.paths)
        for deeper, scores in given.levels.items():
            if tree.levels.index(deeper) <= place:
                assert [score.probability for score in scores] == pytest.approx([1])
            else:
                own = tree.span(deeper)
                assert {score.label for score in scores} <= set(tree.codes[own][below[own]])
                assert sum(score.probability for score in scores) <= 1 + 1e-5
        (doubtful,) = strict(deep, *[1.1] * 5).predict(TEXTS[:1], force=label, target_accuracy=0.9)
        assert (doubtful.decision.level, doubtful.decision.label) == (level, label)


def test_answers_keep_within_some_labels_and_out_of_others(deep):
    tree = deep.system.tree
    free = {path.label: path.probability for path in deep.predict(TEXTS[:1], len(tree.ends))[0].paths}
    first, second = tree.labels("class")[:2]
    subclass = next(code for code in tree.labels("subclass") if code.startswith(first))
    (bound,) = deep.predict(TEXTS[:1], len(tree.ends), force=[second.lower(), first], exclude=f" {subclass} ")
    within = {
        label: value
        for label, value in free.items()
        if label.startswith((first, second)) and not label.startswith(subclass)
    }
    assert {path.label for path in bound.paths} == set(within)
    for path in bound.paths:
        assert path.probability == pytest.approx(within[path.label] / sum(within.values()), rel=1e-4, abs=1e-6)
    assert bound.decision.reason == (
        f"likeliest subgroup within the specified {second} or {first}, excluding {subclass}"
    )
    assert bound == deep.predict(TEXTS[:1], len(tree.ends), force=f"{second},{first}", exclude=[subclass])[0]


def test_several_given_labels_decide_what_they_share(strict, deep):
    first, second = deep.system.tree.labels("class")[:2]
    assert first[0] == second[0]
    (doubtful,) = strict(deep, *[1.1] * 5).predict(TEXTS[:1], force=[first, second], target_accuracy=0.9)
    assert (doubtful.decision.level, doubtful.decision.label) == ("section", first[0])
    assert doubtful.decision.reason.endswith(f"section {first[0]} contains all specified labels")
    assert doubtful.decision.confidence == pytest.approx(1)


def test_no_answer_is_deeper_than_asked(deep, linear):
    tree = deep.system.tree
    for place, depth in enumerate(tree.levels):
        (one,) = deep.predict(TEXTS[:1], 3, depth=depth)
        assert tuple(one.levels) == tree.levels[: place + 1]
        assert all(path.level in tree.levels[: place + 1] for path in one.paths)
        (whole,) = deep.predict(TEXTS[:1], 3)
        assert one.levels[depth] == whole.levels[depth]
        (reached,) = deep.predict(TEXTS[:1], 3, depth=depth, target_accuracy=0.5)
        assert reached.decision.level in (*tree.levels[: place + 1], "undecided")
    subgroup = deep.predict(TEXTS[:1])[0].paths[0].label
    (forced,) = deep.predict(TEXTS[:1], depth="class", force=subgroup)
    assert forced.decision.reason == f"class {subgroup[:3]} was specified"
    assert (forced.decision.label, forced.decision.confidence) == (subgroup[:3], 1)
    with pytest.raises(ConfigError, match="level subgroup is unknown; this tree has section, class"):
        linear.predict(TEXTS[:1], depth="subgroup")
    with pytest.raises(ConfigError, match="top_k=9 is out of range; use a number from 1 to 8,"):
        deep.predict(TEXTS[:1], 9, depth="section")


@pytest.mark.parametrize("question", [{}, {"depth": "main_group"}, {"exclude": "A,B"}, {"force": ["G01"]}])
def test_all_symbols_are_those_above_the_thresholds(deep, question):
    thresholds = {"section": 0.2, "class": 0.1, "subclass": 0.05, "main_group": 0.04, "subgroup": 0.99}
    assert deep.calibration is not None
    rule = SetRule(100, thresholds)
    own = HierarchicalClassifier(deep.system, replace(deep.calibration, sets=rule), {})
    for one in own.predict(TEXTS, 20, all_symbols=True, **question):
        assert one.symbols is not None
        assert tuple(one.symbols) == tuple(one.levels)
        for level, named in one.symbols.items():
            above = tuple(score for score in one.levels[level] if score.probability >= thresholds[level])
            assert named == (above or one.levels[level][:1])  # one at least
        assert one.as_dict()["symbols"]["section"][0] == one.as_dict()["levels"]["section"][0]
    (few,) = own.predict(TEXTS[:1], 1, all_symbols=True, **question)
    assert few.symbols == own.predict(TEXTS[:1], 20, all_symbols=True, **question)[0].symbols
    (plain,) = own.predict(TEXTS[:1], **question)
    assert plain.symbols is None
    assert "symbols" not in plain.as_dict()


def test_without_thresholds_there_are_no_sets(deep):
    assert deep.calibration is not None
    assert deep.calibration.sets is not None  # the demo's documents have several symbols
    own = HierarchicalClassifier(deep.system, replace(deep.calibration, sets=None), {})
    with pytest.raises(ConfigError, match="no thresholds for sets of labels, because no document of its calibration"):
        own.predict(TEXTS, all_symbols=True)


def test_wrong_arguments_are_refused(linear):
    for arguments, message in (
        ({"top_k": 0}, "top_k=0"),
        ({"top_k": 1000}, "top_k=1000"),
        ({"force": "Z"}, "label 'Z' does not exist in this system; similar labels are A, B, C, D, E, F, G, H"),
        ({"exclude": ["G01", "Z"]}, "label 'Z' does not exist in this system"),
        ({"exclude": "A,B,C,D,E,F,G,H"}, "no label is left with force=none and exclude=A,B,C,D,E,F,G,H"),
        ({"beam": 9}, "beam=9"),
        ({"target_accuracy": 1.5}, "target accuracy 1.5 is out of range"),
        ({"target_accuracy": 0}, "target accuracy 0 is out of range"),
    ):
        with pytest.raises(ConfigError, match=message):
            linear.predict(TEXTS, **arguments)
    with pytest.raises(ConfigError, match=r"no calibration, because its split left no calibration documents"):
        HierarchicalClassifier(linear.system, None, {}).predict(TEXTS, target_accuracy=0.9)


@pytest.mark.parametrize(
    ("text", "problem"), [("", "no words"), (" \n。", "no words"), ("一\ud800", "not valid Unicode"), ("一", None)]
)
def test_texts_that_cannot_be_read(linear, text, problem):
    found = text_problem(text)
    assert (found is None) == (problem is None)
    if problem:
        with pytest.raises(DataError, match=f"text 1 .*{problem}"):
            linear.predict(["一种装置", text])


def test_nothing_in_nothing_out(linear):
    assert linear.predict([]) == linear.predict(iter(())) == []


def test_one_text_is_one_text(linear):
    expected = linear.predict([TEXTS[0]])
    assert linear.predict(TEXTS[0]) == linear.predict(np.str_(TEXTS[0])) == expected
    assert linear.predict(TEXTS[0], explain=True)[0].explanation.text == TEXTS[0]
    assert len(linear.score(TEXTS[0]).log_prob) == 1


@pytest.mark.parametrize(
    "given",
    [tuple, iter, np.array, lambda texts: (text for text in texts), lambda texts: pd.Series(texts, index=[7] * 4)],
)
def test_every_iterable_is_taken_whole(linear, given):
    assert linear.predict(given(TEXTS), explain=True) == linear.predict(TEXTS, explain=True)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["一种装置", None], "text 1 is None, not a string"),
        ([float("nan")], r"text 0 is nan \(float\)"),
        (pd.Series(["一种装置", "一种", pd.NA], dtype=object), r"text 2 is <NA> \(NAType\)"),
        (np.array([3, 4]), "text 0 is .*3.*int64"),
        (("一种装置", ["一种装置"]), r"text 1 is \['一种装置'\] \(list\)"),
        (iter(["一种装置", "一种装置".encode()]), "text 1 is b.*bytes"),
        ("一种装置".encode(), "texts is b.*pass a string or a list of strings"),
        ({"一种装置": 1}, "texts is .*dict"),
        (None, "texts is None"),
        (3, r"texts is 3 \(int\)"),
        (pd.DataFrame({"摘要": ["一种装置"]}), "texts has 2 dimensions; pass one column"),
        (np.array("一种装置"), "texts has 0 dimensions"),
    ],
)
def test_what_is_no_text_is_named(linear, texts, message):
    with pytest.raises(DataError, match=message):
        linear.predict(texts)


def test_what_cannot_be_explained_is_named(linear):
    with pytest.raises(DataError, match=r"the text is nan \(float\), not a string"):
        linear.explain(float("nan"), "A")
    with pytest.raises(DataError, match="the text has no words"):
        linear.explain("。", "A")


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
    with pytest.raises(ConfigError, match="office/nothing is not a folder, and the hub did not provide it"):
        HierarchicalClassifier.from_pretrained("office/nothing")
