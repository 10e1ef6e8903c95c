import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from patent_hier.errors import ConfigError
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.training.losses import PathLoss, disagreement, weights_of_levels

TREE = LabelTree.from_paths([("A", "A01"), ("A", "A23"), ("B", "B60")], ("section", "class"))  # A B A01 A23 B60
P = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])  # probabilities of the classes of two documents
LOGITS, TARGET = P.log() + 5, torch.tensor([[[0, 2]], [[1, 4]]])
CLASS_LOSS = [-math.log(0.5), -math.log(0.3)]
SECTION_LOSS = [-math.log(0.7), -math.log(0.3)]


def flat(section: float = 0.0, labels: Tensor | None = None) -> PathLoss:
    return PathLoss(TreeSoftmax(TREE, flat=True), (section, 1.0), labels)


def test_a_flat_sections_probability_is_the_sum_of_its_classes() -> None:
    expected = sum(CLASS_LOSS) / 2 + 0.5 * sum(SECTION_LOSS) / 2
    assert flat(0.5)(LOGITS, TARGET).item() == pytest.approx(expected, rel=1e-6)


def test_weights_of_labels_and_documents_by_hand() -> None:
    labels, weight = torch.tensor([2.0, 3.0, 1.0, 9.0, 4.0]), torch.tensor([0.3, 1.0])
    of_classes = (1 * 0.3 * CLASS_LOSS[0] + 4 * CLASS_LOSS[1]) / (1 + 4)
    of_sections = (2 * 0.3 * SECTION_LOSS[0] + 3 * SECTION_LOSS[1]) / (2 + 3)
    assert flat(0, labels)(LOGITS, TARGET, weight).item() == pytest.approx(of_classes, rel=1e-6)
    assert flat(2, labels)(LOGITS, TARGET, weight).item() == pytest.approx(of_classes + 2 * of_sections, rel=1e-6)
    alone = flat()(LOGITS, TARGET, weight).item()
    assert alone == pytest.approx((0.3 * CLASS_LOSS[0] + CLASS_LOSS[1]) / 2, rel=1e-6)


def test_a_batch_of_label_texts_alone_keeps_their_weight() -> None:
    loss = flat()
    assert loss(LOGITS, TARGET, torch.full((2,), 0.25)).item() == pytest.approx(0.25 * loss(LOGITS, TARGET).item())


@pytest.mark.parametrize("weights", [None, [1.0, 9.0, 4.0]])
@pytest.mark.parametrize("is_flat", [True, False])
def test_of_a_single_softmax_it_is_pytorchs(weights: list[float] | None, is_flat: bool) -> None:
    tree = LabelTree.from_paths([("A01",), ("A23",), ("A61",)], ("class",), root="A")
    logits, target = torch.randn(64, 3, generator=torch.Generator().manual_seed(1)), torch.arange(64) % 3
    of_labels = None if weights is None else torch.tensor(weights)
    found = PathLoss(TreeSoftmax(tree, is_flat), (1.0,), of_labels)(logits, target[:, None, None])
    torch.testing.assert_close(found, nn.functional.cross_entropy(logits, target, of_labels), rtol=1e-6, atol=0)


@pytest.mark.parametrize("is_flat", [True, False])
def test_label_smoothing_of_a_single_softmax_is_pytorchs(is_flat: bool) -> None:
    tree = LabelTree.from_paths([("A01",), ("A23",), ("A61",)], ("class",), root="A")
    logits, target = torch.randn(64, 3, generator=torch.Generator().manual_seed(1)), torch.arange(64) % 3
    loss = PathLoss(TreeSoftmax(tree, is_flat), (1.0,), label_smoothing=0.2)
    expected = nn.functional.cross_entropy(logits, target, label_smoothing=0.2)
    torch.testing.assert_close(loss(logits, target[:, None, None]), expected, rtol=1e-6, atol=0)
    unsmoothed = nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(loss.eval()(logits, target[:, None, None]), unsmoothed, rtol=1e-6, atol=0)


def test_labels_are_smoothed_over_their_siblings_alone() -> None:
    logits = torch.tensor([[1.0, -1.0, 0.5, 2.0, 3.0]])  # A B A01 A23 B60
    smoothed = PathLoss(TreeSoftmax(TREE), (1.0, 1.0), label_smoothing=0.1)(logits, torch.tensor([[[0, 2]]]))
    heads = [
        nn.functional.cross_entropy(logits[:, own], torch.tensor([0]), label_smoothing=0.1) for own in ([0, 1], [2, 3])
    ]
    torch.testing.assert_close(smoothed, heads[0] + heads[1])
    of_flat = PathLoss(TreeSoftmax(TREE, flat=True), (0.5, 1.0), label_smoothing=0.1)(LOGITS, TARGET)
    classes = nn.functional.cross_entropy(LOGITS, torch.tensor([0, 2]), label_smoothing=0.1)
    torch.testing.assert_close(of_flat, classes + 0.5 * sum(SECTION_LOSS) / 2)  # a section has no softmax of its own


@given(st.lists(st.floats(-60, 60), min_size=3, max_size=3), st.integers(0, 2))
def test_gradients_are_finite_and_push_the_section_up(values: list[float], target: int) -> None:
    logits = torch.tensor([values], requires_grad=True)
    path = torch.tensor([[[int(target == 2), 2 + target]]])
    loss = flat(1.0)(logits, path)
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert abs(logits.grad.sum().item()) < 1e-4  # the loss does not see a constant added to all logits
    assert loss.item() >= nn.functional.cross_entropy(logits, torch.tensor([target])).item() - 1e-5


def test_it_brings_no_weights_of_its_own() -> None:
    loss = flat(1.0, torch.ones(5))
    assert (list(loss.parameters()), loss.state_dict()) == ([], {})


# --- three levels

PATHS = [("A", "A01", "A01B"), ("A", "A01", "A01C"), ("A", "A23", "A23L"), ("B", "B60", "B60C"), ("B", "B60", "B60D")]
DEEP = LabelTree.from_paths(PATHS, ("section", "class", "subclass"))  # A B  A01 A23 B60  A01B A01C A23L B60C B60D
CONDITIONAL = torch.tensor([[0.6, 0.4, 0.7, 0.3, 1.0, 0.9, 0.1, 1.0, 0.2, 0.8]])  # of every label under its parent
OFFSETS = torch.tensor([3.0, 3.0, -1.0, -1.0, 7.0, 2.0, 2.0, 5.0, 0.5, 0.5])  # a softmax does not see its own


def deep(*weights: float, labels: Tensor | None = None) -> PathLoss:
    return PathLoss(TreeSoftmax(DEEP), weights or (1.0, 1.0, 1.0), labels)


def place(*codes: str | None) -> list[int]:
    return [
        -1 if code is None else int(DEEP.find(level, [code])[0]) for level, code in zip(DEEP.levels, codes, strict=True)
    ]


def test_the_loss_of_a_path_is_the_sum_over_its_heads_by_hand() -> None:
    logits = CONDITIONAL.log() + OFFSETS
    target = torch.tensor([[place("A", "A01", "A01C")]])
    assert deep()(logits, target).item() == pytest.approx(-math.log(0.6 * 0.7 * 0.1), rel=1e-6)
    weighted = -math.log(0.6) - 0.5 * math.log(0.7) - 3 * math.log(0.1)
    assert deep(1.0, 0.5, 3.0)(logits, target).item() == pytest.approx(weighted, rel=1e-6)
    single = torch.tensor([[place("B", "B60", "B60D")]])  # B60 has no siblings, so nothing is to be learnt there
    assert deep()(logits, single).item() == pytest.approx(-math.log(0.4 * 0.8), rel=1e-6)


def test_a_path_that_ends_early_adds_nothing_below_and_counts_in_the_mean() -> None:
    logits = (CONDITIONAL.log() + OFFSETS).repeat(2, 1)
    target = torch.tensor([[place("A", "A23", None)], [place("A", "A01", "A01B")]])
    expected = (-math.log(0.6 * 0.3) - math.log(0.6 * 0.7 * 0.9)) / 2
    assert deep()(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_each_of_several_symbols_has_its_share() -> None:
    """A head's target is the share of the symbols that go to each child; rows of -1 are no symbols."""
    logits = (CONDITIONAL.log() + OFFSETS).repeat(2, 1)
    none = [-1, -1, -1]
    target = torch.tensor(
        [
            [place("A", "A01", "A01B"), place("A", "A23", "A23L"), place("B", "B60", None)],
            [place("B", "B60", "B60C"), none, none],
        ]
    )
    three = (-math.log(0.6 * 0.7 * 0.9) - math.log(0.6 * 0.3) - math.log(0.4)) / 3
    assert deep()(logits, target).item() == pytest.approx((three - math.log(0.4 * 0.2)) / 2, rel=1e-6)
    shuffled = target[:, [1, 0, 2]]
    assert deep()(logits, shuffled).item() == pytest.approx(deep()(logits, target).item(), rel=1e-6)


def test_labels_weights_count_by_the_shares_of_symbols() -> None:
    """The first document is half of section A, half of B; the second has a further row without a symbol."""
    labels = torch.tensor([2.0, 5.0, *[1.0] * 8])
    target = torch.tensor(
        [[place("A", "A23", "A23L"), place("B", "B60", "B60C")], [place("B", "B60", "B60D"), [-1, -1, -1]]]
    )
    logits = (CONDITIONAL.log() + OFFSETS).repeat(2, 1)
    a, b = -2 * math.log(0.6), -5 * math.log(0.4)
    expected = (a / 2 + b / 2 + b) / (2 / 2 + 5 / 2 + 5)
    assert deep(1.0, 0.0, 0.0, labels=labels)(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_shares_of_a_batch_add_up_to_the_whole() -> None:
    logits = torch.randn(3, 10, generator=torch.Generator().manual_seed(2))
    target = torch.tensor([[place(*PATHS[i]), place(*PATHS[j])] for i, j in ((0, 3), (2, 4), (1, 0))])
    loss = deep(labels=torch.arange(1.0, 11.0))
    parts = [loss(logits[own], target[own], None, target) for own in ([0, 2], [1])]
    torch.testing.assert_close(sum(parts), loss(logits, target))


@pytest.mark.parametrize(
    ("is_flat", "chosen", "expected"),
    [
        (False, {}, (1, 1, 1)),
        (False, {"subclass": 0.5}, (1, 1, 0.5)),
        (True, {}, (0, 0, 1)),
        (True, {"section": 0.3}, (0.3, 0, 1)),
    ],
)
def test_weights_of_levels(is_flat: bool, chosen: dict[str, float], expected: tuple[float, ...]) -> None:
    assert weights_of_levels(DEEP, is_flat, chosen) == expected


@pytest.mark.parametrize("chosen", [{"subgroup": 1.0}, {"class": -1.0}, dict.fromkeys(DEEP.levels, 0.0)])
def test_unusable_weights_of_levels_are_refused(chosen: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"^level_weights"):
        weights_of_levels(DEEP, flat=False, chosen=chosen)


# --- R-Drop


def test_disagreement_by_hand() -> None:
    p, q = P, torch.tensor([[0.2, 0.2, 0.6], [0.1, 0.6, 0.3]])
    one = sum(a * math.log(a / b) for a, b in zip(p[0].tolist(), q[0].tolist(), strict=True))
    two = sum(b * math.log(b / a) for a, b in zip(p[0].tolist(), q[0].tolist(), strict=True))
    first, second = p.log(), q.log()
    assert disagreement(first, second).item() == pytest.approx((one + two) / 2 / 2, rel=1e-5)  # the second document: 0
    assert disagreement(second, first).item() == pytest.approx(disagreement(first, second).item(), rel=1e-6)
    weight = torch.tensor([0.3, 1.0])
    assert disagreement(first, second, weight).item() == pytest.approx(0.3 * (one + two) / 2 / 2, rel=1e-5)
    assert disagreement(first, first).item() == 0


def test_disagreement_is_finite_where_an_answer_is_certain() -> None:
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    loss = disagreement(logits.log_softmax(-1), torch.tensor([[-200.0, 0.0, 200.0]]).log_softmax(-1))
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits.grad is not None
    assert np.isfinite(logits.grad.numpy()).all()
