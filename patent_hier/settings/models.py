"""Settings of the models: names, inputs and parameters.

The class attribute ``inputs`` names a model's input: ``wordpiece`` (the ``encoder`` group), ``words`` (the
``features`` group) or ``ngrams`` (character n-grams of its own).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

from patent_hier.settings.data import CONTEXT_WEIGHTS

ATTENTION = "attention"
POOLINGS = ("cls", "mean", "last", ATTENTION)
# The settings that affect each head, besides dropout; the others have no effect on it.
HEAD_SETTINGS = {
    "document_matrix": ("num_last_layers", "pooling", "pool_size", "num_filters", "kernel_size", "hidden_order"),
    "token": ("num_last_layers", "num_filters", "kernel_size"),
    "cls": ("pooling",),
}
VECTOR_HEADS = ("document_matrix", "cls")  # heads that read one vector of each layer and no single tokens
HIDDEN_ORDERS = ("natural", "shuffled")
CELLS = ("lstm", "gru")
RNN_POOLINGS = ("last", ATTENTION)
CLASSIFIERS = ("svm", "logistic")
LONGEST_NGRAM = 20  # characters
# Settings that have no effect of their own.
NO_INFLUENCE = (
    "name",
    *(f"suggested_{key}" for key in ("lr", "batch_size", "max_epochs", "whole_epochs", "min_steps")),
)


@dataclass
class ModelSettings:
    """Settings common to all models.

    Attributes:
        name: Short name in folders and tables.
        suggested_lr: Learning rate that suits this model; used if ``optimizer.lr`` is not set. ``null``: the encoder's.
            Models without gradient steps ignore it.
        suggested_batch_size: Documents per step; used if ``trainer.batch_size`` is not set.
        suggested_max_epochs: Passes over the training documents; used if ``trainer.max_epochs`` is not set.
        suggested_whole_epochs: The same for the nodes ``flat`` and ``shared``, whose many labels take more passes.
        suggested_min_steps: Minimum number of steps; used if ``trainer.min_steps`` is not set. ``null``: the encoder's.
    """

    inputs: ClassVar[str]
    is_seeded: ClassVar[bool] = True  # whether the seed affects what is learnt

    name: str = "model"
    suggested_lr: float | None = 1e-3
    suggested_batch_size: int = 16
    suggested_max_epochs: int = 5
    suggested_whole_epochs: int = 10
    suggested_min_steps: int | None = 600

    @property
    def knows_titled_labels(self) -> bool:
        """Whether the model can predict a label without training documents, by its title in ``data.label_text``."""
        return False

    def influence(self) -> dict[str, Any]:
        """Return the settings that affect what the model learns from the same data, by name."""
        return {key: value for key, value in asdict(self).items() if key not in NO_INFLUENCE}


@dataclass
class BertCnnSettings(ModelSettings):
    """The paper's classifier and its controls.

    Attributes:
        name: ``bertcnn``, or ``bert`` for the linear control.
        head: ``document_matrix`` (as in the paper), ``token`` (convolution over tokens) or ``cls`` (linear).
        num_last_layers: N, the number of last Transformer layers that the head reads.
        pooling: How a layer's output becomes one vector (``document_matrix`` and ``cls`` heads): ``cls`` (the first
            token), ``mean`` (over all tokens), ``last`` (the last token) or ``attention`` (a mean of the tokens,
            weighted by a learnt query for each layer). ``cls`` cannot be used with a decoder, whose first token reads
            no other token. ``null``: what suits the encoder; a network built without an encoder's settings uses
            ``cls``.
        pool_size: Width of the max-pooling windows along the hidden axis; ``null`` for one global maximum.
        num_filters: Number of convolution filters.
        kernel_size: Length of a filter: hidden dimensions (``document_matrix``) or tokens (``token``).
        hidden_order: ``natural``, or ``shuffled``: a control that permutes the hidden dimensions once, at random,
            before the convolution along them (``document_matrix``).
        dropout: Dropout probability before the last linear layer.
    """

    inputs: ClassVar[str] = "wordpiece"

    name: str = "bertcnn"
    suggested_lr: float | None = None
    suggested_whole_epochs: int = 6  # fewer than other models: its encoder is pre-trained
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
        """Return only what the chosen head reads; ``bert`` is the same as ``bertcnn`` with ``head=cls``."""
        names = ("head", "dropout", *HEAD_SETTINGS[self.head])
        return {name: getattr(self, name) for name in names}


@dataclass
class TextCnnSettings(ModelSettings):
    """Convolutions over word vectors, followed by the maximum over the document.

    Attributes:
        name: ``textcnn``.
        kernel_sizes: Lengths of the filters in words (or characters).
        num_filters: Filters of each length.
        dropout: Dropout probability before the last linear layer.
        tune_vectors: Train the word vectors too; ``false`` keeps them fixed.
    """

    inputs: ClassVar[str] = "words"

    name: str = "textcnn"
    suggested_lr: float | None = 3e-3  # with 1e-3, small sections had not converged when training ended
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
        hidden_size: Width of the state in each direction.
        num_layers: Number of layers.
        dropout: Dropout probability before the last linear layer and between layers.
        tune_vectors: Train the word vectors too; ``false`` keeps them fixed.
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


# The networks, by their names in conf/model.
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
        ngram_sizes: Minimum and maximum length of the n-grams in characters.
        min_documents: Minimum number of the node's training documents that must contain an n-gram.
        max_terms: Maximum number of n-grams, the most frequent of the corpus's training part; ``null`` keeps all.
        context_weight: Weight of ``data.context`` relative to the text, which has 1; ``null`` chooses the best of 0.1,
            0.3 and 0.5 on ``val``.
    """

    inputs: ClassVar[str] = "ngrams"

    ngram_sizes: list[int] = field(default_factory=lambda: [1, 3])
    min_documents: int = 2
    max_terms: int | None = 1_000_000
    context_weight: float | None = None

    def influence(self) -> dict[str, Any]:
        """Return all settings but the context weight; the run's fingerprint includes that if there is a context."""
        return {key: value for key, value in super().influence().items() if key != "context_weight"}

    @property
    def context_weights(self) -> tuple[float, ...]:
        """Weights of the context among which the model chooses on ``val``, ascending; a single one if fixed."""
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
