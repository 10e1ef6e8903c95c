"""Models and documents to measure: networks with random weights in several sizes, and texts of a corpus."""

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.architecture import ENGINE_SIZES, MAX_LENGTH, SIZES
from patent_hier.features.pretrained import PACKAGED_ENCODERS, EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import build_encoder
from patent_hier.models.network_spec import NetworkSpec
from patent_hier.models.saved import NodeClassifier, num_outputs
from patent_hier.settings import LAST, ROOT, BertCnnSettings, DemoEncoderSettings, Settings, TrainerSettings
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.training.node_data import NodeView

LABELS = tuple(f"label {number}" for number in range(8))
TREE = LabelTree.from_paths(((label,) for label in LABELS), IPC_LEVELS[:1])
VOCABULARY = PACKAGED_ENCODERS / "small"


@dataclass(frozen=True)
class Subject:
    """A BERT-CNN of one size, and texts for it."""

    size: str  # a name in SIZES or ENGINE_SIZES
    texts: tuple[str, ...]
    settings: BertCnnSettings = field(default_factory=lambda: BertCnnSettings(pooling="cls"))
    encoder_dropout: float = 0.1  # BERT's default

    @cached_property
    def config(self) -> dict[str, Any]:
        """The encoder's ``config.json``."""
        dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), self.encoder_dropout)
        sizes = asdict({**SIZES, **ENGINE_SIZES}[self.size])
        return {"model_type": "bert", **sizes, **dropout, "pad_token_id": 0}

    @property
    def reader(self) -> WordPieceReader:
        """Reader that converts texts to token ids."""
        return WordPieceReader(EncoderFiles(VOCABULARY, self.config, has_weights=False), MAX_LENGTH)

    @cached_property
    def store(self) -> TokenStore:
        """Token ids of all texts."""
        return self.reader.encode(list(self.texts))

    def facts(self) -> dict[str, Any]:
        """Return facts for a row; the plan computes the operations per document from them."""
        tokens = int(self.store.lengths.sum())
        return {"documents": len(self.texts), "tokens": tokens, "threads": torch.get_num_threads()}

    def network(self, labels: int = len(LABELS), *, frozen: bool = False) -> BertCnn:
        """Build a network; its random weights are the same each time."""
        torch.manual_seed(1)
        return BertCnn(build_encoder(self.config, frozen=frozen), labels, self.settings)

    def spec(self, *, frozen: bool = False) -> NetworkSpec:
        """Return the specification of the network for training."""
        return NetworkSpec(self.reader, lambda _: self.network(frozen=frozen))

    def classifier(self, node: str = ROOT, tree: LabelTree = TREE, *, flat: bool = False) -> NodeClassifier:
        """Return the network as a classifier for scoring."""
        network = self.network(num_outputs(tree, flat)).eval()
        return NodeClassifier(node, tree, flat, self.settings, network, self.reader)

    def run(self, **trainer: Any) -> Settings:
        """Return settings for training one epoch."""
        plain = TrainerSettings(max_epochs=1, min_steps=0, patience=None, keep=LAST, progress=False)
        trained = replace(plain, **trainer)
        return Settings(encoder=DemoEncoderSettings(), model=self.settings, node=ROOT, trainer=trained)


def training_view(store: TokenStore, labels: NDArray[np.integer] | None = None) -> NodeView[TokenStore]:
    """Return a view of a store with all documents for training and none for validation.

    Args:
        store: Token ids of ``n`` documents.
        labels: Label of each document, ``(n,)``; None to use all labels in turn.
    """
    every, nothing = np.arange(len(store)), np.empty(0, np.intp)
    paths = (every % len(LABELS) if labels is None else labels).astype(np.int32)[:, None]  # (n, 1)
    none = paths[:0]
    return NodeView(ROOT, store, TREE, False, every, paths, none, nothing, nothing, none, nothing, none, nothing)


def peer_tokenizer() -> Any:
    """Return transformers' tokenizer with the vocabulary of the packaged encoder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(VOCABULARY, trust_remote_code=False, local_files_only=True)


def peer_model(network: Any, config: dict[str, Any]) -> Any:
    """Wrap our network as a transformers model, for training and for scoring."""
    from transformers import BertConfig, PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput

    class Wrapped(PreTrainedModel):
        config_class = BertConfig

        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.network = network

        def forward(self, input_ids: Any, attention_mask: Any, labels: Any = None, **_: Any) -> Any:
            logits = self.network(input_ids, attention_mask)
            loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
            return SequenceClassifierOutput(loss=loss, logits=logits)

    facts: dict[str, Any] = {key: value for key, value in config.items() if key != "model_type"}
    return Wrapped(BertConfig(**facts, id2label=dict(enumerate(LABELS))))
