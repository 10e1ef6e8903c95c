"""Scoring texts: our scorer beside the text-classification pipeline of transformers."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patent_hier.bench.architecture import MAX_LENGTH
from patent_hier.bench.limits import document_limit
from patent_hier.bench.rows import Row, compare, in_turn
from patent_hier.bench.subjects import LABELS, Subject
from patent_hier.inference.precision import MIN_AGREEMENT, scoring_in
from patent_hier.settings import BF16, FP32

TOLERANCE = 1e-5  # of probabilities
_CRITICAL = 50  # of logging
TARGETS = {("abstracts", FP32): 1.5, ("titles", FP32): 4.0, ("abstracts", BF16): 2.0}


def scoring_row(subject: Subject, what: str, repeats: int, precision: str = FP32) -> Row:
    """Texts to labels with their probabilities, by both with one network on the CPU.

    The pipeline is called as its documentation does: a list of texts, its default batch of one, and truncation, in
    fp32. Ours in fp32 must give its labels and probabilities; in half precision, as many of its labels as
    ``patent-hier predict --precision`` asks for.

    Args:
        subject: Network and texts.
        what: ``abstracts`` or ``titles``.
        repeats: How often.
        precision: Ours; with ``what`` a key of :data:`TARGETS`.
    """
    classifier, texts = subject.classifier(), list(subject.texts)
    rows = np.arange(len(texts))
    pipeline = _pipeline(classifier.model, subject)

    def ours() -> NDArray[np.float32]:
        with scoring_in(precision):
            return classifier.log_prob(classifier.encode(texts), rows)

    def peer() -> Any:
        return pipeline(texts, truncation=True, max_length=MAX_LENGTH)

    log_prob, found = ours(), peer()
    best = log_prob.argmax(1)
    scores = np.exp(log_prob[rows, best])
    difference = max(abs(float(score) - one["score"]) for score, one in zip(scores, found, strict=True))
    same = sum(LABELS[code] == one["label"] for code, one in zip(best, found, strict=True))
    exact = same == len(texts) and difference <= TOLERANCE
    rate, other, ratio = compare(len(texts), in_turn([ours, peer], repeats, warm_up=0))  # both have run
    limit, limit_name = document_limit(subject.flops(), len(texts), "cpu", precision)
    return Row(
        work=f"scoring {what}, {subject.size} size" + (", bf16" if precision == BF16 else ""),
        unit="documents/s",
        ours=rate,
        peer=other,
        peer_name="transformers pipeline",
        ratio=ratio,
        target=TARGETS[what, precision],
        limit=limit,
        limit_name=limit_name,
        agrees=exact if precision == FP32 else same >= MIN_AGREEMENT * len(texts),
        repeats=repeats,
        facts={
            "documents": len(texts),
            "tokens": int(subject.store.lengths.sum()),
            "same_labels": same,
            "precision": precision,
            "largest_difference": difference,
            "threads": torch.get_num_threads(),
        },
    )


def _pipeline(network: Any, subject: Subject) -> Any:
    """The pipeline around our network."""
    from transformers import BertConfig, PreTrainedModel, TextClassificationPipeline
    from transformers.modeling_outputs import SequenceClassifierOutput
    from transformers.utils import logging

    class Wrapped(PreTrainedModel):
        config_class = BertConfig

        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.network = network

        def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Any:
            return SequenceClassifierOutput(logits=self.network(input_ids, attention_mask))

    facts: dict[str, Any] = {key: value for key, value in subject.config.items() if key != "model_type"}
    facts["id2label"] = dict(enumerate(LABELS))
    facts["label2id"] = {label: code for code, label in enumerate(LABELS)}
    model: Any = Wrapped(BertConfig(**facts))
    logging.set_verbosity(_CRITICAL)  # it would list the networks that it knows, and ours is none of them
    return TextClassificationPipeline(model=model.eval(), tokenizer=subject.peer_tokenizer(), device="cpu")
