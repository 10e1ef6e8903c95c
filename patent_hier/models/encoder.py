"""A Transformer encoder with all its hidden states; pre-trained, or with random weights."""

import inspect
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles

transformers_logging.set_verbosity_error()  # its reports on unused pre-training heads are no news to our users
transformers_logging.disable_progress_bar()


# Left out of a config.json: the type is given apart, no code of others is run, weights are always fp32.
_NOT_OURS = ("model_type", "auto_map", "dtype", "torch_dtype")


class TextEncoder(nn.Module):
    """A transformers encoder that returns every layer's output.

    Args:
        network: Any encoder whose output has ``hidden_states``.
        frozen: Keep the weights fixed and stay in evaluation mode (no dropout), whatever the mode of the parent.

    Attributes:
        hidden_size: Width of the hidden states.
        num_layers: Number of Transformer layers.
    """

    def __init__(self, network: PreTrainedModel, frozen: bool = False) -> None:
        super().__init__()
        self.network = network
        self.frozen = frozen
        self.hidden_size = int(network.config.hidden_size)
        self.num_layers = int(network.config.num_hidden_layers)
        if frozen:
            network.requires_grad_(False)
            network.eval()

    def train(self, mode: bool = True) -> "TextEncoder":
        """Set the mode; a frozen network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Encode a batch.

        Args:
            input_ids: ``(batch, seq_len)``, int64.
            attention_mask: ``(batch, seq_len)``, 1 for tokens and 0 for padding.

        Returns:
            ``num_layers + 1`` tensors ``(batch, seq_len, hidden_size)``; item 0 is the embedding output.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output = self.network(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        return cast("tuple[Tensor, ...]", output.hidden_states)


def load_encoder(files: EncoderFiles, *, pretrained: bool, frozen: bool) -> TextEncoder:
    """Build an encoder from its files.

    Args:
        files: Where they are.
        pretrained: Load the weights (always as fp32 and from safetensors); else draw them from torch's generator.
        frozen: See :class:`TextEncoder`.

    Raises:
        ConfigError: If transformers cannot load the folder.
    """
    if not pretrained:
        return build_encoder(files.config, frozen=frozen)
    try:
        config = _config(files.config)
        network, loaded = AutoModel.from_pretrained(
            files.folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **_without_pooler(config),
        )
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        raise ConfigError(
            f"encoder folder {files.folder} cannot be loaded: {_one_line(error)}; copy the encoder again"
        ) from error
    if missing := sorted(loaded["missing_keys"]):  # transformers would leave them random without a word
        raise ConfigError(
            f"encoder folder {files.folder} lacks {len(missing)} weights, such as {missing[0]}; copy the encoder again"
        )
    return TextEncoder(network, frozen)


def build_encoder(config: dict[str, Any], *, frozen: bool = False) -> TextEncoder:
    """An encoder with random weights, drawn from torch's global generator.

    Args:
        config: Content of a ``config.json``.
        frozen: See :class:`TextEncoder`.

    Raises:
        ConfigError: If transformers does not know the architecture or refuses its sizes.
    """
    built = _config(config)
    try:
        return TextEncoder(AutoModel.from_config(built, **_without_pooler(built)), frozen)
    except ValueError as error:
        raise _refused(error) from error


def _config(content: dict[str, Any]) -> PretrainedConfig:
    settings = {key: value for key, value in content.items() if key not in _NOT_OURS}
    kind = str(content.get("model_type"))
    if kind not in CONFIG_MAPPING:
        raise ConfigError(f"encoder type {kind} in config.json is unknown to this version of transformers; update it")
    try:
        return AutoConfig.for_model(kind, **settings)
    except (StrictDataclassError, ValueError) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> ConfigError:
    return ConfigError(f"the encoder's config.json is refused: {_one_line(error)}; correct it or copy it again")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _without_pooler(config: PretrainedConfig) -> dict[str, bool]:
    """No head reads BERT's pooler: leave it out where the architecture lets us."""
    model_class: Any = AutoModel._model_mapping[type(config)]  # there is no public way to ask
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(model_class).parameters else {}
