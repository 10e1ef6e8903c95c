"""Compare scoring with transformers' text-classification pipeline, with one network on one device."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.architecture import MAX_LENGTH
from benchmarks.speed.rows import Row, in_turn, rate_row
from benchmarks.speed.subjects import LABELS, Subject, peer_model, peer_tokenizer
from patent_hier.inference.engines import INT8, ONNX, OPENVINO, TORCH, Engine
from patent_hier.inference.moving import stand_in
from patent_hier.inference.precision import MIN_AGREEMENT
from patent_hier.models.saved import NodeClassifier
from patent_hier.settings import BF16, FP32

ENGINES = (Engine(), *(Engine(name, precision) for name in (ONNX, OPENVINO) for precision in (FP32, INT8)))
_TOLERANCE = {"cpu": 1e-5, "cuda": 1e-4}  # of probabilities; on a GPU, the order of additions depends on the batch size
_CRITICAL = 50  # logging level
_TARGETS = {
    ("abstracts", FP32): 1.5, ("titles", FP32): 4.0, ("abstracts", BF16): 2.0, ("titles", BF16): 4.0,
    ("abstracts", INT8): 2.0, ("titles", INT8): 5.0,
}  # fmt: skip
_ENGINE_TARGETS = {"abstracts": 2.0, "titles": 3.0}  # for the other runtimes in fp32


def scoring_rows(subject: Subject, what: str, repeats: int, *engines: Engine, device: str = "cpu") -> Iterator[Row]:
    """Measure each engine from texts (``abstracts`` or ``titles``) to labels with probabilities.

    The pipeline is called as in its documentation: a list of texts, its default batch size of one, truncation, fp32.
    In fp32, every engine of ours must give the same labels and probabilities; in other precisions, as many of the same
    labels as ``patent-hier predict --precision`` requires. All run in turn. Converting a network is not timed.
    """
    plain, texts = subject.classifier(), list(subject.texts)
    assert isinstance(plain.model, torch.nn.Module)
    plain.model.to(device)
    every, pipeline = np.arange(len(texts)), _pipeline(subject, plain.model, device)
    ours = [_scorer(stand_in(plain, engine), texts) for engine in engines]

    def peer() -> Any:
        return pipeline(texts, truncation=True, max_length=MAX_LENGTH)

    found, scores = peer(), [score() for score in ours]
    rounds = in_turn(*ours, peer, repeats=repeats, warm_up=0)  # all have already run once
    for place, (engine, log_prob) in enumerate(zip(engines, scores, strict=True)):
        best = log_prob.argmax(1)
        same = sum(LABELS[code] == one["label"] for code, one in zip(best, found, strict=True))
        difference = float(np.abs(np.exp(log_prob[every, best]) - [one["score"] for one in found]).max())
        exact = same == len(texts) and difference <= _TOLERANCE[device]
        facts = {"same_labels": same, "largest_difference": difference, "precision": engine.precision}
        facts |= {"device": device, "device_name": torch.cuda.get_device_name() if device == "cuda" else device}
        rest = {
            "target": _target(what, engine),
            "agrees": exact if engine.precision == FP32 else same >= MIN_AGREEMENT * len(texts),
            "facts": {**subject.facts(), **facts, "engine": engine.name},
        }
        how = "" if engine.is_plain else f", {engine}".replace(BF16, "bf16")
        work = f"scoring {what}, {subject.size} size{how}"
        own = [(seconds[place], seconds[-1]) for seconds in rounds]
        yield rate_row(work, "documents", len(texts), own, "transformers pipeline", **rest)


def _scorer(classifier: NodeClassifier, texts: Sequence[str]) -> Callable[[], NDArray[np.float32]]:
    every = np.arange(len(texts))
    return lambda: classifier.log_prob(classifier.encode(list(texts)), every)


def _target(what: str, engine: Engine) -> float:
    is_foreign = engine.name != TORCH and engine.precision == FP32
    return _ENGINE_TARGETS[what] if is_foreign else _TARGETS[what, engine.precision]


def _pipeline(subject: Subject, network: Any, device: str) -> Any:
    from transformers import TextClassificationPipeline
    from transformers.utils import logging

    logging.set_verbosity(_CRITICAL)  # otherwise it lists its known networks, which exclude ours
    model = peer_model(network, subject.config).eval()
    return TextClassificationPipeline(model=model, tokenizer=peer_tokenizer(), device=device)
