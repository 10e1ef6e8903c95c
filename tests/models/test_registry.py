import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from patent_hier import settings as s
from patent_hier.errors import ArtifactError
from patent_hier.features.ngram_store import NgramReader
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier, NeighboursClassifier, NgramModel
from patent_hier.models.ngram_heads import NgramHeads
from patent_hier.models.registry import REGISTRY, NetworkEntry, NgramEntry, registered_name
from patent_hier.models.rnn import Rnn
from patent_hier.models.saved import CONSTANT
from patent_hier.models.textcnn import TextCnn
from tests.models.test_classical import MODELS
from tests.models.test_ngram_heads import MODEL as HEADS

READERS = {"wordpiece": WordPieceReader, "words": WordReader, "ngrams": NgramReader}


def subclasses(cls: type) -> set[type]:
    found: set[type] = set(cls.__subclasses__())
    return found | {other for own in found for other in subclasses(own)}


def test_every_group_of_settings_has_one_kind() -> None:
    concrete = subclasses(s.ModelSettings) - {s.NgramSettings}
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
        with pytest.raises(ArtifactError, match="no knn model"):
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
