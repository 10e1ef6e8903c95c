from itertools import accumulate

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.seen import SeenHashes, hash_keys, hash_strings


@given(st.lists(st.integers(0, 60), max_size=200), st.lists(st.integers(1, 20), min_size=60))
def test_seen_hashes_like_a_set(keys: list[int], sizes: list[int]) -> None:
    seen = SeenHashes()
    expected = [key not in keys[:index] for index, key in enumerate(keys)]
    result: list[bool] = []
    for start, size in zip(accumulate(sizes, initial=0), sizes, strict=False):
        result += seen.first_seen(hash_keys(str(key).encode() for key in keys[start : start + size])).tolist()
    assert result[: len(keys)] == expected[: len(result)]
    assert len(seen) == len(set(keys[: len(result)]))


def test_seen_hashes_stay_small() -> None:
    seen = SeenHashes()
    for batch in np.random.default_rng(0).integers(0, 2**63, (50, 1000)).astype(np.uint64):
        assert seen.first_seen(batch).all()
        assert not seen.first_seen(batch).any()
    assert len(seen) == 50_000
    assert len(seen._runs) <= 16


@given(st.lists(st.text("CN01éX.", max_size=22), max_size=20), st.integers(0, 3), st.integers(0, 25))
def test_strings_have_the_same_hash_if_they_are_the_same(strings: list[str], offset: int, length: int) -> None:
    """However they lie in memory: alone, or as a part of a longer array."""
    hashes = hash_strings(pa.array(strings, pa.string()))
    assert len(hashes) == len(strings)
    assert [hash_strings(pa.array([string]))[0] for string in strings] == hashes.tolist()
    part = pa.array([*strings[:offset], *strings], pa.string()).slice(len(strings[:offset]), length)
    assert np.array_equal(hash_strings(part), hashes[:length])
    assert len(set(hashes.tolist())) == len(set(strings))


def test_numbers_that_differ_little_have_different_hashes() -> None:
    names = [f"CN{number}{kind}" for number in range(100_000_000, 100_100_000) for kind in "ABU"]
    hashes = hash_strings(pa.array(names))
    assert len(np.unique(hashes)) == len(names)
    assert abs(np.mean((hashes >> np.uint64(63)).astype(float)) - 0.5) < 0.01  # the highest bit is as random as any
