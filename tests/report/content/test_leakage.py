import numpy as np
import pytest

from patent_hier.report.content.leakage import leaks
from patent_hier.report.leakage import leakage


def test_every_system_has_a_row_and_the_counts_add_up(contexts):
    for context in contexts.values():
        table = leaks(context)[-1].grid
        assert len(table.rows) == len(context.hierarchical) + len(context.flat)
    english = contexts["en"]
    n_test = english.audit.documents["test"]
    found = leakage(english.flat[0], english.leaked_ids)
    leaked = 0 if found.leaked_class is None else found.leaked_class.n_documents
    clean = 0 if found.clean_class is None else found.clean_class.n_documents
    assert leaked == len(english.leaked_ids)
    assert clean + leaked == n_test == found.ipc_class.n_documents


def test_scores_without_some_documents_are_those_of_the_others(context):
    scores = context.flat[0]
    hits = next(iter(scores.hits.values()))
    ids = hits.document_ids[::3]
    found = leakage(scores, np.sort(ids.astype(str)))
    others = np.ones(len(hits.document_ids), bool)
    others[::3] = False
    assert found.clean_class.mean == pytest.approx(hits.class_hits[others].mean())
    assert found.leaked_class.mean == pytest.approx(hits.class_hits[::3].mean())
    assert found.ipc_class.mean == pytest.approx(scores.flat.mean)
    assert leakage(scores, np.array([], dtype=str)).leaked_class is None
    assert leakage(scores, hits.document_ids.astype(str)).clean_class is None
