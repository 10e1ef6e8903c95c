"""Every engine gives a network's own scores, or is refused in one line."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from patent_hier.artifacts import MANIFEST
from patent_hier.errors import ConfigError, DataError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.inference import converted, runtimes
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.engines import ENGINES, INT8, ONNX, OPENVINO, TORCH, Engine
from patent_hier.inference.moving import move, stand_in
from patent_hier.inference.predictor import load_system
from patent_hier.settings import BF16, FP32
from tests.inference.random_systems import TEXTS, Maker

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if find_spec("openvino") is None:  # not imported here: the program does it in its own way
    pytest.skip("openvino is missing", allow_module_level=True)
FOREIGN = [Engine(name, precision) for name in (ONNX, OPENVINO) for precision in ENGINES[name]]
WIDTHS = {FP32: 1e-4, BF16: 0.1, INT8: 0.1}  # of log-probabilities


@pytest.fixture(scope="module")
def make(tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> Maker:
    return Maker(tiny_encoder_files, demo_texts)


def scores(classifier):
    return classifier.log_prob(classifier.encode(TEXTS), np.arange(len(TEXTS)), batch_size=2)


@pytest.mark.parametrize("engine", FOREIGN, ids=str)
@pytest.mark.parametrize("name", ["bertcnn", "textcnn"])
def test_engines_score_as_the_network(make, name, engine):
    plain = make.classifier(name)
    moved = stand_in(plain, engine)
    expected, found = scores(plain), scores(moved)
    assert np.abs(found - expected).max() <= WIDTHS[engine.precision]
    assert plain.stand_in is None
    assert moved.model is plain.model  # explanations need it
    if (name, engine.precision) == ("bertcnn", INT8):
        assert np.abs(found - expected).max() > 1e-6


def test_recurrent_networks(make):
    plain = make.classifier("lstm")
    assert np.abs(scores(stand_in(plain, Engine(ONNX))) - scores(plain)).max() < 1e-4
    with pytest.raises(ConfigError, match="--engine openvino cannot run the network of node A") as caught:
        stand_in(plain, Engine(OPENVINO))
    assert "\n" not in str(caught.value)


def test_half_precision_is_that_of_automatic_casting(make):
    plain = make.classifier("bertcnn")
    with torch.autocast("cpu", torch.bfloat16):
        expected = scores(plain)
    assert np.array_equal(scores(stand_in(plain, Engine(precision="bf16"))), expected)
    assert {weight.dtype for weight in plain.model.parameters()} == {torch.float32}
    assert not np.array_equal(expected, scores(plain))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tvm",), "--engine tvm is unknown; choose one of torch, onnx, openvino"),
        (
            (TORCH, INT8),
            "--engine torch does not support --precision int8; supported are torch with 32-true or bf16-mixed;",
        ),
        ((ONNX, "bf16"), "--engine onnx does not support --precision bf16-mixed"),
    ],
)
def test_unknown_engines(words, message):
    with pytest.raises(ConfigError, match=message):
        Engine(*words)


def test_names_of_engines():
    assert Engine().is_plain
    assert Engine(precision="fp32") == Engine()
    assert [str(one) for one in (Engine(), Engine(precision="bf16"), Engine(ONNX, INT8))] == [
        "torch", "bf16-mixed", "onnx, int8",
    ]  # fmt: skip
    assert Engine(OPENVINO, INT8).options == "--engine openvino --precision int8"


def test_converted_networks_are_kept_and_verified(make, tmp_path, monkeypatch):
    made = []
    export = converted.export_network
    monkeypatch.setattr(converted, "export_network", lambda *own: made.append(own) or export(*own))
    plain, files = make.classifier("bertcnn"), {"model.safetensors": "0123"}

    def moved(name, precision, digests=files):
        return scores(stand_in(plain, Engine(name, precision), tmp_path, digests))

    first = moved(ONNX, FP32)
    assert np.array_equal(moved(ONNX, FP32), first)
    moved(OPENVINO, FP32)  # reads the same file
    assert len(made) == 1
    moved(ONNX, INT8)
    moved(ONNX, FP32, {"model.safetensors": "4567"})
    assert len(made) == 3
    folders = [file.parent for file in tmp_path.glob(f"engines/*/{MANIFEST}")]
    facts = [json.loads((folder / MANIFEST).read_text("utf-8")) for folder in folders]
    assert {one["kind"] for one in facts} == {converted.CONVERTED_KIND}
    assert all(one["comparison"]["largest_difference"] < 1e-4 for one in facts)

    for folder in folders:
        with (folder / "network.onnx").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\0\0\0\0")
    assert np.array_equal(moved(ONNX, FP32), first)
    assert len(made) == 4


def test_a_cache_that_cannot_be_written(make, monkeypatch, tmp_path):
    def denied(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    plain = make.classifier("textcnn")
    expected = scores(plain)
    real = converted.atomic_folder
    monkeypatch.setattr(
        converted, "atomic_folder", lambda folder: denied(folder) if tmp_path in folder.parents else real(folder)
    )
    found = scores(stand_in(plain, Engine(ONNX), tmp_path / "cache", {"a": "b"}))
    assert np.allclose(found, expected, atol=1e-4)


def test_without_the_extra(make, monkeypatch):
    monkeypatch.setitem(runtimes.sys.modules, "openvino", None)
    with pytest.raises(
        ConfigError, match=r"openvino, which --engine openvino needs \(.*\), is not installed; install it"
    ):
        stand_in(make.classifier("textcnn"), Engine(OPENVINO))


def test_networks_of_a_combination_move_and_n_grams_stay(made):
    system = load_system(made.result("combination", "flat"))
    moved = move(system, Engine(ONNX))
    stand_ins = [getattr(one, "classifier", None) and one.classifier.stand_in for one in moved.loaded.values()]
    assert sum(one is not None for one in stand_ins) == 1
    found, expected = (one.whole(one.log_prob(TEXTS)).at("class") for one in (moved, system))
    assert np.abs(found - expected).max() < 1e-4


def test_a_classifier_with_an_engine(made, tmp_path):
    texts = [text for text in TEXTS if text]
    classifier = HierarchicalClassifier.from_pretrained(made.result("textcnn", "flat"))
    moved = classifier.with_engine("onnx", "fp32", texts=texts, cache_dir=tmp_path)
    assert (moved.agreement.same, moved.agreement.documents) == (len(texts), len(texts))
    assert classifier.agreement is None
    back = moved.with_engine(texts=texts)
    assert (back.agreement, back.version) == (None, classifier.version)
    assert all(one.classifier.stand_in is None for one in back.system.loaded.values())
    again = moved.with_engine("openvino", "int8", texts=texts)  # compared with PyTorch, not with what it had
    assert again.version == f"{classifier.version}+openvino.int8"
    assert all(one.classifier.stand_in is not None for one in again.system.loaded.values())
    for one, other in zip(classifier.predict(texts), moved.predict(texts), strict=True):
        assert other.model_version == f"{one.model_version}+onnx"
        assert [path.label for path in one.paths] == [path.label for path in other.paths]
        assert one.paths[0].probability == pytest.approx(other.paths[0].probability, abs=1e-4)
    with pytest.raises(
        DataError, match="--engine onnx: there are no texts for the comparison with fp32; provide at least one"
    ):
        classifier.with_engine("onnx", texts=[])


def test_a_system_without_networks(made):
    system = load_system(made.result("linear", "hier"))
    with pytest.raises(ConfigError, match="--engine onnx: linear has no network; omit --engine"):
        move(system, Engine(ONNX))
    assert np.array_equal(
        move(system, Engine(TORCH, BF16)).log_prob(TEXTS)["root"].log_prob, system.log_prob(TEXTS)["root"].log_prob
    )


def test_importing_openvino_tells_nobody():
    runtimes._openvino()
    assert runtimes.sys.modules["openvino_telemetry"] is None
    told = runtimes.sys.modules["openvino.tools.ovc"].telemetry
    assert type(told).__module__ == "openvino.tools.ovc.telemetry_stub"
