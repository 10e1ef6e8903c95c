import pytest

from patent_hier.settings import OptimizerSettings
from patent_hier.training.schedule import schedule_factor


@pytest.mark.parametrize(
    ("warmup", "schedule", "done", "expected"),
    [
        (0.2, "linear", 0.0, 1e-3),  # the first step moves too
        (0.2, "linear", 0.1, 0.5),
        (0.2, "linear", 0.2, 1.0),
        (0.2, "linear", 0.6, 0.5),
        (0.2, "linear", 1.0, 0.0),
        (0.2, "linear", 1.3, 0.0),  # a step that ends after the time does
        (0.2, "constant", 0.1, 0.5),
        (0.2, "constant", 0.9, 1.0),
        (0.0, "linear", 0.0, 1.0),
        (0.0, "linear", 0.25, 0.75),
        (1.0, "linear", 0.5, 0.5),
        (1.0, "linear", 1.0, 0.0),
    ],
)
def test_factor(warmup: float, schedule: str, done: float, expected: float) -> None:
    assert schedule_factor(OptimizerSettings(warmup=warmup, schedule=schedule), done) == pytest.approx(expected)
