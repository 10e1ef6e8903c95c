"""Size and arithmetic cost of an encoder with BERT's architecture, computed without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from patent_hier.errors import ConfigError

MAX_LENGTH = 200  # tokens of a benchmark text at most, as in the paper
TRAINING_PASSES = 3  # a training step costs as much as three forward passes, because the backward pass counts twice
_TOKEN_TYPES = 2
_LIKE_BERT = ("bert", "roberta", "xlm-roberta", "camembert", "ernie", "electra")  # types with BERT's layers


@dataclass(frozen=True)
class Architecture:
    """An encoder with BERT's architecture; the attributes have the same names as in its ``config.json``."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int = 512

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str) -> "Architecture":
        """Read the sizes from the ``config.json`` of the encoder ``name``.

        Raises:
            ConfigError: If the encoder does not have BERT's architecture, or a size is missing.
        """
        if (kind := config.get("model_type")) not in _LIKE_BERT:
            raise ConfigError(
                f"encoder {name} has type {kind}, but the arithmetic is known only for BERT's architecture "
                f"({', '.join(_LIKE_BERT)}); set encoder=bert_base_chinese to plan with its size"
            )
        sizes = {field.name: config.get(field.name, field.default) for field in fields(cls)}
        if missing := [key for key, size in sizes.items() if type(size) is not int]:
            raise ConfigError(f"config.json of encoder {name} has no {missing[0]}; copy the encoder again")
        return cls(**sizes)

    @property
    def matrix_weights(self) -> int:
        """Number of weights that every token is multiplied by: four attention and two feed-forward matrices per layer.

        Embeddings are looked up, not multiplied; the classifier's head is not counted.
        """
        return self.num_hidden_layers * (4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size)

    @property
    def parameters(self) -> int:
        """Number of all weights: matrices, embeddings, biases and layer norms, without BERT's pooler (not used)."""
        hidden = self.hidden_size
        embeddings = (self.vocab_size + self.max_position_embeddings + _TOKEN_TYPES + 2) * hidden
        return embeddings + self.matrix_weights + self.num_hidden_layers * (9 * hidden + self.intermediate_size)

    def forward_flops(self, tokens: float, squares: float) -> float:
        """Return the floating-point operations of a forward pass.

        Args:
            tokens: Number of tokens of all documents together.
            squares: Sum of the squared numbers of tokens of the documents.

        Source: Kaplan et al. (2020), arXiv:2001.08361, section 2.1; the attention term is exact instead of dropped.
        """
        return 2 * self.matrix_weights * tokens + 4 * self.num_hidden_layers * self.hidden_size * squares


# The networks that are trained and scored, by name; they use the vocabulary of the packaged encoder.
SIZES = {"demo": Architecture(64, 6, 2, 256, 8192), "base": Architecture(768, 12, 12, 3072, 8192)}
# Networks that are only scored, by several engines: the sizes of the packaged encoder and of multilingual-e5-small.
ENGINE_SIZES = {"small": Architecture(256, 6, 4, 1024, 8192), "e5_small": Architecture(384, 12, 12, 1536, 8192)}
