"""Classification heads over an encoder's hidden states.

Dimensions: ``batch`` documents, ``seq_len`` tokens, ``hidden_size`` = H, ``n`` last layers, ``num_filters`` = F.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from patent_hier.errors import ConfigError
from patent_hier.settings import BertCnnSettings
from patent_hier.settings.models import ATTENTION


def pool_tokens(hidden_state: Tensor, attention_mask: Tensor, pooling: str, query: Tensor | None = None) -> Tensor:
    """Return one vector per document from one layer's output.

    Args:
        hidden_state: Output of the layer, ``(batch, seq_len, hidden_size)``.
        attention_mask: ``(batch, seq_len)``, 1 for tokens and 0 for padding.
        pooling: ``cls`` takes the first token, and ``mean`` the average over all tokens without padding. ``last`` takes
            the last token before the padding on the right, the only token of a decoder that has read all others.
            ``attention`` takes a weighted mean, with the softmax of ``query`` times token over the square root of
            ``hidden_size`` as weights.
        query: ``(hidden_size,)``, for ``attention`` only.

    Returns:
        ``(batch, hidden_size)``. For a document without tokens, ``mean`` and ``attention`` give zeros, and ``last``
        gives the first position.

    Source: ``attention``: Z. Yang et al. (2016), "Hierarchical attention networks for document classification",
    equations 6 and 7, on the states themselves; scaled as in Vaswani et al. (2017), "Attention is all you need".
    """
    if pooling == "cls":
        return hidden_state[:, 0]
    if pooling == "last":
        position = (attention_mask.long().sum(1) - 1).clamp(min=0)  # (batch,)
        return hidden_state[torch.arange(position.shape[0], device=position.device), position]
    if query is not None:
        scores = (hidden_state @ query).float() / hidden_state.shape[-1] ** 0.5  # (batch, seq_len)
        outside = attention_mask == 0
        shares = scores.masked_fill(outside, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(outside, 0.0)
        pooled: Tensor = shares.to(hidden_state.dtype).unsqueeze(1) @ hidden_state  # (batch, 1, hidden_size)
        return pooled.squeeze(1)
    weight = attention_mask.unsqueeze(-1).to(hidden_state.dtype)  # (batch, seq_len, 1)
    return (hidden_state * weight).sum(1) / weight.sum(1).clamp(min=1)


def make_queries(pooling: str, n: int, hidden_size: int) -> nn.Parameter | None:
    """Return a query ``(n, hidden_size)`` per layer for ``attention`` pooling: zeros, so that it starts as ``mean``."""
    return nn.Parameter(torch.zeros(n, hidden_size)) if pooling == ATTENTION else None


def stack_last_layers(
    hidden_states: tuple[Tensor, ...], attention_mask: Tensor, n: int, pooling: str, queries: Tensor | None = None
) -> Tensor:
    """Stack the document vectors of the last ``n`` Transformer layers, which gives the paper's matrix I.

    Args:
        hidden_states: ``num_layers + 1`` tensors ``(batch, seq_len, hidden_size)``; item 0 is the embedding output.
        attention_mask: ``(batch, seq_len)``, 1 for tokens and 0 for padding.
        n: Number of layers, ``1 <= n <= num_layers``.
        pooling: See :func:`pool_tokens`.
        queries: ``(n, hidden_size)``, the last layer first; for ``attention`` pooling only.

    Returns:
        ``(batch, hidden_size, n)``, the last layer first.

    Raises:
        ConfigError: If ``n`` is out of range.

    Source: arXiv:1911.06241, section 3.1.2; taking ``[CLS]`` as the layer's sentence vector is our interpretation.
    """
    _check_layers(n, len(hidden_states) - 1)
    own = [None] * n if queries is None else queries.unbind()
    states = hidden_states[-1 : -n - 1 : -1]
    vectors = [pool_tokens(state, attention_mask, pooling, query) for state, query in zip(states, own, strict=True)]
    return torch.stack(vectors, dim=-1)


class DocumentMatrixHead(nn.Module):
    """The paper's CNN: filters of ``kernel_size`` x N slide along the hidden axis of the document matrix.

    Args:
        hidden_size: Width of the hidden states, H.
        num_layers: Number of layers of the encoder.
        num_labels: Number of classes.
        settings: Settings of the model: N, pooling, windows, filters, order of the hidden dimensions, dropout.

    With ``hidden_order=shuffled`` the hidden dimensions are permuted once, at random, before the filters slide along
    them. This control shows whether neighbours on that axis mean anything. The permutation is drawn from torch's global
    generator and saved with the weights.

    Raises:
        ConfigError: If a filter or window is longer than the axis it slides over.

    Source: arXiv:1911.06241, sections 3.1.2 and 3.1.3. Windows of ``pool_size`` and their concatenation follow the
    text's "max-pooling ... concatenated"; ``pool_size=None`` gives one global maximum per filter.
    """

    def __init__(self, hidden_size: int, num_layers: int, num_labels: int, settings: BertCnnSettings) -> None:
        super().__init__()
        _check_layers(settings.num_last_layers, num_layers)
        width = hidden_size - settings.kernel_size + 1
        if width < 1 or (settings.pool_size or 1) > width:
            raise ConfigError(
                f"model.kernel_size={settings.kernel_size} and model.pool_size={settings.pool_size} do not fit into "
                f"hidden_size={hidden_size}; use kernel_size + pool_size <= {hidden_size + 1}"
            )
        self.n = settings.num_last_layers
        self.pooling = settings.pooling or "cls"
        self.queries = make_queries(self.pooling, self.n, hidden_size)
        self.pool_size = settings.pool_size or width
        self.order: Tensor | None
        order = torch.randperm(hidden_size) if settings.hidden_order == "shuffled" else None
        self.register_buffer("order", order)  # (H,), or None, which is not saved with the weights
        # N layers as channels: each filter spans all of them, exactly a kernel_size x N filter on the H x N matrix
        self.convolution = nn.Conv1d(self.n, settings.num_filters, settings.kernel_size)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(settings.num_filters * (width // self.pool_size), num_labels)

    def forward(self, hidden_states: tuple[Tensor, ...], attention_mask: Tensor) -> Tensor:
        """Return logits ``(batch, num_labels)``; the arguments are those of :func:`stack_last_layers`."""
        matrix = stack_last_layers(hidden_states, attention_mask, self.n, self.pooling, self.queries)  # (batch, H, n)
        if self.order is not None:
            matrix = matrix[:, self.order]
        features = functional.relu(self.convolution(matrix.transpose(1, 2)))  # (batch, F, H - kernel_size + 1)
        features = functional.max_pool1d(features, self.pool_size).flatten(1)  # (batch, F * windows)
        return self.output(self.dropout(features))  # type: ignore[no-any-return]  # torch modules return Any


class TokenHead(nn.Module):
    """A control: convolution over tokens with the last N layers as channels, then the maximum over the document.

    Args:
        hidden_size: Width of the hidden states, H.
        num_layers: Number of layers of the encoder.
        num_labels: Number of classes.
        settings: Settings of the model: N, filters, ``kernel_size`` in tokens, dropout. ``pooling`` and ``pool_size``
            do not apply.

    Source: Kim (2014), "Convolutional neural networks for sentence classification", on contextual vectors.
    """

    def __init__(self, hidden_size: int, num_layers: int, num_labels: int, settings: BertCnnSettings) -> None:
        super().__init__()
        _check_layers(settings.num_last_layers, num_layers)
        self.n = settings.num_last_layers
        self.convolution = nn.Conv1d(
            self.n * hidden_size, settings.num_filters, settings.kernel_size, padding=settings.kernel_size // 2
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(settings.num_filters, num_labels)

    def forward(self, hidden_states: tuple[Tensor, ...], attention_mask: Tensor) -> Tensor:
        """Return logits ``(batch, num_labels)``; the arguments are those of :func:`stack_last_layers`."""
        tokens = torch.cat(hidden_states[-1 : -self.n - 1 : -1], dim=-1)  # (batch, seq_len, n * H)
        keep = attention_mask.unsqueeze(-1).to(tokens.dtype)  # padding reads as zeros, as outside the document
        features = functional.relu(self.convolution((tokens * keep).transpose(1, 2)))  # (batch, F, >= seq_len)
        features = features[..., : tokens.shape[1]] * keep.transpose(1, 2)  # ReLU >= 0: zero never beats a token
        return self.output(self.dropout(features.amax(-1)))  # type: ignore[no-any-return]  # torch modules return Any


class ClsHead(nn.Module):
    """A control: one linear layer on the last layer's document vector.

    Args:
        hidden_size: Width of the hidden states, H.
        num_layers: Number of layers of the encoder; any number, because only the last layer is read.
        num_labels: Number of classes.
        settings: Settings of the model: pooling and dropout.

    Source: Devlin et al. (2019), section 4.1.
    """

    def __init__(self, hidden_size: int, num_layers: int, num_labels: int, settings: BertCnnSettings) -> None:
        super().__init__()
        self.pooling = settings.pooling or "cls"
        self.queries = make_queries(self.pooling, 1, hidden_size)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(hidden_size, num_labels)

    def forward(self, hidden_states: tuple[Tensor, ...], attention_mask: Tensor) -> Tensor:
        """Return logits ``(batch, num_labels)``; the arguments are those of :func:`stack_last_layers`."""
        vector = stack_last_layers(hidden_states, attention_mask, 1, self.pooling, self.queries)[..., 0]  # (batch, H)
        return self.output(self.dropout(vector))  # type: ignore[no-any-return]  # torch modules return Any


HEADS: dict[str, type[DocumentMatrixHead] | type[TokenHead] | type[ClsHead]] = {
    "document_matrix": DocumentMatrixHead,
    "token": TokenHead,
    "cls": ClsHead,
}


def _check_layers(n: int, num_layers: int) -> None:
    if not 1 <= n <= num_layers:
        raise ConfigError(
            f"model.num_last_layers={n} is out of range; this encoder has {num_layers} layers, so use 1 to {num_layers}"
        )
