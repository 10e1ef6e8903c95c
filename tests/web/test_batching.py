import asyncio
import threading
import time

import numpy as np
import pytest

from patent_hier.evaluation.scores import TreeScores
from patent_hier.web.batching import Batcher
from patent_hier.web.messages import RefusedError
from tests.trees import tree_of


class Scorer:
    """Scores a text by its length; keeps what it was asked."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.asked = []

    def __call__(self, texts):
        self.asked.append(list(texts))
        time.sleep(self.seconds)
        if "bad" in texts:
            raise ValueError("bad text")
        column = np.array([[float(len(text))] for text in texts])
        return TreeScores(tree_of([("A",)]), column)


def run(work, scorer, **settings):
    async def inside():
        async with Batcher(scorer, **{"max_batch": 8, "max_queue": 100, "max_waiting": 10**6, **settings}) as batcher:
            return await work(batcher)

    return asyncio.run(inside())


@pytest.mark.parametrize(
    ("asked", "max_batch", "scored"),
    [
        ([2] * 7, 8, [8, 6]),  # seven questions of two texts, eight texts at once
        ([1] * 5, 1, [1] * 5),  # batching is off
        ([3, 20, 1], 8, [3, 20, 1]),  # a large question goes alone
    ],
)
def test_questions_are_scored_together_and_each_gets_its_own(asked, max_batch, scored):
    scorer = Scorer()
    questions = [["x" * (10 * number + n) for n in range(size)] for number, size in enumerate(asked)]

    async def work(batcher):
        return await asyncio.gather(*map(batcher.score, questions))

    scores = run(work, scorer, max_batch=max_batch)
    assert [own.log_prob[:, 0].tolist() for own in scores] == [list(map(len, texts)) for texts in questions]
    assert [len(texts) for texts in scorer.asked] == scored


def test_what_comes_while_others_are_scored_is_scored_together():
    scorer = Scorer(0.1)

    async def work(batcher):
        first = asyncio.create_task(batcher.score(["first"]))
        await asyncio.sleep(0.03)
        await asyncio.gather(first, *(batcher.score(["x"]) for _ in range(5)))

    run(work, scorer)
    assert [len(texts) for texts in scorer.asked] == [1, 5]


def test_too_many_are_refused_and_room_comes_back():
    async def work(batcher):
        waiting = [asyncio.create_task(batcher.score(["x"] * 5)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="too many texts are waiting"):
            await batcher.score(["x"])
        await asyncio.gather(*waiting)
        assert batcher.waiting == 0
        return await batcher.score(["x"])

    assert len(run(work, Scorer(0.05), max_queue=10)) == 1


def test_long_texts_are_counted_by_their_characters():
    scorer = Scorer(0.05)

    async def work(batcher):
        waiting = [asyncio.create_task(batcher.score(["x" * size])) for size in (1000, 100)]  # alone, any length
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="too many texts are waiting"):
            await batcher.score(["x" * 901])
        waiting.append(asyncio.create_task(batcher.score(["x" * 900])))
        await asyncio.gather(*waiting)
        return await batcher.score(["x" * 3000])

    assert len(run(work, scorer, max_waiting=2000)) == 1


def test_no_more_characters_are_scored_together_than_take_a_moment():
    scorer = Scorer()

    async def work(batcher):
        await asyncio.gather(*(batcher.score(["x" * size]) for size in (90_000, 90_000, 90_000, 300_000, 5)))

    run(work, scorer)
    assert [sum(map(len, texts)) for texts in scorer.asked] == [180_000, 90_000, 300_000, 5]


def test_who_has_gone_is_not_scored():
    scorer = Scorer(0.05)

    async def work(batcher):
        first = asyncio.create_task(batcher.score(["first"]))
        await asyncio.sleep(0.03)
        gone = asyncio.create_task(batcher.score(["gone"]))
        await asyncio.sleep(0)
        gone.cancel()
        await first
        await batcher.score(["last"])
        return batcher.waiting

    assert run(work, scorer) == 0
    assert ["gone"] not in scorer.asked
    assert scorer.asked[-1] == ["last"]


def test_an_error_is_told_to_those_whose_batch_it_was():
    async def work(batcher):
        with pytest.raises(ValueError, match="bad text"):
            await batcher.score(["bad"])
        return await batcher.score(["good"])

    assert len(run(work, Scorer())) == 1


def test_one_thread_scores():
    seen = set()

    class Watching(Scorer):
        def __call__(self, texts):
            seen.add(threading.get_ident())
            return super().__call__(texts)

    async def work(batcher):
        for _ in range(5):
            await asyncio.gather(*(batcher.score(["x"]) for _ in range(3)))

    run(work, Watching())
    assert len(seen) == 1
    assert threading.get_ident() not in seen
