"""Measure the scoring of titles and abstracts: compared with transformers' pipeline, and in large batches."""

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.gpu.steps import Found
from benchmarks.gpu.training import percent, utilisation
from benchmarks.plan.records import Speed
from benchmarks.speed.record import tables
from benchmarks.speed.rows import Row
from benchmarks.speed.scoring import scoring_rows
from benchmarks.speed.subjects import Subject
from patent_hier.inference.engines import Engine
from patent_hier.inference.moving import stand_in
from patent_hier.settings import BF16, FP32

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

_BATCH = 256  # documents per batch of the larger run


def scoring(check: "Check") -> Found:
    """Compare scoring with the pipeline, which reads texts one by one; then score many more texts with ours alone."""
    amounts, rows, lines, many = check.amounts, list[Row](), list[str](), list[dict[str, Any]]()
    for what, texts in (("abstracts", check.abstracts), ("titles", check.titles)):
        few, all_of_them = (
            Subject(amounts.size, tuple(texts[i % len(texts)] for i in range(count)))
            for count in (amounts.scored, amounts.scored_in_batches)
        )
        for precision in (FP32, BF16):  # fp32 first: nodes are scored in it, and the plan uses the first row
            rows += scoring_rows(few, what, 1, Engine(precision=precision), device=check.device)
            rate = documents_per_second(all_of_them, precision, check.device)
            flops = Speed.of({"ours": rate, "facts": all_of_them.facts()}, amounts.size, 1).flops
            share = utilisation(flops, precision)
            many.append({"texts": what, "precision": precision, "documents_per_second": rate, "utilisation": share})
            lines.append(
                f"- {what}, {precision}, {len(all_of_them.texts):,} in batches of {_BATCH}: {rate:,.0f} documents/s, "
                f"utilisation {percent(share)}"
            )
    check.rows += rows
    found = [{"work": row.work, "documents_per_second": row.ours, "peer": row.peer, **row.facts} for row in rows]
    # With random weights, labels may be almost equally likely, and bf16 may then choose another one.
    apart = [row.work for row in rows if not row.agrees and row.facts["precision"] == FP32]
    fault = f"labels or probabilities differ from the peer's: {'; '.join(apart)}" if apart else ""
    return Found({"rows": found, "many": many}, f"{tables(rows)}\n" + "\n".join(lines), fault)


def documents_per_second(subject: Subject, precision: str, device: str) -> float:
    """Measure documents per second from token ids to probabilities, after a first pass over the longest documents."""
    classifier = subject.classifier()
    assert isinstance(classifier.model, torch.nn.Module)
    classifier = stand_in(replace(classifier, model=classifier.model.to(device)), Engine(precision=precision))
    longest = np.argsort(-subject.store.lengths, kind="stable")
    classifier.log_prob(subject.store, longest[:_BATCH], _BATCH)
    start = perf_counter()
    classifier.log_prob(subject.store, longest, _BATCH)  # when it returns, the results are on the CPU
    return len(longest) / (perf_counter() - start)
