"""Compute the layers' document vectors of a frozen encoder once, then look them up.

A frozen encoder's output depends only on the document. Heads that read one vector per layer (``document_matrix``,
``cls``) can therefore be trained without the encoder. Batches, initial weights, dropout and scoring stay the same.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from patent_hier.artifacts import seal
from patent_hier.features.layer_vectors import DTYPE, VECTORS_FILE, LayerVectors
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import TextEncoder
from patent_hier.models.heads import pool_tokens
from patent_hier.settings import BF16

_BLOCK = 16_384  # documents sorted by length at a time


class VectorEncoder(nn.Module):
    """Replacement for a frozen encoder: each document is one position, and its hidden states are looked up.

    Args:
        vectors: Document vectors of the corpus.

    Attributes:
        hidden_size: Width of the hidden states.
        num_layers: Number of Transformer layers.
    """

    def __init__(self, vectors: LayerVectors) -> None:
        super().__init__()
        self.hidden_size = vectors.hidden_size
        self.num_layers = vectors.num_layers
        self._vectors = vectors

    def __deepcopy__(self, memo: object) -> "VectorEncoder":
        """Return a copy that reads the same file, needed for averaged weights."""
        return VectorEncoder(self._vectors)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Look up a batch.

        Args:
            input_ids: Positions of documents in the corpus, ``(batch, 1)``.
            attention_mask: Ones, ``(batch, 1)``.

        Returns:
            ``num_layers + 1`` tensors, as from an encoder reading documents of one token: ``(batch, 1, hidden_size)``.
            Items below the stored layers, including the embedding output, are empty, and no head may read them.
        """
        rows = torch.from_numpy(self._vectors.rows(input_ids[:, 0].cpu().numpy())).to(input_ids.device)
        kept = [rows[:, layer].unsqueeze(1) for layer in range(self._vectors.layers)]  # each (batch, 1, H)
        missing = self.num_layers + 1 - len(kept)
        return (*[rows.new_empty(0)] * missing, *reversed(kept))


@contextlib.contextmanager
def looking_up(network: nn.Module, vectors: LayerVectors) -> Iterator[None]:
    """Make a network look up its frozen encoder's output; restore its own encoder at the end."""
    assert isinstance(network, BertCnn)
    own = network.encoder
    network.encoder = cast(TextEncoder, VectorEncoder(vectors))  # it has all that heads and the scorer use
    try:
        yield
    finally:
        network.encoder = own


def write_layer_vectors(
    encoder: TextEncoder,
    store: TokenStore,
    folder: Path,
    *,
    layers: int,
    pooling: str,
    pad_id: int,
    batch_size: int,
    precision: str,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Compute the vectors of a whole corpus in constant memory, and seal their folder.

    Args:
        encoder: Frozen encoder, on the device that computes.
        store: Token ids of the corpus.
        folder: An empty staging folder.
        layers: Number of last layers to store.
        pooling: See :func:`patent_hier.models.heads.pool_tokens`; not ``attention``, whose queries are learnt.
        pad_id: Token id of ``[PAD]``.
        batch_size: Documents per batch.
        precision: ``32-true`` or ``bf16-mixed``.
        progress: Called after each batch with its number of documents.
    """
    device = next(encoder.parameters()).device
    shape = (len(store), layers, encoder.hidden_size)
    written = np.memmap(folder / VECTORS_FILE, DTYPE, "w+", shape=shape)
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=precision == BF16)
    with torch.inference_mode(), mixed:
        for rows in batches_of_like_length(store.lengths, batch_size):
            ids, mask = (torch.from_numpy(x).to(device) for x in pad_batch(store, rows, pad_id))
            states = encoder(ids, mask)[: -layers - 1 : -1]  # the last layer first
            pooled = torch.stack([pool_tokens(state, mask, pooling) for state in states], 1)  # (batch, layers, H)
            written[rows] = pooled.float().cpu().numpy()
            if progress is not None:
                progress(len(rows))
    written.flush()
    facts = {"documents": len(store), "layers": layers, "hidden_size": encoder.hidden_size}
    seal(folder, {"kind": "layer vectors", "pooling": pooling, "num_layers": encoder.num_layers, **facts})


def batches_of_like_length(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.intp]]:
    """Yield batches of documents of similar length that are close together on disk."""
    for start in range(0, len(lengths), _BLOCK):
        order = start + np.argsort(-lengths[start : start + _BLOCK], kind="stable")
        for first in range(0, len(order), batch_size):
            yield order[first : first + batch_size]
