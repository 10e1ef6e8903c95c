"""Measure training steps of one network, compared with Hugging Face's Trainer and with a compiled encoder."""

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from torch import nn
from torch._dynamo.utils import counters

from benchmarks.architecture import TRAINING_PASSES
from benchmarks.gpu.machine import known_gpu
from benchmarks.gpu.steps import Found
from benchmarks.plan.records import Speed
from benchmarks.speed.record import tables
from benchmarks.speed.rows import Row, rate_row
from benchmarks.speed.subjects import Subject, training_view
from benchmarks.speed.training import device_facts, our_seconds, training_row
from patent_hier.models.encoder import TextEncoder
from patent_hier.models.network_spec import NetworkSpec

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

_WARM_UP = 1  # epochs
_GIB = 1 << 30
# A measurement that readers might expect but that is missing.
LEFT_OUT = "unpadded batches: this code has none; every batch is padded to its longest document, in groups by length"


def training_steps(check: "Check") -> Found:
    """Compare a step with the peer at the paper's batch size, and at one where the card does not wait for the CPU."""
    amounts = check.amounts
    subject = check.subject(amounts.training)
    batches = (amounts.batch, amounts.large_batch)
    rows = [_more(training_row(subject, 1, batch, _WARM_UP), subject) for batch in batches]
    check.rows += rows
    return Found(
        {"rows": [_facts(row) for row in rows], "left_out": LEFT_OUT}, f"{_text(rows)}\n- left out: {LEFT_OUT}"
    )


def compiled_steps(check: "Check") -> Found:
    """Compare the same steps with and without a compiled encoder."""
    amounts = check.amounts
    subject = check.subject(amounts.training)
    view, rows = training_view(subject.store), []
    for batch in (amounts.batch, amounts.large_batch):
        settings = subject.run(batch_size=batch)
        plain, _ = our_seconds(view, subject.spec(), settings, _WARM_UP)
        before, start = _graphs(), perf_counter()  # for the second batch size, all may be compiled
        fast, memory = our_seconds(view, compiled(subject.spec(), amounts.compiler), settings, _WARM_UP)
        facts = {**subject.facts(), **device_facts(subject), "peak_memory_bytes": memory}
        facts |= {
            "compiler": amounts.compiler,
            "compiling_seconds": max(0.0, perf_counter() - start - (1 + _WARM_UP) * fast),
        }
        facts |= {key: count - before[key] for key, count in _graphs().items()}
        work, rest = f"compiled training step, {subject.size} size, batches of {batch}", {"target": 1.0, "facts": facts}
        row = rate_row(work, "documents", amounts.training, [(fast, plain)], "not compiled", **rest)
        rows.append(_more(row, subject))
    check.rows += rows
    return Found({"rows": [_facts(row) for row in rows]}, _text(rows))


def compiled(spec: NetworkSpec, compiler: str) -> NetworkSpec:
    """Return the same network with its encoder compiled, once for all lengths.

    Args:
        spec: Specification of a network with an encoder.
        compiler: A backend of ``torch.compile``.
    """

    def build(labels: int) -> nn.Module:
        network = spec.build(labels)
        assert isinstance(network.encoder, TextEncoder)
        network.encoder.network.compile(backend=compiler, dynamic=True)
        return network

    return replace(spec, build=build)


def utilisation(flops: float, precision: str) -> float | None:
    """Return the share of the card's published peak; None if the processor's peak is not known."""
    gpu = known_gpu()
    return None if gpu is None else flops / gpu.peak(precision)


def percent(share: float | None) -> str:
    """Format a utilisation for display."""
    return "not known for this processor" if share is None else f"{share:.1%}"


def _graphs() -> dict[str, int]:
    """Return the number of graphs that the compiler has built so far, and of graph breaks."""
    return {"graphs": counters["stats"]["unique_graphs"], "graph_breaks": sum(counters["graph_break"].values())}


def _more(row: Row, subject: Subject) -> Row:
    """Return a row with tokens per second and utilisation added to its facts."""
    speed = Speed.of(row.as_dict(), subject.size, TRAINING_PASSES)
    facts = {
        "tokens_per_second": row.ours * speed.tokens,
        "flops": speed.flops,
        "utilisation": utilisation(speed.flops, speed.precision),
    }
    return replace(row, facts={**row.facts, **facts})


def _facts(row: Row) -> dict[str, Any]:
    return {"work": row.work, "documents_per_second": row.ours, "peer": row.peer, "ratio": row.ratio, **row.facts}


def _text(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        facts, memory = row.facts, row.facts["peak_memory_bytes"]
        line = f"- {row.work}: {facts['tokens_per_second']:,.0f} tokens/s in {facts['precision']}, "
        line += f"{facts['flops'] / 1e12:.3g} TFLOP/s, utilisation {percent(facts['utilisation'])}"
        line += "" if memory is None else f", at most {memory / _GIB:.1f} GiB"
        if "compiler" in facts:
            line += f"; {facts['compiler']}: {facts['graphs']} graphs, {facts['graph_breaks']} breaks, "
            line += f"{facts['compiling_seconds']:.0f} s to compile"
        lines.append(line)
    return f"{tables(rows)}\n" + "\n".join(lines)
