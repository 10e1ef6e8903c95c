"""Plan the disk, memory and hours of a training, from measured figures."""

from typing import Any

from benchmarks.plan.machines import GPUS, MACHINES, Gpu, Machine, pack
from benchmarks.plan.records import LINEAR, Figures
from benchmarks.plan.work import Work
from patent_hier.settings import BF16, FP32, WHOLE, Settings, filled

ASSUMED_UTILISATION = 0.45  # share of the published peak; the target for training on a card
ASSUMED_SCALING = 0.9  # share of the cards' total speed that trainer=ddp reaches
_HOUR = 3600
_FLOAT = 4  # bytes
# Bytes of a layer's activations for each token and hidden dimension in half precision, fused attention: Korthikanti et
# al. (2022), arXiv:2205.05198, section 4.1, without the term for the attention matrices.
_ACTIVATIONS = 34


def make_plan(work: Work, figures: Figures, settings: Settings) -> dict[str, Any]:
    """Return the plan as JSON-compatible values: ``facts`` and ``assumptions``, bytes, and hours by machine.

    Args:
        work: The work to plan.
        figures: Measured speeds.
        settings: Settings with precision, batch size and length.
    """
    precision = FP32 if settings.trainer.precision == FP32 else BF16
    card = card_memory(work, precision, filled(settings.trainer.batch_size), settings.encoder.max_length)
    here = Machine(f"bench machine: {figures.training.device}, {figures.training.precision}", None)
    node, documents = work.nodes[0], work.documents
    facts = {
        "rows": documents.rows,
        "documents": documents.total,
        "source": documents.source,
        "level": settings.level.name,
        "seeds": work.seeds,
        "encoder": settings.encoder.name,
        "parameters": work.encoder.parameters,
        "tokens": work.tokens,
        "tokens_source": work.tokens_source,
        "max_length": settings.encoder.max_length,
        "batch_size": settings.trainer.batch_size,
        "epochs": node.epochs,
        "precision": precision,
        "train_documents": node.train,
        "held_out_documents": work.held_out,
        "training_flops": work.seeds * sum(map(work.training_flops, work.nodes)),
        "scoring_flops": work.seeds * len(work.nodes) * work.scoring_flops,
    }
    return {
        "facts": facts,
        "disk": _disk(work, figures),
        # For a corpus larger than the measured one, memory is extrapolated in proportion.
        "host": {
            name: stage["peak_own_bytes"] * max(1, documents.rows / stage["rows"])
            for name, stage in figures.stages.items()
        },
        "card": card,  # or main memory if a CPU trains
        "hours": [_hours(one, work, figures, precision, sum(card.values())) for one in (here, *MACHINES)],
        "linear_hours": _linear_hours(work, figures),
        "assumptions": _assumptions(work, figures),
        "sources": figures.sources,
    }


def _disk(work: Work, figures: Figures) -> dict[str, float]:
    """Return bytes on disk by purpose, including the checkpoints that are deleted after training."""
    prepare, split, documents = figures.stages["prepare"], figures.stages["split"], work.documents
    width = 2 if work.encoder.vocab_size <= 1 << 16 else 4  # bytes of a token id
    models = len(work.nodes) * work.seeds * _FLOAT * work.encoder.parameters
    return {
        "raw CSV": documents.raw_bytes or documents.rows * prepare["bytes_read"] / prepare["items"],
        "cache: corpus": documents.total * prepare["bytes_written"] / prepare["documents"],
        "cache: split": documents.total * split["bytes_written"] / split["items"],
        "cache: token ids": documents.total * (work.tokens * width + 8),
        "runs: models": models,
        "runs: predictions, at most": work.seeds * work.held_out * _FLOAT * sum(node.written for node in work.nodes),
        "while it trains: a checkpoint of each node at work, at most": models,
    }


def card_memory(work: Work, precision: str, batch: int, max_length: int) -> dict[str, float]:
    """Return the bytes that training one node needs: exact for the weights, estimated for activations."""
    parameters, half = work.encoder.parameters, precision != FP32
    tokens = batch * work.passes * max_length
    activations = _ACTIVATIONS * work.encoder.num_hidden_layers * work.encoder.hidden_size * tokens
    return {
        "weights, fp32": _FLOAT * parameters,
        "gradients, fp32": _FLOAT * parameters,
        "two moments of Adam, fp32": 2 * _FLOAT * parameters,
        "copies of the weights in bf16": 2 * parameters if half else 0,
        "activations, estimated": activations if half else 2 * activations,
    }


def _hours(machine: Machine, work: Work, figures: Figures, precision: str, needed: float) -> dict[str, Any]:
    """Return the hours on a machine; with ``ddp``, all cards train the first nodes together, then one node each."""
    documents, stages = work.documents, figures.stages
    training, scoring, basis = figures.training.flops, figures.scoring.flops, "measured"
    if machine.gpu:
        share, basis = _utilisation(figures, machine.gpu)
        training = scoring = share * machine.gpu.peak(precision)
    reading = {node: node.epochs * node.train / stages["loader"]["per_second"] for node in work.nodes}
    seconds = {node: max(work.training_flops(node) / training, reading[node]) for node in work.nodes}
    before = documents.rows / stages["prepare"]["per_second"]
    before += sum(documents.total / stages[name]["per_second"] for name in ("split", "encode"))
    score, cards = work.scoring_flops / scoring, machine.cards or len(work.nodes) * work.seeds
    first = [node for node in work.nodes if machine.ddp and node.is_wide]
    together = sum(seconds[node] / (cards * ASSUMED_SCALING) + score for node in first)
    alone = [seconds[node] + score for node in work.nodes if node not in first]
    return {
        "machine": machine.name,
        "basis": basis,  # whether its speed is measured or assumed
        "advice": f"level={first[0].name} trainer=ddp" if first and first[0].name in WHOLE else machine.advice,
        "pace": "the data loader" if any(seconds[node] == reading[node] for node in work.nodes) else "arithmetic",
        "fits": needed <= machine.gpu.memory if machine.gpu else None,
        "before": before / _HOUR,
        "level_1": work.seeds * sum(seconds[node] for node in work.nodes if node.is_wide) / _HOUR,
        "level_2": work.seeds * sum(seconds[node] for node in work.nodes if not node.is_wide) / _HOUR,
        "scoring": work.seeds * len(work.nodes) * score / _HOUR,
        "wall_clock": (before + work.seeds * together + pack(work.seeds * alone, cards)) / _HOUR,
    }


def _linear_hours(work: Work, figures: Figures) -> dict[str, float]:
    """Return the hours of each stage of ``model=linear`` on the bench machine, in proportion to documents."""
    amounts = dict(zip(LINEAR, (work.documents.total, work.nodes[0].train), strict=True))
    return {
        name: amount / figures.stages[name]["per_second"] / _HOUR
        for name, amount in amounts.items()
        if name in figures.stages
    }


def _utilisation(figures: Figures, gpu: Gpu) -> tuple[float, str]:
    """Return the share of a card's published peak, and whether it is measured or assumed."""
    share, measured = figures.utilisation or (ASSUMED_UTILISATION, None)
    other = f", as measured on {measured.name}" if measured and measured is not gpu else ""
    return share, f"{'measured' if measured is gpu else 'assumed'}: {share:.0%} of the published peak{other}"


def _assumptions(work: Work, figures: Figures) -> tuple[str, ...]:
    lines = [
        "every node trains for all its epochs; early stopping would end sooner",
        f"trainer=ddp reaches {ASSUMED_SCALING:.0%} of the cards' total speed: assumed, no record has several cards",
        "preparing, splitting and encoding take as long as on the bench machine, whichever machine trains",
        "operations and weights: without the classifier's heads, which are small unless data.depth is below subclass; "
        "embeddings are looked up, not multiplied",
        "activations: estimated for fused attention; token ids are memory-mapped and need free memory of their size",
    ]
    if figures.utilisation is None:
        lines.insert(
            0,
            f"a card reaches {ASSUMED_UTILISATION:.0%} of its published peak: assumed, since no bench record has a "
            "known card; small encoders and batches reach less: measure it with make bench ARGS='--rows training'",
        )
    for name, stage in figures.stages.items():
        if name in ("prepare", "linear") and work.documents.rows > stage["rows"] * 1.01:
            lines.append(f"{name} was measured up to {stage['rows']:,} rows; beyond, time and memory are proportional")
    sources = ", ".join(f"{gpu.name} {gpu.bf16 / 1e12:g} ({gpu.source})" for gpu in GPUS)
    return (*lines, f"published peaks, dense bf16 with fp32 accumulation, TFLOP/s: {sources}")
