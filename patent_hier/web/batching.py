"""Requests of many clients, scored together: one network pass for what came within a few milliseconds."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from patent_hier.evaluation.decoding import Tree

Score = Callable[[Sequence[str]], Tree]


class FullQueueError(Exception):
    """More is waiting than will be answered in time."""


@dataclass
class _Job:
    texts: Sequence[str]
    result: "asyncio.Future[Tree]"


class Batcher:
    """Collects texts and scores them in one thread; use it as an asynchronous context.

    Args:
        score: From ``n`` texts to their scores; called by one thread at a time.
        max_batch: Texts scored together; a request with more is scored alone.
        max_wait: Seconds that a request waits for company.
        max_queue: Texts that may wait.

    Attributes:
        waiting: Texts that wait or are being scored.
        batches: How many times ``score`` was called.
    """

    def __init__(self, score: Score, *, max_batch: int, max_wait: float, max_queue: int) -> None:
        self._score = score
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._max_queue = max_queue
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._held: _Job | None = None  # taken from the queue, too large for the last batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._worker: asyncio.Task[None] | None = None
        self.waiting = 0
        self.batches = 0

    async def __aenter__(self) -> "Batcher":
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def score(self, texts: Sequence[str]) -> Tree:
        """The scores of some texts; whoever gives up waiting is not scored.

        Raises:
            FullQueueError: If too many are waiting.
        """
        if self.waiting + len(texts) > self._max_queue:
            raise FullQueueError
        job = _Job(texts, asyncio.get_running_loop().create_future())
        self.waiting += len(texts)
        try:
            self._jobs.put_nowait(job)
            return await job.result
        finally:
            self.waiting -= len(texts)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._collect()
            texts = [text for job in batch for text in job.texts]
            self.batches += 1
            try:
                tree = await loop.run_in_executor(self._thread, self._score, texts)
            except Exception as error:  # each request answers for itself
                for job in batch:
                    if not job.result.done():
                        job.result.set_exception(error)
                continue
            start = 0
            for job in batch:
                if not job.result.done():
                    job.result.set_result(tree.take(slice(start, start + len(job.texts))))
                start += len(job.texts)

    async def _collect(self) -> list[_Job]:
        """The next requests that are scored together; those that nobody waits for any more are left out."""
        batch: list[_Job] = []
        size = 0
        deadline = asyncio.get_running_loop().time() + self._max_wait
        while size < self._max_batch:
            job = self._held or await self._next(deadline if batch else None)
            self._held = None
            if job is None:
                break
            if job.result.done():
                continue
            if batch and size + len(job.texts) > self._max_batch:
                self._held = job
                break
            if not batch:
                deadline = asyncio.get_running_loop().time() + self._max_wait
            batch.append(job)
            size += len(job.texts)
        return batch

    async def _next(self, deadline: float | None) -> _Job | None:
        if not self._jobs.empty():
            return self._jobs.get_nowait()
        if deadline is None:
            return await self._jobs.get()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._jobs.get()
        except TimeoutError:
            return None
