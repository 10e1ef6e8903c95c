import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from patent_hier import settings as s
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features.ngram_store import NgramReader
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier, NeighboursClassifier, NgramModel
from patent_hier.models.network_spec import Inputs, build_network
from patent_hier.models.ngram_heads import NgramHeads
from patent_hier.models.registry import REGISTRY, NetworkEntry, NgramEntry, register_network, registered_name
from patent_hier.models.rnn import Rnn
from patent_hier.models.saved import CONSTANT
from patent_hier.models.textcnn import TextCnn
from patent_hier.settings.checks import network_settings
from patent_hier.settings.models import NETWORKS
from tests.models.test_classical import MODELS
from tests.models.test_ngram_heads import MODEL as HEADS

READERS = {"wordpiece": WordPieceReader, "words": WordReader, "ngrams": NgramReader}


def subclasses(cls: type) -> set[type]:
    found: set[type] = set(cls.__subclasses__())
    return found | {other for own in found for other in subclasses(own)}


def test_every_group_of_settings_has_one_kind() -> None:
    concrete = subclasses(s.ModelSettings) - {s.NgramSettings, OwnSettings}
    assert sorted(kind.settings.__name__ for kind in REGISTRY.values()) == sorted(cls.__name__ for cls in concrete)
    for name, kind in REGISTRY.items():
        assert registered_name(kind.settings()) == name


def test_a_kind_is_that_of_the_class_whatever_the_model_is_called() -> None:
    assert registered_name(s.BertCnnSettings(name="bert", head="cls")) == "bertcnn"
    assert registered_name(s.LinearSettings(name="logistic", classifier="logistic")) == "linear"


def test_settings_that_are_no_kind() -> None:
    with pytest.raises(StopIteration):
        registered_name(s.NgramSettings(name="terms"))


def test_no_kind_is_called_like_the_constant_one() -> None:
    assert CONSTANT not in REGISTRY


@pytest.mark.parametrize("name", REGISTRY)
def test_a_kind_reads_what_its_settings_say(name: str) -> None:
    kind = REGISTRY[name]
    assert kind.reader is READERS[kind.settings.inputs]
    assert isinstance(kind, NgramEntry) == (kind.settings.inputs == "ngrams")


@pytest.mark.parametrize(
    ("name", "one"),
    [("linear", LinearClassifier), ("naive_bayes", NaiveBayesClassifier), ("knn", NeighboursClassifier)],
)
def test_a_kind_on_terms_loads_one_head_or_many(name: str, one: type[NgramModel], tmp_path: Path) -> None:
    kind = REGISTRY[name]
    assert isinstance(kind, NgramEntry)
    MODELS[name].save(tmp_path)
    assert type(kind.load(tmp_path)) is one
    HEADS.save(tmp_path)
    if one is NeighboursClassifier:  # which has all heads in one
        with pytest.raises(ArtifactError, match="not a valid knn model"):
            kind.load(tmp_path)
    else:
        assert type(kind.load(tmp_path)) is NgramHeads


@pytest.mark.parametrize(("name", "network"), [("textcnn", TextCnn), ("rnn", Rnn)])
def test_a_blank_network_has_the_size_of_the_saved_one(name: str, network: type[nn.Module]) -> None:
    kind = REGISTRY[name]
    assert isinstance(kind, NetworkEntry)
    blank = kind.blank(WordReader(("光", "电"), "chars", 9), {"embedding.weight": torch.ones(4, 7)}, 3, kind.settings())
    assert isinstance(blank, network)
    weights = blank.state_dict()
    assert weights["embedding.weight"].shape == (4, 7)
    assert not weights["embedding.weight"].any()
    assert weights["output.bias"].shape == (3,)


def test_the_table_of_kinds_cannot_be_bent_by_its_entries() -> None:
    for kind in REGISTRY.values():
        with pytest.raises(dataclasses.FrozenInstanceError):
            kind.settings = s.RnnSettings  # type: ignore[misc]  # refused, as the test shows


@dataclasses.dataclass
class OwnSettings(s.ModelSettings):
    inputs: ClassVar[str] = "words"

    name: str = "own"
    width: int = 4


class Own(nn.Module):
    def __init__(self, vectors: torch.Tensor, num_outputs: int, settings: OwnSettings) -> None:
        super().__init__()
        self.output = nn.Linear(vectors.shape[1] * settings.width, num_outputs)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patent_hier.models.registry.REGISTRY", registry := dict(REGISTRY))
    monkeypatch.setattr("patent_hier.models.network_spec.REGISTRY", registry)
    monkeypatch.setattr("patent_hier.models.registry.NETWORKS", networks := dict(NETWORKS))
    monkeypatch.setattr("patent_hier.settings.checks.NETWORKS", networks)


@pytest.mark.usefixtures("registered")
def test_a_network_of_ones_own_is_built_by_its_name() -> None:
    register_network(OwnSettings, Own)
    register_network(OwnSettings, Own)  # a notebook cell that runs again
    settings = network_settings("own", {"width": 3})
    network, inputs, lr = build_network(settings, 7, Inputs(vector_shape=(5, 2)), None, None)
    assert isinstance(network, Own)
    assert network.output.weight.shape == (7, 6)
    assert (inputs.vector_shape, lr) == ((5, 2), s.ModelSettings.suggested_lr)
    with pytest.raises(ConfigError, match="model=own has no setting widht; it has width"):
        network_settings("own", {"widht": 3})


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "bert"}, "OwnSettings.name is bert, which is taken"),
        ({"name": "model"}, "OwnSettings.name is model, which is taken"),
        ({"inputs": "ngrams"}, "OwnSettings.inputs is 'ngrams'; use 'wordpiece' or 'words'"),
    ],
)
def test_a_network_that_cannot_be_registered(
    change: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "name" in change:
        monkeypatch.setattr(
            OwnSettings.__init__, "__defaults__", (change["name"], *OwnSettings.__init__.__defaults__[1:])
        )
    else:
        monkeypatch.setattr(OwnSettings, "inputs", change["inputs"])
    with pytest.raises(ConfigError, match=message):
        register_network(OwnSettings, Own)
