"""Compare training steps with Hugging Face's Trainer, and measure what Lightning adds to a plain loop."""

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed.rows import Row, rate_row
from benchmarks.speed.subjects import LABELS, Subject, peer_model, peer_tokenizer, training_view
from patent_hier.errors import ConfigError
from patent_hier.features.token_store import TokenStore
from patent_hier.models.network_spec import NetworkSpec
from patent_hier.settings import BF16, OptimizerSettings, Settings, filled
from patent_hier.training.batching import Collate, ItemPaths, LengthGroupedBatches
from patent_hier.training.device import choose_gpu, choose_precision
from patent_hier.training.neural import fit_network
from patent_hier.training.node_data import NodeView
from patent_hier.training.optimizing import Schedule, build_optimizer

BATCH = 16  # documents per step
_STEPS = 400  # steps for the overhead row


def training_row(subject: Subject, repeats: int, batch: int = BATCH, warm_up: int = 0) -> Row:
    """Measure one epoch over a subject's documents, with padded batches, in both trainers with equal settings.

    Args:
        subject: Network to train, and its texts.
        repeats: See :class:`Row`.
        batch: Documents per step.
        warm_up: Epochs before the timed one, in the same run; a GPU is slower in its first steps.
    """
    facts: dict[str, Any] = {**subject.facts(), **device_facts(subject)}
    view, settings = training_view(subject.store), subject.run(batch_size=batch)
    rounds = []
    for _ in range(repeats):
        ours, facts["peak_memory_bytes"] = our_seconds(view, subject.spec(), settings, warm_up)
        rounds.append((ours, _hugging_face_seconds(subject, facts["precision"], batch, warm_up)))
    work = f"training step, {subject.size} size, batches of {batch}"
    target = 1.5 if facts["device"] == "cuda" else 1.0
    return rate_row(work, "documents", len(subject.texts), rounds, "Hugging Face Trainer", target=target, facts=facts)


def device_facts(subject: Subject) -> dict[str, str]:
    """Return the default device and precision for training a subject; the plan reads them."""
    on_gpu = choose_gpu("auto", "trainer.accelerator")
    precision = choose_precision("auto", on_gpu, subject.reader.files.hidden_size)
    name = torch.cuda.get_device_name() if on_gpu else "cpu"
    return {"precision": precision, "device": "cuda" if on_gpu else "cpu", "device_name": name}


def our_seconds(
    view: NodeView[TokenStore], spec: NetworkSpec, settings: Settings, warm_up: int = 0
) -> tuple[float, int | None]:
    """Return the seconds of an epoch after ``warm_up`` epochs, and the peak GPU memory in bytes (None on a CPU)."""
    trainer, on_gpu = replace(settings.trainer, max_epochs=warm_up + 1), torch.cuda.is_available()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    fitted = fit_network(view, spec, replace(settings, trainer=trainer))
    seconds = float(fitted.facts["seconds"]) - (fitted.history[warm_up - 1]["seconds"] if warm_up else 0.0)
    return seconds, torch.cuda.max_memory_allocated() if on_gpu else None


def _hugging_face_seconds(subject: Subject, precision: str, batch: int, warm_up: int) -> float:
    """Return the seconds of ``Trainer.train`` with the same network, data, precision, optimizer and clipping."""
    if find_spec("accelerate") is None:  # Trainer would complain only when it is created
        raise ConfigError('the peer of training needs accelerate: pip install -c constraints.txt -e ".[bench]"')
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.marks = [perf_counter()]

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.marks.append(perf_counter())

    data = [
        {"input_ids": subject.store[row].astype(np.int64).tolist(), "labels": row % len(LABELS)}
        for row in range(len(subject.texts))
    ]
    optimizer = subject.run().optimizer
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=batch,
            num_train_epochs=1 + warm_up,
            learning_rate=filled(optimizer.lr),
            weight_decay=optimizer.weight_decay,
            warmup_steps=int(optimizer.warmup * (1 + warm_up) * len(data) / batch),
            max_grad_norm=1.0,
            bf16=precision == BF16,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
        )
        model = peer_model(subject.network(), subject.config).train()
        trainer = Trainer(model, arguments, DataCollatorWithPadding(peer_tokenizer()), data)
        trainer.remove_callback(PrinterCallback)
        clock = Clock()
        trainer.add_callback(clock)
        trainer.train()
        return clock.marks[-1] - clock.marks[warm_up]


class _Tiny(nn.Module):
    """A network with almost no work of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, 4)
        self.output = nn.Linear(4, len(LABELS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.output(self.embedding(input_ids).mean(1))  # type: ignore[no-any-return]  # torch modules return Any


def overhead_row(subject: Subject, repeats: int) -> Row:
    """Measure how many milliseconds longer our step takes than a plain PyTorch loop over the same batches."""
    store = TokenStore.from_documents(np.random.default_rng(1).integers(1, 64, (_STEPS * BATCH, 8)).tolist())
    view, threads = training_view(store), torch.get_num_threads()
    spec = NetworkSpec(subject.reader, lambda _: _Tiny())
    settings = subject.run(batch_size=BATCH, accelerator="cpu", num_threads=1)  # there is no work for a second thread
    rounds = [(our_seconds(view, spec, settings)[0], _plain_seconds(view)) for _ in range(repeats + 1)][1:]
    torch.set_num_threads(threads)
    step, plain, more = (
        1000 / _STEPS * median(column) for column in zip(*((a, b, a - b) for a, b in rounds), strict=True)
    )
    work, facts = "a step's overhead: Lightning, metrics, schedule", {"step_ms": step, "plain_step_ms": plain}
    return Row(work, "ms", more, target=1.0, repeats=repeats, peer_name="plain PyTorch loop", facts=facts)


def _plain_seconds(view: NodeView[TokenStore]) -> float:
    """Return the seconds of one epoch in the simplest equal loop: batches, loss, clipping, optimizer, schedule."""
    network, settings = _Tiny(), OptimizerSettings(lr=1e-3)
    optimizer = build_optimizer(network, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, Schedule(settings, _STEPS))
    collate = Collate(view.store, view.train, ItemPaths(view.train_paths), 0)
    start = perf_counter()
    for items in LengthGroupedBatches(view.store.lengths[view.train], BATCH, 1):
        batch = collate(items)
        optimizer.zero_grad()
        logits = network(batch["input_ids"], batch["attention_mask"])
        nn.functional.cross_entropy(logits, batch["target"][:, 0, 0]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return perf_counter() - start
