"""A scheme that is not the IPC, from its table to scores and paths: nothing below the corpus needs the IPC."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from patent_hier.artifacts import seal
from patent_hier.atomic import write_json
from patent_hier.data.labels import DocumentLabels, document_labels, node_targets
from patent_hier.data.splits import PARTS, TEST, TRAIN, VAL
from patent_hier.evaluation.aggregate import aggregate
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.decoding import decode
from patent_hier.evaluation.level_scores import score_levels
from patent_hier.evaluation.restriction import Restriction
from patent_hier.evaluation.scores import TreeScores, whole
from patent_hier.evaluation.system import merge, with_truth
from patent_hier.features.ngram_store import NgramStore
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.nodes import CONFIG_FILE, MODEL_FOLDER, NODE_KIND
from patent_hier.inference.predictor import RESULT_KIND
from patent_hier.settings import FLAT, ROOT, SHARED, LinearSettings, Settings
from patent_hier.taxonomy.tree import NONE, LabelTree
from patent_hier.training.fit import fit_node
from patent_hier.training.node_data import CorpusView

SECTIONS = "ABCDEFGHY"
DOCUMENTS = 1200


def write_table(path: Path) -> None:
    """Sections A to H and Y; subgroups below subgroups in most branches, nothing below the class in Z99."""
    rows = [("Z", ""), ("Z99", "Z")]
    for section in SECTIONS:
        own = f"{section}02E"
        rows += [(section, ""), (own[:3], section), (own, own[:3])]
        for group in ("10", "20"):
            rows.append((f"{own} {group}/00", own))
            rows += [(f"{own} {group}/40", f"{own} {group}/00"), (f"{own} {group}/50", f"{own} {group}/00")]
            rows += [(f"{own} {group}/{fine}", f"{own} {group}/40") for fine in ("42", "44")]
    path.write_text("code,parent,title\n" + "".join(f"{code},{above},title of {code}\n" for code, above in rows))


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> LabelTree:
    path = tmp_path_factory.mktemp("scheme") / "cpc.csv"
    write_table(path)
    return LabelTree.from_table(path)


@pytest.fixture(scope="module")
def documents(scheme: LabelTree) -> tuple[DocumentLabels, list[str]]:
    """Documents of every label from subgroup down, in which each label of the path puts its letter twice."""
    rng = np.random.default_rng(0)
    last = scheme.levels.index("level_5")
    deep = [code for level in scheme.levels[last:] for code in scheme.labels(level)]
    codes = rng.choice(np.array([*dict.fromkeys(deep), "Y02E 10/40"], object), DOCUMENTS)
    paths = scheme.paths(scheme.locate(codes))
    columns = list(scheme.names(paths).T)
    labels = document_labels(columns, [[] for _ in codes], scheme.levels)
    noise = rng.integers(0, 30, (DOCUMENTS, 12))
    texts = [
        "".join(2 * chr(0x4E00 + place) for place in path[path != NONE])
        + "".join(chr(0x6000 + letter) for letter in own)
        for path, own in zip(paths, noise, strict=True)
    ]
    return labels, texts


@pytest.fixture(scope="module")
def texts(documents: tuple[DocumentLabels, list[str]]) -> list[str]:
    return documents[1]


@pytest.fixture(scope="module")
def corpus(documents: tuple[DocumentLabels, list[str]]) -> CorpusView[NgramStore]:
    labels, texts = documents
    counter = CountVectorizer(analyzer="char", ngram_range=(1, 2))
    counts = counter.fit_transform(texts)
    counts.sort_indices()
    store = NgramStore.of_matrix(counts, tuple(counter.get_feature_names_out()))
    parts = np.random.default_rng(1).choice([TRAIN, VAL, TEST], DOCUMENTS, p=[0.7, 0.1, 0.2]).astype(np.int8)
    return CorpusView(store, store, labels, parts)


def settings_of(node: str) -> Settings:
    return Settings(model=LinearSettings(ngram_sizes=[1, 2], min_documents=1), node=node)


def score(corpus: CorpusView[NgramStore], nodes: tuple[str, ...]) -> tuple[NetworkPredictions, TreeScores]:
    """Train networks; return their predictions for the held-out documents, as stored on disk and in memory."""
    held_out = np.flatnonzero(corpus.parts != TRAIN)
    labels = corpus.labels.take(held_out)
    predictions, in_memory = {}, {}
    for node in nodes:
        classifier = fit_node(corpus, settings_of(node)).classifier
        joint = classifier.log_prob(corpus.store, held_out)
        tree = classifier.tree
        levels = score_levels(tree, joint, node_targets(labels, node, tree.levels))
        parts: NDArray[np.object_] = np.array(PARTS, object)[corpus.parts[held_out]]
        ids = np.array([f"d{row}" for row in held_out], object)
        predictions[node] = NetworkPredictions(node, tree, ids, parts, tuple(levels), classifier.flat)
        predictions[node].validate()
        in_memory[node] = TreeScores(tree, joint, classifier.flat)
    return with_truth(merge(predictions), labels), whole(in_memory)


def write_result(corpus: CorpusView[NgramStore], nodes: tuple[str, ...], folder: Path) -> Path:
    """A finished result with its nodes beside it."""
    for node in nodes:
        fit_node(corpus, settings_of(node)).classifier.save(folder / node / MODEL_FOLDER)
        data = {"columns": {}, "text": ["abstract"], "min_symbol": "group", "edition": "latest", "encoding": "utf-8"}
        (folder / node / CONFIG_FILE).write_text(yaml.safe_dump({"data": data}), "utf-8")
        seal(folder / node, {"kind": NODE_KIND, "node": node})
    (folder / "result").mkdir()
    write_json(folder / "result" / "result.json", {})
    seal(folder / "result", {"kind": RESULT_KIND, "model": "linear", "nodes": {node: node for node in nodes}})
    return folder / "result"


@pytest.mark.parametrize("nodes", [(ROOT, *SECTIONS, "Z"), (SHARED,)], ids=["hier", "shared"])
def test_export_load_and_predict(
    corpus: CorpusView[NgramStore], texts: list[str], nodes: tuple[str, ...], scheme: LabelTree, tmp_path: Path
) -> None:
    trained = HierarchicalClassifier.from_pretrained(write_result(corpus, nodes, tmp_path))
    trained.save_pretrained(tmp_path / "model")
    again = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert again.version == trained.version
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert ": labels of Chinese patents" in card
    assert "IPC" not in card
    assert again.system.tree.levels == scheme.levels
    held_out = np.flatnonzero(corpus.parts == TEST)[:30]
    found = again.predict([texts[row] for row in held_out], 1)
    paths = corpus.labels.tree.names(corpus.labels.main[held_out])
    assert np.mean([one.paths[0].labels[0] == path[0] for one, path in zip(found, paths, strict=True)]) > 0.9
    assert found == trained.predict([texts[row] for row in held_out], 1)
    (forced,) = again.predict([texts[held_out[0]]], force="y02e10/40")
    assert {path.label for path in forced.paths} == {"Y02E 10/42", "Y02E 10/44"}


@pytest.mark.parametrize("nodes", [(ROOT, *SECTIONS, "Z"), (SHARED,), (FLAT,)], ids=["hier", "shared", "flat"])
def test_train_score_and_decode(corpus: CorpusView[NgramStore], nodes: tuple[str, ...], scheme: LabelTree) -> None:
    system, scores = score(corpus, nodes)
    held_out = np.flatnonzero(corpus.parts != TRAIN)
    labels: DocumentLabels = corpus.labels.take(held_out)
    result = aggregate(system, labels)
    assert tuple(result.levels) == scheme.levels
    assert result.absent_labels == ()
    top, deepest = result.top, result.deepest
    assert top.accuracy.value > 0.95
    assert deepest.accuracy.value > 0.7
    assert deepest.accuracy.n_documents < top.accuracy.n_documents  # some stop at Y02E 10/40
    if FLAT not in nodes:
        assert list(deepest.local) == sorted([*SECTIONS, "Z"])
    best = system.tree.paths(decode(scores)[:, 0])
    expected = system.tree.find(scheme.depth, labels.tree.names(labels.main[:, -1]))
    ends = expected != NONE
    assert (best[ends, -1] == expected[ends]).mean() > 0.7
    restriction = Restriction.of(system.tree, [system.tree.codes.tolist().index("Y02E 10/40")], [])
    forced = decode(restriction.apply(scores), kept=restriction.kept)[:, 0]
    assert set(system.tree.codes[forced]) == {"Y02E 10/42", "Y02E 10/44"}
