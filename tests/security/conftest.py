import pytest

from tests.inference.conftest import made
from tests.security.traps import trap

__all__ = ["made", "trap"]


@pytest.fixture(autouse=True)
def _ordinary_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ran in this process before has set this for its children; the controls must not inherit it."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
