"""Hydra's sweeps as the space of a search."""

import pytest

from patent_hier.cli.space import read_space
from patent_hier.errors import ConfigError
from patent_hier.pipeline.search_space import Choice, Interval


@pytest.mark.parametrize(
    ("word", "axis"),
    [
        ("model.c=tag(log, interval(0.05,5))", Interval(0.05, 5.0, log=True)),
        ("model.c=interval(1,2)", Interval(1.0, 2.0)),
        ("model.hidden_size=int(interval(8,64))", Interval(8, 64)),
        ("model.hidden_size=tag(log,int(interval(8,64)))", Interval(8, 64, log=True)),
        ("model.num_filters=range(64,257,64)", Interval(64, 256, step=64)),
        ("model.num_filters=range(64,256,64)", Interval(64, 192, step=64)),
        ("model.dropout=range(0.1,0.5,0.1)", Interval(0.1, 0.4, step=0.1)),
        ("model.min_documents=choice(1,2,3)", Choice(("1", "2", "3"))),
        ("model.min_documents=1,2", Choice(("1", "2"))),
        ("model.ngram_sizes=[1,2],[1,3]", Choice(("[1,2]", "[1,3]"))),
        ("data.label_text=甲.csv,乙.csv", Choice(('"甲.csv"', '"乙.csv"'))),
    ],
)
def test_a_sweep_is_an_axis(word: str, axis: Choice | Interval) -> None:
    shared, space = read_space(["model=linear", word])
    assert shared == ["model=linear"]
    (found,) = space.values()
    if isinstance(axis, Interval) and axis.step:
        assert isinstance(found, Interval)
        assert (found.low, found.high, found.step) == pytest.approx((axis.low, axis.high, axis.step))
        assert found.whole == axis.whole
    else:
        assert found == axis


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.c=3", "nothing to search"),
        ("level=flat,shared", "level=flat,shared cannot be searched"),
        ("seed=1,2,3", "--seeds 3"),
        ("node=A,B", "cannot be searched"),
        ("model.c=interval(5,1)", "the lower one comes first"),
        ("model.c=tag(log,interval(0,1))", "bounds above 0"),
        ("model.c=tag(big,interval(1,2))", "the only tag is"),
        ("model.num_filters=range(1,3,2)", "fewer than two values"),
        ("model.c=choice(1)", "has a single value"),
        ("model=glob(text*)", "cannot be searched"),
    ],
)
def test_what_no_search_may_choose_is_refused(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_space([word])
