"""Documents of a finished system: known patents to compare new ones with, and its calibration texts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from patent_hier.data.context import documents_at
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import corpus_labels
from patent_hier.data.splits import CALIBRATION, TRAIN
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.neighbours import Neighbours, build_neighbours, neighbours_fingerprint
from patent_hier.inference.triage import Labelled
from patent_hier.pipeline.stages import calibration_groups, load_parts
from patent_hier.progress import item_progress, say
from patent_hier.taxonomy.symbols import IPC_LEVELS

MOST_BY_ITSELF = 500_000  # documents; indexing them takes some gigabytes of memory and some minutes
_LEVELS = ("section", "ipc_class", "subclass", "main_group", "subgroup")
_NAME = re.compile(r"\w[\w.-]*")
_SHOWN = 60  # characters of a text that replace a missing title


def find_known_patents(data: Mapping[str, Any], cache: Path, *, even_many: bool = False) -> Neighbours | None:
    """Return an index of the documents that a system was trained on; it is built on first use.

    Args:
        data: ``corpus`` and ``split``, as named in a result's manifest.
        cache: The cache folder that the system was trained with.
        even_many: Also index more than :data:`MOST_BY_ITSELF` documents, which needs all their texts in memory.

    Returns:
        None if the corpus or the split no longer exists or there are too many documents; a line says so.
    """
    if not _is_named(data):
        return None
    if (found := _find(data, cache)) is None:
        say(f"similar patents are not shown: the model's corpus is not in {cache} (--cache-dir)")
        return None
    corpus, split = found
    folder = cache / "neighbours" / neighbours_fingerprint(corpus.fingerprint, split.name)
    if not folder.is_dir():
        rows = np.flatnonzero(load_parts(corpus, split) == TRAIN)
        if len(rows) > MOST_BY_ITSELF and not even_many:
            say(f"similar patents are not shown: indexing {len(rows)} documents needs --index-all")
            return None
        columns = corpus.table(["document_id", "text", "title", *_LEVELS]).take(rows)
        ids, texts = ([str(value) for value in columns[name].to_pylist()] for name in ("document_id", "text"))
        titles = columns["title"].to_pylist()
        symbols = zip(*(columns[level].to_pylist() for level in _LEVELS), strict=True)
        paths = [[str(label) for label in labels if label] for labels in symbols]
        named = [str(title) if title else text[:_SHOWN] for title, text in zip(titles, texts, strict=True)]
        with item_progress(f"index of {len(ids)} known patents", 2 * len(ids)) as progress:
            build_neighbours(ids, named, texts, paths, folder, progress=progress)
    return Neighbours.open(folder)


def calibration_texts(data: Mapping[str, Any], cache: Path) -> list[str]:
    """Return the texts of the part ``calibration``; arguments as for :func:`find_known_patents`.

    Returns:
        The texts; an empty list if the corpus or the split no longer exists.
    """
    if (found := _find(data, cache)) is None:
        return []
    corpus, split = found
    rows = np.flatnonzero(load_parts(corpus, split) == CALIBRATION)
    return [str(text) for text in corpus.table(["text"]).take(rows)["text"].to_pylist()]


def labelled_calibration(classifier: HierarchicalClassifier, cache: Path) -> Labelled | None:
    """Return the documents of the part ``calibration`` with their true labels; None if they no longer exist.

    Args:
        classifier: The system that was calibrated on them.
        cache: The cache folder that the system was trained with.
    """
    tree = classifier.system.tree
    if tree.depth not in IPC_LEVELS or (found := _find(classifier.facts.get("data") or {}, cache)) is None:
        return None
    corpus, split = found
    rows = np.flatnonzero(load_parts(corpus, split) == CALIBRATION)
    if not len(rows):
        return None
    labels, groups = corpus_labels(corpus, tree.depth), calibration_groups(corpus, split)
    truth = labels.tree.names(labels.main[rows, -1]).tolist()
    documents = documents_at(corpus, classifier.system.raw.context, rows)
    return Labelled(documents, truth, None if groups is None else groups[rows])


def _find(data: Mapping[str, Any], cache: Path) -> tuple[Corpus, Path] | None:
    """Return the corpus of a system and the folder of its split; None if one of them no longer exists."""
    if not _is_named(data):
        return None
    folders = sorted((cache / "corpora").glob(f"*-{data.get('corpus')}"))
    split = cache / "splits" / str(data.get("split"))
    return (Corpus.open(folders[0]), split) if folders and split.is_dir() else None


def _is_named(data: Mapping[str, Any]) -> bool:
    """Return whether the names are plain: those in a model from elsewhere must not contain a pattern or a path."""
    return all(_NAME.fullmatch(str(data.get(name))) for name in ("corpus", "split"))
