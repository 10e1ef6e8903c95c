"""Format a plan as text for the terminal."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

_HEAD = """\
{rows:,} rows = {documents:,} documents ({source})
level={level}, {seeds} seed(s), {epochs} epochs of {train_documents:,} documents in batches of {batch_size}, {precision}
{held_out_documents:,} documents held out
encoder {encoder}, {millions:,.1f} M weights; {tokens:.0f} tokens per document ({tokens_source}), {max_length} at most
{training_flops:.3g} floating-point operations for training, {scoring_flops:.3g} for scoring"""
_HOURS = {
    "before": "prepare, split, encode",
    "level_1": "L1, flat or shared",
    "level_2": "L2",
    "scoring": "score",
    "wall_clock": "wall clock",
    "fits": "fits the GPU",
}


def plan_text(plan: Mapping[str, Any]) -> str:
    """Format the plan: the work, its disk, memory and hours, the assumptions, and the sources of the figures."""
    hours = pd.DataFrame(plan["hours"], index=[one["machine"] for one in plan["hours"]])[[*_HOURS]]
    hours["fits"] = hours["fits"].map({True: "yes", False: "no"}).fillna("–")
    basis = [
        f"{one['machine']}: {one['basis']}"
        + (f"; limited by {one['pace']}" if one["pace"] != "arithmetic" else "")
        + (f"; {one['advice']}" if one["advice"] else "")
        for one in plan["hours"]
    ]
    parts = {
        "Disk (GB)": _sizes(plan["disk"], total=True),
        "Main memory of each stage, without mapped files (GB)": _sizes(plan["host"]),
        "GPU memory to train one node (GB)": _sizes(plan["card"], total=True),
        "Hours: training (L1, L2) and scoring in hours of one GPU; wall clock with the nodes distributed over all":
            hours.rename(columns=_HOURS).to_string(float_format="{:,.2f}".format),
        **_linear(plan["linear_hours"]),
        "Speed": _wrapped(basis),
        "Assumptions": _wrapped(plan["assumptions"]),
        "Figures from": _wrapped(plan["sources"]),
    }  # fmt: skip
    head = _HEAD.format(**plan["facts"], millions=plan["facts"]["parameters"] / 1e6)
    return "\n\n".join([head, *(f"{title}:\n{textwrap.indent(text, '  ')}" for title, text in parts.items())])


def _linear(hours: Mapping[str, float]) -> dict[str, str]:
    """Format the hours of ``model=linear``, if a record has them."""
    if not hours:
        return {}
    lines = pd.Series(hours).rename({"count": "count n-grams", "linear": "fit all levels to the subgroup"})
    return {
        "Hours of model=linear on the bench machine, fitted on one core": lines.to_string(float_format="{:,.2f}".format)
    }


def _sizes(sizes: Mapping[str, float], *, total: bool = False) -> str:
    lines = {**sizes, "total": sum(sizes.values())} if total else dict(sizes)
    return pd.Series(lines).div(1e9).to_string(float_format="{:,.2f}".format)


def _wrapped(lines: Iterable[str]) -> str:
    return "\n".join(textwrap.fill(line, 116, subsequent_indent="  ", break_on_hyphens=False) for line in lines)
