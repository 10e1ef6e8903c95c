"""A bidirectional recurrent network over word vectors."""

import torch
from torch import Tensor, nn

from patent_hier.features.words import PAD_ID
from patent_hier.settings import RnnSettings

_CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class Rnn(nn.Module):
    """LSTMs or GRUs that read the words in both directions and combine their states into one document vector.

    A document's logits depend only on its own words. The backward network reads each document reversed within its own
    length, so padding is always read last, after the document.

    Args:
        vectors: Word vectors ``(n_words + 2, vector_size)``; row 0 is padding. They are copied.
        num_labels: Number of classes.
        settings: The model group of a run's settings.

    Source: Graves and Schmidhuber (2005), "Framewise phoneme classification with bidirectional LSTM"; ``gru``: Cho et
    al. (2014), arXiv:1406.1078. ``attention``: Zhou et al. (2016), "Attention-based bidirectional LSTM networks for
    relation classification", equations 9 to 11, without the last tanh, on concatenated instead of summed directions.
    Two unidirectional networks replace PyTorch's bidirectional one on packed sequences: they compute the same function,
    but on a CPU a training step takes half to a sixth of the time.
    """

    def __init__(self, vectors: Tensor, num_labels: int, settings: RnnSettings) -> None:
        super().__init__()
        # a copy, because in-place training must not change the vectors for the next node
        self.embedding = nn.Embedding.from_pretrained(
            vectors.clone(), freeze=not settings.tune_vectors, padding_idx=PAD_ID
        )
        cell, size = _CELLS[settings.cell], settings.hidden_size
        widths = [vectors.shape[1]] + [2 * size] * (settings.num_layers - 1)
        self.forwards = nn.ModuleList(cell(width, size, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(cell(width, size, batch_first=True) for width in widths)
        self.query = nn.Linear(2 * size, 1, bias=False) if settings.pooling == "attention" else None
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(2 * size, num_labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            input_ids: ``(batch, seq_len)``, int64.
            attention_mask: ``(batch, seq_len)``, 1 for words and 0 for padding, which is at the end.

        Returns:
            Logits ``(batch, num_labels)``.
        """
        lengths = attention_mask.sum(1, keepdim=True).clamp(min=1)  # (batch, 1)
        states = self._states(self.embedding(input_ids), lengths)  # (batch, seq_len, 2 * hidden_size)
        document = self._ends(states, lengths) if self.query is None else self._attend(states, lengths, self.query)
        return self.output(self.dropout(document))  # type: ignore[no-any-return]  # torch modules return Any

    def _states(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return the last layer's states of both directions in text order, ``(batch, seq_len, 2 * hidden_size)``."""
        positions = torch.arange(states.shape[1], device=states.device)
        mirror = torch.where(positions < lengths, lengths - 1 - positions, positions)  # (batch, seq_len)
        for number, (ahead, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if number:
                states = self.dropout(states)
            there, _ = ahead(states)  # (batch, seq_len, hidden_size)
            reversed_, _ = back(_reorder(states, mirror))
            states = torch.cat([there, _reorder(reversed_, mirror)], -1)
        return states

    def _ends(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return the last state of each direction, at the last and at the first word, ``(batch, 2 * hidden_size)``."""
        half = states.shape[-1] // 2
        last = _reorder(states[..., :half], lengths - 1)[:, 0]  # (batch, hidden_size)
        return torch.cat([last, states[:, 0, half:]], -1)

    def _attend(self, states: Tensor, lengths: Tensor, query: nn.Linear) -> Tensor:
        """Return the mean of the states weighted by a learnt query, ``(batch, 2 * hidden_size)``."""
        outside = torch.arange(states.shape[1], device=states.device) >= lengths  # (batch, seq_len)
        scores = query(states.tanh()).squeeze(-1).masked_fill(outside, -torch.inf)
        weights: Tensor = scores.softmax(-1).unsqueeze(1)  # (batch, 1, seq_len)
        return (weights @ states).squeeze(1)


def _reorder(values: Tensor, positions: Tensor) -> Tensor:
    """Return ``values[b, positions[b, t]]``, shaped as ``positions`` with one more dimension for the width."""
    return values.gather(1, positions.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
