import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.feature_extraction.text import CountVectorizer
from torch import nn

from patent_hier import settings as s
from patent_hier.data.labels import document_labels
from patent_hier.data.splits import TEST, TRAIN
from patent_hier.errors import ArtifactError, PatentHierError
from patent_hier.features.ngram_store import NgramReader, NgramStore
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.features.wordpiece import WordPieceReader, encode_corpus, load_tokenizer
from patent_hier.features.words import WordReader, segmenter
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.ngram_heads import NgramHeads
from patent_hier.models.rnn import Rnn
from patent_hier.models.saved import NodeClassifier, load_classifier, num_outputs
from patent_hier.models.textcnn import TextCnn
from patent_hier.models.tree_linear import TreeLinear
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.training.classical import fit_ngrams
from patent_hier.training.node_data import CorpusView
from patent_hier.training.node_views import view_of
from tests.trees import tree_of

A = tree_of([("A01",), ("A21",), ("A99",)], ("class",), root="A")
# Seven labels; a flat network scores the three leaves. Section B has one class, which has one subclass.
DEEP = tree_of([("A", "A01", "A01B"), ("A", "A01", "A01C"), ("B", "B60", "B60K")])
SMALL: dict[str, Any] = {"num_last_layers": 2, "num_filters": 4, "pool_size": None}
BERTCNN = {
    "bertcnn": s.BertCnnSettings(**SMALL),
    "shuffled": s.BertCnnSettings(**SMALL, hidden_order="shuffled"),
    "token": s.BertCnnSettings(**SMALL, head="token"),
    "bert": s.BertCnnSettings(name="bert", head="cls"),
}
WORDS: dict[str, s.TextCnnSettings | s.RnnSettings] = {
    "textcnn": s.TextCnnSettings(num_filters=4, tune_vectors=False),
    "rnn": s.RnnSettings(hidden_size=5, num_layers=2, pooling="attention", cell="gru"),
}
TERMS: dict[str, s.NgramSettings] = {
    "linear": s.LinearSettings(),
    "logistic": s.LinearSettings(name="logistic", classifier="logistic"),
    "naive_bayes": s.NaiveBayesSettings(),
    "knn": s.NeighboursSettings(num_neighbours=4),
}
WHOLE = {
    f"{name} {node}": (name, node) for name in ("textcnn", *TERMS) for node in ("shared", "flat")
}  # on a deep tree
KIND = {**dict.fromkeys(BERTCNN, "bertcnn"), "textcnn": "textcnn", "rnn": "rnn", "linear": "linear"} | {
    "logistic": "linear", "naive_bayes": "naive_bayes", "knn": "knn"
}  # fmt: skip
KIND |= {both: KIND[name] for both, (name, _) in WHOLE.items()}
TEXTS = ["一种LED灯具", "本发明涉及" * 20, "", "光"]


def make_network(name: str, files: EncoderFiles, texts: list[str], node: str = "A") -> NodeClassifier:
    torch.manual_seed(4)
    tree, flat = (A, False) if node == "A" else (DEEP, node == "flat")
    if name in BERTCNN:
        encoder = load_encoder(files, pretrained=True, frozen=False)
        network: nn.Module = BertCnn(encoder, 3, BERTCNN[name]).eval()
        return NodeClassifier(node, tree, flat, BERTCNN[name], network, WordPieceReader(files, 24))
    words = tuple(sorted({word for text in texts[:100] for word in segmenter("chars")(text)}))
    vectors = torch.randn(len(words) + 2, 6)
    settings = WORDS[name]
    if isinstance(settings, s.TextCnnSettings):
        network = TextCnn(vectors, num_outputs(tree, flat), settings).eval()
    else:
        network = Rnn(vectors, num_outputs(tree, flat), settings).eval()
    return NodeClassifier(node, tree, flat, settings, network, WordReader(words, "chars", 30))


def make_ngram_model(name: str, texts: list[str], node: str = "A") -> NodeClassifier:
    counter = CountVectorizer(analyzer="char", ngram_range=(1, 2)).fit(texts)
    ngrams = tuple(counter.get_feature_names_out().tolist())
    store = NgramStore.of_matrix(counter.transform(texts), ngrams)
    tree = A if node == "A" else DEEP
    paths = [
        (*("A",)[: node == "A"], *tree.names(path)) for path in tree.paths(np.arange(*tree.leaves.indices(99)[:2]))
    ]
    rows = [paths[i % 3] for i in range(len(texts))]
    levels = ("section", *tree.levels)[-len(rows[0]) :]
    labels = document_labels([np.array(c, object) for c in zip(*rows, strict=True)], [[]] * len(rows), levels)
    # The labels say nothing of the texts: validation documents would teach a whole-tree model to say nothing either.
    parts = np.where(np.arange(len(texts)) < 200, TRAIN, TEST).astype(np.int8)
    view = view_of(CorpusView(store, store, labels, parts), node)
    assert view.tree == tree
    model, kept, _ = fit_ngrams(view, TERMS[name], 1)
    reader = NgramReader(tuple(ngrams[i] for i in kept), (1, 2))
    return NodeClassifier(node, tree, node == "flat", TERMS[name], model, reader)


@pytest.fixture(scope="module")
def made(
    tiny_encoder_files: EncoderFiles, demo_texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[NodeClassifier, Path]]:
    """By name: a classifier, and the folder that it was saved in."""
    classifiers = {name: make_network(name, tiny_encoder_files, demo_texts) for name in (*BERTCNN, *WORDS)}
    classifiers |= {name: make_ngram_model(name, demo_texts) for name in TERMS}
    for both, (name, node) in WHOLE.items():
        classifiers[both] = (
            make_ngram_model(name, demo_texts, node)
            if name in TERMS
            else make_network(name, tiny_encoder_files, demo_texts, node)
        )
    folder = tmp_path_factory.mktemp("models")
    for name, classifier in classifiers.items():
        classifier.save(folder / name)
    return {name: (classifier, folder / name) for name, classifier in classifiers.items()}


@pytest.fixture
def damageable(made: dict[str, tuple[NodeClassifier, Path]], tmp_path: Path) -> Any:
    """The copy of a folder for a test that damages it, by name."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(made[name][1], tmp_path / name, dirs_exist_ok=True))

    return copy


def scores(classifier: NodeClassifier, texts: list[str]) -> NDArray[np.float32]:
    return classifier.log_prob(classifier.encode(texts), np.arange(len(texts)), batch_size=16)


# --- round trips


@pytest.mark.parametrize("name", KIND)
def test_round_trip_is_exact(
    made: dict[str, tuple[NodeClassifier, Path]], name: str, demo_texts: list[str], tmp_path: Path
) -> None:
    classifier, folder = made[name]
    assert json.loads((folder / "classifier.json").read_text("utf-8"))["kind"] == KIND[name]
    loaded = load_classifier(shutil.copytree(folder, tmp_path / "elsewhere"))  # nothing is read from beside it
    assert (loaded.node, loaded.tree, loaded.flat) == (classifier.node, classifier.tree, classifier.flat)
    assert loaded.settings == classifier.settings
    assert type(loaded.model) is type(classifier.model)
    if isinstance(loaded.model, nn.Module):
        assert not loaded.model.training
    texts = [*demo_texts[:40], *TEXTS]
    expected = scores(classifier, texts)
    assert expected.shape == (44, len(loaded.tree))
    assert expected.std(0).min() > 1e-4
    for level in loaded.tree.levels:
        assert np.exp(expected[:, loaded.tree.span(level)]).sum(1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(scores(loaded, texts), expected)


@pytest.mark.parametrize("name", KIND)
def test_saved_again_it_is_the_same(made: dict[str, tuple[NodeClassifier, Path]], name: str, tmp_path: Path) -> None:
    load_classifier(made[name][1]).save(tmp_path)
    before, after = ({file.name: file.read_bytes() for file in path.iterdir()} for path in (made[name][1], tmp_path))
    assert after == before


@pytest.mark.parametrize("name", KIND)
def test_no_document_has_no_row(made: dict[str, tuple[NodeClassifier, Path]], name: str) -> None:
    classifier, _ = made[name]
    assert classifier.log_prob(classifier.encode(["光"]), np.array([], int)).shape == (0, len(classifier.tree))


def test_the_shuffled_order_is_kept(made: dict[str, tuple[NodeClassifier, Path]]) -> None:
    orders = {}
    for name in ("bertcnn", "shuffled"):
        classifier, folder = made[name]
        loaded = load_classifier(folder)
        assert isinstance(classifier.model, BertCnn)
        assert isinstance(loaded.model, BertCnn)
        orders[name] = (classifier.model.head.order, loaded.model.head.order)
    assert orders["bertcnn"] == (None, None)
    ours, theirs = orders["shuffled"]
    assert isinstance(ours, torch.Tensor)
    assert isinstance(theirs, torch.Tensor)
    assert torch.equal(ours, theirs)
    assert sorted(ours.tolist()) == list(range(16))
    assert ours.tolist() != list(range(16))


@pytest.mark.parametrize("name", WORDS)
def test_weights_are_saved_with_the_vectors(made: dict[str, tuple[NodeClassifier, Path]], name: str) -> None:
    classifier, folder = made[name]
    assert isinstance(classifier.reader, WordReader)
    shape = load_file(folder / "model.safetensors")["embedding.weight"].shape
    assert shape == (len(classifier.reader.words) + 2, 6)


@pytest.mark.parametrize("name", TERMS)
def test_a_store_may_count_more_terms(
    made: dict[str, tuple[NodeClassifier, Path]], name: str, demo_texts: list[str]
) -> None:
    loaded = load_classifier(made[name][1])
    counter = CountVectorizer(analyzer="char", ngram_range=(1, 3)).fit(demo_texts)
    ngrams = tuple(counter.get_feature_names_out().tolist())
    wide = NgramStore.of_matrix(counter.transform(demo_texts[:30]), ngrams)
    assert isinstance(loaded.reader, NgramReader)
    assert len(wide.ngrams) > len(loaded.reader.ngrams)
    assert np.array_equal(loaded.log_prob(wide, np.arange(30)), scores(loaded, demo_texts[:30]))


def test_round_trip_of_an_encoder_from_a_half_precision_folder(
    tiny_encoder_files: EncoderFiles, tmp_path: Path, toy_corpus: CorpusView[TokenStore]
) -> None:
    files = EncoderFiles(tiny_encoder_files.folder, {**tiny_encoder_files.config, "dtype": "float16"}, True)
    settings = s.BertCnnSettings(num_last_layers=2, num_filters=4)
    network = BertCnn(load_encoder(files, pretrained=True, frozen=False), 3, settings).eval()
    classifier = NodeClassifier("A", A, False, settings, network, WordPieceReader(files, 24))
    classifier.save(tmp_path)
    indices = np.arange(10)
    expected = classifier.log_prob(toy_corpus.store, indices)
    assert np.array_equal(load_classifier(tmp_path).log_prob(toy_corpus.store, indices), expected)


def test_nothing_in_a_folder_can_execute(made: dict[str, tuple[NodeClassifier, Path]]) -> None:
    for name, (_, folder) in made.items():
        suffixes = {file.suffix for file in folder.iterdir()}
        assert suffixes == {".safetensors", ".json"} | ({".txt"} if name in BERTCNN else set())
        if KIND[name] not in TERMS:
            weights = load_file(folder / "model.safetensors")
            assert {value.dtype for key, value in weights.items() if not key.endswith("order")} == {torch.float32}


def test_encode_equals_the_corpus_store(
    made: dict[str, tuple[NodeClassifier, Path]],
    tiny_encoder_files: EncoderFiles,
    demo_texts: list[str],
    tmp_path: Path,
) -> None:
    classifier, _ = made["bertcnn"]
    encode_corpus([demo_texts], load_tokenizer(tiny_encoder_files, 24), tmp_path)
    corpus, fresh = TokenStore.open(tmp_path), classifier.encode(demo_texts)
    assert isinstance(fresh, TokenStore)
    assert max(corpus.lengths) == 24
    assert [fresh[i].tolist() for i in range(len(fresh))] == [corpus[i].tolist() for i in range(len(corpus))]
    indices = np.arange(30)
    assert np.array_equal(classifier.log_prob(fresh, indices), classifier.log_prob(corpus, indices))


@pytest.mark.parametrize(
    "tree", [tree_of([("H01",)], ("class",), root="H"), tree_of([("H01", "H01L", "H01L")], root="H")]
)
def test_constant_classifier(tmp_path: Path, toy_corpus: CorpusView[TokenStore], tree: LabelTree) -> None:
    NodeClassifier("H", tree).save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["classifier.json"]
    loaded = load_classifier(tmp_path)
    assert (loaded.node, loaded.tree, loaded.flat) == ("H", tree, False)
    assert (loaded.settings, loaded.model, loaded.reader) == (None, None, None)
    assert loaded.log_prob(toy_corpus.store, np.arange(3)).tolist() == [[0.0] * len(tree)] * 3
    with pytest.raises(ArtifactError, match="node H has a constant classifier"):
        loaded.encode(["一"])


def test_many_heads_are_saved_as_such(made: dict[str, tuple[NodeClassifier, Path]]) -> None:
    for name, kind in (("linear", TreeLinear), ("logistic", NgramHeads), ("naive_bayes", NgramHeads)):
        assert isinstance(made[f"{name} shared"][0].model, kind)
        assert not isinstance(made[f"{name} flat"][0].model, NgramHeads | TreeLinear)
    assert num_outputs(DEEP, False) == len(DEEP) == 7
    assert num_outputs(DEEP, True) == 3


# --- damage


def refused(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_classifier(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


FILES = {
    "bertcnn": ("classifier.json", "model.safetensors", "reader.json", "encoder_config.json"),
    "textcnn": ("classifier.json", "model.safetensors", "reader.json", "words.json"),
    "rnn": ("classifier.json", "model.safetensors", "reader.json", "words.json"),
    "linear": ("classifier.json", "model.safetensors", "reader.json", "terms.json"),
    "naive_bayes": ("classifier.json", "model.safetensors", "reader.json", "terms.json"),
    "knn": ("classifier.json", "model.safetensors", "reader.json", "terms.json"),
}


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in FILES.items() for file in files])
def test_damaged_files(damageable: Any, name: str, file: str) -> None:
    folder = damageable(name)
    assert set(FILES[name]) <= {path.name for path in folder.iterdir()}
    content = (folder / file).read_bytes()
    for damaged in (content[: len(content) // 2], b"", None):
        (folder / file).unlink() if damaged is None else (folder / file).write_bytes(damaged)
        assert file in refused(folder)


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in FILES.items() for file in files])
def test_json_of_another_shape(damageable: Any, name: str, file: str) -> None:
    folder = damageable(name)
    if file.endswith(".json"):
        for content in ("[]", "{}", '"x"', "3", "[1, 2]"):
            (folder / file).write_text(content)
            refused(folder)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bertcnn", {"head.output.bias": torch.zeros(7)}),
        ("textcnn", {"output.bias": torch.zeros(7)}),
        ("textcnn", {"embedding.weight": torch.zeros(3, 6)}),
        ("textcnn", {"embedding.weight": torch.zeros(6)}),
        ("rnn", {"query.weight": torch.zeros(1, 3)}),
        ("rnn", {"more": torch.zeros(1)}),
        ("linear", {"bias": torch.zeros(7)}),
        ("naive_bayes", {"bias": torch.zeros(2), "weights": torch.zeros(4, 2), "idf": torch.zeros(4)}),
        ("knn", {"sizes": torch.tensor([0])}),
        ("knn", {"families": torch.tensor([0, 0])}),
        ("knn", {"families": torch.tensor([0, 2, 2])}),
        ("logistic shared", {"heads": torch.zeros(1, 3, dtype=torch.int64)}),
        ("linear shared", {"parents": torch.zeros(7, dtype=torch.int32)}),
        ("naive_bayes shared", {"sizes": torch.tensor([9, 9])}),
    ],
)
def test_weights_that_do_not_fit(damageable: Any, name: str, changes: dict[str, torch.Tensor]) -> None:
    folder = damageable(name)
    save_file({**load_file(folder / "model.safetensors"), **changes}, folder / "model.safetensors")
    assert "model.safetensors" in refused(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_weight_less(damageable: Any, name: str) -> None:
    folder = damageable(name)
    weights = load_file(folder / "model.safetensors")
    del weights[sorted(weights)[0]]
    save_file(weights, folder / "model.safetensors")
    assert "model.safetensors" in refused(folder)


@pytest.mark.parametrize(
    ("name", "file"), [(name, "words.json") for name in WORDS] + [(name, "terms.json") for name in TERMS]
)
@pytest.mark.parametrize("more", [-1, 1])
def test_a_vocabulary_that_does_not_fit_the_weights(damageable: Any, name: str, file: str, more: int) -> None:
    folder = damageable(name)
    words = json.loads((folder / file).read_text("utf-8"))
    (folder / file).write_text(json.dumps(words[:-1] if more < 0 else [*words, "不在其中的词"]))
    refused(folder)


@pytest.mark.parametrize("name", KIND)
@pytest.mark.parametrize("more", [-1, 1])
def test_labels_that_do_not_fit_the_weights(damageable: Any, name: str, more: int) -> None:
    folder = damageable(name)
    facts = json.loads((folder / "classifier.json").read_text("utf-8"))
    tree = facts["tree"]
    codes, parents = (
        (tree["codes"][:-1], tree["parents"][:-1])
        if more < 0
        else ([*tree["codes"], "A98"], [*tree["parents"], tree["parents"][-1]])
    )
    (folder / "classifier.json").write_text(json.dumps({**facts, "tree": {**tree, "codes": codes, "parents": parents}}))
    refused(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "os.system"},
        {"kind": "BertCnn"},
        {"kind": None},
        {"kind": ["bertcnn"]},
        {"kind": "rnn"},
        {"model": {"nme": "x"}},
        {"model": []},
        {"model": {"head": "x"}},
        {"model": {"num_last_layers": 3}},
        {"model": {"num_last_layers": 2, "num_filters": "x"}},
        {"model": {"num_last_layers": 2, "kernel_size": 99}},
        {"tree": None},
        {"tree": {"levels": ["class"], "codes": ["A01"], "parents": [0], "root": "A"}},
    ],
    ids=str,
)
def test_a_kind_or_settings_that_are_not_known(damageable: Any, changes: dict[str, Any]) -> None:
    folder = damageable("bertcnn")
    facts = json.loads((folder / "classifier.json").read_text("utf-8"))
    (folder / "classifier.json").write_text(json.dumps({**facts, **changes}))
    refused(folder)


def test_a_lost_tokenizer_is_named(damageable: Any) -> None:
    folder = damageable("bertcnn")
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink()
    with pytest.raises(PatentHierError) as caught:
        load_classifier(folder).encode(["一"])
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
