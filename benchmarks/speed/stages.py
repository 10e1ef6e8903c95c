"""Measure the work before training, one stage at a time: ``python -m benchmarks.speed.stages STAGE FOLDER``.

Each stage runs in a process of its own, reads the output of the previous stage from the folder, calls the same
functions as a run, and prints its measurements as JSON. It imports what it needs before the clock starts.
"""

import json
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.architecture import MAX_LENGTH
from benchmarks.speed.processes import run_measured
from patent_hier.data.corpus import CORPUS_FILE, Corpus
from patent_hier.data.demo import write_demo_csv

BATCH = 16  # documents per batch of the loader
RAW, CORPUS, PEER_FILE = "raw.csv", "corpus", "pandas.parquet"
SPLITS, TERMS, TOKENS = "cache/splits", "cache/terms", "cache/tokens"
DEPTH = "subgroup"  # of the linear classifier
_ROWS_PER_DOCUMENT = 1.096  # in the demo file, which also has broken rows, designs and duplicates


def write_raw_csv(folder: Path, rows: int, seed: int = 2017) -> int:
    """Write a raw file of about ``rows`` rows (mean 580 bytes, with the demo's errors) and return their number."""
    return write_demo_csv(folder / RAW, round(rows / _ROWS_PER_DOCUMENT), seed, texts=2).rows


def run_stage(stage: str, folder: Path) -> dict[str, Any]:
    """Run a stage in a new process and measure it; see :func:`run_measured`.

    Returns:
        Number of processed ``items`` and their ``unit``, ``seconds``, ``cpu_seconds`` of all processors, the two peaks
        of memory, and the stage's own facts.
    """
    return run_measured(__name__, stage, str(folder))


def prepare(folder: Path) -> dict[str, Any]:
    """Convert the raw CSV to a corpus."""
    import pandas as pd  # noqa: F401  # Arrow would import it with its first array

    from patent_hier.data import corpus
    from patent_hier.data.raw import RawFormat

    source, place = folder / RAW, _removed(folder / CORPUS)
    place.mkdir()
    _, took = _timed(lambda: corpus.prepare(source, place, RawFormat()))
    rows = Corpus.open(place).manifest["accounting"]
    size = {"bytes_read": source.stat().st_size, "bytes_written": (place / CORPUS_FILE).stat().st_size}
    return {**took, "items": rows["rows"], "unit": "rows", "documents": rows["kept"], **size}


def peer(folder: Path) -> dict[str, Any]:
    """Convert the raw CSV with pandas."""
    from benchmarks.speed.pandas_peer import prepare_with_pandas

    return _timed(lambda: prepare_with_pandas(folder / RAW, folder / PEER_FILE))[1]


def split(folder: Path) -> dict[str, Any]:
    """Split the corpus."""
    from patent_hier.pipeline.stages import ensure_split, split_plan
    from patent_hier.settings import SplitSettings

    corpus, cache = Corpus.open(folder / CORPUS), _removed(folder / SPLITS).parent
    place, took = _timed(lambda: ensure_split(corpus, split_plan(SplitSettings()), cache))
    return {**took, "items": corpus.size, "unit": "documents", "bytes_written": _bytes(place)}


def count(folder: Path) -> dict[str, Any]:
    """Count the character n-grams of all documents, with the vocabulary from the training part."""
    from patent_hier.data.splits import TRAIN
    from patent_hier.features import ngram_counting  # noqa: F401
    from patent_hier.pipeline.feature_stages import ensure_ngrams
    from patent_hier.pipeline.stages import load_parts
    from patent_hier.settings import LinearSettings

    corpus, split, cache = Corpus.open(folder / CORPUS), made(folder / SPLITS), _removed(folder / TERMS).parent
    train = load_parts(corpus, split) == TRAIN
    place, took = _timed(lambda: ensure_ngrams(corpus, split, train, LinearSettings(), cache))
    return {**took, "items": corpus.size, "unit": "documents", "bytes_written": _bytes(place)}


def linear(folder: Path) -> dict[str, Any]:
    """Fit one linear classifier for all labels down to the subgroup to the counts."""
    from patent_hier.data.labels import corpus_labels
    from patent_hier.features.ngram_store import JoinedNgrams, NgramStore
    from patent_hier.pipeline.stages import load_parts
    from patent_hier.settings import SHARED, LinearSettings
    from patent_hier.training.classical import fit_ngrams
    from patent_hier.training.node_data import CorpusView
    from patent_hier.training.node_views import view_of

    corpus, store = Corpus.open(folder / CORPUS), NgramStore.open(made(folder / TERMS))
    labels, parts = corpus_labels(corpus, DEPTH), load_parts(corpus, made(folder / SPLITS))
    whole: CorpusView[NgramStore | JoinedNgrams] = CorpusView(store, store, labels, parts)
    view = view_of(whole, SHARED)
    _, took = _timed(lambda: fit_ngrams(view, LinearSettings(), seed=1))
    return {**took, "items": len(view.train), "unit": "documents", "labels": len(view.tree)}


def encode(folder: Path) -> dict[str, Any]:
    """Convert texts to token ids of the packaged encoder."""
    from patent_hier.atomic import read_json
    from patent_hier.features import wordpiece  # noqa: F401
    from patent_hier.features.pretrained import locate
    from patent_hier.pipeline.feature_stages import ensure_tokens
    from patent_hier.settings import EncoderSettings

    corpus, cache = Corpus.open(folder / CORPUS), _removed(folder / TOKENS).parent
    files = locate(EncoderSettings("small", "patent_hier/small"), cache)
    place, took = _timed(lambda: ensure_tokens(corpus, files, MAX_LENGTH, cache))
    size = {"tokens": read_json(place / "manifest.json")["tokens"], "bytes_written": _bytes(place)}
    return {**took, "items": corpus.size, "unit": "documents", **size}


def loader(folder: Path) -> dict[str, Any]:
    """Read the section model's training documents once from the memory-mapped store."""
    from patent_hier.data.labels import corpus_labels
    from patent_hier.features.token_store import TokenStore
    from patent_hier.pipeline.stages import load_parts
    from patent_hier.settings import ROOT, DataSettings
    from patent_hier.training.datamodule import NodeBatches
    from patent_hier.training.node_data import CorpusView
    from patent_hier.training.node_views import view_of

    corpus, store = Corpus.open(folder / CORPUS), TokenStore.open(made(folder / TOKENS))
    labels, parts = corpus_labels(corpus, DataSettings().depth), load_parts(corpus, made(folder / SPLITS))
    view = view_of(CorpusView(store, store, labels, parts), ROOT)
    data = NodeBatches(view, batch_size=BATCH, score_batch_size=64, pad_id=0, seed=1)
    read, took = _timed(lambda: sum(len(batch["target"]) for batch in data.train_dataloader()))
    return {**took, "items": read, "unit": "documents"}


STAGES = {one.__name__: one for one in (prepare, peer, split, count, linear, encode, loader)}


def made(folder: Path) -> Path:
    """Return the only folder that a stage wrote into a folder of the cache."""
    (found,) = folder.glob("[!.]*/")
    return found


def _timed(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Return a result with its ``seconds`` and ``cpu_seconds``; the latter exclude other load on the machine."""

    def processors() -> float:
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    wall, cpu = perf_counter(), processors()
    result = work()
    return result, {"seconds": perf_counter() - wall, "cpu_seconds": processors() - cpu}


def _removed(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


if __name__ == "__main__":
    print(json.dumps(STAGES[sys.argv[1]](Path(sys.argv[2]))))
