"""Scoring texts beside the text-classification pipeline of transformers, with one network on one device."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.architecture import MAX_LENGTH
from benchmarks.speed.rows import Row, in_turn, rate_row
from benchmarks.speed.subjects import LABELS, Subject, peer_model, peer_tokenizer
from patent_hier.inference.precision import MIN_AGREEMENT, scoring_in
from patent_hier.settings import BF16, FP32

_TOLERANCE = {"cpu": 1e-5, "cuda": 1e-4}  # of probabilities; a GPU adds up in another order for each size of a batch
_CRITICAL = 50  # of logging
_TARGETS = {("abstracts", FP32): 1.5, ("titles", FP32): 4.0, ("abstracts", BF16): 2.0, ("titles", BF16): 4.0}


def scoring_row(subject: Subject, what: str, repeats: int, precision: str = FP32, device: str = "cpu") -> Row:
    """Texts, ``abstracts`` or ``titles``, to labels with their probabilities.

    The pipeline is called as its documentation does: a list of texts, its default batch of one, truncation, fp32. Ours
    in fp32 must give its labels and probabilities; in half precision, as many of its labels as
    ``patent-hier predict --precision`` asks for.
    """
    classifier, texts = subject.classifier(), list(subject.texts)
    assert isinstance(classifier.model, torch.nn.Module)
    classifier.model.to(device)
    every, pipeline = np.arange(len(texts)), _pipeline(subject, classifier.model, device)

    def ours() -> NDArray[np.float32]:
        with scoring_in(precision):
            return classifier.log_prob(classifier.encode(texts), every)

    def peer() -> Any:
        return pipeline(texts, truncation=True, max_length=MAX_LENGTH)

    log_prob, found = ours(), peer()
    best = log_prob.argmax(1)
    same = sum(LABELS[code] == one["label"] for code, one in zip(best, found, strict=True))
    difference = float(np.abs(np.exp(log_prob[every, best]) - [one["score"] for one in found]).max())
    exact = same == len(texts) and difference <= _TOLERANCE[device]
    agrees = exact if precision == FP32 else same >= MIN_AGREEMENT * len(texts)
    name = torch.cuda.get_device_name() if device == "cuda" else device
    facts = {**subject.facts(), "same_labels": same, "largest_difference": difference, "precision": precision}
    facts |= {"device": device, "device_name": name}
    work = f"scoring {what}, {subject.size} size" + (", bf16" if precision == BF16 else "")
    rounds = in_turn(ours, peer, repeats=repeats, warm_up=0)  # both have run
    rest = {"target": _TARGETS[what, precision], "agrees": agrees, "facts": facts}
    return rate_row(work, "documents", len(texts), rounds, "transformers pipeline", **rest)


def _pipeline(subject: Subject, network: Any, device: str) -> Any:
    from transformers import TextClassificationPipeline
    from transformers.utils import logging

    logging.set_verbosity(_CRITICAL)  # it would list the networks that it knows, and ours is none of them
    model = peer_model(network, subject.config).eval()
    return TextClassificationPipeline(model=model, tokenizer=peer_tokenizer(), device=device)
