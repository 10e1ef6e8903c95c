"""Progress messages of a run: plain lines, or on a terminal a bar with the rate and the time left."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from patent_hier.sanitize import lines, one_line

Batch = TypeVar("Batch", bound=Sized)
_EVERY = 10.0  # seconds between plain lines without a terminal


def say(line: str) -> None:
    """Print a line and flush it; control characters are escaped, so that a terminal does not act on them."""
    print(lines(line), flush=True)


@contextlib.contextmanager
def byte_progress(label: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show progress while a file is read; yield ``update(bytes_read, bytes_total, rows)``."""
    start = time.perf_counter()
    with _bar(label) as show:
        yield lambda read, total, rows: show(read, total, f"{rows:,} rows, {_rate(rows, start)} rows/s")


@contextlib.contextmanager
def item_progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress over a known number of documents; yield ``advance(documents)``."""
    start = time.perf_counter()
    done = 0
    with _bar(label) as show:

        def advance(documents: int) -> None:
            nonlocal done
            done += documents
            show(done, total, f"{_rate(done, start)} documents/s")

        yield advance


def _rate(count: int, start: float) -> str:
    return f"{count / max(time.perf_counter() - start, 1e-9):,.0f}"


def counted(batches: Iterable[Batch], advance: Callable[[int], None]) -> Iterator[Batch]:
    """Yield the batches unchanged; each advances the progress by its length when the next one is requested."""
    for batch in batches:
        yield batch
        advance(len(batch))


@contextlib.contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a rich bar on a terminal, otherwise a plain line every ten seconds with the share done and the time left."""
    console, label = Console(), one_line(label)
    if not console.is_terminal:
        yield _plain_lines(label)
        return
    name, rate_column = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[rate]}", markup=False)
    columns = (name, BarColumn(), TaskProgressColumn(), rate_column, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, rate="")

        def show(done: int, total: int, rate: str) -> None:
            progress.update(task, completed=done, total=total, rate=rate)

        yield show


def _plain_lines(label: str) -> Callable[[int, int, str], None]:
    start = last = time.perf_counter()

    def show(done: int, total: int, rate: str) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= _EVERY and done:
            last = now
            left = (now - start) / done * (total - done)
            say(f"{label}: {done / max(total, 1):.0%}, {rate}, about {left:.0f} s left")

    return show
