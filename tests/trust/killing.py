"""Commands in processes that are killed at random moments, and what is left of them."""

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

_PRELOADED = ["patent_hier.training.neural", "patent_hier.training.fit", "patent_hier.pipeline.node", "tests.commands"]
_CLOCKS = ("seconds", "documents_per_second", "score_seconds", "peak_memory_bytes", "resumed")
_FOLDERS = ("runs_dir", "cache_dir")


def run_command(words: Sequence[str], log: Path) -> None:
    """Run a command in this process and end it."""
    import contextlib
    import sys

    from patent_hier.cli.main import main

    with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        status = main(list(words))
    sys.exit(status)


class Killer:
    """Starts commands in processes of their own; what they import is there already, as a fork has it.

    Args:
        log: Takes what they print.
    """

    def __init__(self, log: Path) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(_PRELOADED)
        self._log = log

    def start(self, words: Sequence[str], log: Path | None = None) -> Any:
        """The process of a command that has begun."""
        process = self.context.Process(target=run_command, args=(list(words), log or self._log))
        process.start()
        return process

    def run(
        self, words: Sequence[str], killed_after: float | None = None, once: Callable[[], bool] | None = None
    ) -> float | None:
        """Run a command.

        Args:
            words: Its words.
            killed_after: Seconds after which it gets SIGKILL; None lets it end.
            once: The seconds count from when this is true; without it from the start.

        Returns:
            Seconds that it took, or None if it was killed before it ended.
        """
        start = time.perf_counter()
        process = self.start(words)
        while once is not None and not once() and process.is_alive():
            time.sleep(0.001)
        process.join(killed_after)
        if process.is_alive():
            process.kill()
            process.join()
            return None
        assert process.exitcode == 0, self._log.read_text()
        return time.perf_counter() - start


def results(runs: Path) -> dict[str, Any]:
    """What the finished results of a folder hold, by their names; only clocks and names of folders are left out.

    Every file is there as its SHA-256; of those with clocks or folders the content without them.
    """
    found: dict[str, Any] = {}
    for file in sorted(runs.glob("[!.]*/[!.]*/**/*")):
        name = str(file.relative_to(runs))
        if file.is_dir() or "/result-" in name or file.name == "manifest.json":
            continue
        if file.name in ("metrics.json", "history.json"):
            found[name] = without(_CLOCKS, json.loads(file.read_text("utf-8")))
        elif file.name == "config.yaml":
            found[name] = without(_FOLDERS, yaml.safe_load(file.read_text("utf-8")))
        else:
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def without(keys: Sequence[str], content: Any) -> Any:
    """JSON without the values of some keys, at any depth."""
    if isinstance(content, dict):
        return {key: without(keys, value) for key, value in content.items() if key not in keys}
    return [without(keys, value) for value in content] if isinstance(content, list) else content


def leftovers(folder: Path) -> list[str]:
    """Hidden files that a finished command should have removed; ``.jobs`` is the log of all commands."""
    hidden = [file.relative_to(folder) for file in folder.rglob(".*")]
    return [str(file) for file in hidden if ".jobs" not in file.parts and ".locks" not in file.parts]
