import dataclasses
from dataclasses import replace

import pytest

from patent_hier.errors import ConfigError
from patent_hier.settings import (
    FLAT,
    HIER_NODES,
    BertCnnSettings,
    DataSettings,
    DemoDataSettings,
    DemoEncoderSettings,
    LevelSettings,
    OptimizerSettings,
    Settings,
    TrainerSettings,
    as_dict,
    check,
)


@pytest.fixture
def settings():
    return Settings(
        data=DemoDataSettings("demo"),
        encoder=DemoEncoderSettings("demo", pretrained=False),
        model=BertCnnSettings(),
        level=LevelSettings("node"),
        node="root",
    )


def test_nodes():
    assert list(HIER_NODES) == ["root", *"ABCDEFGH"]


@pytest.mark.parametrize("node", [*HIER_NODES, FLAT])
def test_every_node_passes(settings, node):
    check(replace(settings, node=node))


@pytest.mark.parametrize(
    ("group", "changes"),
    [
        ("data", {"min_symbol": "subgroup"}),
        ("data", {"edition": "2020"}),
        ("data", {"encoding": "latin-1"}),
        ("data", {"max_reject_share": 1.1}),
        ("data", {"text": []}),
        ("data", {"rows": 0}),
        ("data", {"path": "x.csv"}),
        ("model", {"head": "x"}),
        ("model", {"pooling": "max"}),
        ("model", {"name": "bert", "head": "token"}),
        ("model", {"num_last_layers": 0}),
        ("model", {"num_filters": 0}),
        ("model", {"kernel_size": -1}),
        ("model", {"pool_size": 0}),
        ("model", {"dropout": 1.0}),
        ("encoder", {"max_length": 2}),
        ("trainer", {"max_epochs": 0}),
        ("trainer", {"min_steps": -1}),
        ("trainer", {"batch_size": 0}),
        ("trainer", {"score_batch_size": 0}),
        ("trainer", {"patience": 0}),
        ("trainer", {"num_threads": 0}),
        ("trainer", {"accelerator": "tpu"}),
        ("trainer", {"precision": "8"}),
        ("optimizer", {"name": "sgd"}),
        ("optimizer", {"schedule": "cosine"}),
        ("optimizer", {"lr": 0.0}),
        ("optimizer", {"weight_decay": -1.0}),
        ("optimizer", {"warmup": 2.0}),
    ],
)
def test_refusal_names_the_setting(settings, group, changes):
    check(settings)
    broken = replace(settings, **{group: replace(getattr(settings, group), **changes)})
    with pytest.raises(ConfigError) as caught:
        check(broken)
    name = "head" if "head" in changes else next(iter(changes))
    assert f"{group}.{name}" in str(caught.value)
    assert str(changes[name]) in str(caught.value)


@pytest.mark.parametrize("changes", [{"node": "I"}, {"seed": -1}])
def test_top_level_refusal(settings, changes):
    with pytest.raises(ConfigError, match="=".join(map(str, next(iter(changes.items()))))):
        check(replace(settings, **changes))


def test_bounds_read_well(settings):
    for trainer, words in (({"batch_size": 0}, "use 1 or more"), ({"num_threads": 5000}, "a value from 1 to 4096")):
        with pytest.raises(ConfigError, match=words):
            check(replace(settings, trainer=TrainerSettings(**trainer)))


def test_null_means_none(settings):
    free = TrainerSettings(patience=None, num_threads=None, gradient_clip=None)
    check(replace(settings, trainer=free, model=BertCnnSettings(pool_size=None)))


def test_raw_file_needs_a_path(settings):
    with pytest.raises(ConfigError, match=r"data=gazette needs its file: data\.path"):
        check(replace(settings, data=DataSettings("gazette")))
    check(replace(settings, data=DataSettings("gazette", path="x.csv")))


def test_as_dict_is_plain(settings):
    content = as_dict(settings)
    assert content["model"]["num_last_layers"] == 4
    assert content["optimizer"] == dataclasses.asdict(OptimizerSettings())
    assert all(isinstance(value, dict | str | int) for value in content.values())
