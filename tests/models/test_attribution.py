import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.special import logsumexp
from torch import nn
from transformers import CONFIG_MAPPING

from patent_hier.errors import ConfigError
from patent_hier.features.offsets import PlacedTokens, place_tokens
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models import attribution
from patent_hier.models.attribution import Attribution, attribute_columns, attribute_ngrams, attribute_tokens
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier
from patent_hier.models.encoder import build_encoder
from patent_hier.models.ngram_heads import Head, NgramHeads
from patent_hier.models.saved import NodeClassifier
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.settings import BertCnnSettings
from patent_hier.taxonomy.arithmetic import joint_log_prob
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import LabelTree
from tests.inference.random_systems import LABELS, Maker
from tests.models.test_architectures import COMMON, OWN
from tests.trees import tree_of

NETWORKS = ("bertcnn", "token", "bert", "textcnn", "gru")
TEXT = "一种LED灯具，包括散热器和光源模块"
DEEP = tree_of([("A01", "A01B"), ("A01", "A01C"), ("A21", "A21B"), ("A99", "A99Z")], IPC_LEVELS[1:3], root="A")


def network_of(
    name: str,
    files: EncoderFiles,
    texts: list[str],
    loudness: float = 1.0,
    tree: LabelTree = LABELS,
    flat: bool = False,
) -> NodeClassifier:
    """A tiny network with random weights; the louder, the further from linear."""
    made = Maker(files, texts).classifier(name, tree=tree, flat=flat)
    assert isinstance(made.model, nn.Module)
    with torch.no_grad():
        for weight in made.model.parameters():
            weight *= loudness
    return made


def attribute(made: NodeClassifier, text: str, label: int = 1) -> tuple[PlacedTokens, Attribution]:
    assert isinstance(made.model, nn.Module)
    assert isinstance(made.reader, WordPieceReader | WordReader)
    placed = place_tokens(made.reader, text)
    is_own = placed.places[:, 1] > placed.places[:, 0]
    softmax = TreeSoftmax(made.tree, made.flat)
    return placed, attribute_tokens(made.model, placed.ids, is_own, placed.neutral, softmax, label)


@pytest.mark.parametrize(("flat", "label"), [(False, 0), (False, 4), (True, 0), (True, 4)])
@pytest.mark.parametrize("loudness", [1.0, 2.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_add_up_to_the_difference(
    name: str, loudness: float, flat: bool, label: int, tiny_encoder_files: EncoderFiles, demo_texts: list[str]
) -> None:
    """Of a class, and of a subclass with what its class contributes, whatever the heads."""
    made = network_of(name, tiny_encoder_files, demo_texts, loudness, DEEP, flat)
    for text in (TEXT, demo_texts[3]):
        placed, found = attribute(made, text, label)
        log_prob = made.log_prob(made.encode([text]), np.arange(1))[0].astype(float)
        assert found.value == pytest.approx(log_prob[label], abs=1e-5)
        assert found.base != pytest.approx(found.value, abs=1e-6)
        assert abs(found.gap) <= max(0.05 * abs(found.value - found.base), 0.005)
        assert found.steps in attribution.STEPS
        assert (found.scores[placed.places[:, 1] == 0] == 0).all()  # [CLS] and [SEP] stay
        assert np.abs(found.scores).max() > 0


@pytest.mark.parametrize("name", ["bertcnn", "textcnn", "gru"])
def test_scores_are_the_integral(name: str, tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> None:
    """The definition, by autograd and equal steps, without captum and without the hook."""
    made = network_of(name, tiny_encoder_files, demo_texts)
    placed, found = attribute(made, TEXT)
    network = made.model
    assert isinstance(network, nn.Module)
    layer = network.encoder.network.get_input_embeddings() if name == "bertcnn" else network.embedding
    ids = torch.from_numpy(placed.ids)[None]
    table = layer.weight.detach().clone()
    places, inputs = torch.arange(ids.shape[1])[None], table[ids[0]]
    silent = inputs.clone()
    silent[placed.places[:, 1] > 0] = table[placed.neutral]
    layer.padding_idx = None  # which would have no gradient
    total, steps = torch.zeros(inputs.shape), 150
    for step in range(steps):
        point = silent + (step + 0.5) / steps * (inputs - silent)
        layer.weight = nn.Parameter(point)  # token i is row i
        network.zero_grad()
        network(places, torch.ones_like(places)).log_softmax(-1)[0, 1].backward()
        total += layer.weight.grad / steps
    expected = ((inputs - silent) * total).sum(-1).numpy()
    np.testing.assert_allclose(found.scores, expected, atol=0.05 * np.abs(expected).max() + 1e-4)


def test_a_label_that_is_certain(tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> None:
    """The class of all leaves."""
    tree = tree_of([("A01", "A01B"), ("A01", "A01C")], IPC_LEVELS[1:3], root="A")
    _, found = attribute(network_of("textcnn", tiny_encoder_files, demo_texts, tree=tree, flat=True), TEXT, 0)
    assert (found.base, found.value) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))
    np.testing.assert_allclose(found.scores, 0, atol=1e-6)


@pytest.mark.parametrize("name", ["bert", "gru"])
def test_nothing_stays_changed(name: str, tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> None:
    made = network_of(name, tiny_encoder_files, demo_texts)
    assert isinstance(made.model, nn.Module)
    before = made.log_prob(made.encode([TEXT]), np.arange(1))  # transformers adds hooks of its own here
    hooks = [list(module._forward_hooks) for module in made.model.modules()]
    with torch.no_grad():  # as a caller may have it
        attribute(made, TEXT)
    assert np.array_equal(made.log_prob(made.encode([TEXT]), np.arange(1)), before)
    assert all(weight.grad is None for weight in made.model.parameters())
    assert [list(module._forward_hooks) for module in made.model.modules()] == hooks


@pytest.mark.parametrize("name", ["bert", "textcnn", "gru"])
@pytest.mark.parametrize("text", ["", "  \n"])
def test_without_text_there_is_nothing_to_explain(
    name: str, text: str, tiny_encoder_files: EncoderFiles, demo_texts: list[str]
) -> None:
    _, found = attribute(network_of(name, tiny_encoder_files, demo_texts), text)
    assert found.base == found.value
    assert not found.scores.any()


@pytest.mark.parametrize("kind", ["albert", "electra", "gpt2", "modernbert", "opt", "qwen2", "roberta"])
def test_other_architectures(kind: str, tiny_encoder_files: EncoderFiles) -> None:
    own = {**OWN.get(kind, {}), **({"embedding_size": 8} if kind in ("albert", "electra") else {})}
    config = CONFIG_MAPPING[kind](**{**COMMON, "vocab_size": 9000, **own}).to_dict()
    torch.manual_seed(3)
    files = EncoderFiles(tiny_encoder_files.folder, config, True)
    pooling = "last" if files.is_causal else "cls"
    chosen = BertCnnSettings(num_last_layers=2, num_filters=4, pool_size=None, pooling=pooling)
    made = NodeClassifier(
        "A", tree_of([("A01",), ("A21",)], ("class",), root="A"), False, chosen, None, WordPieceReader(files, 24)
    )
    made.model = BertCnn(build_encoder(config), 2, chosen).eval()
    placed, found = attribute(made, TEXT)
    assert found.value == pytest.approx(float(made.log_prob(made.encode([TEXT]), np.arange(1))[0, 1]), abs=1e-5)
    assert abs(found.gap) <= max(0.05 * abs(found.value - found.base), 0.005)
    assert (found.scores[placed.places[:, 1] == 0] == 0).all()
    assert np.abs(found.scores).max() > 0


def test_other_threads_score_meanwhile(tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> None:
    made = network_of("textcnn", tiny_encoder_files, demo_texts)
    store = made.encode([TEXT])
    expected = made.log_prob(store, np.arange(1))
    _, alone = attribute(made, TEXT)
    with ThreadPoolExecutor(2) as threads:
        explained = [threads.submit(attribute, made, TEXT) for _ in range(20)]
        rounds = 0
        while not all(one.done() for one in explained):
            assert np.array_equal(made.log_prob(store, np.arange(1)), expected)
            rounds += 1
    assert rounds
    assert all(np.array_equal(one.result()[1].scores, alone.scores) for one in explained)


def test_steps_rise_until_the_sum_is_near(
    tiny_encoder_files: EncoderFiles, demo_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = network_of("textcnn", tiny_encoder_files, demo_texts, 4.0)
    monkeypatch.setattr(attribution, "_NEAR", 0.0)
    gaps = []
    for tolerance in (1e9, 0.0):
        monkeypatch.setattr(attribution, "TOLERANCE", tolerance)
        _, found = attribute(made, TEXT, 0)
        gaps.append(abs(found.gap))
        assert found.steps == attribution.STEPS[0 if tolerance else -1]
    assert gaps[1] < gaps[0]


def test_a_reader_without_neutral_token(tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> None:
    made = network_of("bert", tiny_encoder_files, demo_texts)
    assert isinstance(made.model, nn.Module)
    ids = np.array([2, 900, 901, 3])
    found = attribute_tokens(made.model, ids, np.array([False, True, True, False]), None, TreeSoftmax(LABELS), 0)
    assert abs(found.gap) <= max(0.05 * abs(found.value - found.base), 0.005)


def test_without_captum(
    tiny_encoder_files: EncoderFiles, demo_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ConfigError, match=r'captum.*is not installed; install it: pip install -e ".*\[web\]"'):
        attribute(network_of("textcnn", tiny_encoder_files, demo_texts), TEXT)


# --- linear models


def linear(
    rng: np.random.Generator, loudness: float, temperature: float | None
) -> LinearClassifier | NaiveBayesClassifier:
    idf, bias = (rng.uniform(1, 3, size).astype(np.float32) for size in (20, 5))
    weights = (loudness * rng.normal(size=(20, 5))).astype(np.float32)
    if temperature is None:
        return NaiveBayesClassifier(idf, weights, bias)
    return LinearClassifier(idf, weights, bias, temperature)


@pytest.mark.parametrize("columns", [(0,), (1, 3), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("temperature", [None, 1.0, 0.2])
@pytest.mark.parametrize("loudness", [0.1, 3.0, 300.0])
def test_linear_contributions_sum_exactly(loudness: float, temperature: float | None, columns: tuple[int, ...]) -> None:
    rng = np.random.default_rng(int(loudness) + 7)
    model = linear(rng, loudness, temperature)
    counts = csr_matrix(rng.integers(0, 2, (1, 20)) * rng.integers(1, 4, (1, 20)), dtype=np.float32)
    found = attribute_columns(model, counts, columns)
    ends = csr_matrix(np.vstack([np.zeros((1, 20)), counts.toarray()]), dtype=np.float32)
    base, value = logsumexp(model.log_prob(ends).astype(float)[:, list(columns)], axis=1)
    assert (found.base, found.value) == (
        pytest.approx(base, rel=1e-5, abs=1e-5),
        pytest.approx(value, rel=1e-5, abs=1e-5),
    )
    assert abs(found.gap) < 1e-8 * max(1.0, loudness)
    assert (found.scores[counts.toarray()[0] == 0] == 0).all()


def test_linear_contributions_by_hand() -> None:
    """Two labels: all of the log-probability's gain is one n-gram's, whose weight alone differs."""
    weights = np.array([[1.0, -1.0], [0.5, 0.5]], np.float32)
    model = LinearClassifier(np.ones(2, np.float32), weights, np.zeros(2, np.float32))
    found = attribute_columns(model, csr_matrix(np.ones((1, 2), np.float32)), (0,))
    gain = np.log(2 / (1 + np.exp(-2 / np.sqrt(2))))
    assert found.scores == pytest.approx([gain, 0.0], abs=1e-7)
    opposite = attribute_columns(model, csr_matrix(np.ones((1, 2), np.float32)), (1,))
    assert opposite.scores[0] < 0


def test_no_known_term() -> None:
    found = attribute_columns(linear(np.random.default_rng(1), 1.0, 1.0), csr_matrix((1, 20), dtype=np.float32), (2,))
    assert found.base == found.value
    assert not found.scores.any()


@pytest.mark.parametrize("label", range(len(DEEP)))
def test_heads_on_a_path_contribute_together(label: int) -> None:
    """Each head reads its own n-grams; a label without siblings has none."""
    rng = np.random.default_rng(2)
    heads = []
    for _, labels in DEEP.heads():
        columns, size = np.sort(rng.permutation(20)[:12]).astype(np.int32), labels.stop - labels.start
        idf, bias = (rng.uniform(1, 3, n).astype(np.float32) for n in (12, size))
        weights = rng.normal(size=(12, size)).astype(np.float32)
        heads.append(Head(labels.start, columns, idf, weights, bias, 0.5))
    model = NgramHeads(heads, len(DEEP), 20)
    counts = csr_matrix(rng.integers(0, 3, (1, 20)), dtype=np.float32)
    found = attribute_ngrams(model, counts, DEEP, False, label)
    assert found is not None
    ends = csr_matrix(np.vstack([np.zeros((1, 20)), counts.toarray()]), dtype=np.float32)
    joint = joint_log_prob(DEEP, model.log_prob(ends))
    assert (found.base, found.value) == (
        pytest.approx(joint[0, label], abs=1e-5),
        pytest.approx(joint[1, label], abs=1e-5),
    )
    assert abs(found.gap) < 1e-7


@pytest.mark.parametrize("flat", [False, True])
def test_one_softmax_says_the_same_of_a_label_as_its_columns(flat: bool) -> None:
    rng = np.random.default_rng(3)
    model, counts = linear(rng, 1.0, 1.0), csr_matrix(np.ones((1, 20), np.float32))
    if flat:  # five leaves, of which the first class has two
        tree = tree_of([(f"A0{i // 2}", f"A0{i // 2}{'BC'[i % 2]}") for i in range(5)], IPC_LEVELS[1:3], root="A")
        pairs = [(0, [0, 1]), (3, [0]), (4, [1])]
    else:
        tree, pairs = tree_of([(f"A0{i}",) for i in range(5)], ("class",), root="A"), [(1, [1])]
    for label, columns in pairs:
        found, expected = attribute_ngrams(model, counts, tree, flat, label), attribute_columns(model, counts, columns)
        assert found is not None
        np.testing.assert_array_equal(found.scores, expected.scores)
