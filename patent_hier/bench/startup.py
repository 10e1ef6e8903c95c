"""Time to the first line of help, beside an empty Hydra application."""

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from patent_hier.bench.rows import Row, in_turn

_TARGET = 0.1  # seconds more than the empty application
_EMPTY = """import hydra
@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    pass
main()
"""
_OURS = {"run.py --help": ("run", "--help"), "patent-hier --help": ("--help",)}


def startup_rows(repeats: int) -> list[Row]:
    """A row for each of our two entries."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "conf").mkdir()
        (Path(folder) / "conf" / "config.yaml").write_text("seed: 1\n", "utf-8")
        (Path(folder) / "app.py").write_text(_EMPTY, "utf-8")
        empty = [sys.executable, str(Path(folder) / "app.py"), "--help"]
        return [
            _row(name, [sys.executable, "-m", "patent_hier", *words], empty, repeats) for name, words in _OURS.items()
        ]


def _row(name: str, command: list[str], empty: list[str], repeats: int) -> Row:
    rounds = in_turn([partial(_run, command), partial(_run, empty)], repeats)
    ours, peer = (statistics.median(column) for column in zip(*rounds, strict=True))
    return Row(
        work=name,
        unit="s more",
        ours=statistics.median(one - other for one, other in rounds),
        peer_name="empty Hydra app",
        target=_TARGET,
        repeats=repeats,
        facts={"seconds": ours, "empty_app_seconds": peer},
    )


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command lines
