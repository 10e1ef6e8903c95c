"""Settings of the optimizer and of training."""

import math
from dataclasses import dataclass, field
from typing import TypeVar

_T = TypeVar("_T")
BEST, LAST = KEEPS = ("best", "last")  # the epoch whose weights are kept
FP32, BF16 = "32-true", "bf16-mixed"  # Lightning's names of the precisions


@dataclass
class OptimizerSettings:
    """How weights are updated.

    Attributes:
        name: ``adamw``, ``adam``, or ``muon`` (for the matrices of Transformer layers; AdamW for the other weights).
        lr: Peak learning rate; ``null``: the rate that suits the model or its encoder.
        head_lr: Peak learning rate of the layers above the encoder, whose weights start at random; ``null``: same as
            ``lr`` or, if that is ``null`` too, the rate that suits the encoder. Only for models with an encoder.
        layer_decay: Factor on the rate from one layer of the encoder to the next lower one: the top layer learns at
            ``lr``, the embeddings at the lowest rate. 1 for a single rate. Only for models with an encoder.
        weight_decay: Weight decay, decoupled for AdamW; not applied to biases and layer norms.
        warmup: Fraction of all steps during which the rate rises linearly.
        schedule: Rate after the warm-up: ``linear`` (falls to 0) or ``constant``.
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
    """How a node is trained: duration, batches, loss and hardware.

    Attributes:
        max_epochs: Passes over the node's training documents; ``null``: the number that suits the model and, for the
            nodes ``flat`` and ``shared``, their many labels.
        min_steps: Minimum number of optimizer steps: the epochs of a small node are raised to reach it, and early
            stopping waits for it; ``null``: the number that suits the model or its encoder.
        batch_size: Documents per optimizer step, over all devices; ``null``: the size that suits the model.
        score_batch_size: Documents per batch and device when scoring.
        keep: ``best`` keeps the weights of the epoch with the best validation accuracy, ``last`` those of the last
            epoch.
        patience: Epochs without a better validation accuracy before training stops; ``null`` turns early stopping off.
            No effect without validation documents.
        class_weights: Weight the loss by inverse class frequency.
        level_weights: Weights of the levels' terms in the loss, by level, where they are not 1: ``{subgroup: 0.5}``.
            A network of the node ``flat`` has terms above its deepest level only if they are named here.
        section_loss: Weight of the section's cross-entropy at the node ``flat``, where a section's probability is the
            sum over its classes; 0 for none. Ignored at other nodes.
        r_drop: Weight of R-Drop: each batch is read twice with different dropout, and differences between the two
            outputs are penalised. A step takes about twice as long. 0 for none.
        label_smoothing: Share of the target that is spread over all labels of the same softmax: siblings, or all labels
            of a flat network. Not applied to the validation loss. 0 for none.
        ema: Decay per step of a running average of the weights, which is validated and kept; 0.99 averages over about a
            hundred steps. After ``n`` steps the decay is at most ``(1 + n) / (10 + n)``. 0 for none.
        text_turns: Number of epochs over which texts that are not documents, such as the titles of ``data.label_text``,
            are spread: each is read in one of them, so that tens of thousands of texts do not outnumber the documents.
        gradient_clip: Maximum gradient norm; ``null`` for no clipping.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        accumulate: Passes in which a device reads its part of each batch. Gradients are accumulated, so a batch needs
            less memory and gives the same result, up to rounding and the randomness of dropout. ``null`` starts with
            one pass and restarts with twice as many whenever memory runs out.
        checkpoint_minutes: Minutes between two checkpoints. A killed run continues from the last one and ends with the
            same weights as an uninterrupted run. 0 saves before every batch; ``null`` never saves.
        devices: GPUs, or processes on a CPU, that train one node together; ``null`` for all GPUs of the machine, or for
            those of torchrun. Changes the result only by rounding and by the randomness of dropout.
        precision: ``auto``, ``32-true`` or ``bf16-mixed``. ``auto`` chooses bf16 on a GPU that supports it and, for
            encoders or word vectors of 64 dimensions or more, on a CPU with AVX512-BF16 or AMX; otherwise fp32.
        num_threads: CPU threads of PyTorch in each process; ``null`` keeps its default, or torchrun's; processes
            started for ``devices`` share it.
        progress: Print one line per epoch (and a bar on a terminal).
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
    """Return the epochs of a node: ``max_epochs``, raised until a small node makes ``min_steps`` optimizer steps."""
    return max(filled(settings.max_epochs), math.ceil(filled(settings.min_steps) / steps_per_epoch))


def filled(value: _T | None) -> _T:
    """Return a setting that was ``None`` only until :class:`patent_hier.settings.Settings` filled it in."""
    assert value is not None
    return value
