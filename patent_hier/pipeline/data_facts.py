"""Facts for a data card: origin, content and split of a corpus, and possible leaks between its parts."""

import functools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST, fingerprint
from patent_hier.atomic import read_json
from patent_hier.data.characters import STRANGE
from patent_hier.data.corpus import Corpus
from patent_hier.data.document_groups import applicant_names
from patent_hier.data.labels import corpus_labels
from patent_hier.data.splits import PARTS, TEST, TRAIN
from patent_hier.pipeline.relations import RELATIONS_VERSION, audit, load_relations
from patent_hier.pipeline.stages import load_parts, training_characters

_OF_FILES = ("file", "format", "encoding")
_MOST = 8  # the most frequent values of a column are listed
_JUDGED = 5_000  # documents whose characters are examined
_FEW = 5  # a label with fewer training documents is called rare


def data_facts(corpus: Corpus, split: Path) -> Mapping[str, Any]:
    """Return the facts as JSON-serialisable values, cached for all results of a corpus and split in this process.

    Args:
        corpus: The clean corpus.
        split: Folder of its split.
    """
    facts = _facts_of(corpus.folder, split)
    return {**facts, "relations": _relations(corpus, split, facts["split"]["policy"])}  # an audit may add them later


@functools.lru_cache(maxsize=2)
def _facts_of(folder: Path, split: Path) -> Mapping[str, Any]:
    corpus = Corpus.open(folder)
    parts, manifest = load_parts(corpus, split), corpus.manifest
    plan = read_json(split / MANIFEST)["plan"]
    return {
        "name": manifest["name"],
        "fingerprint": corpus.fingerprint,
        "documents": corpus.size,
        "files": [
            {key: part[key] for key in ("file", "format", "encoding") if key in part} for part in manifest["parts"]
        ],
        "rows": {key: manifest["accounting"][key] for key in ("rows", "kept", "rejected", "duplicates")},
        "migrated": (manifest.get("migrated") or {}).get("from"),
        "mean_length": manifest["mean_text_length"],
        "with_abstract": _present(corpus, "abstract"),
        "application": _days(corpus, "application_date"),
        "publication": _days(corpus, "publication_date"),
        "kinds": _frequent(corpus, "kind"),
        "applicants": _applicants(corpus, parts),
        "strange": _strange(corpus, split, parts),
        "labels": _labels(corpus, parts),
        "split": {
            "name": split.name,
            "policy": str(plan["policy"]),
            "documents": dict(zip(PARTS, np.bincount(parts[parts >= 0], minlength=len(PARTS)).tolist(), strict=True)),
        },
    }


def _present(corpus: Corpus, name: str) -> int:
    column = corpus.column(name)
    return len(column) - column.null_count


def _days(corpus: Corpus, name: str) -> dict[str, Any]:
    """Return the first and last date, the documents by year, and the documents without a date."""
    column = corpus.column(name)
    if column.null_count == len(column):
        return {"first": None, "last": None, "without": len(column), "years": {}}
    ends: Any = pc.min_max(column).as_py()
    years: Any = pc.year(column.drop_null())
    counts = Counter(map(str, years.to_pylist()))
    first, last = (ends[end].isoformat() for end in ("min", "max"))
    return {"first": first, "last": last, "without": column.null_count, "years": dict(sorted(counts.items()))}


def _frequent(corpus: Corpus, name: str) -> dict[str, int]:
    counts = Counter(str(value) for value in corpus.column(name).to_pylist() if value is not None)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_MOST])


def _applicants(corpus: Corpus, parts: NDArray[np.int8]) -> dict[str, Any]:
    """Count applicants, documents of the ten largest, and test documents whose applicant is in the training part."""
    column = corpus.column("applicant").combine_chunks().dictionary_encode()
    names = [applicant_names(value) for value in column.dictionary.to_pylist()]
    codes = column.indices.fill_null(len(names)).to_numpy()
    names.append(())
    known = np.array([bool(own) for own in names], np.bool_)
    documents = Counter[str]()
    for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
        for name in names[code]:
            documents[name] += int(count)
    trained = {name for code in np.unique(codes[parts == TRAIN]) for name in names[code]}
    seen = np.array([any(name in trained for name in own) for own in names], np.bool_)
    return {
        "distinct": len(documents),
        "largest_ten": sum(count for _, count in documents.most_common(10)),
        "without": int((~known[codes]).sum()),
        "test_known": int(seen[codes[parts == TEST]].sum()),
    }


def _strange(corpus: Corpus, split: Path, parts: NDArray[np.int8]) -> dict[str, int]:
    """Count the unusually written documents in a sample of the training part, by reason."""
    shown = training_characters(corpus, split)
    rows = np.flatnonzero(parts == TRAIN)
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _JUDGED)).astype(np.intp))]
    mask = np.zeros(corpus.size, np.bool_)
    mask[chosen] = True
    texts = list(map(str, corpus.column("text").filter(pa.array(mask)).to_pylist()))  # in chunks: 2 GiB is too much
    found = Counter(why for text in texts if (why := shown.judge(text)) is not None)
    return {"documents": len(texts), **{why: found[why] for why in STRANGE}}


def _labels(corpus: Corpus, parts: NDArray[np.int8]) -> dict[str, Any]:
    """Count documents by section, and labels, rare labels and the share of the ten largest labels by level."""
    labels = corpus_labels(corpus, "subgroup")
    levels = {}
    for place, level in enumerate(labels.tree.levels):
        own = labels.tree.span(level)
        column = labels.main[:, place]
        counts = np.bincount(column[column >= 0] - own.start, minlength=own.stop - own.start)
        trained = column[(parts == TRAIN) & (column >= 0)] - own.start
        learnt = np.bincount(trained, minlength=own.stop - own.start)
        levels[level] = {
            "labels": int((counts > 0).sum()),
            "rare": int(((learnt > 0) & (learnt < _FEW)).sum()),
            "untrained": int(((counts > 0) & (learnt == 0)).sum()),
            "largest_ten": float(np.sort(counts)[-10:].sum() / max(1, counts.sum())),
            "documents": int(counts.sum()),
        }
    first = labels.tree.span(labels.tree.levels[0])
    sections = np.bincount(labels.main[:, 0], minlength=first.stop)[first]
    return {
        "levels": levels,
        "sections": dict(zip(labels.tree.codes[first].tolist(), sections.tolist(), strict=True)),
        "several": int((np.diff(labels.offsets) > 0).sum()),
    }


def _relations(corpus: Corpus, split: Path, policy: str) -> dict[str, Any] | None:
    """Count test documents with a relative in the training part, by kind; None before ``patent-hier audit`` has run."""
    cache = corpus.folder.parents[1]
    content = {"corpus": corpus.fingerprint, "version": RELATIONS_VERSION}
    if not (cache / "relations" / fingerprint(content)).is_dir():
        return None
    found = audit(corpus, split, policy, load_relations(corpus, cache))
    return {one.name: {"test": one.leaked["test"], "share": one.shares["test"]} for one in found.relations}
