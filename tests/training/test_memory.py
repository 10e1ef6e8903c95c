"""A batch in several passes: the result of one, with less memory."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from patent_hier.errors import MemoryShortageError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.blueprint import bertcnn_blueprint
from patent_hier.settings import BertCnnSettings, OptimizerSettings, Settings, TrainerSettings
from patent_hier.training.fitted import Fitted
from patent_hier.training.memory import memory_advice, with_less_memory
from patent_hier.training.neural import fit_network
from patent_hier.training.node_data import CorpusView, LabelShare, NodeView
from tests.conftest import tiny_encoder_settings

TOLERANCE = 1e-4  # of losses and of log-probabilities, which training moves by about 1


def settings(**trainer: Any) -> Settings:
    """Without dropout, whose chance differs from pass to pass."""
    short = {"max_epochs": 2, "min_steps": 0, "num_threads": 1, "accelerator": "cpu", "progress": False}
    return Settings(
        encoder=tiny_encoder_settings(),
        model=BertCnnSettings(num_last_layers=2, num_filters=8, pooling="mean", dropout=0.0),
        optimizer=OptimizerSettings(lr=3e-3),
        trainer=TrainerSettings(**{**short, "batch_size": 4, "score_batch_size": 3, **trainer}),
        node="flat",
    )


def fit(corpus: CorpusView[TokenStore], files: EncoderFiles, chosen: Settings, weighted: bool = False) -> Fitted:
    view = NodeView.of(corpus, "flat")
    if weighted:
        view = replace(view, label_share=LabelShare(20, (0.3,)))  # the last 20 documents weigh less
    return fit_network(view, bertcnn_blueprint(files, chosen.encoder, chosen.model), chosen)


def same(one: Fitted, other: Fitted, corpus: CorpusView[TokenStore]) -> bool:
    indices = np.arange(len(corpus.parts))
    scores = [fitted.classifier.log_prob(corpus.store, indices) for fitted in (one, other)]
    losses = [[epoch["train/loss"] for epoch in fitted.history] for fitted in (one, other)]
    return np.allclose(*scores, atol=TOLERANCE, rtol=0) and np.allclose(*losses, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("passes", [2, 3, 4])
def test_several_passes_are_as_one(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, passes: int) -> None:
    """With weights of classes and documents, and R-Drop; the last batch has fewer documents than passes."""
    terms: dict[str, Any] = {"class_weights": True, "section_loss": 0.5, "r_drop": 1.0}
    one = fit(toy_corpus, demo_files, settings(**terms, accumulate=1), weighted=True)
    several = fit(toy_corpus, demo_files, settings(**terms, accumulate=passes), weighted=True)
    assert (one.facts["accumulate"], several.facts["accumulate"]) == (1, passes)
    assert same(one, several, toy_corpus)
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


def test_memory_that_runs_out_is_made_do_with(
    toy_corpus: CorpusView[TokenStore],
    demo_files: EncoderFiles,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    usual = fit(toy_corpus, demo_files, settings())
    assert "memory" not in capsys.readouterr().out
    machine = SmallMachine(monkeypatch, 1)
    small = fit(toy_corpus, demo_files, settings())
    printed = capsys.readouterr().out.splitlines()
    again = "bertcnn flat: memory ran out: begun again with trainer.accumulate={}, which gives the same result"
    assert printed == [again.format(2), again.format(4)]
    assert (usual.facts["accumulate"], small.facts["accumulate"], machine.largest) == (1, 4, 1)
    assert same(usual, small, toy_corpus)


def test_too_little_memory_is_one_line(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    SmallMachine(monkeypatch, 0)
    with pytest.raises(MemoryShortageError, match=r"^memory ran out; lower encoder\.max_length$"):
        fit(toy_corpus, demo_files, settings())
    with pytest.raises(MemoryShortageError, match=r"^memory ran out; use trainer\.accumulate=4, .* or lower encoder"):
        fit(toy_corpus, demo_files, settings(accumulate=2))


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
