"""The layer ablation with a frozen encoder: document vectors computed once, beside one whole run for each N."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from patent_hier.bench.rows import Row, compare, in_turn
from patent_hier.bench.subjects import Subject
from patent_hier.features.layer_vectors import LayerVectors, PositionStore
from patent_hier.models.frozen import write_layer_vectors
from patent_hier.settings import FP32
from patent_hier.training.neural import fit_network

TOLERANCE = 0.02  # of log-probabilities after training; the vectors are kept in half precision
_EPOCHS = 5


def ablation_row(subject: Subject, repeats: int) -> Row:
    """N = 1 to all layers, five epochs each, on vectors and on tokens."""
    layers = subject.config["num_hidden_layers"]
    answers: dict[str, list[np.ndarray]] = {}

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_layer_vectors(
                subject.network(frozen=True).encoder,
                subject.store,
                Path(folder),
                layers=layers,
                pooling=subject.settings.pooling,
                pad_id=0,
                batch_size=64,
                precision=FP32,
            )
            answers["ours"] = [_fit(subject, n, LayerVectors.open(Path(folder))) for n in range(1, layers + 1)]

    def peer() -> None:
        answers["peer"] = [_fit(subject, n, None) for n in range(1, layers + 1)]

    rate, other, ratio = compare(layers, in_turn([ours, peer], repeats, warm_up=0))
    pairs = zip(answers["ours"], answers["peer"], strict=True)
    difference = max(float(np.abs(one - two).max()) for one, two in pairs)
    return Row(
        work=f"layer ablation, frozen encoder of {subject.size} size, N = 1 to {layers}, {_EPOCHS} epochs each",
        unit="runs/s",
        ours=rate,
        peer=other,
        peer_name="one run for each N",
        ratio=ratio,
        target=layers / 2,
        agrees=difference <= TOLERANCE,
        repeats=repeats,
        facts={"documents": len(subject.texts), "largest_difference": difference},
    )


def _fit(subject: Subject, n: int, vectors: LayerVectors | None) -> np.ndarray:
    """Train on all documents and score them: log-probabilities ``(documents, labels)``."""
    chosen = replace(subject, settings=replace(subject.settings, num_last_layers=n))
    blueprint = replace(chosen.blueprint(frozen=True), vectors=vectors)
    view = replace(chosen.view(), store=PositionStore(subject.store.lengths) if vectors else subject.store)
    fitted = fit_network(view, blueprint, chosen.run(max_epochs=_EPOCHS, accelerator="cpu"))
    with blueprint.reading(fitted.classifier.model):
        return fitted.classifier.log_prob(view.store, view.train)
