"""What the bench trains and scores: encoders of two sizes with random weights, and documents of a corpus."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from patent_hier.atomic import read_json
from patent_hier.bench.architecture import MAX_LENGTH, SIZES
from patent_hier.features.pretrained import CONFIG, PACKAGED_ENCODERS, EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.ipc import all_classes
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.blueprint import Blueprint
from patent_hier.models.encoder import build_encoder
from patent_hier.models.saved import NodeClassifier
from patent_hier.settings import FLAT, BertCnnSettings, Settings, TrainerSettings
from patent_hier.training.node_data import NodeView

LABELS = tuple(f"label {number}" for number in range(8))
_VOCABULARY = PACKAGED_ENCODERS / "small"


@dataclass(frozen=True)
class Subject:
    """A BERT-CNN of one size, and texts to read.

    Attributes:
        size: ``demo`` (the demo encoder's 6 x 64) or ``base`` (BERT-base, 12 x 768).
        texts: The documents.
        settings: The head.
    """

    size: str
    texts: tuple[str, ...]
    settings: BertCnnSettings

    @cached_property
    def config(self) -> dict[str, Any]:
        """The encoder's ``config.json``, with the vocabulary of the package's encoder and the usual dropout of 0.1."""
        size = SIZES[self.size]
        sizes = {
            "hidden_size": size.hidden_size,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "intermediate_size": size.intermediate_size,
        }
        own = {"model_type": "bert", "max_position_embeddings": size.positions}
        return {**own, **sizes, "vocab_size": read_json(_VOCABULARY / CONFIG)["vocab_size"], "pad_token_id": 0}

    @property
    def reader(self) -> WordPieceReader:
        """Texts to token ids."""
        return WordPieceReader(EncoderFiles(_VOCABULARY, self.config, has_weights=False), MAX_LENGTH)

    def peer_tokenizer(self) -> Any:
        """The tokenizer of transformers with the same vocabulary."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(_VOCABULARY, trust_remote_code=False, local_files_only=True)

    @cached_property
    def store(self) -> TokenStore:
        """Token ids of all texts."""
        return self.reader.encode(list(self.texts))

    def network(self, frozen: bool = False) -> BertCnn:
        """A network with the same random weights each time."""
        torch.manual_seed(1)
        return BertCnn(build_encoder(self.config, frozen=frozen), len(LABELS), self.settings)

    def blueprint(self, frozen: bool = False) -> Blueprint:
        """As training takes it."""
        return Blueprint(self.reader, lambda _: self.network(frozen))

    def classifier(self) -> NodeClassifier:
        """As scoring takes it."""
        return NodeClassifier("root", LABELS, self.settings, self.network().eval(), self.reader)

    def flat_classifier(self) -> NodeClassifier:
        """Over real class names, as a service needs them."""
        torch.manual_seed(1)
        labels = tuple(sorted(all_classes("latest")))
        network = BertCnn(build_encoder(self.config, frozen=False), len(labels), self.settings)
        return NodeClassifier(FLAT, labels, self.settings, network.eval(), self.reader)

    def view(self) -> NodeView[TokenStore]:
        """All documents for training, with random labels; none for validation."""
        codes = np.arange(len(self.texts)) % len(LABELS)
        nothing = np.empty(0, np.intp)
        every = np.arange(len(self.texts))
        return NodeView("root", self.store, LABELS, every, codes, nothing, nothing.astype(np.int64))

    def run(self, **trainer: Any) -> Settings:
        """Settings of one epoch over the view."""
        plain = TrainerSettings(max_epochs=1, min_steps=0, patience=None, progress=False)
        return replace(Settings(), model=self.settings, node="root", trainer=replace(plain, **trainer))

    def flops(self) -> float:
        """Floating-point operations of one forward pass over all documents, of their own tokens alone.

        See :meth:`Architecture.forward_flops`; embeddings and the head are left out.
        """
        tokens = self.store.lengths.astype(np.float64)
        return SIZES[self.size].forward_flops(float(tokens.sum()), float((tokens**2).sum()))
