"""Networks that go on from earlier ones: rows found by label, a sample of what was learnt, heads trained alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from patent_hier.data.splits import TRAIN
from patent_hier.features.ngram_store import NgramReader, in_order
from patent_hier.models.saved import NodeClassifier
from patent_hier.settings import LinearSettings
from patent_hier.taxonomy.tree import NONE, LabelTree
from patent_hier.training.classical import fit_ngrams
from patent_hier.training.node_data import CorpusView, Relearning
from patent_hier.training.node_views import view_of
from patent_hier.training.relearning import (
    below_heads,
    fill_from,
    in_heads,
    output_rows,
    rehearsed,
    train_rows,
)
from tests.conftest import class_labels

LEVELS = ("section", "class")
OLD = LabelTree.from_paths([("A", "A01"), ("A", "A21"), ("B", "B01")], LEVELS)
NEW = LabelTree.from_paths([("A", "A01"), ("A", "A22"), ("B", "B01"), ("C", "C07")], LEVELS)


class Net(nn.Module):
    """A body of one layer below an output with a row for each label."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = nn.Linear(3, 4)
        self.output = nn.Linear(4, outputs)


def test_rows_are_found_by_label() -> None:
    earlier = NodeClassifier("shared", OLD, model=Net(len(OLD)))
    rows = output_rows(NEW, False, earlier)
    wanted = {"A": 0, "B": 1, "C": NONE, "A01": 2, "A22": NONE, "B01": 4, "C07": NONE}
    assert dict(zip(NEW.codes.tolist(), rows.tolist(), strict=True)) == wanted
    flat = NodeClassifier("flat", OLD, flat=True, model=Net(3))
    assert output_rows(NEW, True, flat).tolist() == [0, NONE, 2, NONE]  # A01, A22, B01, C07 of the old leaves


def test_a_network_begins_as_the_earlier_one_and_new_labels_as_the_mean() -> None:
    torch.manual_seed(1)
    earlier, network = Net(len(OLD)), Net(len(NEW))
    fill_from(network, NEW, False, NodeClassifier("shared", OLD, model=earlier))
    assert torch.equal(network.body.weight, earlier.body.weight)
    rows = output_rows(NEW, False, NodeClassifier("shared", OLD))
    for row, old in enumerate(rows.tolist()):
        if old != NONE:
            assert torch.equal(network.output.weight[row], earlier.output.weight[old])
            assert network.output.bias[row] == earlier.output.bias[old]
    known = rows[rows != NONE]
    mean = earlier.output.weight[known.astype(np.int64)].mean(dim=0)
    assert torch.allclose(network.output.weight[-1], mean)
    assert network.output.bias[-1] < earlier.output.bias.min()


def test_only_chosen_rows_learn() -> None:
    network = Net(len(OLD))
    chosen = in_heads(OLD, {("class", "A")})
    assert OLD.codes[chosen].tolist() == ["A01", "A21"]
    train_rows(network, chosen)
    network.output(network.body(torch.ones(2, 3))).square().sum().backward()
    assert network.body.weight.grad is None
    assert network.output.weight.grad is not None
    assert (network.output.weight.grad.abs().sum(dim=1) > 0).tolist() == chosen.tolist()


def ngram_corpus(classes: list[str], texts: list[str]) -> CorpusView[Any]:
    """Training documents alone, in counts of their characters and pairs of these."""
    reader = NgramReader(tuple(in_order({gram for text in texts for n in (1, 2) for gram in _grams(text, n)})), (1, 2))
    store = reader.encode(texts)
    return CorpusView(store, store, class_labels(classes), np.full(len(classes), TRAIN, np.int8))


def _grams(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(len(text) - size + 1)]


@pytest.fixture
def corpus() -> CorpusView[Any]:
    """Thirty documents of three classes, of which the last six are corrections of a class that is new."""
    classes = ["A01"] * 12 + ["A21"] * 12 + ["B01"] * 6
    view = ngram_corpus(classes, [f"{name}甲乙丙{n}" for n, name in enumerate(classes)])
    weights = np.ones(30, np.float32)
    weights[24:] = 4
    return replace(view, relearning=Relearning(24, weights, {}, 5, 2))


def test_corrections_and_a_sample(corpus: CorpusView[Any]) -> None:
    view = view_of(corpus, "shared")
    assert corpus.relearning is not None
    own = rehearsed(view, corpus.relearning, seed=3)
    assert own.tree == view.tree
    assert (own.train[-6:] == np.arange(24, 30)).all()
    assert len(own.train) == 11
    assert own.weights is not None
    assert own.weights.tolist() == [1.0] * 5 + [4.0] * 6
    assert own.train_weights(1.0).tolist() == own.weights.tolist()
    assert np.array_equal(own.train, rehearsed(view, corpus.relearning, seed=3).train)
    assert not np.array_equal(own.train, rehearsed(view, corpus.relearning, seed=4).train)
    below = below_heads(view, in_heads(view.tree, {("class", "A")}))
    assert below.train.tolist() == list(range(24))


@pytest.mark.parametrize("classifier", ["svm", "logistic"])
def test_documents_of_more_weight_count_more(classifier: str) -> None:
    classes = ["A01"] * 8 + ["A21"] * 8 + ["B01"] * 8
    texts = [f"{name}{'甲乙丙丁戊己庚辛'[n % 8]}{'子丑寅卯'[n % 4]}" for n, name in enumerate(classes)]
    once = ngram_corpus(classes, texts)
    weights = np.ones(24, np.float32)
    weights[16:] = 3
    weighted = replace(once, relearning=Relearning(24, weights, {}, 0, 2))
    settings = LinearSettings(classifier=classifier, ngram_sizes=[1, 2], min_documents=1)
    plain, kept, _ = fit_ngrams(view_of(once, "root"), settings, 1)
    model, _, _ = fit_ngrams(view_of(weighted, "root"), settings, 1)
    counts = once.store.rows(np.arange(24))[:, kept]
    gained = model.log_prob(counts)[:, 1] - plain.log_prob(counts)[:, 1]
    assert (gained > 0).all()  # section B counts more
