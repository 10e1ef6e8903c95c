"""Requests of many clients, scored together: one network pass for what came during the last one."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from patent_hier.evaluation.scores import TreeScores
from patent_hier.web.messages import RefusedError

Score = Callable[[Sequence[str]], TreeScores]
_MOST_TOGETHER = 200_000  # characters that are scored together: who comes next waits for no more of others


@dataclass
class _Job:
    texts: Sequence[str]
    characters: int  # what scoring them costs: reading a text takes time in proportion
    result: "asyncio.Future[TreeScores]"


class Batcher:
    """Collects texts and scores them in one thread; use it as an asynchronous context.

    What comes while others are scored waits, and is scored together next.

    Args:
        score: From ``n`` texts to their scores; called by one thread at a time.
        max_batch: Texts scored together; a request with more is scored alone.
        max_queue: Texts that may wait.
        max_waiting: Characters that may wait; of one request, whatever it has, where no other waits.

    Attributes:
        waiting: Texts that wait or are being scored.
    """

    def __init__(self, score: Score, *, max_batch: int, max_queue: int, max_waiting: int) -> None:
        self._score = score
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._max_waiting = max_waiting
        self._characters = 0  # of all that wait
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
        """The scores of some texts; whoever gives up waiting is not scored.

        Raises:
            RefusedError: If too many are waiting.
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
            if not batch:  # nobody waits for them any more
                continue
            texts = [text for job in batch for text in job.texts]
            try:
                scores = await asyncio.get_running_loop().run_in_executor(self._thread, self._score, texts)
            except Exception as error:  # each request answers for itself
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
        """The next requests that are scored together; those that nobody waits for any more are left out."""
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
