import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patent_hier.evaluation.level_scores import score_levels
from patent_hier.evaluation.torch_metrics import HierarchicalF1, LevelAccuracy
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.taxonomy.tree import LabelTree

PATHS = [("A", "A01", "A01B"), ("A", "A01", "A01C"), ("A", "A23", None), ("B", "B60", "B60C"), ("B", "B61", "B61D")]
TREE = LabelTree.from_paths(PATHS, ("section", "class", "subclass"))
TARGETS = [*PATHS, ("A", "A99", "A99Z"), ("C", "C07", "C07D"), ("B", None, None)]  # some that the tree lacks


def positions(names: list[tuple[str | None, ...]]) -> torch.Tensor:
    columns = zip(*names, strict=True)
    found = np.stack([TREE.find(level, column) for level, column in zip(TREE.levels, columns, strict=True)], 1)
    missing = np.array([[code is not None for code in path] for path in names]) & (found < 0)
    return torch.from_numpy(np.where(missing, -2, found)).long()[:, None]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 4))
def test_scores_are_those_of_the_saved_predictions(seed: int, flat: bool, batch_size: int) -> None:
    """However the documents are batched; ties go to the first label."""
    rng = np.random.default_rng(seed)
    softmax = TreeSoftmax(TREE, flat)
    logits = torch.from_numpy(rng.integers(0, 3, (12, softmax.num_outputs)).astype(np.float32))
    joint = softmax.joint(logits)
    names = [TARGETS[i] for i in rng.integers(0, len(TARGETS), 12)]
    target = positions(names)
    metrics = {k: LevelAccuracy(TREE, flat, k) for k in (1, 2)}
    f1 = HierarchicalF1(TREE, flat)
    for start in range(0, 12, batch_size):
        rows = slice(start, start + batch_size)
        for metric in (*metrics.values(), f1):
            metric.update(joint[rows], target[rows])
    columns = [np.array(column, object) for column in zip(*names, strict=True)]
    for own in score_levels(TREE, joint.numpy(), columns):
        has_label = own.targets != None  # noqa: E711  # element by element
        answer = own.log_prob.argmax(1) if flat else own.greedy
        hits = (own.target_codes >= 0) & (answer == own.target_codes)
        expected = {1: hits, 2: (own.target_codes >= 0) & (own.target_rank < 2)}
        for k, right in expected.items():
            found = metrics[k].compute()[own.level].item()
            assert found == pytest.approx(right.sum() / max(1, has_label.sum())), (own.level, k)
    path = TREE.names(softmax.best_path(joint).numpy())
    true = np.array([[code or "" for code in name] for name in names])
    named = np.where(path == None, "", path)  # noqa: E711
    shared = ((named == true) & (true != "")).sum()
    assert f1.compute().item() == pytest.approx(2 * shared / ((named != "").sum() + (true != "").sum()))


def test_nothing_was_scored() -> None:
    assert LevelAccuracy(TREE).compute() == {"section": 0.0, "class": 0.0, "subclass": 0.0}
    assert HierarchicalF1(TREE).compute() == 0


def test_public_names() -> None:
    import patent_hier.metrics as public

    assert public.LevelAccuracy is LevelAccuracy
    assert all(getattr(public, name) for name in public.__all__)
