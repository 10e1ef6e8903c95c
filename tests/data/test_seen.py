from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.seen import SeenHashes


@given(st.lists(st.integers(0, 60), max_size=200), st.lists(st.integers(1, 20), min_size=60))
def test_seen_hashes_like_a_set(keys: list[int], sizes: list[int]) -> None:
    seen = SeenHashes()
    expected = [key not in keys[:index] for index, key in enumerate(keys)]
    result: list[bool] = []
    for start, size in zip(accumulate(sizes, initial=0), sizes, strict=False):
        result += seen.first_seen(np.array(keys[start : start + size], np.uint64)).tolist()
    assert result[: len(keys)] == expected[: len(result)]
    assert len(seen) == len(set(keys[: len(result)]))


def test_seen_hashes_stay_small() -> None:
    seen = SeenHashes()
    for batch in np.random.default_rng(0).integers(0, 2**63, (50, 1000)).astype(np.uint64):
        assert seen.first_seen(batch).all()
        assert not seen.first_seen(batch).any()
    assert len(seen) == 50_000
    assert len(seen._runs) <= 16


def test_asking_adds_nothing() -> None:
    seen = SeenHashes()
    some = np.arange(10, dtype=np.uint64)
    assert not seen.holds(some).any()
    seen.first_seen(some[:4])
    assert seen.holds(some).tolist() == [True] * 4 + [False] * 6
    assert len(seen) == 4
