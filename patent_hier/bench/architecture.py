"""The size of an encoder of BERT's architecture, and the arithmetic that it takes. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patent_hier.errors import ConfigError

MAX_LENGTH = 200  # tokens of the bench's texts, the paper's
TRAINING_PASSES = 3  # forward passes that take the operations of a training step: the backward pass counts twice
_TOKEN_TYPES = 2
# Types of config.json whose layers are BERT's.
_LIKE_BERT = ("bert", "roberta", "xlm-roberta", "camembert", "ernie", "electra")


@dataclass(frozen=True)
class Architecture:
    """An encoder of BERT's architecture.

    Attributes:
        hidden_size: Width of the hidden states.
        layers: Transformer layers.
        heads: Attention heads of a layer.
        intermediate_size: Width of the feed-forward layers.
        vocabulary: Token embeddings.
        positions: Position embeddings.
    """

    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    vocabulary: int
    positions: int = 512

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str) -> "Architecture":
        """Read a ``config.json``.

        Args:
            config: Its content.
            name: The encoder's, for the error.

        Raises:
            ConfigError: If it is no encoder of BERT's architecture.
        """
        kind = config.get("model_type")
        if kind not in _LIKE_BERT:
            raise ConfigError(
                f"encoder {name} is of type {kind}; its arithmetic is known for BERT's architecture only "
                f"({', '.join(_LIKE_BERT)}): choose encoder=bert_base_chinese to plan with its size"
            )
        keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
        if missing := [key for key in keys if type(config.get(key)) is not int]:
            raise ConfigError(f"config.json of encoder {name} has no {missing[0]}; copy the encoder again")
        hidden, layers, heads, intermediate, vocabulary = (int(config[key]) for key in keys)
        positions = int(config.get("max_position_embeddings", 512))
        return cls(hidden, layers, heads, intermediate, vocabulary, positions)

    @property
    def matrix_weights(self) -> int:
        """Weights that each token is multiplied by: queries, keys, values, output, and the two feed-forward matrices.

        Embeddings are looked up, not multiplied; the classifier's head is left out.
        """
        return self.layers * (4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size)

    @property
    def parameters(self) -> int:
        """All weights: matrices, embeddings, biases, layer norms; without BERT's pooler, which we leave out."""
        hidden, inner = self.hidden_size, self.intermediate_size
        embeddings = (self.vocabulary + self.positions + _TOKEN_TYPES) * hidden + 2 * hidden
        biases_and_norms = self.layers * (4 * hidden + inner + hidden + 4 * hidden)
        return embeddings + self.matrix_weights + biases_and_norms

    def forward_flops(self, tokens: float, squares: float) -> float:
        """Floating-point operations of one forward pass.

        Two for each of the :attr:`matrix_weights` and each token, and two for each product of queries with keys and of
        attention with values. A training step takes three times as many: the backward pass has two products for each
        of the forward one.

        Args:
            tokens: Tokens of all documents together.
            squares: The sum of the squares of each document's tokens.

        Source: Kaplan et al. (2020), arXiv:2001.08361, section 2.1; the attention's term is exact instead of dropped.
        """
        return 2 * self.matrix_weights * tokens + 4 * self.layers * self.hidden_size * squares


# The networks that the bench trains and scores, by name; their vocabulary is that of the package's encoder.
SIZES = {"demo": Architecture(64, 6, 2, 256, 8192), "base": Architecture(768, 12, 12, 3072, 8192)}
