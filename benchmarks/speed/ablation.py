"""Layer ablation with a frozen encoder: document vectors computed once, compared with a whole run for each N."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.architecture import SIZES
from benchmarks.speed.rows import Row, in_turn, rate_row
from benchmarks.speed.subjects import Subject, training_view
from patent_hier.features.layer_vectors import LayerVectors, PositionStore
from patent_hier.models.frozen import write_layer_vectors
from patent_hier.settings import FP32
from patent_hier.training.neural import fit_network

_TOLERANCE = 0.02  # of log-probabilities after training; the vectors are stored in half precision
_EPOCHS = 5


def ablation_row(subject: Subject) -> Row:
    """Measure N = 1 to all layers, on vectors and on tokens; once, because it takes long."""
    layers = SIZES[subject.size].num_hidden_layers
    reading: dict[str, Any] = {"pooling": subject.settings.pooling, "pad_id": 0, "batch_size": 64, "precision": FP32}
    answers: dict[str, list[np.ndarray]] = {}

    def ours() -> None:
        with tempfile.TemporaryDirectory() as name:
            encoder, folder = subject.network(frozen=True).encoder, Path(name)
            write_layer_vectors(encoder, subject.store, folder, layers=layers, **reading)
            answers["ours"] = [_fit(subject, n, LayerVectors.open(folder)) for n in range(1, layers + 1)]

    def peer() -> None:
        answers["peer"] = [_fit(subject, n, None) for n in range(1, layers + 1)]

    rounds = in_turn(ours, peer, repeats=1, warm_up=0)
    difference = float(np.abs(np.subtract(answers["ours"], answers["peer"])).max())
    facts = {**subject.facts(), "largest_difference": difference}
    work = f"layer ablation, frozen encoder of {subject.size} size, N = 1 to {layers}, {_EPOCHS} epochs each"
    rest = {"target": layers / 2, "agrees": difference <= _TOLERANCE, "facts": facts}
    return rate_row(work, "runs", layers, rounds, "one run for each N", **rest)


def _fit(subject: Subject, n: int, vectors: LayerVectors | None) -> np.ndarray:
    """Train on all documents, score them and return the log-probabilities, ``(documents, labels)``."""
    chosen = replace(subject, settings=replace(subject.settings, num_last_layers=n))
    spec = replace(chosen.spec(frozen=True), vectors=vectors)
    view = training_view(PositionStore(subject.store.lengths) if vectors else subject.store)
    fitted = fit_network(view, spec, chosen.run(max_epochs=_EPOCHS, accelerator="cpu"))
    with spec.reading(fitted.classifier.model):
        return fitted.classifier.log_prob(view.store, view.train)
