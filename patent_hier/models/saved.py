"""A node's classifier as a folder: safetensors + JSON + vocabulary, nothing that can execute.

``classifier.json`` (kind, node, labels, settings), ``model.safetensors``, ``encoder_config.json`` and the encoder's
tokenizer files. A constant classifier (a node with one class) has ``classifier.json`` only.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from patent_hier.artifacts import read_json, write_json
from patent_hier.errors import ArtifactError
from patent_hier.features.pretrained import TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, EncoderFiles
from patent_hier.features.wordpiece import TokenStore, load_tokenizer
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.scoring import score_documents
from patent_hier.settings import BertCnnSettings

CLASSIFIER = "classifier.json"
WEIGHTS = "model.safetensors"
ENCODER_CONFIG = "encoder_config.json"
CONSTANT = "constant"
_TOKENIZER_FILES = (TOKENIZER, VOCABULARY, TOKENIZER_CONFIG)


@dataclass
class NodeClassifier:
    """One node's classifier, ready to score.

    Attributes:
        node: The node it decides.
        labels: Its labels; the order is that of ``log_prob``'s columns.
        max_length: Longest document in tokens.
        settings: The model group it was built with; None for a constant classifier.
        network: The network; None for a constant classifier.
        encoder: Where its configuration and tokenizer come from; None for a constant classifier.
        pad_id: Token id of ``[PAD]``.
    """

    node: str
    labels: tuple[str, ...]
    max_length: int
    settings: BertCnnSettings | None = None
    network: nn.Module | None = None
    encoder: EncoderFiles | None = None

    @property
    def pad_id(self) -> int:
        """Token id of ``[PAD]``."""
        return int((self.encoder.config.get("pad_token_id") if self.encoder else 0) or 0)

    def log_prob(
        self,
        store: TokenStore,
        indices: NDArray[np.intp],
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Log-probabilities ``(len(indices), len(labels))`` of documents of a token store."""
        if self.network is None:
            return np.zeros((len(indices), len(self.labels)), np.float32)
        return score_documents(
            self.network,
            store,
            indices,
            num_labels=len(self.labels),
            pad_id=self.pad_id,
            batch_size=batch_size,
            progress=progress,
        )

    def encode(self, texts: list[str]) -> TokenStore:
        """Token ids of new texts.

        Raises:
            ArtifactError: For a constant classifier, which reads no text.
        """
        if self.encoder is None:
            raise ArtifactError(f"node {self.node} has a constant classifier, which reads no text")
        tokenizer = load_tokenizer(self.encoder, self.max_length)
        return TokenStore.from_documents(encoding.ids for encoding in tokenizer.encode_batch_fast(texts))

    def save(self, folder: Path) -> None:
        """Write the folder's files; the caller seals it."""
        folder.mkdir(parents=True, exist_ok=True)
        facts: dict[str, Any] = {
            "kind": self.settings.name if self.settings else CONSTANT,
            "node": self.node,
            "labels": list(self.labels),
            "max_length": self.max_length,
            "model": asdict(self.settings) if self.settings else {},
        }
        write_json(folder / CLASSIFIER, facts)
        if self.network is None or self.encoder is None:
            return
        save_file({name: value.contiguous() for name, value in self.network.state_dict().items()}, folder / WEIGHTS)
        write_json(folder / ENCODER_CONFIG, self.encoder.config)
        for name in _TOKENIZER_FILES:
            if (self.encoder.folder / name).is_file():
                shutil.copyfile(self.encoder.folder / name, folder / name)


def load_classifier(folder: Path) -> NodeClassifier:
    """Load what :meth:`NodeClassifier.save` wrote, on the CPU and in evaluation mode.

    Raises:
        ArtifactError: If a file is missing, damaged or of another shape.
    """
    facts = read_json(folder / CLASSIFIER)
    try:
        classifier = NodeClassifier(facts["node"], tuple(facts["labels"]), int(facts["max_length"]))
        if facts["kind"] == CONSTANT:
            return classifier
        classifier.settings = BertCnnSettings(**facts["model"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / CLASSIFIER} is not a classifier's ({error}); train the node again") from error
    config = read_json(folder / ENCODER_CONFIG)
    network = BertCnn.from_config(config, len(classifier.labels), classifier.settings)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{folder / WEIGHTS} is damaged ({reason}); delete the result and train again") from error
    classifier.network = network.eval()
    classifier.encoder = EncoderFiles(folder, config, has_weights=True)
    return classifier
