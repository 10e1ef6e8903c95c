"""One node in two processes: the documents, the weights and the metrics of one process.

Every case is trained in the same two processes, for to start them takes longer than to train. There is no dropout, for
its chance differs from process to process; what is left is rounding. Scores are compared, not weights: the biases of an
encoder's keys have no influence, so that their gradients are rounding alone, which Adam makes as large as all others.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from patent_hier.data.splits import TRAIN
from patent_hier.models.network_spec import NetworkSpec
from patent_hier.settings import Settings
from patent_hier.training.launch import join_group, launch
from patent_hier.training.module import PatentClassifier
from patent_hier.training.ranks import ALONE, Ranks
from tests.training.toys import TOLERANCE, Toy, settings

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "weights": {"class_weights": True, "section_loss": 0.5, "r_drop": 1.0},
    "two passes": {"class_weights": True, "accumulate": 2},
    "patience": {"max_epochs": 5, "patience": 1},
    "no validation, unused weights": {},
    "two passes, unused weights": {"accumulate": 2},
}


def case(name: str) -> Settings:
    return settings("flat", model={"dropout": 0.0}, **{"batch_size": 4, "score_batch_size": 3, **CASES[name]})


class WithSpare(nn.Module):
    """A network with weights that nothing reads, as some encoders have."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.spare = nn.Linear(3, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.network(input_ids, attention_mask)
        return logits


class WithSpares(Toy):
    """Networks with such weights."""

    def spec(self, chosen: Settings) -> NetworkSpec:
        plain = super().spec(chosen)
        return NetworkSpec(plain.reader, lambda labels: WithSpare(plain.build(labels)))


def fit_case(name: str, toy: Toy, ranks: Ranks) -> dict[str, Any]:
    """Fit, and record which documents each epoch's training steps have seen."""
    seen: dict[int, list[list[int]]] = {}
    step = PatentClassifier.training_step

    def watch(self: PatentClassifier, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        rows = zip(batch["input_ids"], batch["attention_mask"], strict=True)
        if not ("weight" in batch and float(batch["weight"].sum()) == 0):
            seen.setdefault(self.current_epoch, []).extend(ids[mask.bool()].tolist() for ids, mask in rows)
        return step(self, batch, batch_idx)

    toy = toy.without_validation() if name.startswith("no validation") else toy
    toy = WithSpares(toy.corpus, toy.files) if name.endswith("unused weights") else toy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PatentClassifier, "training_step", watch)
        fitted = toy.fit(case(name), None, ranks, weighted=name == "weights")
    log_prob = fitted.classifier.log_prob(toy.corpus.store, np.arange(len(toy.corpus.parts)))
    return {"seen": seen, "history": fitted.history, "facts": fitted.facts, "log_prob": log_prob.tolist()}


def be_a_rank(ranks: Ranks, toy: Toy, folder: Path) -> None:
    join_group(ranks, on_gpu=False)
    for name in CASES:
        found = fit_case(name, toy, ranks)
        (folder / f"{name}-{ranks.rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def together(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    launch(be_a_rank, 2, folder, toy, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_are_as_one(name: str, together: Path, toy: Toy) -> None:
    alone = fit_case(name, toy, ALONE)
    ranks = [json.loads((together / f"{name}-{rank}.json").read_text()) for rank in (0, 1)]

    documents = sorted(toy.corpus.store[i].tolist() for i in np.flatnonzero(toy.corpus.parts == TRAIN))
    for epoch in range(len(alone["history"])):
        own = [rank["seen"].get(str(epoch), []) for rank in ranks]
        assert sorted(own[0] + own[1]) == sorted(alone["seen"][epoch]) == documents
        assert abs(len(own[0]) - len(own[1])) == 1  # batches of 4, and a last one of 1

    history = ranks[0]["history"]
    assert len(history) == len(alone["history"])
    for one, two in zip(alone["history"], history, strict=True):
        assert set(one) == set(two)
        assert two.get("val/accuracy") == one.get("val/accuracy")
        for key in set(one) - {"seconds"}:
            assert two[key] == pytest.approx(one[key], abs=TOLERANCE)
    assert ranks[1]["history"] == [{**epoch, "seconds": pytest.approx(epoch["seconds"], abs=1)} for epoch in history]

    np.testing.assert_allclose(ranks[0]["log_prob"], alone["log_prob"], atol=TOLERANCE, rtol=0)

    same = ("train_documents", "val_documents", "epochs", "best_epoch", "parameters", "precision")
    assert {key: ranks[0]["facts"][key] for key in same} == {key: alone["facts"][key] for key in same}
    assert (ranks[0]["facts"]["devices"], alone["facts"]["devices"]) == (2, 1)


def test_the_cases_train(toy: Toy) -> None:
    """Or equal weights would say nothing."""
    found = fit_case("plain", toy, ALONE)
    assert found["history"][-1]["train/loss"] < found["history"][0]["train/loss"] - 0.1
    assert np.ptp(np.array(found["log_prob"]), axis=0).min() > 0.5
