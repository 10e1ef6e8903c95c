"""Tiny networks on the toy corpus: settings, training, and whether two trainings came to the same."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from patent_hier.data.splits import TEST, VAL
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.models.network_spec import NetworkSpec, encoder_spec
from patent_hier.settings import BertCnnSettings, OptimizerSettings, Settings, TrainerSettings
from patent_hier.training.fitted import Fitted
from patent_hier.training.neural import fit_network
from patent_hier.training.node_data import CorpusView, LabelShare, NodeView
from patent_hier.training.node_views import view_of
from tests.conftest import class_labels, tiny_encoder_settings

SHORT = {"max_epochs": 2, "min_steps": 0, "num_threads": 1, "accelerator": "cpu", "progress": False}
SMALL = {"num_last_layers": 2, "num_filters": 8, "pooling": "mean"}
TOLERANCE = 1e-4  # of losses and of log-probabilities, which training moves by about 1
QUIET: dict[str, Any] = {"accelerator": "cpu", "logger": False}  # of Lightning's trainer
QUIET |= dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
Changes = dict[str, Any] | None


def settings(
    node: str = "A", *, seed: int = 1, encoder: Changes = None, model: Any = None, optimizer: Changes = None,
    **trainer: Any,
) -> Settings:  # fmt: skip
    """Of another model, or of a tiny BERT-CNN with changes, and two short epochs; further words are of ``trainer``."""
    changes = model if isinstance(model, dict) else {}
    return Settings(
        encoder=tiny_encoder_settings(**(encoder or {})),
        model=BertCnnSettings(**{**SMALL, **changes}) if model in (None, changes) else model,
        optimizer=OptimizerSettings(**{"lr": 3e-3, **(optimizer or {})}),
        trainer=TrainerSettings(**{**SHORT, **trainer}),
        node=node,
        seed=seed,
    )


@dataclass(frozen=True)
class Toy:
    """A corpus of token ids and an encoder's files, by which networks are trained."""

    corpus: CorpusView[TokenStore]
    files: EncoderFiles

    def view(self, node: str) -> NodeView[TokenStore]:
        return view_of(self.corpus, node)

    def spec(self, chosen: Settings) -> NetworkSpec:
        return encoder_spec(self.files, chosen.encoder, chosen.model)

    def fit(self, chosen: Settings, *more: Any, weighted: bool = False, **options: Any) -> Fitted:
        """Train; with ``weighted`` the last 20 documents weigh less."""
        view = self.view(chosen.node)
        view = replace(view, label_share=LabelShare(20, (0.3,))) if weighted else view
        return fit_network(view, self.spec(chosen), chosen, *more, **options)

    def spoiled(self, *parts: int) -> "Toy":
        """With the largest class as the label of every document of some parts."""
        classes = self.corpus.labels.tree.codes[self.corpus.labels.main[:, 1]].copy()
        classes[np.isin(self.corpus.parts, parts)] = "A01"
        return replace(self, corpus=replace(self.corpus, labels=class_labels(classes)))

    def without_validation(self) -> "Toy":
        parts = np.where(self.corpus.parts == VAL, TEST, self.corpus.parts).astype(np.int8)
        return replace(self, corpus=replace(self.corpus, parts=parts))


def weights(trained: Any) -> dict[str, Tensor]:
    """Of a fitted network, or of a pre-trained one."""
    network = trained.classifier.model if isinstance(trained, Fitted) else trained.model
    assert isinstance(network, nn.Module)
    return network.state_dict()


def untimed(trained: Any) -> list[dict[str, float]]:
    """The history of training, without the seconds."""
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in trained.history]


def equal(one: Any, other: Any) -> bool:
    """Whether two trainings came to the same weights, bit for bit."""
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())
