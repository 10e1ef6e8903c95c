from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from patent_hier import settings as s
from patent_hier.data.labels import document_labels
from patent_hier.data.raw import RawFormat
from patent_hier.data.splits import TRAIN, VAL
from patent_hier.errors import ConfigError, DataError
from patent_hier.features.ngram_store import NgramReader
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.words import WordReader
from patent_hier.inference.explain import MOST_WINDOWS, explain, find_label, join_spans, label_log_prob, occlude
from patent_hier.inference.faithfulness import faithfulness
from patent_hier.inference.nodes import Classifier, Ensemble
from patent_hier.inference.predictor import System, load_system
from patent_hier.inference.results import Explanation, Span
from patent_hier.models.saved import NodeClassifier
from patent_hier.models.textcnn import TextCnn
from patent_hier.models.tree_linear import TreeLinear
from patent_hier.settings import FLAT, ROOT, SHARED
from patent_hier.training.classical import fit_ngrams
from patent_hier.training.node_data import CorpusView
from patent_hier.training.node_views import view_of
from tests.inference.random_systems import Maker
from tests.inference.worlds import DEEP, SYSTEMS, paths_by
from tests.trees import tree_of

KEY = "激光"
NOISE = "一种装置包括壳体电机支架底座连接杆"
HOSTILE = ["", "  \n", "😀", "İ", "ＡＢ e\u0301が\u3000한", "激光" * 300, "x\ud83d光"]


def system_of(classifier: NodeClassifier) -> System:
    folder = Path("/nowhere") / classifier.node
    one = Classifier(classifier, {}, RawFormat())
    return System("tiny", {classifier.node: folder}, {folder: one}, RawFormat())


def keyword_texts(n: int = 240) -> tuple[list[str], np.ndarray]:
    """Noise, and in every second text the one word that decides its class."""
    rng = np.random.default_rng(3)
    codes = np.arange(n) % 2
    texts = []
    for code in codes:
        noise = list(rng.choice(list(NOISE), 20))
        if code:
            place = int(rng.integers(0, 21))
            noise[place:place] = KEY
        texts.append("".join(noise))
    return texts, codes


NGRAM_MODELS: dict[str, s.NgramSettings] = {
    "svm": s.LinearSettings(),
    "logistic": s.LinearSettings(classifier="logistic", c=100.0),
    "naive_bayes": s.NaiveBayesSettings(),
    "knn": s.NeighboursSettings(num_neighbours=9),
}
METHODS = {"knn": "occlusion", "textcnn": "integrated gradients of the token", "naive_bayes": "exact", "svm": "exact"}


def keyword_system(name: str) -> System:
    """A system that was trained on the keyword."""
    texts, codes = keyword_texts()
    if name == "textcnn":
        return _keyword_network(texts, codes)
    reader = NgramReader(tuple(sorted({text[i : i + 2] for text in texts for i in range(len(text) - 1)})), (1, 2))
    names = np.array(["A01", "A02"], object)[codes]
    labels = document_labels([np.full(len(texts), "A", object), names], [[]] * len(texts), ("section", "class"))
    parts = np.where(np.arange(len(texts)) < 200, TRAIN, VAL).astype(np.int8)
    store = reader.encode(texts)
    view = view_of(CorpusView(store, store, labels, parts), "A")
    model, kept, _ = fit_ngrams(view, NGRAM_MODELS[name], 1)
    reader = NgramReader(tuple(reader.ngrams[i] for i in kept), (1, 2))
    return system_of(NodeClassifier("A", view.tree, view.flat, NGRAM_MODELS[name], model, reader))


def _keyword_network(texts: list[str], codes: np.ndarray) -> System:
    torch.manual_seed(1)
    reader = WordReader(tuple(sorted(set("".join(texts)))), "chars", 30)
    chosen = s.TextCnnSettings(num_filters=8, dropout=0.0)
    network = TextCnn(torch.randn(len(reader.words) + 2, 8), 2, chosen)
    store = reader.encode(texts)
    ids = nn.utils.rnn.pad_sequence([torch.from_numpy(store[i].astype(int)) for i in range(len(texts))], True)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(ids, (ids > 0).long()), torch.from_numpy(codes)).backward()
        optimizer.step()
    tree = tree_of([("A01",), ("A02",)], ("class",), root="A")
    return system_of(NodeClassifier("A", tree, False, chosen, network.eval(), reader))


@pytest.fixture(scope="module", params=[*NGRAM_MODELS, "textcnn"])
def keyword(request: pytest.FixtureRequest) -> tuple[str, System]:
    return request.param, keyword_system(request.param)


def log_prob_of(system: System, texts: list[str], label: str) -> np.ndarray:
    return label_log_prob(system, texts, find_label(system, label))


def check_spans(explanation: Explanation, text: str) -> None:
    for span in explanation.spans:
        assert 0 <= span.start < span.end <= len(text)
        assert np.isfinite(span.score)
    for before, after in pairwise(explanation.spans):
        assert before.end <= after.start


def test_the_deciding_word_has_the_highest_score(keyword: tuple[str, System]) -> None:
    name, system = keyword
    texts, codes = keyword_texts()
    for text in [text for text, code in zip(texts, codes, strict=True) if code][-6:]:
        place = text.index(KEY)
        found = explain(system, text, "A02")
        assert METHODS.get(name, "") in found.method
        check_spans(found, text)
        if name == "knn":  # its neighbours change with any character
            continue
        best = max(found.spans, key=lambda span: span.score)
        assert best.score > 0
        assert place <= best.start < best.end <= place + len(KEY)
        opposite = explain(system, text, "A01")
        worst = min(opposite.spans, key=lambda span: span.score)
        assert worst.score < 0
        assert place <= worst.start < worst.end <= place + len(KEY)
        for one in (found, opposite):
            assert one.value == pytest.approx(log_prob_of(system, [text], one.label)[0], abs=1e-5)


def test_deletion_and_insertion_beat_chance(keyword: tuple[str, System]) -> None:
    _, system = keyword
    texts, codes = keyword_texts()
    gains = []
    for text in [text for text, code in zip(texts, codes, strict=True) if code][-6:]:
        found = faithfulness(system, text, explain(system, text, "A02"), seed=2)
        assert found.deletion < found.random_deletion
        assert found.insertion > found.random_insertion
        gains.append((found.random_deletion - found.deletion, found.insertion - found.random_insertion))
    assert np.mean(gains, axis=0).min() > 0.1


def test_the_opposite_of_an_explanation_is_worse_than_chance(keyword: tuple[str, System]) -> None:
    """What is said to be important must matter, not only the form of the curves."""
    _, system = keyword
    texts, codes = keyword_texts()
    text = next(text for text, code in zip(texts, codes, strict=True) if code)
    found = explain(system, text, "A02")
    turned = tuple(Span(span.start, span.end, -span.score) for span in found.spans)
    wrong = faithfulness(
        system, text, Explanation(text, found.node, "class", "A02", "turned", turned, found.base, found.value)
    )
    assert wrong.deletion > wrong.random_deletion
    assert wrong.insertion < wrong.random_insertion


# --- real systems


ALL = [("class", *system) for system in SYSTEMS] + [("subgroup", *system) for system in DEEP]


@pytest.fixture(scope="module")
def loaded(made: Any) -> dict[tuple[str, ...], System]:
    return {(depth, *key): load_system(made._replace(depth=depth).result(*key)) for depth, *key in ALL}


@pytest.fixture(scope="module")
def text(made: Any) -> str:
    return next(iter(made.texts().values()))[:60]


@pytest.mark.parametrize("key", ALL)
def test_every_label_of_every_system(loaded: dict[tuple[str, ...], System], text: str, key: tuple[str, ...]) -> None:
    """One label of each level: its joint probability in the network that decides it."""
    system = loaded[key]
    scores = system.log_prob([text])
    ((path,),) = paths_by(system, [text], 1)
    for place, step in enumerate(path.steps):
        found = explain(system, text, step.label, step.level)
        whole = next((node for node in (FLAT, SHARED) if node in system.nodes), None)
        assert found.node == (whole or (ROOT if not place else path.labels[0]))
        assert (found.label, found.level) == (step.label, step.level)
        own = scores[found.node]
        (position,) = own.tree.find(step.level, [step.label]).tolist()
        assert found.value == pytest.approx(float(own.log_prob[0, position]), abs=1e-4)
        check_spans(found, text)
        assert any(span.score for span in found.spans)
        one = system.loaded[system.nodes[found.node]]
        is_occluded = isinstance(one, Ensemble) or isinstance(one.classifier.model, TreeLinear)
        assert ("occlusion" in found.method) == is_occluded
        if not is_occluded:
            missing = found.value - found.base - sum(one.score for one in found.spans)
            assert abs(missing) <= max(0.05 * abs(found.value - found.base), 0.005)


def test_only_the_node_that_decides_is_asked(
    loaded: dict[tuple[str, ...], System], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = loaded["class", "linear", "hier"]
    counted: list[int] = []
    scores = system.log_prob([text, text], counted.append, only=(ROOT, "X"))
    assert (list(scores), counted) == ([ROOT], [2])
    asked: list[object] = []
    monkeypatch.setattr(system, "log_prob", lambda texts, only: asked.append(only) or scores)
    log_prob_of(system, [text], "G")
    assert asked == [(ROOT,)]
    monkeypatch.undo()
    assert np.array_equal(scores[ROOT].log_prob, system.log_prob([text, text])[ROOT].log_prob)


def test_occlusion_is_a_difference(loaded: dict[tuple[str, ...], System], text: str) -> None:
    system = loaded["class", "combination", "flat"]
    found = occlude(system, text, find_label(system, "G01"))
    assert found.base == pytest.approx(log_prob_of(system, [""], "G01")[0], abs=1e-6)
    read = found.spans[-1].end
    for span in found.spans[:3]:
        left = log_prob_of(system, [text[:read], text[: span.start] + text[span.end : read]], "G01")
        assert span.score == pytest.approx(left[0] - left[1], abs=1e-5)


def test_occlusion_of_a_long_text(loaded: dict[tuple[str, ...], System]) -> None:
    system = loaded["class", "linear", "hier"]
    place = find_label(system, "G")
    found = occlude(system, "一种激光测距装置 " * 100, place)
    assert len(found.spans) <= MOST_WINDOWS
    assert (found.spans[0].start, found.spans[-1].end) == (0, 900)
    assert "up to 8 characters" in found.method
    assert len(occlude(system, "光" + " " * 900 + "电", place).spans) == 2


@pytest.mark.parametrize(("name", "limit"), [("bertcnn", 22), ("bert", 22), ("textcnn", 24), ("gru", 24)])
def test_only_what_is_read_has_spans(
    name: str, limit: int, tiny_encoder_files: EncoderFiles, demo_texts: list[str]
) -> None:
    system = system_of(Maker(tiny_encoder_files, demo_texts).classifier(name))
    long = "一种装置，" * 40
    for found in (explain(system, long, "A21"), occlude(system, long, find_label(system, "A21"))):
        assert found.spans[-1].end == limit
        check_spans(found, long)
    shorter = explain(system, long[:limit], "A21")
    assert [span.score for span in shorter.spans] == pytest.approx(
        [span.score for span in explain(system, long, "A21").spans], abs=1e-4
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["bertcnn", "textcnn", "svm", "knn"])
def test_hostile_texts(name: str, text: str, tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> None:
    if name == "bertcnn":
        system, label = system_of(Maker(tiny_encoder_files, demo_texts).classifier(name)), "A21"
        if "\ud83d" in text:
            with pytest.raises(DataError, match="half of a surrogate pair"):
                explain(system, text, label)
            return
    else:
        system, label = keyword_system(name), "A02"
    found = explain(system, text, label)
    check_spans(found, text)
    if not found.spans:
        assert found.base == pytest.approx(found.value, abs=1e-6)
        with pytest.raises(DataError, match="the explanation has no spans"):
            faithfulness(system, text, found)
        return
    curves = faithfulness(system, text, found)
    assert curves.deletion_curve[-1] == pytest.approx(curves.insertion_curve[0])
    assert curves.insertion_curve[-1] == pytest.approx(np.exp(found.value), abs=1e-4)


def test_a_constant_node() -> None:
    system = system_of(NodeClassifier("C", tree_of([("C07", "C07K")], ("class", "subclass"), root="C")))
    for label in ("C07", "C07K"):
        found = explain(system, "一种装置", label)
        assert (found.spans, found.base, found.value) == ((), 0.0, 0.0)
        assert "constant" in found.method
        assert occlude(system, "一种装置", find_label(system, label)).spans == ()


def test_labels_that_cannot_be_explained(loaded: dict[tuple[str, ...], System], made: Any) -> None:
    for label in ("", "I", "a", "A1", "A02", "A01 ", "flat"):
        with pytest.raises(
            ConfigError, match=f"label '{label}' is unknown to linear; use a label such as A, B, C, D, E,"
        ):
            explain(loaded["class", "linear", "hier"], "一种装置", label)
    with pytest.raises(ConfigError, match="label 'A01' is unknown to linear; use a label such as G01, "):
        explain(load_system(made.node("linear", "G")), "一种装置", "A01")


def test_a_main_group_and_its_own_leaf_have_one_code(loaded: dict[tuple[str, ...], System]) -> None:
    system = loaded["subgroup", "linear", "hier"]
    both = set(system.tree.labels("main_group")) & set(system.tree.labels("subgroup"))
    assert both
    for label in sorted(both)[:3]:
        assert find_label(system, label).level == find_label(system, label, "main_group").level == "main_group"
        assert find_label(system, label, "subgroup").level == "subgroup"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.floats(-2, 2)), max_size=9))
@settings(max_examples=80, deadline=None)
def test_joined_spans_cover_the_same_and_sum_the_same(pieces: list[tuple[int, int, float]]) -> None:
    places = np.array([(start, start + size) for start, size, _ in pieces], np.int64).reshape(-1, 2)
    spans = join_spans(places, np.array([score for *_, score in pieces], float))
    covered = [position for span in spans for position in range(span.start, span.end)]
    assert covered == sorted({position for start, end in places.tolist() for position in range(start, end)})
    assert sum(span.score for span in spans) == pytest.approx(sum(score for _, size, score in pieces if size))


# --- faithfulness by hand


def test_curves_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system whose probability is a tenth for each letter of a text."""
    asked: list[list[str]] = []

    def log_prob(system: object, texts: list[str], place: object) -> np.ndarray:
        asked.append(texts)
        return np.log([0.1 * len(text) + 0.1 for text in texts])

    monkeypatch.setattr("patent_hier.inference.faithfulness.label_log_prob", log_prob)
    monkeypatch.setattr("patent_hier.inference.faithfulness.find_label", lambda *_: None)
    spans = (Span(0, 1, 0.0), Span(1, 3, 1.0), Span(4, 5, 0.9))  # a score of 0.5 for each of two characters
    found = faithfulness(None, "abcdefgh", Explanation("abcdefgh", "A", "class", "A01", "", spans, 0, 0))  # type: ignore[arg-type]
    assert found.shares == pytest.approx((0, 1 / 3, 2 / 3, 1))
    assert found.deletion_curve == pytest.approx((0.6, 0.5, 0.3, 0.2))  # abcde, abcd, ad, d
    assert found.insertion_curve == pytest.approx((0.2, 0.3, 0.5, 0.6))
    assert (found.deletion, found.insertion) == (pytest.approx(0.4), pytest.approx(0.4))
    assert len(asked) == 1
    assert len(set(asked[0])) == len(asked[0])
    assert {"abcde", "abcd", "ad", "d", "de"} <= set(asked[0])
    assert found.random_deletion_curve[0] == pytest.approx(0.6)
    again = faithfulness(None, "abcdefgh", Explanation("abcdefgh", "A", "class", "A01", "", spans, 0, 0))  # type: ignore[arg-type]
    assert again == found


def test_steps_are_bounded(keyword: tuple[str, System]) -> None:
    _, system = keyword
    text = keyword_texts()[0][1]
    found = explain(system, text, "A02")
    for steps, expected in ((1, 2), (5, 6), (1000, len(found.spans) + 1)):
        curves = faithfulness(system, text, found, steps=steps, random_orders=1)
        assert len(curves.shares) == len(curves.random_insertion_curve) == expected
    seeds = [faithfulness(system, text, found, seed=seed).random_deletion for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    for name in ("steps", "random_orders"):
        with pytest.raises(ConfigError, match=f"{name}=0 is out of range"):
            faithfulness(system, text, found, **{name: 0})
    with pytest.raises(
        ConfigError, match=r"ends at character \d+, but the text has 3; use the text that was explained"
    ):
        faithfulness(system, text[:3], found)
