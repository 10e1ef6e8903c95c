"""Compute the output of frozen lower layers once, and start above them.

The output of frozen lower layers depends only on the document. Training and scoring therefore skip the embeddings and
these layers; everything else stays the same.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from patent_hier.artifacts import seal
from patent_hier.features.token_states import DTYPE, STATES_FILE, TokenStates
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import TextEncoder
from patent_hier.models.frozen import batches_of_like_length


class StatesInput(nn.Module):
    """Replacement for the embeddings and the lower layers: tokens are positions, and their states are looked up.

    Args:
        states: States of all tokens of the corpus.
    """

    def __init__(self, states: TokenStates) -> None:
        super().__init__()
        self._states = states

    def __deepcopy__(self, memo: object) -> "StatesInput":
        """Return a copy that reads the same file, needed for averaged weights."""
        return StatesInput(self._states)

    def forward(self, input_ids: Tensor, **_: Any) -> Tensor:
        """Look up a batch: from token positions ``(batch, seq_len)`` to states ``(batch, seq_len, hidden_size)``."""
        return torch.from_numpy(self._states.rows(input_ids.cpu().numpy())).to(input_ids.device)


@contextlib.contextmanager
def beginning_above(network: nn.Module, states: TokenStates) -> Iterator[None]:
    """Make a network look up the output of its frozen lower layers; restore these layers at the end."""
    assert isinstance(network, BertCnn)
    encoder = network.encoder
    body = cast(Any, encoder.network)
    _watch_all_layers(encoder)
    own = body.embeddings
    with _only_layers(body, slice(states.layers, None)):
        body.embeddings, encoder.begins_above = StatesInput(states), states.layers
        try:
            yield
        finally:
            body.embeddings, encoder.begins_above = own, 0


def _watch_all_layers(encoder: TextEncoder) -> None:
    """Run one token through the network.

    transformers collects hidden states only from the layers that it finds in the first forward pass.
    """
    was_training, device = encoder.training, next(encoder.parameters()).device
    one = torch.ones(1, 1, dtype=torch.long, device=device)
    encoder.eval()
    with torch.no_grad():
        encoder(one, one)
    encoder.train(was_training)


@contextlib.contextmanager
def _only_layers(body: Any, chosen: slice) -> Iterator[None]:
    """Restrict a BERT-like network to some of its layers."""
    own = body.encoder.layer
    body.encoder.layer = own[chosen]
    try:
        yield
    finally:
        body.encoder.layer = own


def write_token_states(
    encoder: TextEncoder,
    store: TokenStore,
    folder: Path,
    *,
    layers: int,
    pad_id: int,
    batch_size: int,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Compute the states of a whole corpus in constant memory, and seal their folder.

    Args:
        encoder: Frozen encoder with BERT's layers, in fp32, on the device that computes.
        store: Token ids of the corpus.
        folder: An empty staging folder.
        layers: Number of lower layers that the tokens pass through.
        pad_id: Token id of ``[PAD]``.
        batch_size: Documents per batch.
        progress: Called after each batch with its number of documents.

    Raises:
        OSError: If the disk is too small; on Linux before anything is computed.
    """
    device = next(encoder.parameters()).device
    shape = (int(store.offsets[-1]), encoder.hidden_size)
    written = _reserved(folder / STATES_FILE, shape)
    with torch.inference_mode(), _only_layers(encoder.network, slice(layers)):
        for rows in batches_of_like_length(store.lengths, batch_size):
            ids, mask = (torch.from_numpy(x).to(device) for x in pad_batch(store, rows, pad_id))
            states = encoder(ids, mask)[-1].cpu().numpy()  # (batch, seq_len, hidden_size)
            for row, own in zip(rows, states, strict=True):
                start, end = store.offsets[row : row + 2]
                written[start:end] = own[: end - start]
            if progress is not None:
                progress(len(rows))
    written.flush()
    facts = {"tokens": shape[0], "layers": layers, "hidden_size": encoder.hidden_size}
    seal(folder, {"kind": "token states", **facts})


def _reserved(path: Path, shape: tuple[int, int]) -> "np.memmap[Any, np.dtype[np.float16]]":
    """Return a new memory-mapped file whose disk space is reserved.

    Without the reservation, a write to a full disk would kill the process with a signal.
    """
    written = np.memmap(path, DTYPE, "w+", shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, written.nbytes)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # unsupported by the file system
                    raise
    return written
