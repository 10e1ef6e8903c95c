import numpy as np
import pytest

from benchmarks.label_tree import SIZES, make_labels, make_tree, system_rows
from patent_hier.taxonomy.tree import NONE


def test_a_made_up_tree_has_its_sizes_and_every_label_is_above_a_leaf() -> None:
    size = SIZES["quick"]
    tree = make_tree(size.labels)
    assert tuple(len(tree.labels(level)) for level in tree.levels) == size.labels
    assert len(tree) == 2_000
    assert set(tree.parents.tolist()) == set(range(NONE, tree.leaves.start))
    labels = make_labels(tree, 100)
    assert labels.main.shape == labels.further.shape == (100, 5)
    assert (np.diff(labels.main, axis=1) > 0).all()


@pytest.mark.slow
def test_predictions_of_a_large_tree_keep_to_their_limits() -> None:
    """2,000 labels and 5,000 documents: an excess in proportion to labels or documents would show."""
    rows = list(system_rows(SIZES["quick"]))
    assert [row.unit for row in rows] == ["GB", "s", "GB", "s"]
    for row in rows:
        assert row.met, row
    assert rows[1].facts["scores"] == rows[3].facts["scores"] > 90
