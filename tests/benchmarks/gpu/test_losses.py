import numpy as np
import pytest

from benchmarks.gpu.losses import Way, _compare, judge, of_equal_length
from patent_hier.features.token_store import TokenStore
from patent_hier.settings import BF16, FP32

FALLING = np.linspace(2.0, 1.0, 8)


def test_curves_are_judged_by_where_they_end():
    near, ruined = judge(FALLING + 0.05, FALLING), judge(np.full(8, 2.0), FALLING)
    apart = dict.fromkeys(("mean", "largest", "last_quarter"), pytest.approx(0.05))
    assert near == {**apart, "allowed": pytest.approx(6 / 7 / 3), "agrees": True}
    assert ruined["last_quarter"] == pytest.approx(13 / 14)
    assert not ruined["agrees"]
    assert judge(FALLING - 0.5, FALLING)["agrees"]  # lower is not ruined
    assert judge(FALLING, np.full(8, 1.0))["allowed"] == 0.1
    assert not judge(np.where(np.arange(8) > 6, np.nan, FALLING), FALLING)["agrees"]


class Made:
    """A task whose curves are made up."""

    name = "task"

    def curve(self, way):
        if way.attention == "cudnn":
            raise RuntimeError("no kernel")
        return FALLING + {None: 0.01, "flash": 0.5, "math": 0.0}[way.attention]


def test_a_way_that_fails_or_leaves_is_named_and_the_others_are_compared():
    ways = [Way(FP32, "math"), Way(BF16), Way(BF16, "flash"), Way(BF16, "cudnn")]
    found = _compare({Made(): ways}, ["efficient attention does not run here"])
    assert "bf16-mixed, flash attention: +0.500 nats" in found.fault
    assert "bf16-mixed, cudnn attention: no kernel" in found.fault
    assert [row["agrees"] for row in found.facts["tasks"]["task"]["ways"]] == [True, False]
    assert "efficient attention does not run here" in found.text


def test_documents_become_equally_long():
    store = of_equal_length(TokenStore.from_documents([[1, 2], [3, 4, 5, 6]]), 3)
    assert [store[row].tolist() for row in range(2)] == [[1, 2, 1], [3, 4, 5]]
