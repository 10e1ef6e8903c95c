import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from patent_hier.errors import ArtifactError
from patent_hier.features.ngram_store import NgramReader, NgramStore
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.classical import LinearClassifier
from patent_hier.models.encoder import load_encoder
from patent_hier.models.ngram_heads import Head, NgramHeads
from patent_hier.models.scoring import score_documents, score_ngrams
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.settings import BertCnnSettings
from patent_hier.training.node_data import CorpusView
from tests.trees import classes_of, tree_of


class SumOfIds(nn.Module):
    """Logits that name the document: the sum of its ids, and its length."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.modes: list[bool] = []
        self.lengths: list[int] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.lengths.append(input_ids.shape[1])
        total = (input_ids * attention_mask).sum(1)
        return torch.stack([total / 10, attention_mask.sum(1)], 1) * self.weight


AB_TREE = tree_of([("A",), ("B",)])
AB = TreeSoftmax(AB_TREE)
FIVE = tree_of([(letter,) for letter in "ABCDE"])
STORE = TokenStore.from_documents([[1, 2, 3], [4], [5, 6], [7, 8, 9, 10], [11, 12]])


def test_rows_follow_the_indices() -> None:
    indices = np.array([3, 1, 4, 0, 1])
    found = score_documents(SumOfIds(), STORE, indices, softmax=AB, pad_id=99, batch_size=2)
    logits = torch.tensor([[float(STORE[i].sum()) / 10, float(len(STORE[i]))] for i in indices])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, logits.log_softmax(-1).numpy(), atol=1e-6)


@pytest.mark.parametrize("flat", [True, False])
def test_every_label_has_its_joint_probability(flat: bool) -> None:
    """Section B has one class: as a head of its own that is certain, as a leaf it is one of three."""
    tree = classes_of(A="01 02", B="01")

    class Constant(SumOfIds):
        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            logits = [1.0, 2.0, 3.0] if flat else [0.0, 1.0, 2.0, 0.0, 9.0]
            return torch.tensor([logits]).repeat(len(input_ids), 1) * self.weight

    found = score_documents(Constant(), STORE, np.arange(3), softmax=TreeSoftmax(tree, flat), pad_id=0, batch_size=2)
    e = np.exp([1.0, 2.0, 3.0])
    leaves = e / e.sum()
    a = np.array([1, np.e]) / (1 + np.e)
    local = np.array([np.exp(2), 1]) / (1 + np.exp(2))
    expected = [leaves[:2].sum(), leaves[2], *leaves] if flat else [*a, *(a[0] * local), a[1]]
    assert np.exp(found) == pytest.approx(np.tile(expected, (3, 1)), abs=1e-6)


def test_longest_documents_come_first_and_progress_counts() -> None:
    network, seen = SumOfIds(), list[int]()
    score_documents(network, STORE, np.arange(5), softmax=AB, pad_id=0, batch_size=2, progress=seen.append)
    assert network.lengths == [4, 2, 1]
    assert seen == [2, 2, 1]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored(training: bool) -> None:
    network = SumOfIds().train(training)
    score_documents(network, STORE, np.arange(5), softmax=AB, pad_id=0, batch_size=8)
    assert network.modes == [False]
    assert network.training == training


def test_no_documents() -> None:
    found = score_documents(SumOfIds(), STORE, np.array([], int), softmax=AB, pad_id=0, batch_size=8)
    assert found.shape == (0, 2)


@pytest.mark.parametrize("head", ["document_matrix", "token"])
def test_batch_size_does_not_matter(
    tiny_encoder_files: EncoderFiles, toy_corpus: CorpusView[TokenStore], head: str
) -> None:
    torch.manual_seed(0)
    settings = BertCnnSettings(head=head, num_last_layers=2, num_filters=8, dropout=0.5)
    network = BertCnn(load_encoder(tiny_encoder_files, pretrained=True, frozen=False), 5, settings).train()
    indices = np.random.default_rng(0).permutation(len(toy_corpus.store))[:100]

    def score(batch_size: int) -> np.ndarray:
        return score_documents(
            network, toy_corpus.store, indices, softmax=TreeSoftmax(FIVE), pad_id=0, batch_size=batch_size
        )

    one = score(1)
    assert one.std(0).min() > 1e-4  # documents differ, so that a wrong order would show
    np.testing.assert_allclose(np.exp(one).sum(1), 1, atol=1e-5)
    for batch_size in (7, 64):
        np.testing.assert_allclose(score(batch_size), one, atol=1e-5)


# --- models on n-gram counts


TERMS = ("a", "b", "c", "d")
COUNTS = NgramStore.of_matrix(csr_matrix(np.array([[1, 0, 2, 0], [0, 3, 0, 1], [0, 0, 0, 0], [4, 1, 0, 9]])), TERMS)
READER = NgramReader(("b", "d"), (1, 1))
MODEL = LinearClassifier(np.ones(2, np.float32), np.array([[1, -1], [0, 2]], np.float32), np.zeros(2, np.float32))


def test_terms_that_the_model_does_not_know_are_left_out() -> None:
    found = score_ngrams(MODEL, COUNTS, READER, np.array([3, 1, 2]), AB_TREE, False)
    own = csr_matrix(np.array([[1, 9], [3, 1], [0, 0]], np.float32))  # b and d
    assert np.array_equal(found, MODEL.log_prob(own))
    assert found[2] == pytest.approx(np.log([0.5, 0.5]))


def test_heads_on_terms_are_multiplied_and_leaves_summed_up() -> None:
    tree = classes_of(A="01 02", B="01")
    zero = np.zeros((0, 2), np.float32)
    none = np.empty(0, np.int32), np.empty(0, np.float32)
    heads = [
        Head(0, *none, zero, np.log(np.float32([0.25, 0.75]))),
        Head(2, *none, zero, np.log(np.float32([0.4, 0.6]))),
    ]
    found = score_ngrams(NgramHeads(heads, 5, 2), COUNTS, READER, np.arange(2), tree, False)
    assert np.exp(found) == pytest.approx(np.tile([0.25, 0.75, 0.1, 0.15, 0.75], (2, 1)))
    leaves = LinearClassifier(np.ones(2, np.float32), np.zeros((2, 3), np.float32), np.log(np.float32([0.2, 0.3, 0.5])))
    found = score_ngrams(leaves, COUNTS, READER, np.arange(2), tree, True)
    assert np.exp(found) == pytest.approx(np.tile([0.5, 0.5, 0.2, 0.3, 0.5], (2, 1)))


def test_terms_in_batches_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    indices, seen = np.array([1, 3, 0, 2, 3]), list[int]()
    expected = score_ngrams(MODEL, COUNTS, READER, indices, AB_TREE, False)
    monkeypatch.setattr("patent_hier.models.scoring._NGRAM_BATCH", 2)
    assert np.array_equal(score_ngrams(MODEL, COUNTS, READER, indices, AB_TREE, False, seen.append), expected)
    assert seen == [2, 2, 1]


def test_a_store_without_the_models_terms() -> None:
    with pytest.raises(ArtifactError, match="'x'"):
        score_ngrams(MODEL, COUNTS, NgramReader(("b", "x"), (1, 1)), np.arange(2), AB_TREE, False)
