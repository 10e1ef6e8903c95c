"""Settings of the models: what each is called, what it reads, and its own parameters.

A model's class says by ``inputs`` what it reads: ``wordpiece`` (the ``encoder`` group), ``words`` (the ``features``
group) or ``ngrams`` (its own character n-grams).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

from patent_hier.settings.data import CONTEXT_WEIGHTS

ATTENTION = "attention"
POOLINGS = ("cls", "mean", "last", ATTENTION)
# What each head reads, beside its dropout; the other settings have no influence on it.
HEAD_SETTINGS = {
    "document_matrix": ("num_last_layers", "pooling", "pool_size", "num_filters", "kernel_size", "hidden_order"),
    "token": ("num_last_layers", "num_filters", "kernel_size"),
    "cls": ("pooling",),
}
VECTOR_HEADS = ("document_matrix", "cls")  # those that read one vector of each layer, and no single tokens
HIDDEN_ORDERS = ("natural", "shuffled")
CELLS = ("lstm", "gru")
RNN_POOLINGS = ("last", ATTENTION)
CLASSIFIERS = ("svm", "logistic")
LONGEST_NGRAM = 20  # characters
# By themselves.
NO_INFLUENCE = (
    "name",
    *(f"suggested_{key}" for key in ("lr", "batch_size", "max_epochs", "whole_epochs", "min_steps")),
)


@dataclass
class ModelSettings:
    """Settings common to all models.

    Attributes:
        name: Short name for folders and tables.
        suggested_lr: Learning rate that suits this model; ``optimizer.lr`` takes it unless set. ``null``: that of the
            encoder. Models without gradient steps ignore it.
        suggested_batch_size: Likewise documents per step, for ``trainer.batch_size``.
        suggested_max_epochs: Likewise passes over the training documents, for ``trainer.max_epochs``.
        suggested_whole_epochs: The same at the nodes ``flat`` and ``shared``, whose many labels take more of them.
        suggested_min_steps: Likewise the least number of steps, for ``trainer.min_steps``; ``null``: the encoder's.
    """

    inputs: ClassVar[str]
    is_seeded: ClassVar[bool] = True  # whether the seed has any influence on what is learnt

    name: str = "model"
    suggested_lr: float | None = 1e-3
    suggested_batch_size: int = 16
    suggested_max_epochs: int = 5
    suggested_whole_epochs: int = 10
    suggested_min_steps: int | None = 600

    @property
    def knows_titled_labels(self) -> bool:
        """Whether it can answer a label that training has never shown, by its title in ``data.label_text``."""
        return False

    def influence(self) -> dict[str, Any]:
        """The settings that decide what the model learns from the same data, by name."""
        return {key: value for key, value in asdict(self).items() if key not in NO_INFLUENCE}


@dataclass
class BertCnnSettings(ModelSettings):
    """The paper's classifier and its controls.

    Attributes:
        name: ``bertcnn``, or ``bert`` for the linear control.
        head: ``document_matrix`` (the paper's), ``token`` (convolution over tokens) or ``cls`` (linear).
        num_last_layers: N, the number of last Transformer layers that the head reads.
        pooling: How a layer's output becomes one vector (``document_matrix`` and ``cls`` heads): ``cls`` (the first
            token), ``mean`` (over all tokens), ``last`` (the last token) or ``attention`` (a mean of the tokens,
            weighted by a learnt query of each layer). The first token of a decoder has read nothing else, so that
            ``cls`` does not go with one. ``null``: what suits the encoder; a network that is built without its settings
            takes ``cls``.
        pool_size: Width of the max-pooling windows along the hidden axis; ``null`` for one global maximum.
        num_filters: Number of convolution filters.
        kernel_size: Length of a filter: hidden dimensions (``document_matrix``) or tokens (``token``).
        hidden_order: ``natural``, or ``shuffled``: a control that permutes the hidden dimensions once, at random,
            before the filters slide along them (``document_matrix``).
        dropout: Dropout probability before the last linear layer.
    """

    inputs: ClassVar[str] = "wordpiece"

    name: str = "bertcnn"
    suggested_lr: float | None = None
    suggested_whole_epochs: int = 6  # it begins with what its encoder knows
    suggested_min_steps: int | None = None
    head: str = "document_matrix"
    num_last_layers: int = 4
    pooling: str | None = None
    pool_size: int | None = 4
    num_filters: int = 32
    kernel_size: int = 3
    hidden_order: str = "natural"
    dropout: float = 0.1

    def influence(self) -> dict[str, Any]:
        """Only what the chosen head reads; ``bert`` and ``bertcnn`` with ``head=cls`` are one."""
        names = ("head", "dropout", *HEAD_SETTINGS[self.head])
        return {name: getattr(self, name) for name in names}


@dataclass
class TextCnnSettings(ModelSettings):
    """Convolutions over word vectors and the maximum over the document.

    Attributes:
        name: ``textcnn``.
        kernel_sizes: Lengths of the filters in words (or characters).
        num_filters: Filters of each length.
        dropout: Dropout probability before the last linear layer.
        tune_vectors: Train the word vectors too; ``false`` keeps them as they are.
    """

    inputs: ClassVar[str] = "words"

    name: str = "textcnn"
    suggested_lr: float | None = 3e-3  # with 1e-3, sections of some hundred documents were still learning at their end
    suggested_batch_size: int = 32
    suggested_min_steps: int | None = 400
    kernel_sizes: list[int] = field(default_factory=lambda: [2, 3, 4])
    num_filters: int = 128
    dropout: float = 0.5
    tune_vectors: bool = True


@dataclass
class RnnSettings(ModelSettings):
    """A bidirectional recurrent network over word vectors.

    Attributes:
        name: ``rnn``.
        cell: ``lstm`` or ``gru``.
        pooling: ``last`` (the last state of each direction) or ``attention`` (a learnt weighted mean of all states).
        hidden_size: Width of the state, each direction.
        num_layers: Layers.
        dropout: Dropout probability before the last linear layer and between layers.
        tune_vectors: Train the word vectors too; ``false`` keeps them as they are.
    """

    inputs: ClassVar[str] = "words"

    name: str = "rnn"
    suggested_lr: float | None = 3e-3
    suggested_batch_size: int = 32
    suggested_min_steps: int | None = 400
    cell: str = "lstm"
    pooling: str = "last"
    hidden_size: int = 128
    num_layers: int = 1
    dropout: float = 0.5
    tune_vectors: bool = True


# The networks by the names of conf/model.
NETWORKS: dict[str, Callable[[], ModelSettings]] = {
    "bertcnn": BertCnnSettings,
    "bert": partial(BertCnnSettings, name="bert", head="cls"),
    "textcnn": TextCnnSettings,
    "rnn": RnnSettings,
}


@dataclass
class NgramSettings(ModelSettings):
    """Settings common to all models on character n-grams.

    Attributes:
        ngram_sizes: Shortest and longest n-gram in characters.
        min_documents: Training documents of the node that an n-gram must stand in.
        max_terms: Most frequent n-grams of the corpus's training part that are kept; ``null`` keeps all.
        context_weight: Weight of ``data.context`` against the text, which has 1; ``null``: of 0.1, 0.3 and 0.5 the best
            on ``val``.
    """

    inputs: ClassVar[str] = "ngrams"

    ngram_sizes: list[int] = field(default_factory=lambda: [1, 3])
    min_documents: int = 2
    max_terms: int | None = 1_000_000
    context_weight: float | None = None

    def influence(self) -> dict[str, Any]:
        """All but the weight of a context, which counts only where there is one: the run's fingerprint has it there."""
        return {key: value for key, value in super().influence().items() if key != "context_weight"}

    @property
    def context_weights(self) -> tuple[float, ...]:
        """Weights of context among which the model chooses on ``val``, ascending; one where there is no choice."""
        return CONTEXT_WEIGHTS if self.context_weight is None else (self.context_weight,)


@dataclass
class LinearSettings(NgramSettings):
    """A linear classifier on character TF-IDF.

    Attributes:
        name: ``linear`` (a support vector machine) or ``logistic``.
        classifier: ``svm`` (one against the rest, squared hinge) or ``logistic`` (multinomial).
        c: Inverse strength of the L2 penalty.
    """

    name: str = "linear"
    classifier: str = "svm"
    c: float = 1.0

    @property
    def knows_titled_labels(self) -> bool:
        """See :attr:`ModelSettings.knows_titled_labels`."""
        return self.classifier == "svm"


@dataclass
class NaiveBayesSettings(NgramSettings):
    """Multinomial naive Bayes on character TF-IDF.

    Attributes:
        name: ``naive_bayes``.
        alpha: Additive smoothing.
    """

    is_seeded: ClassVar[bool] = False

    name: str = "naive_bayes"
    alpha: float = 0.01


@dataclass
class NeighboursSettings(NgramSettings):
    """K nearest neighbours by cosine similarity of character TF-IDF.

    Attributes:
        name: ``knn``.
        num_neighbours: K.
    """

    is_seeded: ClassVar[bool] = False

    name: str = "knn"
    num_neighbours: int = 15
