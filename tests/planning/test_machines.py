import pytest

from patent_hier.planning.machines import GPUS, pack


def test_the_longest_is_dealt_out_first():
    assert pack([2, 3, 4, 5, 6], 2) == 11  # 6+3+2 and 5+4, where the best order has 10: Graham's bound is 4/3
    assert pack([8, 1, 1, 1, 1, 1, 1, 1, 1], 8) == 8  # the longest alone
    assert pack([1.5] * 4, 1) == 6
    assert pack([], 3) == 0


@pytest.mark.parametrize("gpu", GPUS.values())
def test_fp32_is_the_slower_peak(gpu):
    assert gpu.peak("32-true") < gpu.peak("bf16-mixed")
    assert gpu.source
