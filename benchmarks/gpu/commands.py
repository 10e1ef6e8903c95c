"""Run a command of the checkout with a time limit."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """Result of a process that has ended."""

    status: int | None  # None: it was stopped at the time limit
    output: str  # standard output and standard error together


def run_process(command: Sequence[str], seconds: float) -> Ended:
    """Run a command in the checkout; after ``seconds``, kill it and its children."""
    with subprocess.Popen(  # noqa: S603 - our own command lines
        command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=max(1.0, seconds))
            return Ended(process.returncode, output)
        except subprocess.TimeoutExpired:
            _kill(process)
            return Ended(None, process.communicate()[0])
        except BaseException:
            _kill(process)
            raise


def _kill(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
