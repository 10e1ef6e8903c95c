import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from patent_hier.training.losses import ClassificationLoss, disagreement, same_section

LABELS = ("A01", "A23", "B60")
P = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])  # probabilities of two documents
LOGITS, TARGET = P.log() + 5, torch.tensor([0, 2])
CLASS_LOSS = [-math.log(0.5), -math.log(0.3)]
SECTION_LOSS = [-math.log(0.7), -math.log(0.3)]


def test_classes_of_one_section() -> None:
    assert same_section(LABELS).tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_the_sections_probability_is_the_sum_of_its_classes() -> None:
    loss = ClassificationLoss(section_loss=0.5, sections=same_section(LABELS))
    expected = sum(CLASS_LOSS) / 2 + 0.5 * sum(SECTION_LOSS) / 2
    assert loss(LOGITS, TARGET).item() == pytest.approx(expected, rel=1e-6)


def test_weights_of_classes_and_documents_by_hand() -> None:
    classes, weight = torch.tensor([1.0, 9.0, 4.0]), torch.tensor([0.3, 1.0])
    plain = ClassificationLoss(classes)
    assert plain(LOGITS, TARGET, weight).item() == pytest.approx(
        (1 * 0.3 * CLASS_LOSS[0] + 4 * CLASS_LOSS[1]) / (1 + 4), rel=1e-6
    )
    both = ClassificationLoss(classes, 2.0, same_section(LABELS))
    losses = [one + 2 * two for one, two in zip(CLASS_LOSS, SECTION_LOSS, strict=True)]
    assert both(LOGITS, TARGET).item() == pytest.approx((losses[0] + 4 * losses[1]) / 5, rel=1e-6)
    assert both(LOGITS, TARGET, weight).item() == pytest.approx((0.3 * losses[0] + 4 * losses[1]) / 5, rel=1e-6)
    alone = ClassificationLoss()(LOGITS, TARGET, weight).item()
    assert alone == pytest.approx((0.3 * CLASS_LOSS[0] + CLASS_LOSS[1]) / 2, rel=1e-6)


def test_a_batch_of_label_texts_alone_keeps_their_weight() -> None:
    loss = ClassificationLoss()
    assert loss(LOGITS, TARGET, torch.full((2,), 0.25)).item() == pytest.approx(0.25 * loss(LOGITS, TARGET).item())


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 9.0, 4.0])])
def test_without_either_it_is_pytorchs_to_the_bit(weights: torch.Tensor | None) -> None:
    logits, target = torch.randn(64, 3, generator=torch.Generator().manual_seed(1)), torch.arange(64) % 3
    assert torch.equal(ClassificationLoss(weights)(logits, target), nn.CrossEntropyLoss(weights)(logits, target))
    assert torch.equal(
        ClassificationLoss(weights, 0.0, same_section(LABELS))(logits, target),
        nn.CrossEntropyLoss(weights)(logits, target),
    )


@given(st.lists(st.floats(-60, 60), min_size=3, max_size=3), st.integers(0, 2))
def test_gradients_are_finite_and_push_the_section_up(values: list[float], target: int) -> None:
    logits = torch.tensor([values], requires_grad=True)
    loss = ClassificationLoss(section_loss=1.0, sections=same_section(LABELS))(logits, torch.tensor([target]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert abs(logits.grad.sum().item()) < 1e-4  # the loss does not see a constant added to all logits
    assert loss.item() >= nn.functional.cross_entropy(logits, torch.tensor([target])).item() - 1e-5


def test_it_brings_no_weights_of_its_own() -> None:
    loss = ClassificationLoss(torch.ones(3), 1.0, same_section(LABELS))
    assert (list(loss.parameters()), loss.state_dict()) == ([], {})


# --- R-Drop


def test_disagreement_by_hand() -> None:
    p, q = P, torch.tensor([[0.2, 0.2, 0.6], [0.1, 0.6, 0.3]])
    one = sum(a * math.log(a / b) for a, b in zip(p[0].tolist(), q[0].tolist(), strict=True))
    two = sum(b * math.log(b / a) for a, b in zip(p[0].tolist(), q[0].tolist(), strict=True))
    first, second = p.log() - 3, q.log() + 7  # logits are known up to a constant
    assert disagreement(first, second).item() == pytest.approx((one + two) / 2 / 2, rel=1e-5)  # the second document: 0
    assert disagreement(second, first).item() == pytest.approx(disagreement(first, second).item(), rel=1e-6)
    weight = torch.tensor([0.3, 1.0])
    assert disagreement(first, second, weight).item() == pytest.approx(0.3 * (one + two) / 2 / 2, rel=1e-5)
    assert disagreement(first, first).item() == 0


def test_disagreement_is_finite_where_an_answer_is_certain() -> None:
    first = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    loss = disagreement(first, torch.tensor([[-200.0, 0.0, 200.0]]))
    loss.backward()
    assert math.isfinite(loss.item())
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()
