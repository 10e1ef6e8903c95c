from pathlib import Path

import numpy as np
import pytest
import torch

from patent_hier.atomic import write_json
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.network_spec import encoder_spec, words_spec
from patent_hier.models.rnn import Rnn
from patent_hier.models.textcnn import TextCnn
from patent_hier.settings import BertCnnSettings, EncoderSettings, FeatureSettings, RnnSettings, TextCnnSettings

SMALL = BertCnnSettings(num_last_layers=2, num_filters=4)
VECTORS = np.arange(20, dtype=np.float32).reshape(5, 4)
MODELS = [(TextCnnSettings(num_filters=3), TextCnn), (RnnSettings(hidden_size=3), Rnn)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from safetensors.numpy import save_file

    write_json(tmp_path / "words.json", ["光", "电", "灯"])
    save_file({"vectors": VECTORS}, tmp_path / "vectors.safetensors")
    return tmp_path


@pytest.mark.parametrize("freeze", [True, False])
def test_bertcnn_on_the_encoders_weights(tiny_encoder_files: EncoderFiles, freeze: bool) -> None:
    encoder = EncoderSettings("tiny", pretrained=True, freeze=freeze, max_length=17)
    spec = encoder_spec(tiny_encoder_files, encoder, SMALL)
    assert spec.reader == WordPieceReader(tiny_encoder_files, 17)
    network = spec.build(6)
    assert isinstance(network, BertCnn)
    expected = load_encoder(tiny_encoder_files, pretrained=True, frozen=False).state_dict()
    found = network.encoder.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert network.head.output.out_features == 6
    assert {weight.requires_grad for weight in network.encoder.parameters()} == {not freeze}
    assert {weight.requires_grad for weight in network.head.parameters()} == {True}


def test_initial_weights_follow_the_global_seed(tiny_encoder_files: EncoderFiles) -> None:
    random = EncoderSettings("tiny", pretrained=False, max_length=17)
    spec = encoder_spec(tiny_encoder_files, random, SMALL)
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(spec.build(3).state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.convolution.weight"], other["head.convolution.weight"])
    name = next(name for name in first if name.endswith("word_embeddings.weight"))
    assert not torch.equal(first[name], other[name])


def test_settings_that_do_not_fit_are_refused_when_built(tiny_encoder_files: EncoderFiles) -> None:
    encoder = EncoderSettings("tiny", pretrained=False, max_length=17)
    spec = encoder_spec(tiny_encoder_files, encoder, BertCnnSettings(num_last_layers=3))
    with pytest.raises(ConfigError, match=r"model\.num_last_layers=3 .*1 to 2"):
        spec.build(3)


@pytest.mark.parametrize(("settings", "network"), MODELS)
def test_words_on_their_vectors(folder: Path, settings: TextCnnSettings | RnnSettings, network: type) -> None:
    spec = words_spec(folder, FeatureSettings(name="chars", max_length=9), settings)
    assert spec.reader == WordReader(("光", "电", "灯"), "chars", 9)
    built = spec.build(6)
    assert isinstance(built, network)
    weights = built.state_dict()
    assert weights["embedding.weight"].numpy().tolist() == VECTORS.tolist()
    assert weights["output.weight"].shape[0] == 6


@pytest.mark.parametrize(("settings", "network"), MODELS)
def test_a_network_tunes_vectors_of_its_own(
    folder: Path, settings: TextCnnSettings | RnnSettings, network: type
) -> None:
    spec = words_spec(folder, FeatureSettings(name="chars"), settings)
    first = spec.build(2)
    with torch.no_grad():
        first.get_parameter("embedding.weight").zero_()
    assert spec.build(2).state_dict()["embedding.weight"].numpy().tolist() == VECTORS.tolist()


def test_damaged_vectors_are_named(folder: Path) -> None:
    write_json(folder / "words.json", ["光", "电"])
    with pytest.raises(ArtifactError, match=r"vectors\.safetensors has float32 vectors of shape \(5, 4\) for 2 words"):
        words_spec(folder, FeatureSettings(), TextCnnSettings())
