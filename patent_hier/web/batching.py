"""Requests of several clients, scored together: one network pass for all texts that arrived during the last pass."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from patent_hier.evaluation.scores import TreeScores
from patent_hier.web.messages import RefusedError

Score = Callable[[Sequence[str]], TreeScores]
_MOST_TOGETHER = 200_000  # characters scored together; limits how long the next request waits


@dataclass
class _Job:
    texts: Sequence[str]
    characters: int  # cost of scoring; reading time is proportional to it
    result: "asyncio.Future[TreeScores]"


class Batcher:
    """Collects texts and scores them in one thread; use it as an asynchronous context manager.

    Texts that arrive while others are being scored wait, and are scored together next.

    Args:
        score: Function from ``n`` texts to their scores; called by one thread at a time.
        max_batch: Maximum number of texts scored together; a larger request is scored alone.
        max_queue: Maximum number of waiting texts.
        max_waiting: Maximum number of waiting characters; a single request may exceed it if no other waits.

    Attributes:
        waiting: Number of texts that are waiting or being scored.
    """

    def __init__(self, score: Score, *, max_batch: int, max_queue: int, max_waiting: int) -> None:
        self._score = score
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._max_waiting = max_waiting
        self._characters = 0  # of all waiting texts
        self._jobs: deque[_Job] = deque()
        self._came = asyncio.Event()  # set while there are jobs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._worker: asyncio.Task[None] | None = None
        self.waiting = 0

    async def __aenter__(self) -> "Batcher":
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def score(self, texts: Sequence[str]) -> TreeScores:
        """Return the scores of some texts; an abandoned request is not scored.

        Raises:
            RefusedError: If too many texts are waiting.
        """
        job = _Job(texts, sum(map(len, texts)), asyncio.get_running_loop().create_future())
        is_long = self.waiting and self._characters + job.characters > self._max_waiting
        if is_long or self.waiting + len(texts) > self._max_queue:
            raise RefusedError(503, "busy", "too many texts are waiting; try again in a moment")
        self.waiting += len(texts)
        self._characters += job.characters
        try:
            self._jobs.append(job)
            self._came.set()
            return await job.result
        finally:
            self.waiting -= len(texts)
            self._characters -= job.characters

    async def _work(self) -> None:
        while True:
            await self._came.wait()
            batch = self._take()
            if not batch:  # all of these requests were abandoned
                continue
            texts = [text for job in batch for text in job.texts]
            try:
                scores = await asyncio.get_running_loop().run_in_executor(self._thread, self._score, texts)
            except Exception as error:  # each request raises its own error
                for job in batch:
                    if not job.result.done():
                        job.result.set_exception(error)
                continue
            start = 0
            for job in batch:
                if not job.result.done():
                    job.result.set_result(scores.take(slice(start, start + len(job.texts))))
                start += len(job.texts)

    def _take(self) -> list[_Job]:
        """Return the next requests to score together; abandoned requests are left out."""
        batch: list[_Job] = []
        room, characters = self._max_batch, _MOST_TOGETHER
        while self._jobs and (
            not batch or (len(self._jobs[0].texts) <= room and self._jobs[0].characters <= characters)
        ):
            job = self._jobs.popleft()
            if not job.result.done():
                batch.append(job)
                room -= len(job.texts)
                characters -= job.characters
        if not self._jobs:
            self._came.clear()
        return batch
