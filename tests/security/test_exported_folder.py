"""An exported system of unknown origin: whatever its JSON says, one line refuses it, or it answers with numbers."""

import functools
import json
import math
import operator
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file, save_file

from patent_hier.artifacts import MANIFEST, write_manifest
from patent_hier.atomic import read_json
from patent_hier.errors import PatentHierError
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.pipeline.known_patents import find_known_patents
from patent_hier.web.app import create_app
from patent_hier.web.guard import ServiceSettings
from tests.commands import Outcome, command
from tests.inference.worlds import World
from tests.security.traps import change_json, refused, reseal
from tests.web.serving import serving

TEXT = "一种激光测距装置"
WRONG: list[Any] = [None, True, 0, -1, 1e-320, 1e308, 10**400, math.nan, math.inf, "x", "nan", [], [1], {}, "\ud800"]
LABELS = ["", "../A01", "<b>", "=A01", "A01\n", "\x1b[31m", "@A01", "-1", "A01 ", "A\u202e01"]
OF_OTHER_SCHEMES = ["A", "A50", "a01", "B01", "A٠١", "nan"]


@pytest.fixture(scope="module")
def exported(made: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports of nine linear models, of nine down to the subgroup, and of combinations."""
    folder = tmp_path_factory.mktemp("exported")
    results = {"plain": made.result("linear", "hier"), "combined": made.result("combination", "hier")}
    results["deep"] = made.deep.result("linear", "hier")
    for name, result in results.items():
        HierarchicalClassifier.from_pretrained(result).save_pretrained(folder / name)
    return {name: folder / name for name in results}


@pytest.fixture
def folder(exported: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported["plain"], tmp_path / "model"))


def predict(folder: Path) -> Outcome:
    return command("predict", folder, "--abstract", TEXT, "--target-accuracy", "0.6")


def harmless(folder: Path) -> None:
    """It is refused in one line, or answers with numbers, everywhere."""
    outcome = predict(folder)
    if outcome.status:
        refused(outcome)
        with pytest.raises(PatentHierError):
            HierarchicalClassifier.from_pretrained(folder).predict([TEXT], target_accuracy=0.6)
        return
    assert outcome.err == ""
    assert "nan" not in outcome.out
    with serving(create_app(HierarchicalClassifier.from_pretrained(folder), ServiceSettings(rate=0))) as client:
        assert client.get("/about").status == client.get("/taxonomy").status == 200
        assert client.post("/predict", {"text": TEXT, "target_accuracy": 0.6, "explain": True}).status in (200, 422)
    again = command("export", folder, folder.parent / "again")
    if again.status:
        refused(again)


def node(folder: Path, name: str) -> Path:
    (found,) = (folder / "nodes").glob(f"*-{name}-*")
    return found


FACTS = ("facts", "facts/data", "facts/result", "facts/data/name", "facts/data/split", "name")
CALIBRATION = ("scalings/root", "scalings/root/section", "choices", "choices/section", "choices/section/nll")
CALIBRATION += ("choices/section/method", "thresholds/0/target", "thresholds/0/levels")
CALIBRATION += ("thresholds/0/levels/class", "thresholds", "documents", "measured", "sets", "sets/thresholds/class")
PROFILE = (
    "bigrams",
    "calibration/bins/latin/0",
    "calibration/labels/section",
    "calibration/sums/letters",
    "hits/class",
)


@pytest.mark.slow
@pytest.mark.parametrize("third", range(3))
@pytest.mark.parametrize(
    ("name", "key"),
    [("config.json", key) for key in FACTS]
    + [("calibration.json", key) for key in CALIBRATION]
    + [("profile.json", key) for key in PROFILE],
)
def test_facts_and_calibrations(folder: Path, name: str, key: str, third: int) -> None:
    whole = (folder / name).read_text("utf-8")
    *path, last = [int(step) if step.isdigit() else step for step in key.split("/")]
    for value in WRONG[third::3]:
        content = json.loads(whole)
        functools.reduce(operator.getitem, path, content)[last] = value
        (folder / name).write_text(json.dumps(content), "utf-8")
        reseal(folder)
        harmless(folder)


@pytest.mark.parametrize(("kind", "name"), [("plain", "root"), ("plain", "A"), ("deep", "A")])
def test_labels_are_a_tree_of_plain_names(exported: dict[str, Path], tmp_path: Path, kind: str, name: str) -> None:
    folder = Path(shutil.copytree(exported[kind], tmp_path / "model"))
    place = node(folder, name)
    whole = read_json(place / "model" / "classifier.json")["tree"]
    codes, parents, levels = whole["codes"], whole["parents"], whole["levels"]
    last = len(codes) - 1
    places = {0, last} if kind == "deep" else {0}
    changes: list[Any] = [
        {"codes": [*codes[:place], label, *codes[place + 1 :]]}
        for place in places
        for label in [*WRONG, *LABELS]
        if label not in ("x", "nan")  # names in some scheme
    ]
    changes += [{"codes": wrong} for wrong in ([codes[1], *codes[1:]], codes[1:], [], None, "A01", {"A01": 1})]
    changes += [{"parents": [*parents[:-1], wrong]} for wrong in (last, 10**400, math.nan, -2, "x", None, [0])]
    changes += [{"parents": wrong} for wrong in (parents[1:], [[one] for one in parents], None)]
    changes += [{"levels": wrong} for wrong in ([*levels, "more"], [], levels[:1] * 2, ["class", "section"], None, 7)]
    changes += [{"levels": [label, *levels[1:]]} for label in LABELS]
    changes += [{"root": "B"}, {"root": None}]
    for tree in (*(whole | change for change in changes), *WRONG):
        change_json(place / "model" / "classifier.json", tree=tree)
        reseal(place, folder)
        assert ("label" if isinstance(tree, dict) and tree else "label tree") in refused(predict(folder)), tree


@pytest.mark.parametrize("name", ["root", "A"])
def test_labels_that_another_scheme_may_have_do_no_harm(folder: Path, name: str) -> None:
    file = node(folder, name) / "model" / "classifier.json"
    tree = read_json(file)["tree"]
    for label in OF_OTHER_SCHEMES:
        change_json(file, tree={**tree, "codes": [label, *tree["codes"][1:]]})
        reseal(node(folder, name), folder)
        harmless(folder)


def test_paths_of_nodes(folder: Path) -> None:
    whole = read_json(folder / MANIFEST)
    finite = [value for value in WRONG if not isinstance(value, float) or math.isfinite(value)]
    for path in (*finite[:-1], "", ".", "..", "/", "../..", "nodes/..", "/etc", "nodes/\0", "x" * 5000, *LABELS[1:]):
        write_manifest(folder, {**whole, "nodes": {**whole["nodes"], "root": path}})
        refused(predict(folder))


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"\\ud800"', "1" * 5000])
def test_manifests_that_json_has_no_canonical_form_of(folder: Path, value: str) -> None:
    text = (folder / MANIFEST).read_text("utf-8")
    (folder / MANIFEST).write_text(text.replace("{", f'{{"more": {value},', 1), "utf-8")
    assert MANIFEST in refused(predict(folder))


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "é" * 200])
def test_manifests_with_files_that_cannot_be(folder: Path, name: str) -> None:
    whole = read_json(folder / MANIFEST)
    write_manifest(folder, {**whole, "files": {**whole["files"], name: {"bytes": 1, "sha256": "x"}}})
    refused(predict(folder))


@pytest.mark.parametrize("name", ["manifest.json", "calibration.json", "config.json", "classifier.json", "config.yaml"])
def test_nesting_without_end(folder: Path, name: str) -> None:
    place = {"classifier.json": node(folder, "A") / "model", "config.yaml": node(folder, "A")}.get(name, folder)
    (place / name).write_text("[" * 100_000 if name.endswith("json") else "[" * 5000, "utf-8")
    if name != MANIFEST:
        reseal(node(folder, "A"), folder)
    assert name in refused(predict(folder))


@pytest.mark.parametrize("key", ["columns", "text", "min_symbol", "edition", "encoding"])
def test_settings(folder: Path, key: str) -> None:
    places = list((folder / "nodes").iterdir())
    whole = yaml.safe_load((places[0] / "config.yaml").read_text("utf-8"))
    for value in (None, 1, "x", [], {}, [[1]], {"text": 1}, [None]):
        for place in places:
            content = {"data": {**whole["data"], key: value}}
            (place / "config.yaml").write_text(yaml.safe_dump(content), "utf-8")
        reseal(*places, folder)
        harmless(folder)


@pytest.mark.parametrize("key", ["nodes", "weight", "path"])
def test_members(exported: dict[str, Path], tmp_path: Path, key: str) -> None:
    folder = Path(shutil.copytree(exported["combined"], tmp_path / "model"))
    files = list((folder / "nodes").glob("combination-*/model/classifier.json"))
    before = [read_json(file)["members"] for file in files]
    for value in (*WRONG, "../../../../etc", "/etc", "a\0b", "x" * 5000):
        for file, (first, *others) in zip(files, before, strict=True):
            changed = {"nodes": dict.fromkeys(first["nodes"], value)} if key == "path" else {key: value}
            change_json(file, members=[first | changed, *others])
        reseal(*(file.parents[1] for file in files), folder)
        harmless(folder)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e38, -1e38])
def test_weights_that_give_no_numbers(made: World, tmp_path: Path, value: float) -> None:
    folder = tmp_path / "model"
    HierarchicalClassifier.from_pretrained(made.result("textcnn", "flat")).save_pretrained(folder)
    file = node(folder, "flat") / "model" / "model.safetensors"
    save_file({name: array * 0 + value for name, array in load_file(file).items() if array.dtype.kind == "f"}, file)
    reseal(node(folder, "flat"), folder)
    assert "NaN" in refused(predict(folder))


@pytest.mark.parametrize("name", ["*", "../../x", "", ".", "..", "/etc", "[a]", None, 3, ["x"]])
def test_a_model_names_no_other_place_for_known_patents(made: World, name: object) -> None:
    data = HierarchicalClassifier.from_pretrained(made.result("linear", "hier")).facts["data"]
    for key in ("corpus", "split"):
        assert find_known_patents({**data, key: name}, made.folder / "cache") is None


def test_the_name_of_an_export_is_its_models(exported: dict[str, Path]) -> None:
    assert HierarchicalClassifier.from_pretrained(exported["plain"]).system.name == "linear"
