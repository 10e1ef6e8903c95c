"""The loss curve of a pre-trained encoder's card."""

from collections.abc import Mapping, Sequence

from patent_hier.report.figures.style import PALETTE, Rendered, blank, canvas, check_given, finish, pen

_Rounds = Sequence[Mapping[str, float]]


def loss_curve(rounds: _Rounds, *, name: str = "loss_curve") -> Rendered:
    """Loss on training and held-out text by tokens read.

    Args:
        rounds: Records with ``tokens``, ``dev/loss`` and, but for the first, ``train/loss`` (nats per hidden token).
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw.
    """
    check_given(rounds, "rounds of pre-training")
    with canvas(pen("en", {})):
        figure = blank(5.2, 3.0)
        axes = figure.subplots()
        axes.plot(*_line(rounds, "train/loss"), color=PALETTE[1], linestyle="--", linewidth=1.4, label="training text")
        axes.plot(*_line(rounds, "dev/loss"), color=PALETTE[0], linewidth=1.6, label="held-out text")
        axes.set_xlabel("tokens read (millions)")
        axes.set_ylabel("loss (nats per hidden token)")
        axes.set_xlim(left=0)
        axes.grid(axis="y")
        axes.legend(frameon=False)
        first, last = rounds[0]["dev/loss"], rounds[-1]["dev/loss"]
        return finish(figure, name, f"Loss on held-out text: {first:.2f} nats at first, {last:.2f} at last")


def _line(rounds: _Rounds, key: str) -> tuple[list[float], list[float]]:
    points = [(row["tokens"] / 1e6, row[key]) for row in rounds if key in row]
    return [x for x, _ in points], [y for _, y in points]
