"""Settings of ``patent-hier pretrain``: text, vocabulary, architecture, masking and duration."""

from dataclasses import dataclass, field, replace
from typing import Any

from patent_hier.settings.data import DemoDataSettings, SplitSettings
from patent_hier.settings.training import OptimizerSettings

_LR = 1e-3  # for a new encoder


@dataclass
class VocabularySettings:
    """The word pieces of a new encoder; an encoder that is trained further keeps its own vocabulary.

    Attributes:
        path: A ``vocab.txt`` to use unchanged; ``null`` builds a vocabulary from the text.
        size: Maximum number of tokens. If the text has more distinct characters, only the most frequent are included.
        min_count: Minimum number of times that two adjacent pieces must occur in the text to be merged.
    """

    path: str | None = None
    size: int = 8192
    min_count: int = 5


@dataclass
class ArchitectureSettings:
    """The architecture of a new BERT.

    Attributes:
        hidden_size: Width of the hidden states.
        num_hidden_layers: Number of Transformer layers.
        num_attention_heads: Heads per layer; must divide ``hidden_size``.
        intermediate_size: Width of the feed-forward layers.
        max_positions: Maximum input length in tokens.
        dropout: Dropout probability that is written to ``config.json`` for later training.
    """

    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_positions: int = 512
    dropout: float = 0.1


@dataclass
class MaskingSettings:
    """How tokens are chosen for prediction and masked.

    Attributes:
        share: Fraction of the text that is chosen; of this, 80 % is masked, 10 % replaced at random and 10 % left as it
            is.
        whole_words: Choose whole words (segmented by jieba) instead of single tokens.
    """

    share: float = 0.15
    whole_words: bool = True


@dataclass
class PretrainSettings:
    """All settings of one pre-training run.

    Attributes:
        name: Short name of the encoder; part of its folder's name.
        text: Training files: ``.txt`` with one passage per line, plain or compressed as ``.xz`` or ``.gz``, or
            ``.parquet`` with a column ``text``. If empty, the training part of ``data`` is used.
        data: A :class:`patent_hier.settings.DataSettings`; read only if ``text`` is empty.
        split: The split whose training part is read; used only if ``text`` is empty.
        encoder: Not read; present because the choices of ``data`` also choose an encoder for classifiers.
        start: Folder or hub name of an encoder to train further (domain adaptation); ``null`` starts a new one.
        vocabulary: Vocabulary of a new encoder.
        architecture: Architecture of a new encoder.
        masking: How tokens are chosen for prediction and masked.
        held_out: Fraction of the passages held out for the development loss.
        held_out_tokens: Maximum number of held-out tokens that are scored after each round.
        seq_len: Tokens per packed row.
        batch_size: Rows per optimizer step.
        max_steps: Maximum number of optimizer steps; ``null`` for no limit.
        max_time: Maximum minutes of training, excluding interruptions; ``null`` for no limit. Training ends at
            whichever limit is reached first.
        dropout: Dropout probability during pre-training; text that is read only a few times needs none.
        steps_per_round: Optimizer steps between two scores of the held-out text; the state is saved after each score.
        optimizer: How weights are updated; the schedule spans the run up to the limit that is reached first. If no
            learning rate is set, one that suits a new encoder is used; 5e-5 suits an encoder that is trained further.
        gradient_clip: Maximum gradient norm; ``null`` for no clipping.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        precision: ``auto``, ``32-true`` or ``bf16-mixed``. ``auto`` chooses bf16 on a GPU that supports it and, for
            encoders of 64 dimensions or more, on a CPU with AVX512-BF16 or AMX; otherwise fp32.
        compile: Compile the network; ``null`` compiles on a GPU only.
        num_threads: CPU threads of PyTorch; ``null`` keeps its default.
        half: Save the weights in half precision; they are float32 again when loaded.
        seed: Seed of weights, row order, masks and dropout.
        runs_dir: Folder of results; the encoder is written to ``<runs_dir>/encoders/<name>-<fingerprint>``.
        cache_dir: Folder of packed text and of the state from which an interrupted run continues.
        progress: Print one line per round.
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
