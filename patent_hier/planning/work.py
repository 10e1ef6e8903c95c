"""What is to be done: documents of each node, passes, tokens, and the encoder's size."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from patent_hier.bench.architecture import MAX_LENGTH as BENCH_LENGTH
from patent_hier.bench.architecture import TRAINING_PASSES, Architecture
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import locate
from patent_hier.pipeline.stages import ensure_corpus, split_plan
from patent_hier.report.published import published
from patent_hier.settings import FLAT, HIER_NODES, ROOT, DemoEncoderSettings, Settings, filled, planned_epochs

PAPER_ROWS = 2_770_000  # of the paper's raw file
# Sizes of encoders that need not lie here to be planned for, from the config.json of their hub pages.
_BASE = Architecture(768, 12, 12, 3072, 21128)
_PUBLISHED = dict.fromkeys(
    ("google-bert/bert-base-chinese", "hfl/chinese-roberta-wwm-ext", "hfl/chinese-macbert-base"), _BASE
)
_NODES = {"hier": HIER_NODES, "section": (ROOT,), "class": HIER_NODES[1:], FLAT: (FLAT,)}


@dataclass(frozen=True)
class Documents:
    """The corpus by numbers.

    Attributes:
        rows: Of the raw file.
        classes: Documents that remain, by section, and how many classes it has: ``(documents, classes)``.
        source: Where these numbers are from, in words.
        raw_bytes: Size of the raw file, where it is there.
        characters: Mean of a document's text, where the corpus is there.
    """

    rows: int
    classes: Mapping[str, tuple[int, int]]
    source: str
    raw_bytes: int | None = None
    characters: float | None = None

    @property
    def total(self) -> int:
        """Documents that remain."""
        return sum(documents for documents, _ in self.classes.values())


def paper_documents(rows: int) -> Documents:
    """A file of so many rows, with the paper's shares of documents and of sections."""
    table = published("table_1")["sections"]
    share = rows / PAPER_ROWS
    classes = {name: (round(share * facts["documents"]), int(facts["classes"])) for name, facts in table.items()}
    return Documents(rows, classes, "shares of the paper's Table 1")


def corpus_documents(settings: Settings) -> Documents:
    """The corpus of ``data.path``, prepared if it is not yet."""
    corpus: Corpus = ensure_corpus(settings.data, Path(settings.cache_dir))
    documents, classes = Counter[str](), Counter[str]()
    for name, count in corpus.manifest["classes"].items():
        documents[name[0]] += count
        classes[name[0]] += 1
    by_section = {section: (documents[section], classes[section]) for section in sorted(documents)}
    rows, raw = corpus.manifest["accounting"]["rows"], Path(settings.data.path).stat().st_size
    return Documents(rows, by_section, f"the corpus {corpus.folder}", raw, corpus.manifest["mean_text_length"])


def mean_tokens(documents: Documents, measured: float, max_length: int) -> tuple[float, str]:
    """Tokens of a mean document, with [CLS] and [SEP], and where the number is from, in words.

    Args:
        documents: The corpus.
        measured: Mean of the bench's texts, cut at its length.
        max_length: Of the run; longer documents are cut.
    """
    if documents.characters is not None:
        return min(max_length, documents.characters + 2), "at most: one for each character"
    if max_length != BENCH_LENGTH:
        return max_length, f"at most: the bench's texts were cut at {BENCH_LENGTH}"
    return measured, "mean of the bench's texts"


def encoder_size(settings: Settings) -> Architecture:
    """The size of a run's encoder; nothing is downloaded.

    Raises:
        ConfigError: If the model has no encoder that is trained, or the encoder's size is not known here.
    """
    model, encoder = settings.model, settings.encoder
    if model.inputs != "wordpiece":
        raise ConfigError(f"model={model.name} has no encoder; plan counts the work of encoders: model=bertcnn or bert")
    if encoder.freeze:
        raise ConfigError("encoder.freeze=true is not planned for: documents are read once; set encoder.freeze=false")
    path = None if isinstance(encoder, DemoEncoderSettings) else encoder.path
    if path is not None and not path.startswith("patent_hier/") and not Path(path).is_dir():
        if path not in _PUBLISHED:
            raise ConfigError(f"encoder.path={path} is no folder here, and plan downloads nothing; name its folder")
        return _PUBLISHED[path]
    return Architecture.of(locate(encoder, Path(settings.cache_dir)).config, encoder.name)


@dataclass(frozen=True)
class Node:
    """One network to be trained.

    Attributes:
        name: ``root``, ``flat`` or a section.
        train: Training documents.
        val: Validation documents.
        epochs: Passes over them.
        labels: Classes.
    """

    name: str
    train: int
    val: int
    epochs: int
    labels: int


@dataclass(frozen=True)
class Work:
    """All that is to be computed.

    Attributes:
        documents: The corpus.
        nodes: Those of one seed.
        seeds: How many times all nodes are trained.
        held_out: Documents that each node scores: all but those of training.
        encoder: Its size.
        tokens: Mean of a document, with [CLS] and [SEP].
        passes: Forward passes over a document in a training step: 2 with R-Drop.
    """

    documents: Documents
    nodes: tuple[Node, ...]
    seeds: int
    held_out: int
    encoder: Architecture
    tokens: float
    passes: int = 1

    @property
    def document_flops(self) -> float:
        """Operations of one forward pass over a document of mean length."""
        return self.encoder.forward_flops(self.tokens, self.tokens**2)

    def training_flops(self, node: Node) -> float:
        """Operations of training a node once, its validation after each epoch included."""
        return node.epochs * (TRAINING_PASSES * self.passes * node.train + node.val) * self.document_flops

    @property
    def scoring_flops(self) -> float:
        """Operations of a node's scoring."""
        return self.held_out * self.document_flops


def make_work(settings: Settings, documents: Documents, seeds: int, tokens: float) -> Work:
    """Count a level's work.

    Args:
        settings: Of one configuration.
        documents: The corpus.
        seeds: One or more.
        tokens: Mean of a document.

    Raises:
        ConfigError: If the level is ``node``, or the encoder cannot be planned for.
    """
    level = settings.level.name
    if level not in _NODES:
        raise ConfigError(f"level={level}: a plan is for a whole level; choose one of {', '.join(_NODES)}")
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds} is out of range; it must be 1 or more")
    train, val, *_ = split_plan(settings.split).shares
    nodes = tuple(
        _node(name, documents, float(train), float(val), settings)
        for name in _NODES[level]
        if name in (ROOT, FLAT) or name in documents.classes
    )
    held_out = round(documents.total * (1 - float(train)))
    passes = 2 if settings.trainer.r_drop else 1
    return Work(documents, nodes, seeds, held_out, encoder_size(settings), tokens, passes)


def _node(name: str, documents: Documents, train: float, val: float, settings: Settings) -> Node:
    total, labels = documents.total, sum(classes for _, classes in documents.classes.values())
    if name == ROOT:
        labels = len(documents.classes)
    elif name != FLAT:
        total, labels = documents.classes[name]
    trainer = settings.trainer
    n_train = round(total * train)
    steps = math.ceil(n_train / filled(trainer.batch_size))
    epochs = planned_epochs(trainer, max(1, steps))
    return Node(name, n_train, round(total * val), epochs, labels)
