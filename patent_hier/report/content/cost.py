"""What each configuration costs: parameters, time, memory."""

from collections.abc import Iterable

from patent_hier.pipeline.evidence import Configuration, NodeRun
from patent_hier.report.blocks import Block, Heading, TableBlock
from patent_hier.report.content.context import ABSENT, Context
from patent_hier.report.tables import Grid


def cost(context: Context) -> list[Block]:
    """The part about cost."""
    say = context.say
    rows = tuple(_row(context, item, kind) for item, kind in context.configurations)
    if not rows:
        return []
    columns = ("parameters", "seconds", "documents_s", "scored_s", "memory", "threads", "device")
    grid = Grid("", (say("system"), *(say(f"cost_{column}") for column in columns)), rows)
    return [Heading(2, say("cost_title"), "cost"), TableBlock(grid, say("cost_table"), say("cost_note"))]


def _row(context: Context, configuration: Configuration, kind: str) -> tuple[str, ...]:
    runs = configuration.all_runs
    facts = [run.metrics["training"] for run in runs]
    n_seeds = len(configuration.runs)
    fitted = [own for own in facts if own.get("seconds")]
    shown = sum(own["train_documents"] * own.get("epochs", 1) for own in fitted)
    seconds = sum(own["seconds"] for own in fitted)
    scored = sum(own["scored_documents"] for own in fitted)
    score_seconds = sum(own["score_seconds"] for own in fitted)
    return (
        context.name(configuration, kind),
        f"{sum(own.get('parameters', 0) for own in fitted) / n_seeds:,.0f}" if fitted else ABSENT,
        f"{seconds / n_seeds:,.1f}" if fitted else ABSENT,
        _rate(shown, seconds),
        _rate(scored, score_seconds),
        f"{max(own['peak_memory_bytes'] for own in facts) / 2**20:,.0f}",
        _values(own.get("threads") for own in fitted),
        _values(_device(run) for run in runs),
    )


def _device(run: NodeRun) -> str:
    """Where it was trained: the GPU's name, or CPU."""
    if not str(run.metrics["training"].get("device", "cpu")).startswith("cuda"):
        return "CPU"
    return str(run.manifest["environment"].get("cuda_device") or "GPU")


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if seconds > 0 else ABSENT


def _values(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values if value is not None})) or ABSENT
