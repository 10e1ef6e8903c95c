"""Classifiers with random weights, and systems of them, for tests of what is exported."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from patent_hier import settings as s
from patent_hier.data.raw import RawFormat
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader, segmenter
from patent_hier.inference.nodes import Classifier
from patent_hier.inference.predictor import System
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.rnn import Rnn
from patent_hier.models.saved import NodeClassifier, num_outputs
from patent_hier.models.textcnn import TextCnn
from patent_hier.taxonomy.tree import LabelTree
from tests.trees import tree_of

LABELS = tree_of([("A01",), ("A21",), ("A99",)], ("class",), root="A")
MAX_LENGTH = 24
BERT: dict[str, Any] = {"num_last_layers": 2, "num_filters": 4, "pool_size": 4}
NETWORKS: dict[str, s.ModelSettings] = {
    "bertcnn": s.BertCnnSettings(**BERT),
    "shuffled": s.BertCnnSettings(**{**BERT, "pool_size": None}, hidden_order="shuffled", pooling="mean"),
    "attention": s.BertCnnSettings(**BERT, pooling="attention"),
    "last": s.BertCnnSettings(**BERT, pooling="last"),
    "token": s.BertCnnSettings(**BERT, head="token", kernel_size=2),
    "bert": s.BertCnnSettings(name="bert", head="cls", pooling="mean"),
    "textcnn": s.TextCnnSettings(name="textcnn", num_filters=4, kernel_sizes=[2, 7]),
    "lstm": s.RnnSettings(name="rnn", hidden_size=5, num_layers=2),
    "gru": s.RnnSettings(name="rnn", hidden_size=5, num_layers=2, cell="gru", pooling="attention"),
    "gru-last": s.RnnSettings(name="rnn", hidden_size=5, cell="gru"),
}
TEXTS = ["光", "一种激光测距装置", "本发明涉及一种LED灯具。" * 5, "", "用于 数据库 的 加密方法", "该装置包括壳体"]


class Maker:
    """Makes classifiers with random weights, and systems of them."""

    def __init__(self, files: EncoderFiles, texts: list[str]) -> None:
        self.files = files
        self.words = tuple(sorted({word for text in [*texts[:60], *TEXTS] for word in segmenter("chars")(text)}))

    def classifier(
        self, name: str, node: str = "A", tree: LabelTree = LABELS, seed: int = 4, *, flat: bool = False
    ) -> NodeClassifier:
        torch.manual_seed(seed)
        settings, n = NETWORKS[name], num_outputs(tree, flat)
        if isinstance(settings, s.BertCnnSettings):
            encoder = load_encoder(self.files, pretrained=True, frozen=False)
            network: nn.Module = BertCnn(encoder, n, settings)
            if settings.pooling == "attention":
                nn.init.normal_(network.head.queries)  # they begin as zero
            return NodeClassifier(node, tree, flat, settings, network.eval(), WordPieceReader(self.files, MAX_LENGTH))
        vectors = torch.randn(len(self.words) + 2, 6)
        assert isinstance(settings, s.TextCnnSettings | s.RnnSettings)
        network = (
            TextCnn(vectors, n, settings) if isinstance(settings, s.TextCnnSettings) else Rnn(vectors, n, settings)
        )
        return NodeClassifier(node, tree, flat, settings, network.eval(), WordReader(self.words, "chars", MAX_LENGTH))

    @staticmethod
    def loaded(classifier: NodeClassifier) -> Classifier:
        return Classifier(classifier, {type(classifier.reader).__name__: "digest"}, RawFormat())

    def system(self, *classifiers: NodeClassifier) -> System:
        folders = {one.node: Path(f"/nowhere/{one.node}-0123") for one in classifiers}
        loaded = {folders[one.node]: self.loaded(one) for one in classifiers}
        return System("made", folders, loaded, RawFormat())
