"""A prediction on the terminal: the decision, and bars for what is likely."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from patent_hier.harmless import one_line
from patent_hier.inference.results import Prediction
from patent_hier.ipc_names import name_of

_BAR = 20  # characters


def show_prediction(text: str, prediction: Prediction) -> None:
    """Print a text's beginning, the decision with its reason, and the likeliest classes."""
    console = Console()
    decision = prediction.decision
    console.print(Text(one_line(text[:200]) + ("…" if len(text) > 200 else ""), style="dim"))
    label = f"{decision.label} {name_of(decision.label)}" if decision.label else "undecided"
    console.print(
        Text(f"{decision.level}: {label}   {100 * decision.confidence:.1f} %   ({decision.reason})", style="bold")
    )
    table = Table(box=None, pad_edge=False)
    for name in ("section", "class", "P(class)", "", "name"):
        table.add_column(name, no_wrap=name != "name")
    for path in prediction.paths:
        bar = "█" * round(_BAR * path.probability)
        cells = (f"{path.section} {100 * path.section_probability:.1f} %", path.ipc_class)
        table.add_row(
            *cells, f"{100 * path.probability:.1f} %", bar, f"{name_of(path.section)} › {name_of(path.ipc_class)}"
        )
    console.print(table)
    console.print()
