"""TextCNN: convolutions over word vectors, then the maximum over the document."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from patent_hier.features.words import PAD_ID
from patent_hier.settings import TextCnnSettings


class TextCnn(nn.Module):
    """Filters of several lengths that slide over the words and return their maximum over the document.

    A document's logits depend only on its own words. A document that is shorter than a filter is padded with zero
    vectors to the filter's length.

    Args:
        vectors: Word vectors ``(n_words + 2, vector_size)``; row 0 is padding. They are copied.
        num_labels: Number of classes.
        settings: The model group of a run's settings.

    Source: Kim (2014), "Convolutional neural networks for sentence classification", section 2; the static variant, or
    with ``tune_vectors`` the non-static one. Weight decay replaces the paper's limit on the norm of the output weights.
    """

    def __init__(self, vectors: Tensor, num_labels: int, settings: TextCnnSettings) -> None:
        super().__init__()
        # a copy, because in-place training must not change the vectors for the next node
        self.embedding = nn.Embedding.from_pretrained(
            vectors.clone(), freeze=not settings.tune_vectors, padding_idx=PAD_ID
        )
        self.convolutions = nn.ModuleList(
            nn.Conv1d(vectors.shape[1], settings.num_filters, size) for size in settings.kernel_sizes
        )
        self.kernel_sizes = list(settings.kernel_sizes)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(settings.num_filters * len(self.kernel_sizes), num_labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            input_ids: ``(batch, seq_len)``, int64.
            attention_mask: ``(batch, seq_len)``, 1 for words and 0 for padding, which is at the end.

        Returns:
            Logits ``(batch, num_labels)``.
        """
        words = self.embedding(input_ids)  # (batch, seq_len, vector_size)
        words = words * attention_mask.unsqueeze(-1).to(words.dtype)
        words = functional.pad(words, (0, 0, 0, max(0, max(self.kernel_sizes) - words.shape[1])))
        # Convolve an image one pixel high with channels last, the memory layout of word vectors: on a CPU this takes
        # 0.6 of the time of the equivalent one-dimensional convolution.
        image = words.transpose(1, 2).unsqueeze(2)  # (batch, vector_size, 1, seq_len)
        lengths = attention_mask.sum(1, keepdim=True)  # (batch, 1)
        maxima = []
        for size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            assert isinstance(convolution, nn.Conv1d)
            response = functional.conv2d(image, convolution.weight.unsqueeze(2), convolution.bias)
            features = functional.relu(response.squeeze(2))  # (batch, num_filters, windows)
            windows = (lengths - size + 1).clamp(min=1)  # (batch, 1): windows without padding, at least one
            inside = torch.arange(features.shape[-1], device=words.device) < windows  # (batch, windows)
            maxima.append((features * inside.unsqueeze(1)).amax(-1))  # ReLU >= 0: zero never beats a window inside
        return self.output(self.dropout(torch.cat(maxima, 1)))  # type: ignore[no-any-return]  # torch returns Any
