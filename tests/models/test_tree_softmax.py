import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.taxonomy.arithmetic import best_path, joint_log_prob, log_softmax_siblings, sum_up
from tests.trees import FIVE, classes_of, log_sum, tree_of, trees


@pytest.mark.parametrize("flat", [True, False])
def test_two_levels_by_hand(flat: bool) -> None:
    softmax = TreeSoftmax(classes_of(A="01 02", B="01"), flat)
    assert (softmax.num_labels, softmax.num_outputs) == (5, 3 if flat else 5)
    if flat:
        joint = softmax.joint(torch.tensor([[0.2, 0.3, 0.5]]).log())
        assert joint.exp()[0].tolist() == pytest.approx([0.5, 0.5, 0.2, 0.3, 0.5])
        return
    logits = torch.tensor([[0.25, 0.75, 4, 6, 100]]).log()
    assert softmax.conditional(logits).exp()[0].tolist() == pytest.approx([0.25, 0.75, 0.4, 0.6, 1])
    assert softmax.joint(logits).exp()[0].tolist() == pytest.approx([0.25, 0.75, 0.1, 0.15, 0.75])


@given(trees(), st.integers(0, 10**6), st.booleans())
def test_it_is_numpys_arithmetic(tree, seed: int, flat: bool) -> None:  # type: ignore[no-untyped-def]  # a LabelTree
    softmax = TreeSoftmax(tree, flat)
    logits = np.random.default_rng(seed).normal(0, 5, (3, softmax.num_outputs)).astype(np.float32)
    joint = softmax.joint(torch.from_numpy(logits)).numpy()
    if flat:
        norm = np.array([[log_sum(row)] for row in logits.tolist()])
        assert joint == pytest.approx(sum_up(tree, logits.astype(float) - norm), abs=1e-4)
    else:
        conditional = log_softmax_siblings(tree, logits.astype(float))
        assert softmax.conditional(torch.from_numpy(logits)).numpy() == pytest.approx(conditional, abs=1e-4)
        assert joint == pytest.approx(joint_log_prob(tree, conditional), abs=1e-4)


@given(trees(), st.integers(0, 10**6))
def test_answers_are_greedy_searchs_or_each_levels(tree, seed: int) -> None:  # type: ignore[no-untyped-def]  # a LabelTree
    """Scores are few different numbers, so that there are ties."""
    joint = np.random.default_rng(seed).integers(-3, 0, (4, len(tree))).astype(np.float32)
    softmax, flat = TreeSoftmax(tree), TreeSoftmax(tree, flat=True)
    given = torch.from_numpy(joint)
    assert softmax.best(given).tolist() == softmax.best_path(given).tolist() == best_path(tree, joint).tolist()
    each = [tree.span(level).start + joint[:, tree.span(level)].argmax(1) for level in tree.levels]
    assert flat.best(given).tolist() == np.stack(each, 1).tolist()
    assert flat.best_path(given).tolist() == tree.paths(each[-1].astype(np.int32)).tolist()


@pytest.mark.parametrize("flat", [True, False])
def test_gradients_are_finite_where_logits_lie_far_apart_and_dtype_is_float32(flat: bool) -> None:
    """A61 and B60K end early: of a flat network they have no leaf and probability 0."""
    softmax = TreeSoftmax(tree_of(FIVE), flat)
    logits = (torch.arange(softmax.num_outputs, dtype=torch.bfloat16) * 40)[None].requires_grad_()
    joint = softmax.joint(logits)
    assert joint.dtype == torch.float32
    assert joint[0, 4].isneginf().item() == flat
    joint[joint.isfinite()].sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("flat", [True, False])
def test_gradients_are_those_of_finite_differences(flat: bool) -> None:
    softmax = TreeSoftmax(tree_of(FIVE), flat)
    torch.manual_seed(1)
    logits = torch.randn(2, softmax.num_outputs, requires_grad=True)
    label = 10  # the main group A01B1/00
    softmax.joint(logits)[:, label].sum().backward()
    step = 1e-2
    for place in range(softmax.num_outputs):
        moved = torch.zeros_like(logits)
        moved[0, place] = step
        with torch.no_grad():
            slope = (softmax.joint(logits + moved) - softmax.joint(logits - moved))[0, label] / (2 * step)
        assert float(logits.grad[0, place]) == pytest.approx(float(slope), abs=2e-4)


def test_it_is_no_part_of_what_is_saved() -> None:
    assert not TreeSoftmax(tree_of(FIVE)).state_dict()
