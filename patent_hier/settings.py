"""Every setting of a run: one dataclass per group of ``conf/``; the schema that catches a misspelt option.

Standard library only, so that ``run.py --help`` stays instant. Values come from ``conf/``; the defaults here only make
the classes usable from Python. ``???`` is Hydra's mark for a value that must be given.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from patent_hier.errors import ConfigError
from patent_hier.ipc import SECTIONS

ROOT = "root"
FLAT = "flat"
HIER_NODES = (ROOT, *SECTIONS)
POOLINGS = ("cls", "mean")
# What each head reads, beside its dropout; the other settings have no influence on it.
HEAD_SETTINGS = {
    "document_matrix": ("num_last_layers", "pooling", "pool_size", "num_filters", "kernel_size"),
    "token": ("num_last_layers", "num_filters", "kernel_size"),
    "cls": ("pooling",),
}
MISSING = "???"
_UNBOUNDED = 10**6  # a bound from here on only keeps nonsense out


@dataclass
class DataSettings:
    """Where the corpus comes from and how a raw CSV is read.

    Attributes:
        name: ``demo``, ``cnipa`` or ``gazette``; part of the corpus folder's name.
        path: Raw CSV file; ``null`` only for the demo corpus, which is generated.
        text: Header names of the fields that make the text, in this order.
        columns: Our field name -> the file's header name, where it differs from the paper's 16 columns.
        encoding: ``gb18030`` (a superset of GBK) or ``utf-8``.
        min_symbol: How complete the main IPC symbol must be: ``group``, ``subclass`` or ``class``.
        edition: IPC edition: ``2017`` (130 classes) or ``latest`` (with G16 and H10).
        max_reject_share: Fraction of rows that may be rejected before the run stops; designs are not counted.
    """

    name: str = MISSING
    path: str | None = None
    text: list[str] = field(default_factory=lambda: ["摘要"])
    columns: dict[str, str] = field(default_factory=dict)
    encoding: str = "gb18030"
    min_symbol: str = "class"
    edition: str = "latest"
    max_reject_share: float = 0.2


@dataclass
class DemoDataSettings(DataSettings):
    """The generated corpus.

    Attributes:
        rows: Number of documents to generate (broken rows, designs and duplicates come on top).
        seed: Seed of the generator.
    """

    rows: int = 6000
    seed: int = 2017


@dataclass
class SplitSettings:
    """The corpus-level split.

    Attributes:
        policy: ``random`` (the paper's) or ``applicant`` (all documents of an applicant in one part).
        test: Fraction of all documents.
        val: Fraction of the rest; chooses epochs and settings.
        calibration: Fraction of the rest; fits temperatures and thresholds only.
        seed: Seed of the split, separate from the model's.
    """

    policy: str = "random"
    test: float = 0.1
    val: float = 0.1
    calibration: float = 0.05
    seed: int = 0


@dataclass
class EncoderSettings:
    """A pre-trained Transformer encoder.

    Attributes:
        name: Short name for folders and tables.
        path: Hub name (``google-bert/bert-base-chinese``) or local folder in transformers format.
        revision: Hub revision; ``null`` for the newest one in the local cache.
        pretrained: ``false`` keeps the architecture and vocabulary and draws random weights (a control).
        freeze: Keep the encoder's weights fixed and its dropout off.
        max_length: Longest document in tokens, with [CLS] and [SEP]; longer ones are cut.
        suggested_lr: Learning rate that suits this encoder; ``optimizer.lr`` takes it unless set.
    """

    name: str = MISSING
    path: str | None = None
    revision: str | None = None
    pretrained: bool = True
    freeze: bool = False
    max_length: int = 200
    suggested_lr: float = 3e-5


@dataclass
class DemoEncoderSettings(EncoderSettings):
    """A small BERT with the project's own vocabulary and random weights.

    Attributes:
        hidden_size: Width of the hidden states.
        num_hidden_layers: Number of Transformer layers.
        num_attention_heads: Heads per layer; must divide ``hidden_size``.
        intermediate_size: Width of the feed-forward layers.
        dropout: Dropout probability inside the encoder.
    """

    hidden_size: int = 64
    num_hidden_layers: int = 6
    num_attention_heads: int = 2
    intermediate_size: int = 256
    dropout: float = 0.0


@dataclass
class BertCnnSettings:
    """The paper's classifier and its controls.

    Attributes:
        name: ``bertcnn``, or ``bert`` for the linear control.
        head: ``document_matrix`` (the paper's), ``token`` (convolution over tokens) or ``cls`` (linear).
        num_last_layers: N, the number of last Transformer layers that the head reads.
        pooling: How a layer's output becomes one vector: ``cls`` or ``mean`` (``document_matrix`` and ``cls`` heads).
        pool_size: Width of the max-pooling windows along the hidden axis; ``null`` for one global maximum.
        num_filters: Number of convolution filters.
        kernel_size: Length of a filter: hidden dimensions (``document_matrix``) or tokens (``token``).
        dropout: Dropout probability before the last linear layer.
    """

    name: str = "bertcnn"
    head: str = "document_matrix"
    num_last_layers: int = 4
    pooling: str = "cls"
    pool_size: int | None = 4
    num_filters: int = 32
    kernel_size: int = 3
    dropout: float = 0.1

    def influence(self) -> dict[str, Any]:
        """The settings that decide the network, by name; ``bert`` and ``bertcnn`` with ``head=cls`` are one."""
        names = ("head", "dropout", *HEAD_SETTINGS[self.head])
        return {name: getattr(self, name) for name in names}


@dataclass
class LevelSettings:
    """Which nodes a command trains.

    Attributes:
        name: ``section``, ``class``, ``hier``, ``node`` or ``flat``.
    """

    name: str = MISSING


@dataclass
class OptimizerSettings:
    """How weights are updated.

    Attributes:
        name: ``adamw`` or ``adam``.
        lr: Peak learning rate.
        weight_decay: Decoupled for AdamW; not applied to biases and layer norms.
        warmup: Fraction of all steps with a linearly rising rate.
        schedule: ``linear`` (falls to 0) or ``constant`` after the warm-up.
    """

    name: str = "adamw"
    lr: float = 3e-5
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: str = "linear"


@dataclass
class TrainerSettings:
    """How long and on what a node is trained.

    Attributes:
        max_epochs: Passes over the node's training documents.
        min_steps: Optimizer steps that a node makes at least: a small node's epochs are raised to reach them, and none
            stops early before.
        batch_size: Documents per optimizer step.
        score_batch_size: Documents per batch when scoring.
        patience: Epochs without a better validation accuracy before training stops; ``null`` never stops early.
        class_weights: Weigh the loss by inverse class frequency.
        gradient_clip: Largest gradient norm; ``null`` for none.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        precision: ``auto`` (bf16 on a GPU that has it, else fp32), ``32-true`` or ``bf16-mixed``.
        num_threads: CPU threads of PyTorch; ``null`` leaves its default.
        progress: Print a line per epoch (and a bar on a terminal).
    """

    max_epochs: int = 5
    min_steps: int = 600
    batch_size: int = 16
    score_batch_size: int = 64
    patience: int | None = 2
    class_weights: bool = False
    gradient_clip: float | None = 1.0
    accelerator: str = "auto"
    precision: str = "auto"
    num_threads: int | None = None
    progress: bool = True


@dataclass
class Settings:
    """One node's run, whole.

    Attributes:
        node: ``root``, a section ``A`` … ``H``, or ``flat``.
        seed: Seed of initial weights, batches and dropout.
        runs_dir: Folder of results.
        cache_dir: Folder of what can be made again: corpora, splits, token ids.
    """

    data: Any = MISSING
    split: SplitSettings = field(default_factory=SplitSettings)
    encoder: Any = MISSING
    model: Any = MISSING
    level: LevelSettings = field(default_factory=LevelSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    node: str = MISSING
    seed: int = 1
    runs_dir: str = "runs"
    cache_dir: str = "cache"


def check(settings: Settings) -> None:
    """Refuse values that no part of the program can work with.

    Raises:
        ConfigError: Naming the setting, its value and what is allowed.
    """
    _one_of("node", settings.node, (*HIER_NODES, FLAT))
    _check_data(settings.data)
    _check_model(settings.model)
    _check_training(settings.trainer, settings.optimizer)
    if settings.encoder.max_length < 3:
        raise ConfigError(f"encoder.max_length={settings.encoder.max_length} leaves no room for text; use 3 or more")
    if settings.seed < 0:
        raise ConfigError(f"seed={settings.seed} is negative; use 0 or more")


def _check_data(data: DataSettings) -> None:
    _one_of("data.min_symbol", data.min_symbol, ("group", "subclass", "class"))
    _one_of("data.edition", data.edition, ("2017", "latest"))
    _one_of("data.encoding", data.encoding, ("gb18030", "utf-8"))
    _between("data.max_reject_share", data.max_reject_share, 0, 1)
    if not data.text:
        raise ConfigError("data.text=[] names no field; name at least one, for example data.text=[摘要]")
    if isinstance(data, DemoDataSettings):
        _between("data.rows", data.rows, 1, 10**9)
        if data.path is not None:
            raise ConfigError(f"data.path={data.path} goes with data=cnipa or data=gazette; data=demo is generated")
    elif data.path is None:
        raise ConfigError(f"data={data.name} needs its file: data.path=FILE.csv")


def _check_model(model: BertCnnSettings) -> None:
    _one_of("model.head", model.head, tuple(HEAD_SETTINGS))
    _one_of("model.pooling", model.pooling, POOLINGS)
    if model.name == "bert" and model.head != "cls":
        raise ConfigError(f"model=bert is the linear control; for model.head={model.head} use model=bertcnn")
    for name in ("num_last_layers", "num_filters", "kernel_size"):
        _between(f"model.{name}", getattr(model, name), 1, 10**6)
    if model.pool_size is not None:
        _between("model.pool_size", model.pool_size, 1, 10**6)
    _between("model.dropout", model.dropout, 0, 0.99)


def _check_training(trainer: TrainerSettings, optimizer: OptimizerSettings) -> None:
    for name in ("max_epochs", "batch_size", "score_batch_size"):
        _between(f"trainer.{name}", getattr(trainer, name), 1, 10**9)
    _between("trainer.min_steps", trainer.min_steps, 0, 10**9)
    if trainer.patience is not None:
        _between("trainer.patience", trainer.patience, 1, 10**9)
    if trainer.gradient_clip is not None:
        _between("trainer.gradient_clip", trainer.gradient_clip, 1e-6, 1e6)
    if trainer.num_threads is not None:
        _between("trainer.num_threads", trainer.num_threads, 1, 4096)
    _one_of("trainer.accelerator", trainer.accelerator, ("auto", "cpu", "gpu"))
    _one_of("trainer.precision", trainer.precision, ("auto", "32-true", "bf16-mixed"))
    _one_of("optimizer.name", optimizer.name, ("adamw", "adam"))
    _one_of("optimizer.schedule", optimizer.schedule, ("linear", "constant"))
    _between("optimizer.lr", optimizer.lr, 1e-12, 100)
    _between("optimizer.weight_decay", optimizer.weight_decay, 0, 100)
    _between("optimizer.warmup", optimizer.warmup, 0, 1)


def as_dict(settings: Any) -> dict[str, Any]:
    """Nested plain dictionaries of a settings dataclass, ready for JSON or YAML."""
    return dataclasses.asdict(settings)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value} is unknown; choose one of {', '.join(allowed)}")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        allowed = f"{low:g} or more" if high >= _UNBOUNDED else f"a value from {low:g} to {high:g}"
        raise ConfigError(f"{name}={value} is out of range; use {allowed}")
