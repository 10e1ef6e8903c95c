"""Small things that many tests share; torch and transformers are imported only where a fixture needs them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.labels import DocumentLabels, document_labels
from patent_hier.data.raw import RawFormat
from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL
from patent_hier.features.pretrained import EncoderFiles, locate
from patent_hier.features.token_store import TokenStore
from patent_hier.settings import DemoEncoderSettings, EncoderSettings
from patent_hier.training.node_data import CorpusView

# What shares a costly fixture of the session, by the name of its group: a folder, and the fixtures.
_TOGETHER = {
    "tests/report/": {"trained", "report", "contexts", "context"},
    "tests/integration/": {"suite", "copied"},
}
# The longest groups: one of them late would leave the other processes idle.
_BEGIN_FIRST = (
    "tests/integration/test_learning.py",
    "tests/report/",
    "tests/integration/",
    "tests/web/test_page.py",
    "tests/integration/test_models.py",
    "tests/cli/test_report.py",
)
# A busy machine makes any example slow.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
TOY_CLASSES = {"A01": 90, "A23": 45, "B05": 45, "B60": 45, "C07": 30}  # documents; section C has one class


def pytest_configure(config: pytest.Config) -> None:
    """Where pytest-xdist is missing or switched off, its mark is unknown and would be refused."""
    if not config.pluginmanager.hasplugin("xdist"):
        config.addinivalue_line("markers", "xdist_group(name): tests that pytest-xdist runs in one process")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for pytest-xdist: a group runs in one process, so that what its tests share is made once.

    A file is a group, and so are all tests that use one of the costly fixtures. No test depends on the order.
    """
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    ranks = {group: rank for rank, group in enumerate(_BEGIN_FIRST)}
    items.sort(key=lambda item: ranks.get(groups[item], len(ranks)))


def _group(item: pytest.Item) -> str:
    file = item.nodeid.partition("::")[0]
    used = set(getattr(item, "fixturenames", ()))
    return next((name for name, shared in _TOGETHER.items() if file.startswith(name) and used & shared), file)


def tiny_encoder_settings(**changes: object) -> DemoEncoderSettings:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    facts = {"name": "demo", "pretrained": False, "max_length": 32, "dropout": 0.0}
    return DemoEncoderSettings(**{**facts, **sizes, **changes})  # type: ignore[arg-type]  # values of many types


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    """The demo encoder's folder, 2 layers of 16: vocabulary and architecture, no weights."""
    return locate(tiny_encoder_settings(), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_encoder(demo_files: EncoderFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user would bring it: the demo encoder's architecture and vocabulary, with random weights."""
    import shutil

    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder") / "tiny-bert"
    torch.manual_seed(7)
    BertModel(BertConfig(**demo_files.config)).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(demo_files.folder / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder_files(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    return locate(EncoderSettings("tiny", str(tiny_encoder), max_length=32), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def demo_texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """300 clean texts of the demo corpus."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo_csv(folder / "demo.csv", rows=300, seed=3)
    (folder / "corpus").mkdir()
    prepare(folder / "demo.csv", folder / "corpus", RawFormat())
    return [text for batch in Corpus.open(folder / "corpus").iter_texts() for text in batch]


@pytest.fixture(scope="session")
def toy_corpus() -> CorpusView[TokenStore]:
    """255 documents of token ids; each holds three tokens that only its class uses, among noise."""
    rng = np.random.default_rng(5)
    classes = rng.permutation([name for name, count in TOY_CLASSES.items() for _ in range(count)])
    documents = []
    for name in classes:
        own = 1000 + 10 * list(TOY_CLASSES).index(name) + rng.integers(0, 5, 3)
        body = rng.permutation(np.concatenate([own, rng.integers(2000, 2200, rng.integers(1, 15))]))
        documents.append([2, *body.tolist(), 3])
    parts = np.empty(len(classes), np.int8)
    for name in TOY_CLASSES:
        members = np.flatnonzero(classes == name)
        cuts = (np.array([0.6, 0.8, 0.85]) * len(members)).astype(int)
        for part, chosen in zip((TRAIN, VAL, CALIBRATION, TEST), np.split(members, cuts), strict=True):
            parts[chosen] = part
    store = TokenStore.from_documents(documents)
    return CorpusView(store, store, class_labels(classes), parts)


def class_labels(classes: Iterable[str], further: Sequence[Sequence[str]] | None = None) -> DocumentLabels:
    """The labels of documents of so many classes, and of their sections.

    Args:
        classes: Of each document's main symbol, ``(n,)``.
        further: Of its further ones.
    """
    main = np.array(list(classes), object)
    sections = np.array([name[0] for name in main], object)
    paths = [[(name[0], name) for name in own] for own in further or [[]] * len(main)]
    return document_labels([sections, main], paths, ("section", "class"))
