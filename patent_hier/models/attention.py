"""Attention weights of an encoder over a pair of texts, as in the paper's Figure 5."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding
from transformers import PreTrainedModel

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.models.encoder import load_encoder


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """Attention of every layer and head over one pair of texts.

    Attributes:
        tokens: The ``n`` word pieces, including ``[CLS]`` and ``[SEP]``.
        segments: Text of each token, ``(n,)``: 0 for text A and its special tokens, 1 for text B and those after it.
        special: Whether the tokenizer added the token, such as ``[CLS]`` and ``[SEP]``, ``(n,)``.
        weights: Attention weights, ``(layers, heads, n, n)`` float32; ``weights[l, h, i, j]`` is how much token ``i``
            attends to token ``j`` in layer ``l + 1``. Each row sums to 1.
    """

    tokens: tuple[str, ...]
    segments: NDArray[np.int8]
    special: NDArray[np.bool_]
    weights: NDArray[np.float32]

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return int(self.weights.shape[0])

    @property
    def num_heads(self) -> int:
        """Number of heads per layer."""
        return int(self.weights.shape[1])


@dataclass(frozen=True)
class AttentionShares:
    """Distribution of the attention paid by the words of both texts, as shares from 0 to 1.

    Attributes:
        next_token: Share that goes to the next word piece of the same text; the last one of each text has none and is
            left out.
        crossing: Share that goes to the word pieces of the other text.
        special: Share that goes to ``[CLS]`` and ``[SEP]``, whichever text they follow.
    """

    next_token: float
    crossing: float
    special: float


def attention_maps(
    files: EncoderFiles,
    text_a: str,
    text_b: str,
    *,
    pretrained: bool,
    max_length: int,
    network: PreTrainedModel | None = None,
    seed: int = 1,
) -> AttentionMaps:
    """Encode two texts as one pair and return all attention weights.

    Args:
        files: Files of the encoder; its tokenizer is always used.
        text_a: First text.
        text_b: Second text.
        pretrained: Load the encoder's weights; otherwise draw them at random from ``seed``.
        max_length: Maximum number of tokens of the pair, including the special ones. Nothing is truncated.
        network: Network to use instead of the encoder's own weights, such as a trained classifier's. Its mode and its
            attention implementation are restored.
        seed: Seed of random weights; torch's global generator is not affected.

    Raises:
        ConfigError: If a text has no tokens, the pair is too long, or the encoder does not return its attention
            weights.

    Source: arXiv:1911.06241, Figure 5, which shows BertViz's views (arXiv:1906.05714).
    """
    pair = _encode_pair(files, text_a, text_b, max_length)
    if network is None:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            network = load_encoder(files, pretrained=pretrained, frozen=True).network
    weights = _attend(network, pair)
    return AttentionMaps(
        tokens=tuple(pair.tokens),
        segments=_segments(pair),
        special=np.array([sequence is None for sequence in pair.sequence_ids]),
        weights=weights,
    )


def attention_shares(maps: AttentionMaps) -> list[AttentionShares]:
    """Return the attention shares of each layer, averaged over the heads and over the word pieces of both texts.

    Attention *from* special tokens is ignored, because many heads park it on ``[SEP]``, which would hide the rest.
    Attention *to* them counts as ``special``.
    """
    return [_shares(maps, layer) for layer in maps.weights.mean(axis=1)]


def equal_shares(maps: AttentionMaps) -> AttentionShares:
    """Return the shares of uniform attention, the baseline for :func:`attention_shares`."""
    n = len(maps.tokens)
    return _shares(maps, np.full((n, n), 1 / n, np.float32))


def crossing_head(maps: AttentionMaps, layer: int) -> int:
    """Return the head of a layer, from 0, whose words attend most to the words of the other text.

    Args:
        maps: The attention maps.
        layer: Number of the layer, from 1.
    """
    return int(np.argmax([_shares(maps, head).crossing for head in maps.weights[layer - 1]]))


def _shares(maps: AttentionMaps, weights: NDArray[np.float32]) -> AttentionShares:
    """Return the shares of one ``(n, n)`` map."""
    words = ~maps.special
    other = words[None, :] & (maps.segments[:, None] != maps.segments[None, :])
    followed = words[:-1] & words[1:] & (maps.segments[:-1] == maps.segments[1:])
    following = np.diagonal(weights, offset=1)[followed]
    return AttentionShares(
        next_token=float(following.mean()) if followed.any() else 0.0,
        crossing=float((weights * other).sum(axis=1)[words].mean()),
        special=float(weights[:, maps.special].sum(axis=1)[words].mean()),
    )


def _encode_pair(files: EncoderFiles, text_a: str, text_b: str, max_length: int) -> Encoding:
    tokenizer = load_tokenizer(files, max_length)
    tokenizer.no_truncation()  # a truncated pair would not be the requested pair
    pair = tokenizer.encode(text_a, text_b)
    for number, (name, text) in enumerate((("A", text_a), ("B", text_b))):
        if number not in pair.sequence_ids:
            raise ConfigError(f"text {name} is {text!r} and has no tokens; enter a text with words")
    if len(pair.tokens) > max_length:
        raise ConfigError(
            f"the two texts have {len(pair.tokens)} tokens in total, including the special ones, but the limit is "
            f"{max_length}; shorten them"
        )
    return pair


def _segments(pair: Encoding) -> NDArray[np.int8]:
    """Return the text each token belongs to, ``(n,)``; a special token belongs to the text before it.

    The tokenizer's type ids are not suitable, because those of the RoBERTa family are all 0.
    """
    return np.maximum.accumulate([sequence or 0 for sequence in pair.sequence_ids]).astype(np.int8)


def _attend(network: PreTrainedModel, pair: Encoding) -> NDArray[np.float32]:
    """Return the attention weights ``(layers, heads, n, n)`` of one forward pass."""
    device = next(network.parameters()).device
    inputs: dict[str, Any] = {"input_ids": [pair.ids], "attention_mask": [pair.attention_mask]}
    known = int(getattr(network.config, "type_vocab_size", 0) or 0)
    if known and "token_type_ids" in inspect.signature(network.forward).parameters:  # GPT-2's are word ids
        inputs["token_type_ids"] = [[kind if kind < known else 0 for kind in pair.type_ids]]
    tensors = {name: torch.tensor(value, device=device) for name, value in inputs.items()}
    with _eager(network), torch.inference_mode():
        attentions = network(**tensors, output_attentions=True).get("attentions")
    n = len(pair.ids)
    if not attentions or any(layer is None or layer.shape[-2:] != (n, n) for layer in attentions):
        raise ConfigError(
            f"encoder type {network.config.model_type} does not return attention weights; use a BERT-like encoder"
        )
    return torch.cat(list(attentions)).float().cpu().numpy()


@contextmanager
def _eager(network: PreTrainedModel) -> Iterator[None]:
    """Switch to evaluation mode and to the attention that returns weights; restore both at the end."""
    training, implementation = network.training, network.config._attn_implementation
    network.eval()
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(implementation)
        network.train(training)
