"""A Transformer encoder that returns all hidden states, pre-trained or with random weights."""

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn

from patent_hier.errors import ConfigError
from patent_hier.features.foreign_code import IMPLEMENTATIONS, refuse_code
from patent_hier.features.pretrained import EncoderFiles, is_causal
from patent_hier.models.blocks import blocks_of
from patent_hier.sanitize import reason
from patent_hier.settings.checks import check_freeze

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Keys of config.json that are ignored: the type is passed separately, weights are always fp32, attention is set here.
_NOT_OURS = ("model_type", "auto_map", "dtype", "torch_dtype", *IMPLEMENTATIONS)
# Tables of transformers that list text networks; image networks may download parts of themselves without asking.
_FOR_TEXT = ("MASKED_LM", "CAUSAL_LM", "TEXT_ENCODING", "SEQUENCE_CLASSIFICATION", "SEQ_TO_SEQ_CAUSAL_LM")


class TextEncoder(nn.Module):
    """A transformers encoder, or a decoder that reads text, that returns every layer's output.

    Args:
        network: Any network whose output has ``hidden_states`` and ``last_hidden_state``.
        frozen: True keeps the weights fixed and the network in evaluation mode (no dropout), whatever the parent's
            mode. A number freezes the embeddings and that many lower layers, and the backward pass ends above them.

    Attributes:
        hidden_size: Width of the hidden states.
        num_layers: Number of Transformer layers.
        is_causal: Whether tokens cannot attend to later tokens, as in a decoder.
        begins_above: Number of lower layers currently left out; see :mod:`patent_hier.models.lower_layers`.

    Raises:
        ConfigError: If the network has fewer layers than should be frozen.
    """

    def __init__(self, network: "PreTrainedModel", frozen: bool | int = False) -> None:
        super().__init__()
        self.network = network
        self.hidden_size = int(network.config.hidden_size)
        self.num_layers = int(network.config.num_hidden_layers)
        self.is_causal = is_causal(network.config.to_dict())
        self.begins_above = 0
        self._attention = network.config._attn_implementation
        self._frozen = self._to_freeze(frozen)
        for module in self._frozen:
            module.requires_grad_(False)
            module.eval()

    def _to_freeze(self, frozen: bool | int) -> list[nn.Module]:
        if isinstance(frozen, bool):
            return [self.network] if frozen else []
        kind, blocks = str(self.network.config.model_type), blocks_of(self.network, self.num_layers)
        check_freeze(frozen, kind, self.num_layers)
        if not blocks:
            raise ConfigError(
                f"encoder.freeze={frozen} requires layers with their own weights, but the layers of {kind} share them; "
                "use encoder.freeze=true or false"
            )
        return [module for block in blocks[: frozen + 1] for module in block]

    def train(self, mode: bool = True) -> "TextEncoder":
        """Set the mode; frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Encode a batch.

        Args:
            input_ids: ``(batch, seq_len)``, int64.
            attention_mask: ``(batch, seq_len)``, 1 for tokens and 0 for padding.

        Returns:
            ``num_layers + 1`` tensors ``(batch, seq_len, hidden_size)``; item 0 is the embedding output. Networks that
            normalise before each layer (ModernBERT, GPT-2) return the layers' raw outputs, and the last one after the
            final normalisation; BERT-like networks normalise every layer's output. Items below the layers left out are
            empty, and no head may read them.
        """
        self._choose_attention(input_ids.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.network not in self._frozen):
            output = self.network(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        last = cast("Tensor", output.last_hidden_state)
        missing = [last.new_empty(0)] * self.begins_above
        return (*missing, *cast("tuple[Tensor, ...]", output.hidden_states)[:-1], last)

    def _choose_attention(self, device: torch.device) -> None:
        """Use plain attention for bf16 on a CPU, where PyTorch's fused one has a slow backward pass.

        Plain attention is 1.08 to 1.86 times as fast in bf16 and 0.93 to 1.03 times in fp32, measured for a training
        step of 6 layers on one core. In all other cases the network's own implementation is used.
        """
        plain = device.type == "cpu" and torch.is_autocast_enabled("cpu")
        wanted = "eager" if plain else self._attention
        if self.network.config._attn_implementation != wanted:
            self.network.set_attn_implementation(wanted)


def load_encoder(files: EncoderFiles, *, pretrained: bool, frozen: bool | int) -> TextEncoder:
    """Build an encoder from its files.

    Args:
        files: Files of the encoder.
        pretrained: Load the weights (always as fp32 and from safetensors); otherwise draw them from torch's generator.
        frozen: See :class:`TextEncoder`.

    Raises:
        ConfigError: If transformers cannot load the folder, or the encoder has fewer layers than should be frozen.
    """
    if not pretrained:
        return build_encoder(files.config, frozen=frozen)
    try:
        config = _config(files.config)
        network, loaded = _transformers().AutoModel.from_pretrained(
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
            f"encoder folder {files.folder} cannot be loaded: {reason(error)}; copy the encoder again"
        ) from error
    if missing := sorted(loaded["missing_keys"]):  # transformers would leave them random without an error
        raise ConfigError(
            f"encoder folder {files.folder} lacks weights ({len(missing)} in total), such as {missing[0]}; copy the "
            "encoder again"
        )
    return TextEncoder(network, frozen)


def build_encoder(config: dict[str, Any], *, frozen: bool | int = False) -> TextEncoder:
    """Build an encoder with random weights, drawn from torch's global generator.

    Args:
        config: Content of a ``config.json``.
        frozen: See :class:`TextEncoder`.

    Raises:
        ConfigError: If transformers does not know the architecture or refuses its sizes, or it has fewer layers than
            should be frozen.
    """
    built = _config(config)
    try:
        return TextEncoder(_transformers().AutoModel.from_config(built, **_without_pooler(built)), frozen)
    except ValueError as error:
        raise _refused(error) from error


@cache
def _transformers() -> Any:
    """Import and return the library, which takes seconds; classifiers without an encoder do not need it."""
    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()  # its reports on unused pre-training heads do not help our users
    logging.disable_progress_bar()
    return transformers


@cache
def _types_for_text() -> frozenset[str]:
    tables = _transformers().models.auto.modeling_auto
    return frozenset(kind for name in _FOR_TEXT for kind in getattr(tables, f"MODEL_FOR_{name}_MAPPING_NAMES"))


def _config(content: dict[str, Any]) -> "PretrainedConfig":
    refuse_code(content)
    settings = {key: value for key, value in content.items() if key not in _NOT_OURS}
    kind = str(content.get("model_type"))
    if kind not in _transformers().CONFIG_MAPPING:
        raise ConfigError(f"encoder type {kind} in config.json is unknown to this version of transformers; update it")
    if kind not in _types_for_text():
        raise ConfigError(f"encoder type {kind} in config.json is not a network for text; choose one such as BERT")
    try:
        config: PretrainedConfig = _transformers().AutoConfig.for_model(kind, **settings)
    except (StrictDataclassError, ValueError) as error:
        raise _refused(error) from error
    if config.is_encoder_decoder:
        raise ConfigError(f"encoder type {kind} has an encoder and a decoder; choose a one-part network such as BERT")
    if hasattr(config, "use_cache"):
        config.use_cache = False  # a decoder's cached keys and values serve only text generation
    return config


def _refused(error: Exception) -> ConfigError:
    return ConfigError(f"the encoder's config.json is invalid: {reason(error)}; correct it or copy it again")


def _without_pooler(config: "PretrainedConfig") -> dict[str, bool]:
    """Return the option that leaves out BERT's pooler, which no head reads, if the architecture has it."""
    model_class = _transformers().AutoModel._model_mapping[type(config)]  # there is no public API for this
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(model_class).parameters else {}
