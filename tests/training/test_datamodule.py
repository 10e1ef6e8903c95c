from collections import defaultdict

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from patent_hier.features.token_store import TokenStore
from patent_hier.training.datamodule import PatentDataModule
from patent_hier.training.node_data import CorpusView, NodeView
from patent_hier.training.ranks import Ranks


@pytest.fixture
def data(toy_corpus: CorpusView[TokenStore]) -> PatentDataModule:
    return PatentDataModule(NodeView.of(toy_corpus, "A"), batch_size=8, score_batch_size=10, pad_id=0, seed=1)


def documents(batch: dict[str, Tensor]) -> list[tuple[tuple[int, ...], int]]:
    rows = zip(batch["input_ids"], batch["attention_mask"], batch["target"], strict=True)
    return [(tuple(ids[mask.bool()].tolist()), int(target)) for ids, mask, target in rows]


def test_training_batches_hold_the_nodes_documents(data: PatentDataModule) -> None:
    view, batches = data.view, list(data.train_dataloader())
    expected = [
        (tuple(view.store[i].tolist()), int(code)) for i, code in zip(view.train, view.train_codes, strict=True)
    ]
    assert sorted(row for batch in batches for row in documents(batch)) == sorted(expected)
    assert len(batches) == len(data.train_dataloader()) == -(-len(view.train) // 8)
    assert {batch["input_ids"].dtype for batch in batches} == {torch.int64}


def test_validation_batches_in_order_of_length(data: PatentDataModule) -> None:
    view, batches = data.view, list(data.val_dataloader())
    expected = [(tuple(view.store[i].tolist()), int(code)) for i, code in zip(view.val, view.val_codes, strict=True)]
    rows = [row for batch in batches for row in documents(batch)]
    assert sorted(rows) == sorted(expected)
    assert [len(ids) for ids, _ in rows] == sorted(len(ids) for ids, _ in rows)
    assert {len(batch["target"]) for batch in batches[:-1]} == {10}


@pytest.mark.parametrize("size", [2, 3, 50])
def test_ranks_have_each_document_once_and_equally_many_batches(toy_corpus: CorpusView[TokenStore], size: int) -> None:
    view = NodeView.of(toy_corpus, "A")
    shares = [
        PatentDataModule(view, batch_size=8, score_batch_size=10, pad_id=0, seed=1, ranks=Ranks(rank, size, size))
        for rank in range(size)
    ]
    for positions, codes, loaders in (
        (view.train, view.train_codes, [share.train_dataloader() for share in shares]),
        (view.val, view.val_codes, [share.val_dataloader() for share in shares]),
    ):
        batches = [list(loader) for loader in loaders]
        assert len({len(own) for own in batches}) == 1
        counted = [batch for own in batches for batch in own if "weight" not in batch]
        assert all(batch["weight"].tolist() == [0.0] for own in batches for batch in own if "weight" in batch)
        expected = [(tuple(view.store[i].tolist()), int(code)) for i, code in zip(positions, codes, strict=True)]
        assert sorted(row for batch in counted for row in documents(batch)) == sorted(expected)


class Recorder(pl.LightningModule):
    """Learns nothing; remembers what Lightning hands to it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[list[tuple[tuple[int, ...], int]]]] = defaultdict(list)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.seen[self.current_epoch].append(documents(batch))
        return self.weight * 1.0

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("with_val", [True, False])
def test_lightning_draws_other_batches_in_each_epoch(data: PatentDataModule, with_val: bool) -> None:
    def fit() -> dict[int, list[list[tuple[tuple[int, ...], int]]]]:
        recorder = Recorder()
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=3,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        if with_val:
            trainer.fit(recorder, datamodule=data)
        else:
            trainer.fit(recorder, train_dataloaders=data.train_dataloader())
        return recorder.seen

    seen = fit()
    assert sorted(seen) == [0, 1, 2]
    everything = [sorted(item for batch in batches for item in batch) for batches in seen.values()]
    assert everything[0] == everything[1] == everything[2]
    assert len(everything[0]) == len(data.view.train)
    assert seen[0] != seen[1] != seen[2] != seen[0]
    assert fit() == seen
