"""Compare the losses of the same fine-tuning in fp32 and in bf16, with each kind of attention.

FlashAttention in bf16 has been reported to ruin fine-tuning on patents (arXiv:2605.24296). Dropout is off and the
batches come in the same order, so that only the arithmetic differs.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import sdpa_kernel

from benchmarks.architecture import MAX_LENGTH
from benchmarks.gpu.machine import BACKENDS, runs
from benchmarks.gpu.steps import Found
from benchmarks.gpu.training import compiled
from benchmarks.speed.subjects import VOCABULARY, training_view
from patent_hier.atomic import read_json
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.models.network_spec import NetworkSpec, encoder_spec
from patent_hier.sanitize import reason
from patent_hier.settings import BF16, FP32, BertCnnSettings, OptimizerSettings, Settings, small_encoder
from patent_hier.training.neural import fit_network
from patent_hier.training.node_data import NodeView
from patent_hier.training.observers import Observers

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

# How much higher the mean of a curve's last quarter may be: a share of the reference's improvement, or this many nats.
# Rounding alone changes single steps by as much, so only the end of the curve counts; ruined training stays above it.
SHARE, LEAST = 1 / 3, 0.1
_FEW = 4  # batches that a network with random weights memorises
_FAR = 1e9  # nats; replaces a loss that is not a number
_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
Curve = NDArray[np.float64]  # (steps,), nats


class Way(NamedTuple):
    """A way to compute: precision, attention and compiler."""

    precision: str
    attention: str | None = None  # a name in BACKENDS; None: PyTorch's choice
    compiler: str | None = None

    def __str__(self) -> str:
        attention = f", {self.attention} attention" if self.attention else ""
        return f"{self.precision}{attention}{', compiled' if self.compiler else ''}"


_REFERENCE = Way(FP32, "math")


@dataclass(frozen=True, eq=False)
class Task:
    """A network and documents with their labels."""

    name: str
    view: NodeView[TokenStore]
    spec: NetworkSpec
    settings: Settings

    def curve(self, way: Way) -> Curve:
        """Train and return the loss of every step."""
        losses, trainer = _Losses(), replace(self.settings.trainer, precision=way.precision)
        spec = compiled(self.spec, way.compiler) if way.compiler else self.spec
        kernel = sdpa_kernel(BACKENDS[way.attention]) if way.attention else contextlib.nullcontext()
        with full_fp32(), kernel:
            fit_network(
                self.view, spec, replace(self.settings, trainer=trainer),
                observe=lambda: Observers(callbacks=[losses]),
            )  # fmt: skip
        return torch.stack(losses.of_steps).double().cpu().numpy()


class _Losses(pl.Callback):
    def __init__(self) -> None:
        self.of_steps: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.of_steps.append(outputs["loss"].detach().float())


def losses(check: "Check") -> Found:
    """Compare the curves of a base-size network with random weights, and of the pre-trained small encoder."""
    half = BF16 if check.on_gpu else FP32  # on a CPU bf16 has its own attention, so the other kinds are tried in fp32
    dtype = torch.bfloat16 if check.on_gpu else torch.float32
    kinds = [Way(half, name) for name in BACKENDS if runs(name, dtype)]
    ways = [_REFERENCE, Way(BF16), *(way for way in kinds if way != _REFERENCE)]
    tasks = dict.fromkeys((_random(check), _pretrained(check, equal_lengths=True)), ways)
    tasks[_pretrained(check, equal_lengths=False)] = [_REFERENCE, Way(BF16)]
    left_out = [f"{name} attention does not run here" for name in BACKENDS if not runs(name, dtype)]
    return _compare(tasks, left_out)


def compiled_losses(check: "Check") -> Found:
    """Compare the curves of a network with random weights with and without a compiled encoder."""
    ways = [_REFERENCE, Way(BF16, compiler=check.amounts.compiler)]
    return _compare({_random(check): ways}, [])


def _compare(tasks: Mapping[Task, Sequence[Way]], left_out: Sequence[str]) -> Found:
    """Compute the curves of all tasks, and compare each with the curve of the task's first way."""
    facts, texts, faults = dict[str, Any](), list[str](), list[str]()
    for task, (reference, *others) in tasks.items():
        first, curves, rows = task.curve(reference), dict[str, Curve](), list[dict[str, Any]]()
        for way in others:
            try:
                curves[str(way)] = task.curve(way)
            except RuntimeError as error:  # the other ways are still measured
                faults.append(f"{task.name}, {way}: {reason(error)}")
                continue
            rows.append({"way": str(way), **judge(curves[str(way)], first)})
        told = {str(reference): first, **curves}
        told = {name: np.nan_to_num(curve, nan=_FAR, posinf=_FAR).round(4).tolist() for name, curve in told.items()}
        facts[task.name] = {"steps": len(first), "reference": str(reference), "curves": told, "ways": rows}
        begin, end = (float(part.mean()) for part in _ends(first))
        head = f"{task.name}: {len(first)} steps, in {reference} from {begin:.3f} to {end:.3f} nats; the last quarter "
        head += f"may be up to {allowed(first):.3f} nats higher"
        texts.append(f"{head}\n\n{_table(rows)}")
        faults += [f"{task.name}, {row['way']}: {row['last_quarter']:+.3f} nats" for row in rows if not row["agrees"]]
    texts += [f"Left out: {'; '.join(left_out)}."] if left_out else []
    texts.append("Differences from the reference in nats, step by step. Dropout and TF32 are off.")
    fault = f"losses end higher than in fp32, or are missing: {'; '.join(faults)}" if faults else ""
    return Found({"left_out": list(left_out), "tasks": facts}, "\n\n".join(texts), fault)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format the differences from the reference in nats."""
    lines = ["| way | mean difference | largest | last quarter | like fp32 |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row['way']} | {row['mean']:.4f} | {row['largest']:.4f} | {row['last_quarter']:+.4f} | "
        f"{'yes' if row['agrees'] else 'no'} |"
        for row in rows
    ]
    return "\n".join(lines)


def judge(curve: Curve, reference: Curve) -> dict[str, Any]:
    """Compare a curve with the reference, in nats; losses that are not numbers count as extremely far apart.

    Returns:
        ``mean`` and ``largest`` difference of a step, the difference of the means over the ``last_quarter``, the
        ``allowed`` difference, and whether the curve ``agrees``.
    """
    apart = np.nan_to_num(curve - reference, nan=_FAR, posinf=_FAR, neginf=_FAR)
    last = float(_ends(apart)[1].mean())
    mean, largest = float(np.abs(apart).mean()), float(np.abs(apart).max())
    most = allowed(reference)
    return {"mean": mean, "largest": largest, "last_quarter": last, "allowed": most, "agrees": last <= most}


def allowed(reference: Curve) -> float:
    """Return by how many nats the mean of a curve's last quarter may exceed the reference's."""
    begin, end = (float(part.mean()) for part in _ends(reference))
    return max(LEAST, SHARE * (begin - end))


def _ends(curve: Curve) -> tuple[Curve, Curve]:
    quarter = max(1, len(curve) // 4)
    return curve[:quarter], curve[-quarter:]


@contextlib.contextmanager
def full_fp32() -> Iterator[None]:
    """Compute matrix products and convolutions in fp32 without TF32."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def _random(check: "Check") -> Task:
    """Return a task with few, repeated documents and a fast head, so that random weights learn in few steps."""
    amounts = check.amounts
    head = BertCnnSettings(pooling="mean", dropout=0.0)
    subject = check.subject(_FEW * amounts.batch, settings=head, encoder_dropout=0.0)
    run = subject.run(batch_size=amounts.batch, max_epochs=amounts.steps // _FEW)
    settings = replace(run, optimizer=OptimizerSettings(lr=1e-4, head_lr=2e-3))
    store = of_equal_length(subject.store, amounts.length)
    name = f"{amounts.size} size, random weights, documents of {amounts.length} tokens"
    return Task(name, training_view(store, _labels(check, len(store))), subject.spec(), settings)


def _pretrained(check: "Check", *, equal_lengths: bool) -> Task:
    """Return a task with the packaged encoder, whose pre-trained weights could be ruined by training."""
    amounts, head = check.amounts, BertCnnSettings(pooling="mean", dropout=0.0)
    subject, encoder = check.subject(amounts.steps * amounts.batch, settings=head), small_encoder()
    config = {**read_json(VOCABULARY / "config.json"), **dict.fromkeys(_DROPOUTS, 0.0)}
    spec = encoder_spec(EncoderFiles(VOCABULARY, config, True), encoder, head)
    lr = OptimizerSettings(lr=encoder.suggested_lr, head_lr=encoder.suggested_head_lr)
    settings = replace(subject.run(batch_size=amounts.batch), optimizer=lr)
    store = of_equal_length(subject.store, amounts.length) if equal_lengths else subject.store
    documents = f"documents of {amounts.length} tokens" if equal_lengths else f"padded documents up to {MAX_LENGTH}"
    return Task(f"small, pre-trained, {documents}", training_view(store, _labels(check, len(store))), spec, settings)


def _labels(check: "Check", count: int) -> NDArray[np.integer]:
    return np.resize(np.array(check.sections), count)


def of_equal_length(store: TokenStore, length: int) -> TokenStore:
    """Truncate or repeat documents to one length, so that every kind of attention can read them without padding."""
    return TokenStore.from_documents([np.resize(store[row], length).tolist() for row in range(len(store))])
