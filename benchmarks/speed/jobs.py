"""Measure the cost of jobs: nine nodes in nine jobs, finished nodes, and nine networks compared with a shared one.

Each command is a process of its own, as a user starts it, on a small demo corpus that was prepared before.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.speed.rows import Row, rate_row
from patent_hier.errors import ProcessError
from patent_hier.settings import ROOT

_NODES = (ROOT, *"ABCDEFGH")
_MOST = 1.5  # upper limit, as a multiple of the processor time of one process
_RECOGNISED = 0.2  # seconds for a finished node, at most
_SHARED = 1.9  # speed as a multiple of nine networks, at least
_ONE_EPOCH = ("trainer.max_epochs=1", "trainer.min_steps=0", "trainer.progress=false")


class _Commands:
    """Runner of ``run.py`` in one folder.

    Args:
        folder: Folder with the cache and a folder of results for each command.
        rows: Number of documents of the demo corpus.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder = folder
        self._words = (f"data.rows={rows}", f"cache_dir={folder / 'cache'}")
        self._runs = 0

    def run(self, *words: str, again: bool = False) -> tuple[float, float]:
        """Return wall-clock and processor seconds; only with ``again``, earlier results are visible to the command."""
        self._runs += not again
        own = (*self._words, f"runs_dir={self._folder / f'runs{self._runs}'}", *words)
        before, start = _processor_seconds(), perf_counter()
        command = [sys.executable, "-m", "patent_hier", "run", *own]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:  # noqa: S603 - our own command
            raise ProcessError(f"patent-hier run {' '.join(own)} failed; see the lines above for the reason")
        return perf_counter() - start, _processor_seconds() - before


def _processor_seconds() -> float:
    """Return the processor seconds of all ended child processes; not on Windows, where Python cannot count them."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def job_rows(rows: int, repeats: int) -> Iterator[Row]:
    """Measure jobs of linear classifiers, whose fitting takes almost no time; then networks.

    Args:
        rows: Number of documents of the demo corpus.
        repeats: Repeats of each command, in turn with its peer; networks are trained once.
    """
    with tempfile.TemporaryDirectory() as name:
        commands, jobs = _Commands(Path(name), rows), ("-m", "model=linear", "level=node")
        commands.run("model=linear", "level=hier")  # creates the corpus, the split and the counts
        launched, recognised = [], []
        for _ in range(repeats):
            seconds = commands.run(*jobs, f"node={','.join(_NODES)}")
            nine, _ = commands.run(*jobs, f"node={','.join(_NODES)}", again=True)
            two, _ = commands.run(*jobs, f"node={','.join(_NODES[:2])}", again=True)
            launched.append((seconds[1], commands.run("model=linear", "level=hier")[1]))
            recognised.append((nine - two) / (len(_NODES) - 2))
        yield _launching_row(launched, rows)
        work, facts = "a finished node is recognised", {"documents": rows, "nodes": len(_NODES)}
        yield Row(work, "s", median(recognised), _RECOGNISED, repeats, facts=facts)
        yield _shared_row(commands, rows)


def _launching_row(rounds: list[tuple[float, float]], rows: int) -> Row:
    ours, peer = (median(column) for column in zip(*rounds, strict=True))
    ratio = median(one / nine for nine, one in rounds)
    facts = {"documents": rows, "jobs": len(_NODES)}
    work, peer_name = "nine jobs of one linear node each, prepared corpus", "one process for all nodes"
    return Row(work, "CPU s", ours, 1 / _MOST, len(rounds), peer, peer_name, ratio, facts=facts)


def _shared_row(commands: _Commands, rows: int) -> Row:
    """Compare one epoch of the demo's BERT-CNN and scoring: one network for all labels, and the paper's nine.

    Nine networks read each training document twice, in the root's network and in its section's, and score each held-out
    document nine times.
    """
    commands.run("level=node", "node=root", *_ONE_EPOCH)  # fills the caches of token ids and of lower layers
    shared, _ = commands.run("level=shared", *_ONE_EPOCH)
    nine, _ = commands.run("level=hier", *_ONE_EPOCH)
    work = "one epoch and scoring, one network for all labels"
    return rate_row(
        work, "documents", rows, [(shared, nine)], "nine networks", target=_SHARED, facts={"documents": rows}
    )
