"""Settings of ``patent-hier pretrain``: text, vocabulary, architecture, masking, how long."""

from dataclasses import dataclass, field, replace
from typing import Any

from patent_hier.settings.data import DemoDataSettings, SplitSettings
from patent_hier.settings.training import OptimizerSettings

_LR = 1e-3  # of a new encoder


@dataclass
class VocabularySettings:
    """The word pieces of a new encoder; an encoder that is trained further keeps its own.

    Attributes:
        path: A ``vocab.txt`` to take as it is; ``null`` builds one from the text.
        size: Largest number of tokens. Where the text has more characters, the most frequent have a place.
        min_count: Occurrences in the text that two pieces side by side need to become one.
    """

    path: str | None = None
    size: int = 8192
    min_count: int = 5


@dataclass
class ArchitectureSettings:
    """A new BERT.

    Attributes:
        hidden_size: Width of the hidden states.
        num_hidden_layers: Number of Transformer layers.
        num_attention_heads: Heads of each layer; must divide ``hidden_size``.
        intermediate_size: Width of the feed-forward layers.
        max_positions: Longest input in tokens that the encoder will ever read.
        dropout: Dropout probability that its ``config.json`` gives to later training.
    """

    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_positions: int = 512
    dropout: float = 0.1


@dataclass
class MaskingSettings:
    """Which tokens are to be predicted.

    Attributes:
        share: Fraction of the text that is chosen; of it 80 % is masked, 10 % replaced at random, 10 % kept.
        whole_words: Choose words (as jieba segments them) instead of single tokens.
    """

    share: float = 0.15
    whole_words: bool = True


@dataclass
class PretrainSettings:
    """One pre-training run, whole.

    Attributes:
        name: Short name of the encoder; part of its folder's name.
        text: Files to learn from: ``.txt`` with one passage a line, plain or as ``.xz`` or ``.gz``, or ``.parquet``
            with a column ``text``. Empty: the training part of ``data``.
        data: A :class:`patent_hier.settings.DataSettings`; read only where ``text`` is empty.
        split: The split whose training part is read; likewise.
        encoder: Not read; it stands here because the groups of ``data`` choose an encoder for classifiers.
        start: Folder or hub name of an encoder to train further (domain adaptation); ``null`` starts a new one.
        vocabulary: Of a new encoder.
        architecture: Of a new encoder.
        masking: Which tokens are to be predicted.
        held_out: Fraction of the passages kept back for the development loss.
        held_out_tokens: At most so many tokens of them are scored after each round.
        seq_len: Tokens of each packed row.
        batch_size: Rows of an optimizer step.
        max_steps: Optimizer steps; ``null`` for no limit.
        max_time: Minutes of training, interruptions not counted; ``null`` for no limit. Whichever ends first ends it.
        dropout: Dropout probability while pre-training; text that is read a few times only needs none.
        steps_per_round: Optimizer steps between two scores of the held-out text; after each the state is saved.
        optimizer: How weights are updated; the schedule spans whatever ends first. Without a rate of its own it has
            one that suits a new encoder; 5e-5 suits one that is trained further.
        gradient_clip: Largest gradient norm; ``null`` for none.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        precision: ``auto`` (bf16 on a GPU that has it, and for encoders of 64 dimensions or more on a CPU with
            AVX512-BF16 or AMX; else fp32), ``32-true`` or ``bf16-mixed``.
        compile: Compile the network; ``null`` does so on a GPU only.
        num_threads: CPU threads of PyTorch; ``null`` leaves its default.
        half: Save the weights in half precision; they are float32 again when loaded.
        seed: Seed of weights, order of rows, masks and dropout.
        runs_dir: The encoder goes to ``<runs_dir>/encoders/<name>-<fingerprint>``.
        cache_dir: Folder of packed text, and of the state that an interrupted run continues from.
        progress: Print a line for each round.
    """

    name: str = "encoder"
    text: list[str] = field(default_factory=list)
    data: Any = field(default_factory=DemoDataSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    encoder: Any = None
    start: str | None = None
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)
    architecture: ArchitectureSettings = field(default_factory=ArchitectureSettings)
    masking: MaskingSettings = field(default_factory=MaskingSettings)
    held_out: float = 0.01
    held_out_tokens: int = 65_536
    seq_len: int = 128
    batch_size: int = 32
    max_steps: int | None = None
    max_time: float | None = None
    dropout: float = 0.0
    steps_per_round: int = 200
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(warmup=0.05))
    gradient_clip: float | None = 1.0
    accelerator: str = "auto"
    precision: str = "auto"
    compile: bool | None = None
    num_threads: int | None = None
    half: bool = True
    seed: int = 1
    runs_dir: str = "runs"
    cache_dir: str = "cache"
    progress: bool = True

    def __post_init__(self) -> None:
        if self.optimizer.lr is None:
            self.optimizer = replace(self.optimizer, lr=_LR)
