"""What is to be installed, from wherever the command is given."""

import pickle
from pathlib import Path

import pytest

from patent_hier import errors
from patent_hier.errors import MissingExtraError

CHECKOUT = Path(errors.__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("home", "place", "hint"),
    [
        (CHECKOUT, CHECKOUT, 'pip install -e ".[web]"'),
        (CHECKOUT, Path("/"), f'pip install -e "{CHECKOUT}[web]"'),
        (Path("/usr"), CHECKOUT, 'pip install "patent_hier[web]"'),  # as from a wheel
    ],
)
def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch, home: Path, place: Path, hint: str) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(errors, "__file__", str(home / "patent_hier" / "errors.py"))
    error = pickle.loads(pickle.dumps(MissingExtraError("captum", "web")))  # noqa: S301 - our own
    assert str(error) == f"captum is not installed; install it: {hint}"
    assert error.exit_status == 2
