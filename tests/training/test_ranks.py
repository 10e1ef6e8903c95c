import numpy as np
import pytest

from patent_hier.training.ranks import ALONE, Ranks

LENGTHS = np.random.default_rng(2).integers(3, 512, 64)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("passes", [1, 2, 5])
@pytest.mark.parametrize("batch", [0, 1, 2, 5, 16, 64])
def test_shares_are_the_batch_and_nearly_equal(size: int, passes: int, batch: int) -> None:
    lengths = LENGTHS[:batch]
    shares = [
        Ranks(rank, size, size).share(lengths, number, passes) for rank in range(size) for number in range(passes)
    ]
    assert sorted(position for share in shares for position in share) == list(range(batch))
    counts = [len(share) for share in shares]
    assert max(counts) - min(counts) <= 1
    assert all(np.array_equal(share, np.sort(share)) for share in shares)


def test_shares_have_nearly_equal_length() -> None:
    """Within a batch the sampler puts documents of like length; here they are as unlike as can be."""
    sums = [int(LENGTHS[Ranks(rank, 4, 4).share(LENGTHS)].sum()) for rank in range(4)]
    assert max(sums) / min(sums) < 1.05


def test_shares_are_the_same_each_time() -> None:
    assert np.array_equal(Ranks(1, 3, 3).share(LENGTHS), Ranks(1, 3, 3).share(LENGTHS))
    assert np.array_equal(ALONE.share(LENGTHS), np.arange(64))


def test_torchruns_environment() -> None:
    given = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    address = {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    assert Ranks.of_torchrun({**given, **address}) == Ranks(5, 8, 4)
    assert Ranks.of_torchrun(given) is None  # something else has set them
    assert Ranks.of_torchrun({**given, **address, "WORLD_SIZE": "1", "RANK": "0"}) is None
    assert Ranks.of_torchrun({}) is None
