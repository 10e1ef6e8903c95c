"""Training steps: our trainer beside Hugging Face's, and what Lightning adds to a plain loop."""

import statistics
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from patent_hier.bench.architecture import TRAINING_PASSES
from patent_hier.bench.limits import document_limit
from patent_hier.bench.rows import Row, compare
from patent_hier.bench.subjects import LABELS, Subject
from patent_hier.errors import ConfigError
from patent_hier.features.token_store import TokenStore
from patent_hier.models.blueprint import Blueprint
from patent_hier.settings import BF16, OptimizerSettings, filled
from patent_hier.training.batching import Collate, LengthGroupedBatches
from patent_hier.training.device import choose_gpu, choose_precision
from patent_hier.training.neural import fit_network
from patent_hier.training.node_data import NodeView
from patent_hier.training.optimizing import Schedule, build_optimizer

BATCH = 16  # documents per step
_TARGET = {"cpu": 1.0, "cuda": 1.5}
_OVERHEAD_TARGET = 1.0  # milliseconds a step
_OVERHEAD_STEPS = 400


def training_row(subject: Subject, repeats: int) -> Row:
    """One epoch over a subject's documents, padded as they come, by both trainers with equal settings."""
    on_gpu = choose_gpu("auto", "trainer.accelerator")
    device, precision = "cuda" if on_gpu else "cpu", choose_precision("auto", on_gpu)
    view, settings = subject.view(), subject.run(batch_size=BATCH)

    def ours() -> float:
        return float(fit_network(view, subject.blueprint(), settings).facts["seconds"])

    rounds = [(ours(), hugging_face_seconds(subject, precision)) for _ in range(repeats)]
    rate, peer, ratio = compare(len(subject.texts), rounds)
    limit, limit_name = document_limit(TRAINING_PASSES * subject.flops(), len(subject.texts), device, precision)
    return Row(
        work=f"training step, {subject.size} size, batches of {BATCH}",
        unit="documents/s",
        ours=rate,
        peer=peer,
        peer_name="Hugging Face Trainer",
        ratio=ratio,
        target=_TARGET[device],
        limit=limit,
        limit_name=limit_name,
        repeats=repeats,
        facts={
            "documents": len(subject.texts),
            "tokens": int(subject.store.lengths.sum()),
            "precision": precision,
            "device": device,
            "device_name": torch.cuda.get_device_name() if on_gpu else device,
            "threads": torch.get_num_threads(),
        },
    )


class _WithLoss(nn.Module):
    """A network as Hugging Face's Trainer takes it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, **_: Any) -> dict[str, Tensor]:
        logits = self.network(input_ids, attention_mask)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def hugging_face_seconds(subject: Subject, precision: str) -> float:
    """Seconds of ``Trainer.train`` over the subject's documents: same network, data, precision, optimizer, clipping."""
    if find_spec("accelerate") is None:  # Trainer asks for it only when it is made
        raise ConfigError('the peer of training needs accelerate: pip install -c constraints.txt -e ".[bench]"')
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments

    data = [
        {"input_ids": subject.store[row].astype(np.int64).tolist(), "labels": row % len(LABELS)}
        for row in range(len(subject.texts))
    ]
    optimizer = subject.run().optimizer
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=filled(optimizer.lr),
            weight_decay=optimizer.weight_decay,
            warmup_steps=int(optimizer.warmup * len(data) / BATCH),
            max_grad_norm=1.0,
            bf16=precision == BF16,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
        )
        model = _WithLoss(subject.network().train())
        trainer = Trainer(model, arguments, DataCollatorWithPadding(subject.peer_tokenizer()), data)
        trainer.remove_callback(PrinterCallback)
        start = perf_counter()
        trainer.train()
        return perf_counter() - start


class _Tiny(nn.Module):
    """A network whose own work is next to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, 4)
        self.output = nn.Linear(4, len(LABELS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.output(self.embedding(input_ids).mean(1))  # type: ignore[no-any-return]  # torch modules return Any


def overhead_row(subject: Subject, repeats: int) -> Row:
    """Milliseconds that a step of ours takes beyond a plain PyTorch loop over the same batches."""
    rng = np.random.default_rng(1)
    store = TokenStore.from_documents(rng.integers(1, 64, (_OVERHEAD_STEPS * BATCH, 8)).tolist())
    codes = np.arange(len(store)) % len(LABELS)
    view = replace(subject.view(), store=store, train=np.arange(len(store)), train_codes=codes)
    threads = torch.get_num_threads()
    settings = subject.run(batch_size=BATCH, accelerator="cpu", num_threads=1)  # there is no work for a second one
    blueprint = Blueprint(subject.reader, lambda _: _Tiny())
    both = [
        (float(fit_network(view, blueprint, settings).facts["seconds"]), _plain_loop(view)) for _ in range(repeats + 1)
    ][1:]
    torch.set_num_threads(threads)
    per_step = [[1000 * seconds / _OVERHEAD_STEPS for seconds in one] for one in both]
    return Row(
        work="a step's overhead: Lightning, metrics, schedule",
        unit="ms",
        ours=statistics.median(ours - plain for ours, plain in per_step),
        peer_name="plain PyTorch loop",
        target=_OVERHEAD_TARGET,
        repeats=repeats,
        facts={
            "step_ms": statistics.median(ours for ours, _ in per_step),
            "plain_step_ms": statistics.median(plain for _, plain in per_step),
            "steps": _OVERHEAD_STEPS,
        },
    )


def _plain_loop(view: NodeView[TokenStore]) -> float:
    """Seconds of one epoch in the plainest loop that does the same: batches, loss, clipping, optimizer, schedule."""
    network, settings = _Tiny(), OptimizerSettings(lr=1e-3)
    optimizer = build_optimizer(network, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, Schedule(settings, _OVERHEAD_STEPS))
    collate = Collate(view.store, view.train, view.train_codes, 0)
    start = perf_counter()
    for items in LengthGroupedBatches(view.store.lengths[view.train], BATCH, 1):
        batch = collate(items)
        optimizer.zero_grad()
        logits = network(batch["input_ids"], batch["attention_mask"])
        nn.functional.cross_entropy(logits, batch["target"]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return perf_counter() - start
