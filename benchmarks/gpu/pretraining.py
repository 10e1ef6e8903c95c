"""Measure pre-training at the packaged encoder's size and at base size: tokens per second after the first round."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.architecture import SIZES, TRAINING_PASSES, Architecture
from benchmarks.gpu.steps import Found
from benchmarks.gpu.training import percent, utilisation
from benchmarks.speed.subjects import VOCABULARY, Subject
from patent_hier.atomic import read_json
from patent_hier.features.packing import PackedText
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.special_tokens import special_tokens
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.models.masked_language import MaskedLanguageModel, new_network
from patent_hier.settings import OptimizerSettings, PretrainSettings
from patent_hier.settings.pretraining import ArchitectureSettings
from patent_hier.training.masking import MaskedRows, SpecialIds
from patent_hier.training.pretraining import pretrain_network

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

_SEQ_LEN = 128
_ROUNDS = 3  # the first round is warm-up, in which the network is also compiled on a GPU


def pretraining(check: "Check") -> Found:
    """Pre-train as ``patent-hier pretrain`` does by default: on a GPU, in bf16 and compiled."""
    sizes = {check.amounts.size: SIZES[check.amounts.size]}
    if check.on_gpu:  # on a CPU it takes seconds
        sizes = {"small": Architecture.of(read_json(VOCABULARY / "config.json"), "small"), **sizes}
    facts = {name: _measure(check, size) for name, size in sizes.items()}
    lines = [
        f"- {name}: {one['tokens_per_second']:,.0f} tokens/s in {one['precision']}, "
        f"rows of {_SEQ_LEN} in batches of {one['rows']}, {one['parameters'] / 1e6:.1f} M weights, "
        f"utilisation {percent(one['utilisation'])} without the output matrix; loss {one['loss'][0]:.2f} to "
        f"{one['loss'][1]:.2f}"
        for name, one in facts.items()
    ]
    return Found(facts, "\n".join(lines))


def _measure(check: "Check", size: Architecture) -> dict[str, Any]:
    batch, steps = check.amounts.pretraining
    sizes = ArchitectureSettings(
        size.hidden_size, size.num_hidden_layers, size.num_attention_heads, size.intermediate_size
    )
    rows, settings = _rows(check.subject(len(check.abstracts)), batch), PretrainSettings(
        "gpu-check", seq_len=_SEQ_LEN, batch_size=batch, max_steps=_ROUNDS * steps, steps_per_round=steps,
        held_out_tokens=batch * _SEQ_LEN, optimizer=OptimizerSettings("muon", lr=2e-3, warmup=0.1),
    )  # fmt: skip

    def build(on_gpu: bool) -> MaskedLanguageModel:
        return new_network(sizes, size.vocab_size, on_gpu)

    with tempfile.TemporaryDirectory() as folder:
        done = pretrain_network(build, rows, rows, settings, Path(folder), lambda _: None)
    first, last = done.history[1], done.history[-1]
    rate = (last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"])
    flops = TRAINING_PASSES * size.forward_flops(rate, rate * _SEQ_LEN)
    return {
        "tokens_per_second": rate,
        "rows": batch,
        "precision": done.facts["precision"],
        "parameters": done.facts["parameters"],
        "utilisation": utilisation(flops, done.facts["precision"]),
        "first_round_seconds": first["seconds"],
        "loss": [first["train/loss"], last["train/loss"]],
    }


def _rows(subject: Subject, batch: int) -> MaskedRows:
    """Return a subject's texts as one row of tokens without word starts, so that single tokens are masked."""
    tokenizer = load_tokenizer(EncoderFiles(VOCABULARY, {}, False), _SEQ_LEN)
    special = special_tokens(tokenizer, VOCABULARY)
    ids = np.concatenate([subject.store[row] for row in range(len(subject.store))]).astype(np.uint16)
    known = SpecialIds(special.cls, special.sep, special.mask, tokenizer.get_vocab_size())
    return MaskedRows(PackedText(ids, np.ones(len(ids), np.bool_)), known, _SEQ_LEN, batch, 0.15, False, 1)
