"""The training documents of a finished system as known patents that a new one may be like."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TRAIN
from patent_hier.inference.neighbours import Neighbours, build_neighbours, neighbours_fingerprint
from patent_hier.pipeline.stages import load_parts
from patent_hier.progress import item_progress, say

MOST_BY_ITSELF = 500_000  # documents; some gigabytes of memory and minutes
_LEVELS = ("section", "ipc_class", "subclass", "main_group", "subgroup")
_NAME = re.compile(r"\w[\w.-]*")
_SHOWN = 60  # characters of a text that stand for a title


def find_known_patents(data: Mapping[str, Any], cache: Path, *, even_many: bool = False) -> Neighbours | None:
    """An index of the documents that a system was trained on; made on first use.

    Args:
        data: ``corpus`` and ``split``, as a result's manifest names them.
        cache: The cache folder that the system was trained with.
        even_many: Make it of more than :data:`MOST_BY_ITSELF` documents too, whose texts are in memory meanwhile.

    Returns:
        None, said in one line, if the corpus or the split are no longer there, or the documents are too many.
    """
    if not all(_NAME.fullmatch(str(data.get(name))) for name in ("corpus", "split")):
        return None  # a model of another tells them: no pattern, and no place elsewhere
    folders = sorted((cache / "corpora").glob(f"*-{data.get('corpus')}"))
    split = cache / "splits" / str(data.get("split"))
    if not folders or not split.is_dir():
        say(f"no similar patents are named: the corpus of the model is not in {cache} (--cache-dir)")
        return None
    corpus = Corpus.open(folders[0])
    folder = cache / "neighbours" / neighbours_fingerprint(corpus.fingerprint, split.name)
    if not folder.is_dir():
        rows = np.flatnonzero(load_parts(corpus, split) == TRAIN)
        if len(rows) > MOST_BY_ITSELF and not even_many:
            say(f"no similar patents are named: an index of {len(rows)} documents is made by --index-all only")
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
