"""A prediction on the terminal: the decision, and the most likely paths with bars."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from patent_hier.data.characters import LATIN, TRADITIONAL
from patent_hier.inference.results import Prediction
from patent_hier.inference.writers import name_of_decision
from patent_hier.sanitize import one_line
from patent_hier.taxonomy.names import LabelNames

if TYPE_CHECKING:
    from patent_hier.inference.results import Explanation

_BAR = 20  # characters
_NAMED = 2  # levels; with more there is no room for names
_SHOWN = 200  # characters of a text
_TOP = 8  # listed spans
_WEAK, _STRONG = 0.15, 0.5  # of the largest score


def strange_advice(why: str, convert: str | None) -> str:
    """Return advice on texts with characters that are rare in training, as the end of a line.

    Args:
        why: One of :data:`patent_hier.data.characters.STRANGE`.
        convert: The conversion that was applied.
    """
    if why == TRADITIONAL and convert is None:
        advice = "use --convert t2s, or train with data.convert=t2s"
        return f"; most are Traditional: {advice}"
    return "; most are Latin letters, but the model was trained on Chinese" if why == LATIN else ""


def show_prediction(text: str, prediction: Prediction, names: LabelNames) -> None:
    """Print the beginning of a text, the decision with its reason, and the most likely paths."""
    console = Console()
    decision = prediction.decision
    explanation = prediction.explanation
    console.print(_coloured(explanation) if explanation else Text(_shortened(text), style="dim"))
    console.print(
        Text(f"{_answer(prediction, names)} {100 * decision.confidence:.1f} %   ({decision.reason})", style="bold")
    )
    console.print(_paths(prediction, names))
    for level, labels in (prediction.symbols or {}).items():
        named = ", ".join(f"{one.label} {100 * one.probability:.1f} %" for one in labels)
        console.print(Text(f"all symbols at level {level}: {named}"))
    if explanation:
        said = f"green supports {explanation.label}, red opposes it; {explanation.method}"
        console.print(Text(said, style="dim"))
        for span in sorted(explanation.spans, key=lambda span: -abs(span.score))[:_TOP]:
            console.print(Text(f"  {span.score:+.3f}  {one_line(explanation.text[span.start : span.end])}"))
    console.print()


def _answer(prediction: Prediction, names: LabelNames) -> str:
    """Return the answer up to its probability; without an answer, the likeliest label of the first level."""
    decision = prediction.decision
    if decision.label is None:
        level, labels = next(iter(prediction.levels.items()))
        return f"{decision.level}   likeliest {level}: {labels[0].label}"
    return f"{decision.level}: {decision.label} {name_of_decision(prediction, names)}".rstrip() + "  "


def _paths(prediction: Prediction, names: LabelNames) -> Table:
    """Return a row for each path: labels with probabilities, a bar for the last one, names if there is room."""
    *above, deepest = prediction.levels
    table = Table(box=None, pad_edge=False)
    for name in (*above, deepest, f"P({deepest})", ""):
        table.add_column(name, no_wrap=True)
    if has_room := len(prediction.levels) <= _NAMED:
        table.add_column("name")
    for path in prediction.paths:
        cells = [f"{step.label} {100 * step.probability:.1f} %" for step in path.steps[: len(above)]]
        cells += [step.label for step in path.steps[len(above) :]]
        cells += [""] * (len(above) + 1 - len(cells))
        named = " › ".join(name for label in path.labels if (name := names.of(label)))
        bar = "█" * round(_BAR * path.probability)
        table.add_row(*cells, f"{100 * path.probability:.1f} %", bar, *([named] if has_room else []))
    return table


def _shortened(text: str) -> str:
    return one_line(text[:_SHOWN]) + ("…" if len(text) > _SHOWN else "")


def _coloured(explanation: "Explanation") -> Text:
    """Return the text with the parts that support or oppose the label in colour, strong ones in bold."""
    shown, end = Text(), 0
    most = max((abs(span.score) for span in explanation.spans), default=0.0)
    for span in explanation.spans:
        shown.append(one_line(explanation.text[end : span.start]))
        share = abs(span.score) / most if most else 0.0
        colour = "green" if span.score > 0 else "red"
        style = "" if share < _WEAK else f"bold {colour}" if share > _STRONG else colour
        shown.append(one_line(explanation.text[span.start : span.end]), style)
        end = span.end
    shown.append(one_line(explanation.text[end:]))
    return shown
