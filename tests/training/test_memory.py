"""A batch in several passes: the result of one, with less memory."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from patent_hier.errors import MemoryShortageError
from patent_hier.models.bertcnn import BertCnn
from patent_hier.settings import Settings
from patent_hier.training.fitted import Fitted
from patent_hier.training.memory import memory_advice, with_less_memory
from tests.training.toys import TOLERANCE, Toy
from tests.training.toys import settings as tiny


def settings(**trainer: Any) -> Settings:
    """Without dropout, whose chance differs from pass to pass."""
    return tiny("flat", model={"dropout": 0.0}, batch_size=4, score_batch_size=3, **trainer)


def same(one: Fitted, other: Fitted, toy: Toy) -> bool:
    indices = np.arange(len(toy.corpus.parts))
    scores = [fitted.classifier.log_prob(toy.corpus.store, indices) for fitted in (one, other)]
    losses = [[epoch["train/loss"] for epoch in fitted.history] for fitted in (one, other)]
    return np.allclose(*scores, atol=TOLERANCE, rtol=0) and np.allclose(*losses, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("passes", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4))])
def test_several_passes_are_as_one(toy: Toy, passes: int) -> None:
    """With weights of classes and documents, and R-Drop; the last batch has fewer documents than passes."""
    ngrams: dict[str, Any] = {"class_weights": True, "section_loss": 0.5, "r_drop": 1.0}
    one = toy.fit(settings(**ngrams, accumulate=1), weighted=True)
    several = toy.fit(settings(**ngrams, accumulate=passes), weighted=True)
    assert (one.facts["accumulate"], several.facts["accumulate"]) == (1, passes)
    assert same(one, several, toy)
    assert one.history[1]["train/loss"] < one.history[0]["train/loss"] - 0.1


class SmallMachine:
    """Memory for so many documents at once in training."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, documents: int) -> None:
        self.largest = 0
        forward = BertCnn.forward

        def limited(network: BertCnn, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            if network.training and len(input_ids) > documents:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            self.largest = max(self.largest, len(input_ids) * network.training)
            return forward(network, input_ids, attention_mask)

        monkeypatch.setattr(BertCnn, "forward", limited)


@pytest.mark.slow
def test_memory_that_runs_out_is_made_do_with(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = toy.fit(settings())
    assert "memory" not in capsys.readouterr().out
    machine = SmallMachine(monkeypatch, 1)
    small = toy.fit(settings())
    printed = capsys.readouterr().out.splitlines()
    again = "bertcnn flat: memory ran out; restarting with trainer.accumulate={}, which gives the same result"
    assert printed == [again.format(2), again.format(4)]
    assert (usual.facts["accumulate"], small.facts["accumulate"], machine.largest) == (1, 4, 1)
    assert same(usual, small, toy)


def test_too_little_memory_is_one_line(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    SmallMachine(monkeypatch, 0)
    with pytest.raises(MemoryShortageError, match=r"^memory ran out; lower encoder\.max_length$"):
        toy.fit(settings())
    with pytest.raises(MemoryShortageError, match=r"^memory ran out; use trainer\.accumulate=4, .* or lower encoder"):
        toy.fit(settings(accumulate=2))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_what_says_that_memory_ran_out(error: Exception) -> None:
    with pytest.raises(MemoryShortageError, match="memory ran out; close a window"), memory_advice("close a window"):
        raise error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_advice("close a window"):
        raise RuntimeError("shape")


def test_passes_grow_to_the_most_that_helps() -> None:
    tried: list[int] = []
    told: list[str] = []

    def make(passes: int) -> int:
        tried.append(passes)
        if passes < 6:
            raise MemoryShortageError("memory ran out")
        return passes

    assert with_less_memory(make, 1, 6, told.append) == 6
    assert tried == [1, 2, 4, 6]
    assert len(told) == 3
    with pytest.raises(MemoryShortageError):
        with_less_memory(make, 1, 5, told.append)
