"""The plan: disk, memory and hours of a piece of work, from the bench's figures."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from patent_hier.planning.machines import GPUS, MACHINES, Gpu, Machine, pack
from patent_hier.planning.records import Figures
from patent_hier.planning.work import Node, Work
from patent_hier.settings import BF16, FLAT, FP32, ROOT, Settings, filled

ASSUMED_UTILISATION = 0.45  # of the published peak; the target of training on a card
ASSUMED_SCALING = 0.9  # of the cards' sum that trainer=ddp keeps
_HOUR = 3600
_FLOAT = 4  # bytes
# Bytes of a layer's activations for each token and hidden dimension in half precision, fused attention: Korthikanti et
# al. (2022), arXiv:2205.05198, section 4.1, without the term of the attention's matrices.
_ACTIVATIONS = 34


@dataclass(frozen=True)
class Hours:
    """What a machine needs.

    Attributes:
        machine: Its name.
        basis: Whether its speed is measured or assumed.
        advice: How to train so; empty where nothing is to be set.
        pace: What training waits for: ``arithmetic``, or ``the data loader`` where a node's documents are read slower
            than they could be computed.
        fits: Whether a card's memory holds what training needs; None where there is no card.
        before: Hours of preparing, splitting and encoding.
        level_1: Hours of one card for the section model, or the flat one, in all seeds.
        level_2: Hours of one card for the models of the sections, in all seeds.
        scoring: Hours of one card for scoring, all nodes and seeds.
        wall_clock: Hours from the raw file to the last node's result.
    """

    machine: str
    basis: str
    advice: str = ""
    pace: str = "arithmetic"
    fits: bool | None = None
    before: float = 0.0
    level_1: float = 0.0
    level_2: float = 0.0
    scoring: float = 0.0
    wall_clock: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The whole plan.

    Attributes:
        facts: What was planned for, as readable values.
        disk: Bytes by what takes them.
        host: Bytes of main memory by stage.
        card: Bytes of a card's memory, or of main memory where a CPU trains, by what takes them.
        hours: By machine.
        assumptions: What was not measured, a line each.
        sources: Records that the figures are from.
    """

    facts: dict[str, Any]
    disk: dict[str, float]
    host: dict[str, float]
    card: dict[str, float]
    hours: tuple[Hours, ...]
    assumptions: tuple[str, ...]
    sources: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def make_plan(work: Work, figures: Figures, settings: Settings, tokens_source: str) -> Plan:
    """Plan a piece of work.

    Args:
        work: What is to be done.
        figures: How fast it was measured.
        settings: Precision, batch and length.
        tokens_source: Where the tokens of a document are from, in words.
    """
    precision = FP32 if settings.trainer.precision == FP32 else BF16
    card = card_memory(work, precision, filled(settings.trainer.batch_size), settings.encoder.max_length)
    hours = (
        _here(work, figures),
        *(_on(machine, work, figures, precision, sum(card.values())) for machine in MACHINES),
    )
    return Plan(
        facts=_facts(work, settings, precision) | {"tokens_source": tokens_source},
        disk=disk(work, figures),
        host=host_memory(work, figures),
        card=card,
        hours=hours,
        assumptions=_assumptions(work, figures),
        sources=figures.sources,
    )


def disk(work: Work, figures: Figures) -> dict[str, float]:
    """Bytes by what takes them; the state of training, which goes afterwards, is listed too."""
    prepare, split = (figures.stages[stage] for stage in ("prepare", "split"))
    documents, rows = work.documents.total, work.documents.rows
    raw = work.documents.raw_bytes or rows * prepare.facts["bytes_read"] / prepare.items
    width = 2 if work.encoder.vocabulary <= 1 << 16 else 4
    weights, trained = _FLOAT * work.encoder.parameters, len(work.nodes) * work.seeds
    return {
        "raw CSV": raw,
        "cache: corpus": documents * prepare.facts["bytes_written"] / prepare.facts["documents"],
        "cache: split": documents * split.facts["bytes_written"] / split.items,
        "cache: token ids": documents * (work.tokens * width + 8),
        "runs: models": trained * weights,
        "runs: predictions, at most": work.seeds * work.held_out * _FLOAT * sum(node.labels for node in work.nodes),
        "while it trains: a checkpoint of each node at work, at most": trained * weights,
    }


def host_memory(work: Work, figures: Figures) -> dict[str, float]:
    """Bytes of each stage; a corpus larger than the measured one is taken in proportion."""
    needed = {}
    for name, stage in figures.stages.items():
        needed[name] = stage.own * max(1.0, work.documents.rows / stage.rows)
    return needed


def card_memory(work: Work, precision: str, batch: int, max_length: int) -> dict[str, float]:
    """Bytes that training one node needs: exact for what each weight needs, an estimate for activations."""
    parameters, half = work.encoder.parameters, precision != FP32
    tokens = batch * work.passes * max_length
    activations = _ACTIVATIONS * work.encoder.layers * work.encoder.hidden_size * tokens
    return {
        "weights, fp32": _FLOAT * parameters,
        "gradients, fp32": _FLOAT * parameters,
        "two moments of Adam, fp32": 2 * _FLOAT * parameters,
        "copies of the weights in bf16": 2 * parameters if half else 0,
        "activations, estimated": activations if half else 2 * activations,
    }


def _here(work: Work, figures: Figures) -> Hours:
    """On the machine that the bench ran on, one node after the other."""
    name = f"the bench's: {figures.training.device}, {figures.training.precision}"
    seconds = {node: _train_seconds(work, figures, node, figures.training.flops) for node in work.nodes}
    return _sum(work, figures, Hours(name, "measured"), seconds, work.scoring_flops / figures.scoring.flops, 1)


def _on(machine: Machine, work: Work, figures: Figures, precision: str, needed: float) -> Hours:
    """On cards that need not have been measured."""
    share, basis = utilisation(figures, machine.gpu)
    flops = share * machine.gpu.peak(precision)
    seconds = {node: _train_seconds(work, figures, node, flops) for node in work.nodes}
    cards = machine.count or len(work.nodes) * work.seeds
    is_read_slower = any(_reading_seconds(figures, node) > work.training_flops(node) / flops for node in work.nodes)
    pace = "the data loader" if is_read_slower else "arithmetic"
    empty = Hours(machine.name, basis, machine.advice, pace, needed <= machine.gpu.memory)
    return _sum(work, figures, empty, seconds, work.scoring_flops / flops, cards, machine.ddp)


def _sum(
    work: Work, figures: Figures, hours: Hours, seconds: dict[Node, float], score: float, cards: int, ddp: bool = False
) -> Hours:
    """Add up: with ``ddp`` first what all cards train together, then the other nodes, each on one card."""
    wide = [node for node in seconds if node.name in (ROOT, FLAT)]
    first = wide if ddp else []
    before = _before(work, figures)
    together = work.seeds * sum(seconds[node] / (cards * ASSUMED_SCALING) + score for node in first)
    alone = work.seeds * [seconds[node] + score for node in seconds if node not in first]
    level_1 = work.seeds * sum(seconds[node] for node in wide)
    return replace(
        hours,
        before=before / _HOUR,
        level_1=level_1 / _HOUR,
        level_2=(work.seeds * sum(seconds.values()) - level_1) / _HOUR,
        scoring=work.seeds * len(seconds) * score / _HOUR,
        wall_clock=(before + together + pack(alone, cards)) / _HOUR,
    )


def _before(work: Work, figures: Figures) -> float:
    """Seconds of preparing, splitting and encoding, on the bench's machine."""
    stages, documents = figures.stages, work.documents
    prepare = documents.rows / stages["prepare"].rate
    return prepare + documents.total / stages["split"].rate + documents.total / stages["encode"].rate


def _train_seconds(work: Work, figures: Figures, node: Node, flops: float) -> float:
    """Seconds of training a node: of its arithmetic, or of the data loader if that is slower."""
    return max(work.training_flops(node) / flops, _reading_seconds(figures, node))


def _reading_seconds(figures: Figures, node: Node) -> float:
    return node.epochs * node.train / figures.stages["loader"].rate


def utilisation(figures: Figures, gpu: Gpu) -> tuple[float, str]:
    """Share of a card's published peak, and whether it is measured or assumed."""
    if figures.utilisation is None:
        return ASSUMED_UTILISATION, f"assumed: {ASSUMED_UTILISATION:.0%} of the published peak"
    share, measured = figures.utilisation
    if measured is gpu:
        return share, f"measured: {share:.0%} of the published peak"
    return share, f"assumed: {share:.0%} of the published peak, as measured on {measured.name}"


def _facts(work: Work, settings: Settings, precision: str) -> dict[str, Any]:
    node = work.nodes[0]
    return {
        "rows": work.documents.rows,
        "documents": work.documents.total,
        "source": work.documents.source,
        "level": settings.level.name,
        "seeds": work.seeds,
        "encoder": settings.encoder.name,
        "parameters": work.encoder.parameters,
        "tokens": work.tokens,
        "max_length": settings.encoder.max_length,
        "batch_size": settings.trainer.batch_size,
        "epochs": node.epochs,
        "precision": precision,
        "train_documents": node.train,
        "held_out_documents": work.held_out,
        "training_flops": work.seeds * sum(map(work.training_flops, work.nodes)),
        "scoring_flops": work.seeds * len(work.nodes) * work.scoring_flops,
    }


def _assumptions(work: Work, figures: Figures) -> tuple[str, ...]:
    lines = [
        "every node trains all its epochs; early stopping ends sooner",
        f"trainer=ddp keeps {ASSUMED_SCALING:.0%} of the cards' sum: assumed, no record has several cards",
        "preparing, splitting and encoding take as long as on the bench's machine, whatever machine trains",
        "operations: matrix products and attention; embeddings are looked up and the classifier's head is left out",
        "activations: an estimate for fused attention; token ids are mapped and want as much free memory beside",
    ]
    if figures.utilisation is None:
        lines.insert(
            0,
            f"a card reaches {ASSUMED_UTILISATION:.0%} of its published peak: assumed, no record of the bench is of a "
            "known card; small encoders and batches stay below: patent-hier bench --rows training measures it there",
        )
    largest = figures.stages["prepare"].rows
    if work.documents.rows > largest * 1.01:
        lines.append(f"the bench went up to {largest:,} rows; memory beyond is taken in proportion")
    sources = ", ".join(f"{gpu.name} {gpu.bf16 / 1e12:g} ({gpu.source})" for gpu in GPUS.values())
    return (*lines, f"published peaks, dense bf16 with fp32 accumulation, TFLOP/s: {sources}")
