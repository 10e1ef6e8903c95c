"""Measure the time to print the help, compared with an empty Hydra application."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.speed.rows import Row, in_turn

_TARGET = 0.1  # seconds more than the empty application
_EMPTY = """import hydra
@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    pass
main()
"""
_OURS = {"run.py --help": ("run", "--help"), "patent-hier --help": ("--help",)}


def startup_rows(repeats: int) -> Iterator[Row]:
    """Yield a row for each of our two commands."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "conf").mkdir()
        (Path(name) / "conf" / "config.yaml").write_text("seed: 1\n", "utf-8")
        app = Path(name) / "app.py"
        app.write_text(_EMPTY, "utf-8")
        for work, words in _OURS.items():
            rounds = in_turn(partial(_run, "-m", "patent_hier", *words), partial(_run, app, "--help"), repeats=repeats)
            seconds, empty = (median(column) for column in zip(*rounds, strict=True))
            more = median(ours - peer for ours, peer in rounds)
            facts = {"seconds": seconds, "empty_app_seconds": empty}
            yield Row(work, "s more", more, _TARGET, repeats, peer_name="empty Hydra app", facts=facts)


def _run(*words: str | Path) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own commands
