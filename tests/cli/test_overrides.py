from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from patent_hier.cli.overrides import arranged, parsed, readable, refuse_misuse
from patent_hier.errors import ConfigError
from tests.commands import command


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("data.text=[摘要]", ["摘要"]),
        ("data.text=[专利名称, 摘要]", ["专利名称", "摘要"]),
        ("data.text=['专利名称',摘要]", ["专利名称", "摘要"]),
        ("data.path=数据/公报 2019（全）.csv", "数据/公报 2019（全）.csv"),
        ("data.columns={title: 名称, abstract: 摘要}", {"title": "名称", "abstract": "摘要"}),
        ("data.columns.title=名称", "名称"),
        ("data.text=[摘要(中文)]", ["摘要(中文)"]),
        ("data.text=[标题 (中文), '摘要(中文)']", ["标题 (中文)", "摘要(中文)"]),
        ("data.text=[Title (Chinese)]", ["Title (Chinese)"]),
        (
            "data.columns={title: 标题(中文), symbols: IPC主分类-小组}",
            {"title": "标题(中文)", "symbols": "IPC主分类-小组"},
        ),
        ("data.columns.title=Title (Chinese)", "Title (Chinese)"),
        ("data.columns.applicant=申请(专利权)人", "申请(专利权)人"),
        ("seed=3", 3),
    ],
)
def test_chinese_values_reach_hydra(word, value):
    (parsed,) = OverridesParser.create().parse_overrides(readable([word]))
    assert parsed.value() == value


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        (
            "data.columns={主分类号: symbols}",
            "has the names in the wrong order; write 'data.columns={symbols: 主分类号}'",
        ),
        (
            "data.columns={title: 名称, '摘要 (中文)': abstract}",
            "has the names in the wrong order; write 'data.columns={abstract: 摘要 (中文)}'",
        ),
        (
            "+data.columns.主分类号=symbols",
            "has the names in the wrong order; write 'data.columns={symbols: 主分类号}'",
        ),
        ("data.columns={symbols: [主分类号, 分类号]}", "write 'data.columns={symbols: 主分类号}'"),
        ("data.columns.symbols=[主分类号]", "write 'data.columns={symbols: 主分类号}'"),
        ("data.columns=主分类号", "'data.columns={symbols: 主分类号}'"),
        ("data.columns=[主分类号]", "'data.columns={symbols: 主分类号}'"),
        ("data.text=摘要(中文)", "write 'data.text=[摘要(中文)]'"),
        ("data.text='摘要'", "write 'data.text=[摘要]'"),
    ],
)
def test_headers_in_a_form_that_cannot_be_meant(word, advice):
    with pytest.raises(ConfigError) as caught:
        readable([word])
    assert advice in str(caught.value)
    advised = [part for part in str(caught.value).split("'") if part.startswith("data.")][-1]
    OverridesParser.create().parse_overrides(readable([advised]))


def test_swept_chinese_paths():
    (parsed,) = OverridesParser.create().parse_overrides(readable(["data.path=甲.csv,乙.csv"]))
    assert parsed.is_sweep_override()
    assert [element.text for element in parsed.value().list] == ["甲.csv", "乙.csv"]


def test_ascii_words_and_options_are_left_alone():
    words = ["-m", "model=bert,bertcnn", "data.rows=300", "data.path='a b.csv'", "数"]
    assert readable(words) == words


@pytest.mark.parametrize("word", ["++data.columns.title=名称", "+data.columns.title=名称", "data.columns.title=名称"])
def test_new_keys_are_forced_once(word):
    assert readable([word]) == ['++data.columns.title="名称"']


def test_a_path_is_no_key():
    assert readable(["data.path=/x/data.columns.csv"]) == ["data.path=/x/data.columns.csv"]


@pytest.mark.parametrize("words", [["level=hier,flat"], ["level=choice(hier,flat)"]])
def test_swept_level_is_refused(words):
    with pytest.raises(ConfigError, match="cannot be swept"):
        refuse_misuse(words)


@pytest.mark.parametrize("words", [["level=hier", "node=D"], ["node=D"], ["level=flat", "+node=A"]])
def test_node_needs_level_node(words):
    with pytest.raises(ConfigError, match="level=node node="):
        refuse_misuse(words)


def test_proper_use_passes():
    refuse_misuse(["level=node", "node=D,E"])
    refuse_misuse(["level=hier", "seed=1,2", "-m"])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["seed=1", "-m", "node=D"], ["seed=1", "node=D", "-m"]),
        (["-m", "seed=1,2"], ["seed=1,2", "-m"]),
        (
            ["--config-dir", "mine", "seed=1", "--cfg", "job", "node=D"],
            ["seed=1", "node=D", *["--config-dir", "mine", "--cfg", "job"]],
        ),
        (["~experiment", "+logger.x=1", "-r"], ["~experiment", "+logger.x=1", "-r"]),
    ],
)
def test_options_may_stand_anywhere(words, found):
    assert arranged(words) == found


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--foo"], "--foo"),
        (["--cfg", "nothing"], "nothing"),
        (["seed=1", "-x"], "-x"),
        (["--config-path", "x"], "--config-dir DIR"),
        (["-cn", "pretrain"], "--config-dir DIR"),
        (["--experimental-rerun", "x.pickle"], "x.pickle would load a pickle"),
        (["-m", "--cfg", "job"], "--multirun and --cfg cannot be combined"),
        (["--exp=x.pickle"], "x.pickle would load a pickle"),  # as argparse reads it
    ],
)
def test_options_that_are_refused(words, named):
    with pytest.raises(ConfigError, match=named):
        arranged(words)


def test_options_are_of_the_type_of_their_defaults():
    words = [
        "--flag",
        "model",
        "--number",
        "7",
        "--name",
        "a",
        "--name",
        "b",
        "x=1",
        "--kind",
        "two",
        "--path",
        "p",
        "y=2",
    ]
    options = {"flag": False, "number": 3, "name": [], "kind": ("one", "two"), "path": Path, "long_name": 0.5}
    found = vars(parsed(words, "model overrides*", **options))
    assert found == {
        "model": "model",
        "overrides": ["x=1", "y=2"],
        "flag": True,
        "number": 7,
        "name": ["a", "b"],
        "kind": "two",
        "path": Path("p"),
        "long_name": 0.5,
    }
    alone = vars(parsed(["m"], "model overrides*", **options))
    assert (alone["path"], alone["name"], alone["kind"], alone["flag"]) == (None, [], "one", False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--number", "x"], "--number: invalid int value: 'x'"),
        (["--kind", "three"], "--kind: invalid choice: 'three'"),
        (["--nmae"], "--nmae"),
    ],
)
def test_options_that_cannot_be_meant(words, told):
    with pytest.raises(ConfigError) as caught:
        parsed(words, number=3, kind=("one", "two"))
    assert told in str(caught.value)
    assert "--help lists the options" in str(caught.value)


def test_weights_of_levels_take_new_keys() -> None:
    """In both spellings; the keys are checked with the other settings."""
    for word in ("trainer.level_weights={subgroup: 0.5}", "trainer.level_weights.subgroup=0.5"):
        outcome = command("run", "model=bertcnn", "level=shared", "data.depth=subgroup", word, "--cfg", "job")
        assert outcome.status == 0, outcome.err
        assert "subgroup: 0.5" in outcome.out
