"""Settings of the optimizer and of a training run."""

import math
from dataclasses import dataclass, field
from typing import TypeVar

_T = TypeVar("_T")
BEST, LAST = KEEPS = ("best", "last")  # epochs whose weights are kept
FP32, BF16 = "32-true", "bf16-mixed"  # precisions, by Lightning's names


@dataclass
class OptimizerSettings:
    """How weights are updated.

    Attributes:
        name: ``adamw``, ``adam``, or ``muon`` (for the matrices of Transformer layers; AdamW for the other weights).
        lr: Peak learning rate; ``null``: what suits the model, or its encoder.
        head_lr: Peak learning rate of what lies above the encoder, whose weights start at random; ``null``: as ``lr``
            or, where that is ``null`` too, what suits the encoder. Only for models with an encoder.
        layer_decay: Factor on the rate from one layer of the encoder to the next lower one: its top layer learns at
            ``lr``, its embeddings slowest. 1 for one rate. Only for models with an encoder.
        weight_decay: Decoupled for AdamW; not applied to biases and layer norms.
        warmup: Fraction of all steps with a linearly rising rate.
        schedule: ``linear`` (falls to 0) or ``constant`` after the warm-up.
    """

    name: str = "adamw"
    lr: float | None = None
    head_lr: float | None = None
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: str = "linear"


@dataclass
class TrainerSettings:
    """How long and on what a node is trained.

    Attributes:
        max_epochs: Passes over the node's training documents; ``null``: what suits the model and, at the nodes
            ``flat`` and ``shared``, so many labels.
        min_steps: Optimizer steps that a node makes at least: a small node's epochs are raised to reach them, and none
            stops early before; ``null``: what suits the model, or its encoder.
        batch_size: Documents per optimizer step, over all devices; ``null``: what suits the model.
        score_batch_size: Documents per batch and device when scoring.
        keep: ``best``: the weights of the epoch with the best validation accuracy; ``last``: those of the last epoch.
        patience: Epochs without a better validation accuracy before training stops; ``null`` never stops early. Of no
            influence without validation documents.
        class_weights: Weigh the loss by inverse class frequency.
        level_weights: Weight of a level's term in the loss, by level, where it is not 1: ``{subgroup: 0.5}``. A network
            of the node ``flat`` has such terms above its deepest level only if they are named here.
        section_loss: The same for the section at the node ``flat``: weight of its cross-entropy, its probability being
            the sum of its classes'; 0 for none. Other nodes do not read it.
        r_drop: Weight of R-Drop: each batch is read twice, with other dropout, and the two answers are drawn together.
            A step takes about twice as long. 0 for none.
        label_smoothing: Share of the target that is spread over all labels of the same softmax: siblings, or all labels
            of a flat network. Validation loss is without it. 0 for none.
        ema: Decay per step of a running average of the weights, which is what is validated and kept; 0.99 looks back
            about a hundred steps. It begins lower, at ``(1 + n) / (10 + n)`` behind ``n`` steps. 0 for none.
        text_turns: Epochs among which texts that are no documents, such as the titles of ``data.label_text``, are dealt
            out: each is read in one of so many, so that tens of thousands of them need not outnumber the documents.
        gradient_clip: Largest gradient norm; ``null`` for none.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        accumulate: Passes in which a device reads its part of each batch: gradients are accumulated, so a batch needs
            less memory and gives the same result, up to rounding and the chance in dropout. ``null`` begins with one
            pass, and begins again with twice as many whenever memory runs out.
        checkpoint_minutes: How often the state of training is saved, from which a killed run goes on: its weights are
            those of an undisturbed run. 0 saves before every batch; ``null`` never.
        devices: GPUs, or processes on a CPU, that train one node together; ``null`` for all GPUs of the machine, or for
            those of torchrun. It changes the result by rounding, and by the chance in dropout, only.
        precision: ``auto`` (bf16 on a GPU that has it, and for encoders or word vectors of 64 dimensions or more
            on a CPU with AVX512-BF16 or AMX; else fp32), ``32-true`` or ``bf16-mixed``.
        num_threads: CPU threads of PyTorch in each process; ``null`` leaves its default, or torchrun's; processes
            that are started for ``devices`` share it.
        progress: Print a line per epoch (and a bar on a terminal).
    """

    max_epochs: int | None = None
    min_steps: int | None = None
    batch_size: int | None = None
    score_batch_size: int = 64
    keep: str = BEST
    patience: int | None = 2
    class_weights: bool = False
    level_weights: dict[str, float] = field(default_factory=dict)
    section_loss: float = 0.0
    r_drop: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    text_turns: int = 1
    gradient_clip: float | None = 1.0
    accelerator: str = "auto"
    accumulate: int | None = None
    checkpoint_minutes: float | None = 10.0
    devices: int | None = 1
    precision: str = "auto"
    num_threads: int | None = None
    progress: bool = True


def planned_epochs(settings: TrainerSettings, steps_per_epoch: int) -> int:
    """Epochs of a node: ``max_epochs``, raised until a small node makes ``min_steps`` optimizer steps."""
    return max(filled(settings.max_epochs), math.ceil(filled(settings.min_steps) / steps_per_epoch))


def filled(value: _T | None) -> _T:
    """A value that ``None`` stands for only until :class:`patent_hier.settings.Settings` are made of it."""
    assert value is not None
    return value
