"""The figure of error rate by the share of documents that are answered."""

from collections.abc import Mapping, Sequence

from patent_hier.report.figures.style import (
    FAINT,
    PALETTE,
    WIDTH,
    Rendered,
    blank,
    canvas,
    check_given,
    finish,
    pen,
)

Curve = Sequence[Sequence[float]]


def risk_coverage_curves(
    curves: Mapping[str, Curve], targets: Sequence[float] = (), *, name: str = "risk_coverage"
) -> Rendered:
    """Risk over coverage, the most confident documents first.

    Args:
        curves: By level its pairs of coverage and risk, ascending, both 0 to 1.
        targets: Accuracies, 0 to 1, drawn as lines of the risk that each allows.
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw.
    """
    check_given(curves, "curves")
    with canvas(pen("en", {})):
        figure = blank(WIDTH, 3.2)
        axes = figure.subplots()
        for number, (level, curve) in enumerate(curves.items()):
            check_given(curve, f"points of {level}")
            coverage, risk = ([100 * point[column] for point in curve] for column in (0, 1))
            axes.plot(coverage, risk, color=PALETTE[number], linewidth=1.6, label=level)
        for target in targets:
            axes.axhline(100 * (1 - target), color=FAINT, linewidth=0.8)
            axes.annotate(f"{100 * target:.0f} % right", (100, 100 * (1 - target)), ha="right", va="bottom", fontsize=7)
        axes.set(xlim=(0, 100), ylim=(0, None), xlabel="documents answered (%)", ylabel="wrong among them (%)")
        axes.grid(axis="y")
        axes.legend(loc="upper left")
        return finish(figure, name, _alt(curves))


def _alt(curves: Mapping[str, Curve]) -> str:
    """The error rate of all documents, and of the surer half, in words."""
    parts = []
    for level, curve in curves.items():
        half = min(curve, key=lambda point: abs(point[0] - 0.5))
        parts.append(f"{level}: {100 * half[1]:.1f} % of the surer half, {100 * curve[-1][1]:.1f} % of all")
    return f"Wrong answers by the share of documents that are answered. {'; '.join(parts)}."
