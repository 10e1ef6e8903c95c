"""Exported systems, scored as a stranger would: by numpy, onnxruntime and the reader's library alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from patent_hier.artifacts import verify
from patent_hier.data.raw import RawFormat
from patent_hier.errors import ConfigError
from patent_hier.evaluation.scaling import Scaling
from patent_hier.evaluation.selective import NEVER, Thresholds
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.segmentation import jieba_tokenizer
from patent_hier.inference.calibration import Calibration
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.nodes import Ensemble, Member
from patent_hier.inference.onnx_export import export_onnx
from patent_hier.inference.predictor import System, load_system
from patent_hier.models.saved import NodeClassifier
from patent_hier.settings import FLAT, ROOT, SHARED
from tests.inference.random_systems import LABELS, MAX_LENGTH, NETWORKS, TEXTS, Maker
from tests.trees import FIVE, classes_of, tree_of

CERTAIN = tree_of([("C07",)], ("class",), root="C")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def make(tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> Maker:
    return Maker(tiny_encoder_files, demo_texts)


# --- a stranger's way to the scores


def ids_of(text: str, reader: dict[str, Any], folder: Path) -> list[int]:
    (file,) = reader["files"]
    if reader["kind"] == "wordpiece":
        from tokenizers import Tokenizer

        return list(Tokenizer.from_file(str(folder / file)).encode(text).ids)
    words = json.loads((folder / file).read_text("utf-8"))
    numbers = {word: number for number, word in enumerate(words, reader["first_word_id"])}
    units = list(text.lower()) if reader["kind"] == "chars" else list(jieba_tokenizer().cut(text.lower()))
    known = [numbers.get(unit, reader["unknown_id"]) for unit in units if not unit.isspace()]
    return known[: reader["max_length"]] or [reader["unknown_id"]]


def score(folder: Path, name: str, texts: list[str]) -> NDArray[np.float64]:
    """Joint log-probabilities of all labels, all texts in one batch."""
    content = json.loads((folder / "onnx.json").read_text("utf-8"))
    facts = content["classifiers"][name]
    parents = np.array(facts["tree"]["parents"])
    if facts["kind"] == "constant":
        return np.zeros((len(texts), len(parents)))
    reader = content["readers"][facts["reader"]]
    rows = [ids_of(text, reader, folder) for text in texts]
    longest = max(map(len, rows))
    input_ids = np.array([row + [reader["pad_id"]] * (longest - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
    session = onnxruntime.InferenceSession(str(folder / facts["file"]), providers=["CPUExecutionProvider"])
    (logits,) = session.run([content["output"]], dict(zip(content["inputs"], (input_ids, mask), strict=True)))
    return probabilities_of(logits, parents, facts["flat"])


def probabilities_of(logits: NDArray[np.float32], parents: NDArray[np.int64], flat: bool) -> NDArray[np.float64]:
    """As the notes of onnx.json say it."""
    joint = np.full((len(logits), len(parents)), -np.inf)
    if flat:
        joint[:, -logits.shape[1] :] = logits - np.logaddexp.reduce(logits, 1, keepdims=True)
        for label in range(len(parents) - 1, -1, -1):
            if parents[label] >= 0:
                joint[:, parents[label]] = np.logaddexp(joint[:, parents[label]], joint[:, label])
        return joint
    for label, parent in enumerate(parents):  # parents come first
        conditional = logits[:, label] - np.logaddexp.reduce(logits[:, parents == parent], 1)
        joint[:, label] = conditional + (joint[:, parent] if parent >= 0 else 0)
    return joint


# --- what is exported


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_scores_as_in_torch(make: Maker, name: str, tmp_path: Path) -> None:
    system = make.system(make.classifier(name))
    content = export_onnx(system, tmp_path / "out")
    assert content == json.loads((tmp_path / "out" / "onnx.json").read_text("utf-8"))
    verify(tmp_path / "out")
    expected = system.log_prob(TEXTS)["A"].log_prob
    assert expected.std(0).min() > 1e-4
    np.testing.assert_allclose(score(tmp_path / "out", "A", TEXTS), expected, atol=1e-5, rtol=0)
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(score(tmp_path / "out", "A", [text])[0], expected[row], atol=1e-5, rtol=0)
    facts = content["classifiers"]["A"]
    assert (facts["tree"], facts["file"], content["nodes"]) == (LABELS.as_dict(), "A.onnx", {"A": "A"})
    assert (content["opset"], content["readers"]["reader"]["max_length"]) == (17, MAX_LENGTH)
    comparison = facts["comparison"]
    assert 0 <= comparison["largest_difference"] < 1e-5
    assert (comparison["lengths"][0] <= 2, comparison["lengths"][-1]) == (True, MAX_LENGTH)
    assert len(comparison["lengths"]) >= 6
    assert len(comparison["batch_sizes"]) == 4


@pytest.mark.parametrize("flat", [False, True])
def test_a_network_over_a_tree(make: Maker, flat: bool, tmp_path: Path) -> None:
    """Heads for each parent, or one over the leaves; a symbol that ends above its siblings' children."""
    paths = [row for row in FIVE if None not in row] if flat else FIVE
    node, tree = (FLAT, tree_of(paths)) if flat else (SHARED, tree_of(paths))
    system = make.system(make.classifier("textcnn", node, tree, flat=flat))
    content = export_onnx(system, tmp_path / "out")
    assert content["scalings"] == {}
    expected = system.log_prob(TEXTS)[node].log_prob
    np.testing.assert_allclose(score(tmp_path / "out", node, TEXTS), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("flat", [False, True])
def test_its_scalings_give_what_predict_gives(make: Maker, flat: bool, tmp_path: Path) -> None:
    """As the notes of onnx.json say it."""
    texts = [text for text in TEXTS if any(map(str.isalnum, text))]
    node, tree = (FLAT if flat else SHARED), tree_of([row for row in FIVE if None not in row])
    system = make.system(make.classifier("textcnn", node, tree, flat=flat))
    scalings = {level: Scaling(1.5, -0.4) for level in (tree.levels[-1:] if flat else tree.levels)}
    nothing = Thresholds(0.95, dict.fromkeys(tree.levels, NEVER))
    calibration = Calibration(100, 0.95, {node: scalings}, {}, [nothing], {})
    content = export_onnx(system, tmp_path / "out", calibration)
    joint, parents = score(tmp_path / "out", node, texts), np.array(tree.parents)
    logits = joint[:, tree.leaves] if flat else joint - np.where(parents >= 0, joint[:, parents], 0)
    for level, own in content["scalings"][node].items():
        labels = slice(None) if flat else tree.span(level)
        p = np.exp(logits[:, labels])
        logits[:, labels] -= own["shape"] * np.log(np.maximum(1 - p, 0.0001))
        logits[:, labels] /= own["temperature"]
    expected = HierarchicalClassifier(system, calibration, {}).score(texts).log_prob
    assert np.abs(expected - joint).max() > 0.05
    np.testing.assert_allclose(probabilities_of(logits, parents, flat), expected, atol=1e-4, rtol=0)


def test_dimensions_and_operators(make: Maker, tmp_path: Path) -> None:
    import onnx

    export_onnx(make.system(make.classifier("bertcnn")), tmp_path / "out")
    model = onnx.load(str(tmp_path / "out" / "A.onnx"))
    shapes = {
        one.name: (one.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim])
        for one in (*model.graph.input, *model.graph.output)
    }
    ids = (onnx.TensorProto.INT64, ["batch", "seq_len"])
    assert shapes == {"input_ids": ids, "attention_mask": ids, "logits": (onnx.TensorProto.FLOAT, ["batch", 3])}
    assert {(one.domain, one.version) for one in model.opset_import} == {("", 17)}
    assert b"/patent_hier/" not in (tmp_path / "out" / "A.onnx").read_bytes()  # no machine's folders


def test_nodes_with_one_label_have_no_file(make: Maker, tmp_path: Path) -> None:
    root = make.classifier("bertcnn", ROOT, tree_of([("A",), ("C",)]))
    system = make.system(root, make.classifier("bertcnn", "A", seed=5), NodeClassifier("C", CERTAIN))
    content = export_onnx(system, tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"root.onnx", "A.onnx", "onnx.json", "manifest.json", "reader/tokenizer.json"}
    assert content["nodes"] == {"root": "root", "A": "A", "C": "C"}
    facts = {"kind": "constant", "node": "C", "tree": CERTAIN.as_dict(), "flat": False, "source": "C-0123"}
    assert content["classifiers"]["C"] == facts
    expected = system.log_prob(TEXTS)
    for node, own in expected.items():
        np.testing.assert_allclose(score(tmp_path / "out", node, TEXTS), own.log_prob, atol=1e-5, rtol=0)


def test_a_combination_is_its_members(make: Maker, tmp_path: Path) -> None:
    """Two networks of one node, and a flat one that says what it thinks of it by its classes."""
    whole = classes_of(A="01 21 99", B="05")
    made = [make.classifier("textcnn"), make.classifier("bert"), make.classifier("lstm", FLAT, whole, flat=True)]
    paths = [Path(f"/nowhere/{number}") for number in range(3)]
    members = tuple(
        Member({one.node: path}, (weight,)) for one, path, weight in zip(made, paths, (0.5, 0.2, 0.4), strict=True)
    )
    top = Path("/nowhere/top")
    loaded = {path: make.loaded(one) for path, one in zip(paths, made, strict=True)}
    system = System("both", {"A": top}, {**loaded, top: Ensemble("A", LABELS, False, members)}, RawFormat())
    content = export_onnx(system, tmp_path / "out")
    assert content["nodes"] == {"A": "combination-A"}
    facts = content["classifiers"]["combination-A"]
    assert [list(one["nodes"].items()) for one in facts["members"]] == [
        [("A", "A-1")], [("A", "A-2")], [(FLAT, FLAT)]
    ]  # fmt: skip
    assert set(content["readers"]) == {"reader-1", "reader-2"}
    scores = []
    for member in facts["members"]:
        ((node, name),) = member["nodes"].items()
        log_prob = score(tmp_path / "out", name, TEXTS)
        within = log_prob[:, 2:5] - log_prob[:, :1] if node == FLAT else log_prob
        scores.append(member["weight"] * np.maximum(within, facts["floor"]))
    pooled = sum(scores)
    expected = system.log_prob(TEXTS)["A"].log_prob
    np.testing.assert_allclose(pooled - np.logaddexp.reduce(pooled, 1, keepdims=True), expected, atol=1e-5, rtol=0)


def test_a_combination_over_levels_is_refused(make: Maker, tmp_path: Path) -> None:
    made, path, top = make.classifier("textcnn"), Path("/nowhere/0"), Path("/nowhere/top")
    whole = Ensemble("A", LABELS, False, (Member({made.node: path}, (1.0,)),), unknown=(0.0,))
    system = System("both", {"A": top}, {path: make.loaded(made), top: whole}, RawFormat())
    with pytest.raises(ConfigError, match="an ensemble over several levels cannot be written as ONNX"):
        export_onnx(system, tmp_path / "out")


@pytest.mark.parametrize(("depth", "node"), [("class", FLAT), ("subgroup", SHARED)])
def test_a_trained_system_by_words(made: Any, depth: str, node: str, tmp_path: Path) -> None:
    system = load_system(made._replace(depth=depth).result("textcnn", node))
    content = export_onnx(system, tmp_path / "out")
    assert content["readers"]["reader"]["kind"] == "words"
    texts = list(made.texts().values())[:50]
    assert content["classifiers"][node]["tree"] == system.tree.as_dict()
    expected = system.log_prob(texts)[node].log_prob
    np.testing.assert_allclose(score(tmp_path / "out", node, texts), expected, atol=2e-5, rtol=0)


def test_the_system_stays_as_it_is_and_an_export_is_replaced(make: Maker, tmp_path: Path) -> None:
    system = make.system(make.classifier("bertcnn"))
    before = system.log_prob(TEXTS)["A"].log_prob
    export_onnx(make.system(make.classifier("textcnn", "B")), tmp_path / "out")
    export_onnx(system, tmp_path / "out")
    export_onnx(system, tmp_path / "again")
    assert np.array_equal(system.log_prob(TEXTS)["A"].log_prob, before)
    first, second = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "out", tmp_path / "again")
    )
    assert first == second
    assert "B.onnx" not in first


# --- what is refused, with nothing left behind


def test_n_grams_are_no_network(made: Any, tmp_path: Path) -> None:
    for model in ("linear", "combination"):
        with pytest.raises(ConfigError, match=f"{model}, node root: linear is an n-gram model, not a network"):
            export_onnx(load_system(made.result(model, "hier")), tmp_path / "out")
    with pytest.raises(ConfigError, match="made has no network, because each of its nodes has only one path"):
        export_onnx(System("made", {}, {Path("/c"): Maker.loaded(NodeClassifier("C", CERTAIN))}, RawFormat()), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_foreign_folder_is_not_replaced(make: Maker, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not of kind onnx, so it is not replaced"):
        export_onnx(make.system(make.classifier("textcnn")), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_library(make: Maker, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ConfigError,
        match=rf"{library}, which ONNX networks need \(.*\), is not installed; install it: "
        r'pip install -e ".*\[onnx\]"$',
    ):
        export_onnx(make.system(make.classifier("textcnn")), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_its_libraries_are_imported_only_to_export() -> None:
    code = "import sys, patent_hier.inference.onnx_export as _; print({'onnx', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
