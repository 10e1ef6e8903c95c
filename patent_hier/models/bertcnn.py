"""BERT-CNN: an encoder and a head that are trained together."""

from torch import Tensor, nn

from patent_hier.models.encoder import TextEncoder
from patent_hier.models.heads import HEADS
from patent_hier.settings import BertCnnSettings
from patent_hier.settings.checks import check_pooling


class BertCnn(nn.Module):
    """A Transformer encoder with one of the heads of :mod:`patent_hier.models.heads`.

    Args:
        encoder: The encoder.
        num_labels: Number of classes.
        settings: The model group of a run's settings.

    Raises:
        ConfigError: If the settings do not fit the encoder.

    Source: arXiv:1911.06241, section 3.1 (with ``head=document_matrix``).
    """

    def __init__(self, encoder: TextEncoder, num_labels: int, settings: BertCnnSettings) -> None:
        super().__init__()
        check_pooling(settings, str(encoder.network.config.model_type), encoder.is_causal)
        self.encoder = encoder
        self.head = HEADS[settings.head](encoder.hidden_size, encoder.num_layers, num_labels, settings)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            input_ids: ``(batch, seq_len)``, int64.
            attention_mask: ``(batch, seq_len)``, 1 for tokens and 0 for padding.

        Returns:
            Logits ``(batch, num_labels)``.
        """
        return self.head(self.encoder(input_ids, attention_mask), attention_mask)  # type: ignore[no-any-return]
