"""The only batched scorer, used by node evaluation, prediction and tests."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from patent_hier.features.ngram_store import NgramReader, NgramStore
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.models.allocation import keep_freed_memory
from patent_hier.models.classical import NgramModel
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.taxonomy.arithmetic import joint_log_prob, sum_up
from patent_hier.taxonomy.tree import LabelTree

_NGRAM_BATCH = 4096  # documents; limits the size of the dense (documents, labels) and similarity arrays


def score_documents(
    network: nn.Module,
    store: TokenStore,
    indices: NDArray[np.intp],
    *,
    softmax: TreeSoftmax,
    pad_id: int,
    batch_size: int,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Return joint log-probabilities of some documents, computed in batches of similar length.

    Args:
        network: Maps ``input_ids`` and ``attention_mask`` to logits ``(batch, num_outputs)``; its device is used (the
            CPU if it has no PyTorch weights), and its mode is restored.
        store: Token ids.
        indices: Positions of the documents in the store, ``(n,)``.
        softmax: The network's heads.
        pad_id: Token id of ``[PAD]``.
        batch_size: Documents per batch.
        progress: Called after each batch with its number of documents.

    Returns:
        ``(n, n_labels)`` in the order of ``indices``.
    """
    keep_freed_memory()
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    softmax = softmax.to(device)
    log_prob = np.empty((len(indices), softmax.num_labels), np.float32)
    order = np.argsort(-store.lengths[indices], kind="stable")  # longest first, so a lack of memory shows at once
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            input_ids, attention_mask = (
                torch.from_numpy(x).to(device) for x in pad_batch(store, indices[rows], pad_id)
            )
            logits = network(input_ids, attention_mask)  # (batch, num_outputs)
            log_prob[rows] = softmax.joint(logits).cpu().numpy()
            if progress is not None:
                progress(len(rows))
    network.train(was_training)
    return log_prob


def score_ngrams(
    model: NgramModel,
    store: NgramStore,
    reader: NgramReader,
    indices: NDArray[np.intp],
    tree: LabelTree,
    flat: bool,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Return joint log-probabilities from a model on n-gram counts; see :func:`score_documents`.

    The store may hold n-grams that the model does not know, such as those of the whole corpus; they are left out.
    """
    columns = store.columns(reader.ngrams)
    parts = []
    for start in range(0, len(indices), _NGRAM_BATCH):
        chosen = indices[start : start + _NGRAM_BATCH]
        own = model.log_prob(store.rows(chosen)[:, columns])
        parts.append(sum_up(tree, own) if flat else joint_log_prob(tree, own))
        if progress is not None:
            progress(len(chosen))
    return np.concatenate(parts)
