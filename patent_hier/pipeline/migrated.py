"""Compare a migrated system with its predecessor on the test documents: those that moved, and all others."""

from pathlib import Path
from typing import Any

import numpy as np

from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import LABEL_COLUMNS
from patent_hier.evaluation.aggregate import has_label, level_hits
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.pipeline.members import Member
from patent_hier.pipeline.suite import SuiteResult, read_system

UNCHANGED, MOVED = "unchanged", "moved"


def what_changed(before: Member, after: SuiteResult, old: Corpus, new: Corpus) -> dict[str, dict[str, Any]]:
    """Return the accuracy on the test documents whose main symbol is unchanged, and on those that moved.

    Args:
        before: The old system.
        after: The new system.
        old: The old corpus.
        new: The new corpus, with the same or fewer documents.

    Returns:
        For ``unchanged`` and ``moved``, by level: the number of ``documents``; the accuracies ``before``, on the old
        labels, and ``after``; and the number of documents whose true label has the ``same`` log-probability, to the
        last bit.
    """
    theirs, _ = read_system(before.nodes, old)
    own, _ = read_system(after.nodes, new)
    place = {name: row for row, name in enumerate(theirs.document_ids.tolist())}
    theirs = theirs.take(np.array([place[name] for name in own.document_ids.tolist()], np.intp))
    moved = _moved(own, old, new)
    found: dict[str, dict[str, Any]] = {}
    for name, chosen in ((UNCHANGED, ~moved), (MOVED, moved)):
        levels = _levels(theirs, own, chosen)
        if levels:
            found[name] = levels
    return found


def _moved(system: NetworkPredictions, old: Corpus, new: Corpus) -> "np.typing.NDArray[np.bool_]":
    """Return which documents of a system have another main symbol than before, ``(n,)``."""
    symbols = []
    for corpus in (old, new):
        table = corpus.table(["document_id", *LABEL_COLUMNS]).to_pydict()
        columns = zip(*(table[name] for name in LABEL_COLUMNS), strict=True)
        symbols.append(dict(zip(table["document_id"], columns, strict=True)))
    return np.array([symbols[0].get(name) != symbols[1].get(name) for name in system.document_ids.tolist()], np.bool_)


def _levels(
    theirs: NetworkPredictions, own: NetworkPredictions, chosen: "np.typing.NDArray[np.bool_]"
) -> dict[str, Any]:
    hits = level_hits(theirs), level_hits(own)
    levels = {}
    for scores in own.levels:
        rows = chosen & (own.parts == "test") & has_label(scores)
        if not rows.any():
            continue
        known = scores.level in hits[0]
        same = (theirs.level(scores.level).target_log_prob == scores.target_log_prob)[rows] if known else None
        levels[scores.level] = {
            "documents": int(rows.sum()),
            "before": float(hits[0][scores.level][rows].mean()) if known else None,
            "after": float(hits[1][scores.level][rows].mean()),
            "same": None if same is None else int(same.sum()),
        }
    return levels


def record_of(folder: Path) -> Path:
    """Return the path of the record of a result's migration, which is next to the result's folder."""
    return folder.with_name(folder.name.replace("result-", "migrated-", 1) + ".json")
