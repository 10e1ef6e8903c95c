"""Scoring texts: our scorer beside the text-classification pipeline of transformers."""

from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from patent_hier.bench.limits import matrix_flops
from patent_hier.bench.rows import Row, compare
from patent_hier.bench.subjects import MAX_LENGTH, Subject

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

    def ours() -> tuple[float, Any]:
        start = perf_counter()
        log_prob = classifier.log_prob(classifier.encode(texts), rows)
        return perf_counter() - start, log_prob

    def peer() -> tuple[float, Any]:
        start = perf_counter()
        found = pipeline(texts, truncation=True, max_length=MAX_LENGTH)
        return perf_counter() - start, found

    log_prob, found = ours()[1], peer()[1]
    best = log_prob.argmax(1)
    scores = np.exp(log_prob[rows, best])
    difference = max(abs(float(score) - one["score"]) for score, one in zip(scores, found, strict=True))
    same = all(classifier.labels[code] == one["label"] for code, one in zip(best, found, strict=True))
    rate, other, ratio = compare(len(texts), [(ours()[0], peer()[0]) for _ in range(repeats)])
    most = matrix_flops("cpu", "32-true")
    return Row(
        work=f"scoring {what}, {subject.size} size",
        unit="documents/s",
        ours=rate,
        peer=other,
        peer_name="transformers pipeline",
        ratio=ratio,
        target=TARGETS[what],
        limit=most / (subject.flops() / len(texts)),
        limit_name=f"matrix product, {most / 1e9:,.0f} GFLOP/s",
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
    from transformers import AutoTokenizer, BertConfig, PreTrainedModel, TextClassificationPipeline
    from transformers.modeling_outputs import SequenceClassifierOutput
    from transformers.utils import logging

    class Wrapped(PreTrainedModel):
        config_class = BertConfig

        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.network = network

        def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Any:
            return SequenceClassifierOutput(logits=self.network(input_ids, attention_mask))

    labels = subject.classifier().labels
    facts: dict[str, Any] = {key: value for key, value in subject.config.items() if key != "model_type"}
    facts["id2label"] = dict(enumerate(labels))
    facts["label2id"] = {label: code for code, label in enumerate(labels)}
    model: Any = Wrapped(BertConfig(**facts))
    tokenizer = AutoTokenizer.from_pretrained(subject.reader.files.folder)
    logging.set_verbosity(_CRITICAL)  # it would list the networks that it knows, and ours is none of them
    return TextClassificationPipeline(model=model.eval(), tokenizer=tokenizer, device="cpu")
