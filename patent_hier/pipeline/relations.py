"""Related documents of a corpus, found once and cached."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import fingerprint, seal
from patent_hier.data.audit import RELATIONS, Audit, audit_split
from patent_hier.data.corpus import Corpus
from patent_hier.data.document_groups import (
    applicant_groups,
    application_days,
    equal_documents,
    families,
    has_applicants,
    similar_texts,
)
from patent_hier.errors import DataError
from patent_hier.pipeline.stages import ensure, load_parts
from patent_hier.progress import say

RELATIONS_VERSION = 1
_FILE = "relations.parquet"


def load_relations(corpus: Corpus, cache: Path) -> dict[str, NDArray[np.intp]]:
    """Return every document's group for each kind of relation, ``(n,)``; negative if it certainly has no relatives."""
    folder = cache / "relations" / fingerprint({"corpus": corpus.fingerprint, "version": RELATIONS_VERSION})

    def make(staging: Path) -> None:
        say(f"looking for identical and similar texts, families and applicants in {corpus.size} documents")
        equal, nobody = equal_documents(corpus), np.full(corpus.size, -1, np.intp)
        found = {
            "equal": equal,
            "similar": similar_texts(corpus, equal),
            "family": families(corpus, equal) if has_applicants(corpus) else nobody,
            "applicant": applicant_groups(corpus.column("applicant").to_numpy())[0],
        }
        pq.write_table(pa.table({name: pa.array(codes) for name, codes in found.items()}), staging / _FILE)
        seal(staging, {"kind": "relations", "corpus": corpus.fingerprint})

    table = pq.read_table(ensure(folder, make) / _FILE)
    return {name: table[name].to_numpy() for name in RELATIONS}


def audit(corpus: Corpus, split: Path, policy: str, relations: Mapping[str, NDArray[np.intp]]) -> Audit:
    """Check a split of a corpus against its policy and the relations of :func:`load_relations`."""
    return audit_split(relations, application_days(corpus), load_parts(corpus, split), policy)


def refuse_broken(audit: Audit, split: Path) -> None:
    """Raise an error if a split violates its policy.

    Raises:
        DataError: If so; the message counts the violations.
    """
    if audit.broken:
        raise DataError(
            f"the split {split} violates its policy {audit.policy} ({audit.promise}) {audit.broken} times; delete its "
            "folder and the results made with it"
        )
