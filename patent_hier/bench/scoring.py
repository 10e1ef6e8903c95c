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
from patent_hier.settings import FP32

TOLERANCE = 1e-5  # of probabilities
_CRITICAL = 50  # of logging
TARGETS = {"abstracts": 1.5, "titles": 4.0}


def scoring_row(subject: Subject, what: str, repeats: int) -> Row:
    """Texts to labels with their probabilities, by both with one network, in fp32 on the CPU.

    The pipeline is called as its documentation does: a list of texts, its default batch of one, and truncation.

    Args:
        subject: Network and texts.
        what: ``abstracts`` or ``titles``; decides the target.
        repeats: How often.
    """
    classifier, texts = subject.classifier(), list(subject.texts)
    rows = np.arange(len(texts))
    pipeline = _pipeline(classifier.model, subject)

    def ours() -> NDArray[np.float32]:
        return classifier.log_prob(classifier.encode(texts), rows)

    def peer() -> Any:
        return pipeline(texts, truncation=True, max_length=MAX_LENGTH)

    log_prob, found = ours(), peer()
    best = log_prob.argmax(1)
    scores = np.exp(log_prob[rows, best])
    difference = max(abs(float(score) - one["score"]) for score, one in zip(scores, found, strict=True))
    same = all(LABELS[code] == one["label"] for code, one in zip(best, found, strict=True))
    rate, other, ratio = compare(len(texts), in_turn([ours, peer], repeats, warm_up=0))  # both have run
    limit, limit_name = document_limit(subject.flops(), len(texts), "cpu", FP32)
    return Row(
        work=f"scoring {what}, {subject.size} size",
        unit="documents/s",
        ours=rate,
        peer=other,
        peer_name="transformers pipeline",
        ratio=ratio,
        target=TARGETS[what],
        limit=limit,
        limit_name=limit_name,
        agrees=same and difference <= TOLERANCE,
        repeats=repeats,
        facts={
            "documents": len(texts),
            "tokens": int(subject.store.lengths.sum()),
            "same_labels": same,
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
