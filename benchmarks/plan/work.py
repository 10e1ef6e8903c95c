"""Count the work of a training: documents of each node, passes, tokens, and the encoder's size."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.architecture import MAX_LENGTH, TRAINING_PASSES, Architecture
from patent_hier.errors import ConfigError
from patent_hier.evaluation.level_scores import DENSE_LABELS
from patent_hier.features.pretrained import locate
from patent_hier.pipeline.stages import ensure_corpus, split_plan
from patent_hier.reading.sources import find_parts
from patent_hier.report.published import published
from patent_hier.settings import HIER_NODES, ROOT, WHOLE, DemoEncoderSettings, Settings, filled, planned_epochs
from patent_hier.settings.data import LABEL_LEVELS

PAPER_ROWS = 2_770_000  # rows of the paper's raw file
# Encoders that can be planned without being on this machine, and their size, from the config.json on their hub pages.
_PUBLISHED = ("google-bert/bert-base-chinese", "hfl/chinese-roberta-wwm-ext", "hfl/chinese-macbert-base")
_CHINESE_BASE = Architecture(768, 12, 12, 3072, 21128)
_OF_THE_TARGET = 5  # numbers that predictions store at each level in addition to those of its labels
_ID = 4  # size of a document's id and part, in numbers of four bytes
_NODES = {"hier": HIER_NODES, "section": (ROOT,), "class": HIER_NODES[1:], **{node: (node,) for node in WHOLE}}


@dataclass(frozen=True)
class Documents:
    """Numbers that describe a corpus."""

    rows: int  # of the raw file
    sections: Mapping[str, tuple[int, int]]  # number of documents that remain, and of classes
    source: str  # source of these numbers, in words
    raw_bytes: int | None = None  # size of the raw file, if there is one
    characters: float | None = None  # mean per document, if there is a corpus

    @property
    def total(self) -> int:
        """Number of documents that remain after cleaning."""
        return sum(documents for documents, _ in self.sections.values())


def paper_documents(rows: int) -> Documents:
    """Return the numbers of a raw file with ``rows`` rows and the paper's shares of documents and sections."""
    table, share = published("table_1")["sections"], rows / PAPER_ROWS
    sections = {name: (round(share * facts["documents"]), int(facts["classes"])) for name, facts in table.items()}
    return Documents(rows, sections, "shares of the paper's Table 1")


def corpus_documents(settings: Settings) -> Documents:
    """Return the numbers of the corpus of ``data.path``, and prepare it if necessary."""
    corpus = ensure_corpus(settings.data, Path(settings.cache_dir))
    documents, classes = Counter[str](), Counter[str]()
    for name, count in corpus.manifest["classes"].items():
        documents[name[0]] += count
        classes[name[0]] += 1
    sections = {section: (documents[section], classes[section]) for section in sorted(documents)}
    rows, raw = (
        corpus.manifest["accounting"]["rows"],
        sum(file.stat().st_size for file in find_parts(settings.data.path)),
    )
    return Documents(rows, sections, f"the corpus {corpus.folder}", raw, corpus.manifest["mean_text_length"])


def encoder_size(settings: Settings) -> Architecture:
    """Return the size of a run's encoder, without downloading anything.

    Raises:
        ConfigError: If the model trains no encoder, or the encoder's size is unknown.
    """
    model, encoder = settings.model, settings.encoder
    if model.inputs != "wordpiece":
        raise ConfigError(f"model={model.name} has no encoder and cannot be planned; use model=bertcnn or model=bert")
    if encoder.freeze is not False:
        raise ConfigError(f"encoder.freeze={encoder.freeze} cannot be planned; set encoder.freeze=false")
    path = None if isinstance(encoder, DemoEncoderSettings) else encoder.path
    if path is not None and not path.startswith("patent_hier/") and not Path(path).is_dir():
        if path not in _PUBLISHED:
            raise ConfigError(f"encoder.path={path} is not a folder; plan downloads nothing, so set a local folder")
        return _CHINESE_BASE
    return Architecture.of(locate(encoder, Path(settings.cache_dir)).config, encoder.name)


class Node(NamedTuple):
    """One network to train."""

    name: str  # root, flat, shared or a section
    train: int  # documents
    val: int
    epochs: int
    written: int  # largest number of values that its predictions store per document

    @property
    def is_wide(self) -> bool:
        """Whether the node reads all documents: L1, the flat model or the shared one."""
        return self.name in (ROOT, *WHOLE)


@dataclass(frozen=True)
class Work:
    """All work of a training."""

    documents: Documents
    nodes: tuple[Node, ...]  # of one seed
    seeds: int  # number of times that all nodes are trained
    held_out: int  # documents that each node scores: all except the training part
    encoder: Architecture
    tokens: float  # mean per document, with [CLS] and [SEP]
    tokens_source: str  # in words
    passes: int  # forward passes over a document in a training step: 2 with R-Drop

    def training_flops(self, node: Node) -> float:
        """Return the operations of training a node once, including validation after each epoch."""
        documents = node.epochs * (TRAINING_PASSES * self.passes * node.train + node.val)
        return documents * self.encoder.forward_flops(self.tokens, self.tokens**2)

    @property
    def scoring_flops(self) -> float:
        """Operations of scoring with one node."""
        return self.held_out * self.encoder.forward_flops(self.tokens, self.tokens**2)


def make_work(settings: Settings, documents: Documents, seeds: int, measured: float) -> Work:
    """Count the work of one configuration on a corpus.

    Args:
        settings: The configuration.
        documents: The corpus.
        seeds: Number of times that all nodes are trained.
        measured: Mean number of tokens of the bench texts, which were truncated to the bench's length.

    Raises:
        ConfigError: If the level is ``node``, ``seeds`` is below 1, or the encoder cannot be planned.
    """
    level, trainer, sections = settings.level.name, settings.trainer, documents.sections
    if level not in _NODES:
        raise ConfigError(f"level={level} cannot be planned; choose one of {', '.join(_NODES)}")
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds} is out of range; use 1 or more")
    train, val = map(float, split_plan(settings.split).shares[:2])

    def node(name: str) -> Node:
        every = (documents.total, sum(classes for _, classes in sections.values()))
        total, classes = sections.get(name, every)
        written = _written(name, len(sections), classes, settings.data.depth)
        steps = max(1, math.ceil(round(total * train) / filled(trainer.batch_size)))
        return Node(name, round(total * train), round(total * val), planned_epochs(trainer, steps), written)

    nodes = tuple(node(name) for name in _NODES[level] if name in (ROOT, *WHOLE, *sections))
    held_out, passes = round(documents.total * (1 - train)), 2 if trainer.r_drop else 1
    max_length, tokens, source = settings.encoder.max_length, measured, "mean of the bench texts"
    if documents.characters is not None:
        tokens, source = min(max_length, documents.characters + 2), "at most: one per character"
    elif max_length != MAX_LENGTH:
        tokens, source = max_length, f"at most: the bench texts were truncated to {MAX_LENGTH}"
    return Work(documents, nodes, seeds, held_out, encoder_size(settings), tokens, source, passes)


def _written(node: str, sections: int, classes: int, depth: str) -> int:
    """Return how many numbers a node's predictions store per document; at levels below the class, an upper bound."""
    below = [classes, *[DENSE_LABELS] * (LABEL_LEVELS.index(depth) - 1)]
    widths = [sections] if node == ROOT else [sections, *below] if node in WHOLE else below
    return _ID + sum(width + _OF_THE_TARGET for width in widths)
