"""The figures of the attacks, at the end: what was tried, and what was lost."""

from typing import Any

import pytest

from tests.trust.faults import Told


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = []
    for report in (*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())):
        told = dict(getattr(report, "user_properties", ()))
        if "cases" in told:
            name = report.nodeid.partition("::")[2]
            lines.append(f"{name}: {told['cases']}; losses: {told['losses']}  ({report.duration:.0f} s)")
    if lines:
        terminalreporter.section("what was tried, and what was lost")
        for line in sorted(lines):
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tests run at a time, each with processes of one thread."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def told(record_property: Any) -> Told:
    """Keeps what was tried for the figures; nothing may be lost."""

    def tell(cases: str, lost: int | list[object] = 0) -> None:
        record_property("cases", cases)
        record_property("losses", len(lost) if isinstance(lost, list) else int(lost))
        assert not lost, lost

    return tell
