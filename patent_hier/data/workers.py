"""Cleaning pieces of a file in several processes, in order and with few pieces in flight.

Processes are spawned, not forked: the caller may have threads (a progress bar, the writer of the corpus, Arrow's
pools), and a fork copies their locks in whatever state they are. A worker needs only this layer, so that it starts in
the time that NumPy and Arrow take to import.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from queue import SimpleQueue

import pyarrow as pa

from patent_hier.data.columns import CleanPiece, PieceCleaner
from patent_hier.errors import DataError

MAX_PROCESSES = 4  # the caller, who removes duplicates and writes, keeps up with no more
SMALL = 128 << 20  # bytes; so small a file is clean about as soon without other processes, which take time to start

_AHEAD = 8  # pieces in flight for each process; fewer let workers run dry
_QUEUED = 3  # pieces that each worker is given at once, so that it need not wait for the caller


def choose_processes(source: Path) -> int:
    """How many processes to use for a file: one for each core of ours, with a limit, and one for a small file.

    Args:
        source: The file; one that cannot be read is left to whoever reads it.
    """
    if not source.is_file() or source.stat().st_size <= SMALL:
        return 1
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS has none
    return min(MAX_PROCESSES, len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1)


@contextmanager
def allocator_for_pieces() -> Iterator[None]:
    """Let Arrow take memory from the system's allocator, which keeps what one piece needed for the next.

    Arrow's own gives it back at once, which took 14 % of the time and 22 % of the memory.
    """
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)


def clean_pieces(
    pieces: Iterable[bytes], cleaner: PieceCleaner, processes: int
) -> Generator[tuple[bytes, CleanPiece], None, None]:
    """Clean each piece; the pieces come with what was made of them, in their order.

    Args:
        pieces: See :class:`patent_hier.data.pieces.PieceCutter`; taken only a few ahead of what is yielded.
        cleaner: Sent to each worker.
        processes: With the caller's own, which cleans too while workers start or are behind; with 1 there are none.

    Raises:
        DataError: If a worker was killed. Whatever a worker or ``pieces`` raises is raised here. No worker outlives the
            iteration, however it ends.
    """
    if processes == 1:
        for piece in pieces:
            yield piece, cleaner.clean(piece)
        return
    pool = ProcessPoolExecutor(processes - 1, get_context("spawn"), initializer=_begin, initargs=(cleaner,))
    try:
        yield from _in_order(_Jobs(pool, cleaner, processes), pieces, processes * _AHEAD)
    except BrokenProcessPool as error:
        raise DataError(
            "a process that cleaned rows was killed, perhaps for want of memory; set data.processes=1 or free memory"
        ) from error
    finally:
        pool.shutdown()  # and cancel nothing: should a worker die meanwhile, the pool would trip over what is cancelled


@dataclass
class _Job:
    piece: bytes
    future: Future[CleanPiece] | None = None  # what a worker makes of it
    own: CleanPiece | None = None  # what the caller made of it
    is_done: bool = False

    @property
    def is_begun(self) -> bool:
        return self.future is not None or self.own is not None


class _Jobs:
    """Pieces in flight. Each is given to a worker only when one will soon be free, so that the caller can help.

    Ctrl-C between taking and leaving a lock of a future would leave it locked, and the pool waiting for ever. So the
    caller touches futures only while it is held back, and waits on a queue, which an interruption does not harm.
    """

    def __init__(self, pool: ProcessPoolExecutor, cleaner: PieceCleaner, processes: int) -> None:
        self._pool = pool
        self._cleaner = cleaner
        self._workers = processes - 1
        self._jobs: deque[_Job] = deque()
        self._news: SimpleQueue[None] = SimpleQueue()  # an item for each piece that a worker has done
        self._is_started = False
        with _no_interruptions():
            for _ in range(self._workers):
                pool.submit(_started).add_done_callback(self._note_start)

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, piece: bytes) -> None:
        self._jobs.append(_Job(piece))
        self._submit()

    def take(self) -> tuple[bytes, CleanPiece]:
        """The first piece and what was made of it; until that is there, do what no worker has been given."""
        while not self._jobs[0].is_done and (job := next((job for job in self._jobs if not job.is_begun), None)):
            job.own = self._cleaner.clean(job.piece)
            job.is_done = True
            self._submit()
        while not self._jobs[0].is_done:
            self._news.get()
        job = self._jobs.popleft()
        if job.own is not None:
            return job.piece, job.own
        assert job.future is not None
        with _no_interruptions():
            return job.piece, job.future.result()

    def _submit(self) -> None:
        if not self._is_started:
            return
        given = sum(job.future is not None and not job.is_done for job in self._jobs)
        free = [job for job in self._jobs if not job.is_begun]
        with _no_interruptions():
            for job in free[: max(self._workers * _QUEUED - given, 0)]:
                job.future = self._pool.submit(_clean, job.piece)
                job.future.add_done_callback(partial(self._note_done, job))

    def _note_start(self, future: Future[None]) -> None:
        self._is_started = True

    def _note_done(self, job: _Job, future: Future[CleanPiece]) -> None:
        job.is_done = True
        self._news.put(None)


@contextmanager
def _no_interruptions() -> Iterator[None]:
    """Hold Ctrl-C back, and raise it afterwards. Processes that start meanwhile never see it; the caller ends them."""
    usual = signal.getsignal(signal.SIGINT)
    is_interruptible = threading.current_thread() is threading.main_thread() and usual is not None
    came: list[int] = []
    if is_interruptible:
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    has_mask = hasattr(signal, "pthread_sigmask")  # Windows has none
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_mask else set()
    try:
        yield
    finally:
        if has_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if is_interruptible:
            signal.signal(signal.SIGINT, usual)
        if came:
            signal.raise_signal(signal.SIGINT)


def _in_order(jobs: _Jobs, pieces: Iterable[bytes], ahead: int) -> Iterator[tuple[bytes, CleanPiece]]:
    for piece in pieces:
        jobs.add(piece)
        if len(jobs) > ahead:
            yield jobs.take()
    while len(jobs):
        yield jobs.take()


_cleaner: PieceCleaner  # of a worker


def _begin(cleaner: PieceCleaner) -> None:
    """Set up a worker, which ends with the caller even if that is killed."""
    global _cleaner
    _cleaner = cleaner
    pa.set_memory_pool(pa.system_memory_pool())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # the pool's queue would keep the worker waiting for ever


def _started() -> None:
    """Nothing: that a worker does it shows that it is there."""


def _clean(piece: bytes) -> CleanPiece:
    return _cleaner.clean(piece)
