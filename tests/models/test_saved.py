import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from patent_hier.errors import ArtifactError, PatentHierError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.wordpiece import TokenStore, encode_corpus, load_tokenizer
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.saved import NodeClassifier, load_classifier
from patent_hier.settings import BertCnnSettings
from patent_hier.training.node_data import CorpusView

LABELS = ("A01", "A21", "A99")


@pytest.fixture(scope="module")
def classifier(tiny_encoder_files: EncoderFiles) -> NodeClassifier:
    torch.manual_seed(4)
    settings = BertCnnSettings(num_last_layers=2, num_filters=4, pool_size=None)
    network = BertCnn(load_encoder(tiny_encoder_files, pretrained=True, frozen=False), 3, settings).eval()
    return NodeClassifier("A", LABELS, 24, settings, network, tiny_encoder_files)


@pytest.fixture
def folder(classifier: NodeClassifier, tmp_path: Path) -> Path:
    classifier.save(tmp_path / "model")
    return tmp_path / "model"


def test_round_trip_is_exact(classifier: NodeClassifier, folder: Path, toy_corpus: CorpusView) -> None:
    loaded = load_classifier(folder)
    assert (loaded.node, loaded.labels, loaded.max_length, loaded.settings) == ("A", LABELS, 24, classifier.settings)
    assert loaded.network is not None
    assert not loaded.network.training
    indices = np.arange(40)
    expected = classifier.log_prob(toy_corpus.store, indices)
    assert expected.std(0).min() > 1e-4
    assert np.array_equal(loaded.log_prob(toy_corpus.store, indices), expected)


def test_round_trip_of_an_encoder_from_a_half_precision_folder(
    tiny_encoder_files: EncoderFiles, tmp_path: Path, toy_corpus: CorpusView
) -> None:
    files = EncoderFiles(tiny_encoder_files.folder, {**tiny_encoder_files.config, "dtype": "float16"}, True)
    settings = BertCnnSettings(num_last_layers=2, num_filters=4)
    network = BertCnn(load_encoder(files, pretrained=True, frozen=False), 3, settings).eval()
    classifier = NodeClassifier("A", LABELS, 24, settings, network, files)
    classifier.save(tmp_path)
    indices = np.arange(10)
    expected = classifier.log_prob(toy_corpus.store, indices)
    assert np.array_equal(load_classifier(tmp_path).log_prob(toy_corpus.store, indices), expected)


def test_the_folder_stands_alone(classifier: NodeClassifier, folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.move(folder, tmp_path / "elsewhere"))
    texts = ["一种LED灯具", "本发明涉及" * 20]
    assert classifier.encode(texts)[1].tolist() == load_classifier(moved).encode(texts)[1].tolist()


def test_nothing_in_the_folder_can_execute(folder: Path) -> None:
    assert {file.suffix for file in folder.iterdir()} == {".safetensors", ".json", ".txt"}
    assert {weight.dtype for weight in load_file(folder / "model.safetensors").values()} == {torch.float32}


def test_encode_equals_the_corpus_store(
    classifier: NodeClassifier, tiny_encoder_files: EncoderFiles, demo_texts: list[str], tmp_path: Path
) -> None:
    encode_corpus([demo_texts], load_tokenizer(tiny_encoder_files, 24), tmp_path)
    corpus, fresh = TokenStore.open(tmp_path), classifier.encode(demo_texts)
    assert max(corpus.lengths) == 24
    assert [fresh[i].tolist() for i in range(len(fresh))] == [corpus[i].tolist() for i in range(len(corpus))]
    indices = np.arange(30)
    assert np.array_equal(classifier.log_prob(fresh, indices), classifier.log_prob(corpus, indices))


def test_constant_classifier(tmp_path: Path, toy_corpus: CorpusView) -> None:
    NodeClassifier("H", ("H01",), 24).save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["classifier.json"]
    loaded = load_classifier(tmp_path)
    assert (loaded.node, loaded.labels, loaded.network) == ("H", ("H01",), None)
    assert loaded.log_prob(toy_corpus.store, np.arange(3)).tolist() == [[0.0]] * 3
    with pytest.raises(ArtifactError, match="node H has a constant classifier"):
        loaded.encode(["一"])


def one_line(error: pytest.ExceptionInfo[PatentHierError], folder: Path) -> str:
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["classifier.json", "encoder_config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_damaged_files(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(ArtifactError) as caught:
        load_classifier(folder)
    assert name in one_line(caught, folder)


def test_weights_of_another_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "head.output.bias": torch.zeros(7)}, folder / "model.safetensors")
    with pytest.raises(ArtifactError) as caught:
        load_classifier(folder)
    assert "head.output.bias" in one_line(caught, folder)


@pytest.mark.parametrize("facts", [{}, [], {"node": "A", "labels": ["A01"], "max_length": 8, "kind": "bertcnn"}])
def test_another_kind_of_json(folder: Path, facts: object) -> None:
    (folder / "classifier.json").write_text(json.dumps(facts))
    with pytest.raises(ArtifactError) as caught:
        load_classifier(folder)
    one_line(caught, folder)


def test_a_lost_tokenizer_is_named(folder: Path) -> None:
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink()
    with pytest.raises(PatentHierError) as caught:
        load_classifier(folder).encode(["一"])
    one_line(caught, folder)
