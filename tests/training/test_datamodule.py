from collections import defaultdict

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from patent_hier.data.splits import TRAIN
from patent_hier.features.token_store import TokenStore
from patent_hier.training.datamodule import NodeBatches
from patent_hier.training.node_data import CorpusView, NodeView
from patent_hier.training.node_views import view_of
from patent_hier.training.ranks import Ranks
from tests.training.toys import QUIET

Document = tuple[tuple[int, ...], tuple[int, ...]]  # ids, path


def batches_of(corpus: CorpusView[TokenStore], **ranks: Ranks) -> NodeBatches:
    return NodeBatches(view_of(corpus, "A"), batch_size=8, score_batch_size=10, pad_id=0, seed=1, **ranks)


@pytest.fixture
def data(toy_corpus: CorpusView[TokenStore]) -> NodeBatches:
    return batches_of(toy_corpus)


def documents(batch: dict[str, Tensor]) -> list[Document]:
    rows = zip(batch["input_ids"], batch["attention_mask"], batch["target"], strict=True)
    return [(tuple(ids[mask.bool()].tolist()), tuple(target[0].tolist())) for ids, mask, target in rows]


def expected(view: NodeView[TokenStore], part: str) -> list[Document]:
    """The documents of ``train``, ``val`` or ``test``, sorted."""
    rows = zip(getattr(view, part), getattr(view, f"{part}_paths"), strict=True)
    return sorted((tuple(view.store[i].tolist()), tuple(path.tolist())) for i, path in rows)


def test_training_batches_hold_the_nodes_documents(data: NodeBatches) -> None:
    batches = list(data.train_dataloader())
    assert sorted(row for batch in batches for row in documents(batch)) == expected(data.view, "train")
    assert len(batches) == len(data.train_dataloader()) == -(-len(data.view.train) // 8)
    assert {batch["input_ids"].dtype for batch in batches} == {torch.int64}


@pytest.mark.parametrize("part", ["val", "test"])
def test_held_out_batches_in_order_of_length(data: NodeBatches, part: str) -> None:
    batches = list(getattr(data, f"{part}_dataloader")())
    rows = [row for batch in batches for row in documents(batch)]
    assert sorted(rows) == expected(data.view, part)
    assert [len(ids) for ids, _ in rows] == sorted(len(ids) for ids, _ in rows)
    assert {len(batch["target"]) for batch in batches[:-1]} == {10}


def test_every_held_out_document_is_predicted(data: NodeBatches, toy_corpus: CorpusView[TokenStore]) -> None:
    found = torch.cat([batch["document"] for batch in data.predict_dataloader()])
    assert sorted(found.tolist()) == np.flatnonzero(toy_corpus.parts != TRAIN).tolist()
    assert len(found) > len(data.view.val) + len(data.view.test)  # those of other sections too


@pytest.mark.parametrize("size", [2, 3, 50])
def test_ranks_have_each_document_once_and_equally_many_batches(toy_corpus: CorpusView[TokenStore], size: int) -> None:
    shares = [batches_of(toy_corpus, ranks=Ranks(rank, size, size)) for rank in range(size)]
    view = shares[0].view
    for part in ("train", "val"):
        batches = [list(getattr(share, f"{part}_dataloader")()) for share in shares]
        assert len({len(own) for own in batches}) == 1
        counted = [batch for own in batches for batch in own if "weight" not in batch]
        assert all(batch["weight"].tolist() == [0.0] for own in batches for batch in own if "weight" in batch)
        assert sorted(row for batch in counted for row in documents(batch)) == expected(view, part)


class Recorder(pl.LightningModule):
    """Learns nothing; remembers what Lightning hands to it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[list[Document]]] = defaultdict(list)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.seen[self.current_epoch].append(documents(batch))
        return self.weight * 1.0

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("with_val", [True, False])
def test_lightning_draws_other_batches_in_each_epoch(data: NodeBatches, with_val: bool) -> None:
    def fit() -> dict[int, list[list[Document]]]:
        recorder = Recorder()
        trainer = pl.Trainer(**QUIET, max_epochs=3, use_distributed_sampler=False)
        trainer.fit(recorder, **{"datamodule": data} if with_val else {"train_dataloaders": data.train_dataloader()})
        return recorder.seen

    seen = fit()
    assert sorted(seen) == [0, 1, 2]
    everything = [sorted(item for batch in batches for item in batch) for batches in seen.values()]
    assert everything[0] == everything[1] == everything[2]
    assert len(everything[0]) == len(data.view.train)
    assert seen[0] != seen[1] != seen[2] != seen[0]
    assert fit() == seen
