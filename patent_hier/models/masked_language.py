"""A Transformer encoder with a head that predicts hidden tokens, for pre-training."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForMaskedLM, BertConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from patent_hier.errors import ConfigError
from patent_hier.features.foreign_code import refuse_code_in
from patent_hier.sanitize import reason
from patent_hier.settings.pretraining import ArchitectureSettings

transformers_logging.set_verbosity_error()  # as in models/encoder.py: a missing head is not worth a report
transformers_logging.disable_progress_bar()

# Attributes that hold the head from hidden states to logits; other networks compute the logits of every token.
_HEADS = ("cls", "lm_head")


class MaskedLanguageModel(nn.Module):
    """A masked language model that computes logits for the hidden tokens only, to save time and memory.

    Args:
        network: A transformers model for masked language modelling.

    Source: Devlin et al. (2019), section 3.1, task 1.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network
        self._head: str | None = next((name for name in _HEADS if hasattr(network, name)), None)

    def forward(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """Predict the tokens at the given positions.

        Args:
            input_ids: ``(rows, seq_len)``, int64, without padding.
            positions: Positions in the flattened rows, ``(n,)``.

        Returns:
            Logits ``(n, vocabulary)``.
        """
        if self._head is None:
            return self.network(input_ids).logits.flatten(0, 1)[positions]  # type: ignore[no-any-return]  # torch modules return Any
        hidden = self.network.base_model(input_ids).last_hidden_state  # (rows, seq_len, H)
        return getattr(self.network, self._head)(hidden.flatten(0, 1)[positions])  # type: ignore[no-any-return]  # torch modules return Any

    def save(self, folder: Path, half: bool) -> None:
        """Write ``config.json`` and ``model.safetensors`` in transformers format.

        Args:
            folder: Target folder.
            half: Whether to save in float16; loading converts the weights back to float32.
        """
        network: nn.Module = self.network  # the `to` of transformers has no types
        network.to(torch.float16 if half else torch.float32)
        self.network.save_pretrained(folder)


def new_network(settings: ArchitectureSettings, vocabulary_size: int, on_gpu: bool) -> MaskedLanguageModel:
    """Return a BERT with random weights, drawn from torch's global generator.

    Position vectors start as sinusoids, so that neighbours are similar from the first step. A small network then needs
    less time to learn which tokens are next to a hidden one.

    Args:
        settings: Sizes of the network.
        vocabulary_size: Number of tokens.
        on_gpu: Whether a GPU trains; on a CPU the plain implementation of attention is faster in training.

    Source: Vaswani et al. (2017), section 3.5, for the sinusoids; BERT learns its position vectors from noise.
    """
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.num_hidden_layers,
        num_attention_heads=settings.num_attention_heads,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=settings.max_positions,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        pad_token_id=0,
    )
    network = AutoModelForMaskedLM.from_config(config, attn_implementation=_attention(on_gpu))
    positions: Any = network.bert.embeddings.position_embeddings
    with torch.no_grad():
        positions.weight.copy_(_sinusoids(settings.max_positions, settings.hidden_size, config.initializer_range))
    return MaskedLanguageModel(network)


def load_network(folder: Path, on_gpu: bool) -> MaskedLanguageModel:
    """Load an encoder for further pre-training in float32, with its prediction head if the folder has one.

    Raises:
        ConfigError: If transformers cannot load it for masked language modelling, or weights are missing.
    """
    refuse_code_in(folder)
    try:
        network, loaded = AutoModelForMaskedLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            attn_implementation=_attention(on_gpu),
            output_loading_info=True,
        )
    except (OSError, RuntimeError, SafetensorError, StrictDataclassError, ValueError) as error:
        raise ConfigError(
            f"start={folder} cannot be loaded for masked language modelling: {reason(error)}; choose another encoder"
        ) from error
    body = f"{network.base_model_prefix}."
    if missing := sorted(name for name in loaded["missing_keys"] if name.startswith(body)):
        raise ConfigError(
            f"start={folder} lacks weights ({len(missing)} in total), such as {missing[0]}; copy the encoder again"
        )
    return MaskedLanguageModel(network)


def set_dropout(model: MaskedLanguageModel, probability: float) -> None:
    """Set every dropout probability of a network; its ``config.json`` stays unchanged."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        for name, value in vars(module).items():  # some networks store attention dropout as a plain number
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, probability)


def masked_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of hidden tokens in nats, from logits ``(n, vocabulary)`` and targets ``(n,)``."""
    return functional.cross_entropy(logits.float(), targets)


def _attention(on_gpu: bool) -> str:
    return "sdpa" if on_gpu else "eager"


def _sinusoids(positions: int, width: int, root_mean_square: float) -> Tensor:
    """Return ``(positions, width)`` sines and cosines of decreasing frequency with the given root mean square."""
    half = (width + 1) // 2
    angle = torch.arange(positions).unsqueeze(1) / 10_000 ** (torch.arange(half) / half)  # (positions, half)
    waves = torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width]
    return waves * (root_mean_square * 2**0.5)
