import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from patent_hier.cli import composing, schema
from patent_hier.cli.composing import composed_once
from patent_hier.errors import ConfigError

GROUPS = (
    (),
    ("level=hier",),
    ("model=linear", "level=node"),
    ("model=bertcnn", "experiment=paper", "encoder=bert_base_chinese"),
    ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.run.dir=elsewhere"),
)
VALUES = (
    ("node=root",),
    ("node=A", "seed=3", "runs_dir=/tmp/a b", "cache_dir=c"),
    ("node=D", "data.rows=300", "trainer.max_epochs=null", "optimizer.lr=1e-3", "trainer.progress=false"),
    ("node='A,B'", "data.text=[a,b]", "+data.columns.applicant=x", "++data.columns.title=y"),
    ("node=A", "seed=1", "~seed"),
    ("node=A", "seed=1", "++seed=2"),
    ("node=A", "++trainer.max_epochs=5", "trainer.max_epochs=3", "+data.columns.title=x", "++data.columns.title=y"),
    ("node=A", "log.dir=a", "log={dir: b}"),
    ("node=A", "log={dir: b}", "log.dir=a"),
    ("node=A", "+logger.csv.name=x", "~logger.csv.name"),
)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composing, "_kept", {})
    schema.register()


def composed(words: tuple[str, ...], folder: str | None = None) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=folder or schema.config_folder()):
        return compose("config", overrides=list(words), return_hydra_config=True)


def plain(config: DictConfig) -> object:
    return OmegaConf.to_container(config, resolve=False)


@pytest.mark.parametrize("groups", [GROUPS[0], *(pytest.param(own, marks=pytest.mark.slow) for own in GROUPS[1:])])
def test_equals_hydras_own_composition(groups: tuple[str, ...]) -> None:
    for number, values in enumerate(VALUES):
        words = (*groups, *values) if number % 2 else (*values, *groups)
        expected = composed(words)
        with composed_once():
            found, again = composed(words), composed(words)
        assert plain(found) == plain(again) == plain(expected)
        assert OmegaConf.get_type(found) is OmegaConf.get_type(expected)
        assert OmegaConf.is_struct(found)


@pytest.mark.parametrize(
    "words",
    [("sed=1",), ("data.row=1",), ("seed=x",), ("model=nothing", "seed=1"), ("seed=1,2",), ("seed=[",)],
)
def test_errors_are_hydras_own(words: tuple[str, ...]) -> None:
    with pytest.raises(Exception) as expected:  # noqa: PT011 - of whatever kind
        composed(words)
    with composed_once(), pytest.raises(type(expected.value)) as found:
        composed(words)
    assert str(found.value) == str(expected.value)


def test_copies_are_independent_and_groups_are_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    load = ConfigLoaderImpl.load_configuration

    def counted(self: ConfigLoaderImpl, name: str, overrides: list[str], *rest: object, **more: object) -> DictConfig:
        calls.append(overrides)
        return load(self, name, overrides, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    with composed_once():
        first = composed(("model=rnn", "node=A"))
        first.seed = 99
        seeds = [composed(("model=rnn", f"node={node}", "seed=1")).seed for node in "BCD"]
    assert seeds == [1, 1, 1]
    assert calls == [["model=rnn"]]


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(schema.config_folder(), tmp_path / "conf"))
    with composed_once():
        before = composed(("node=A",), str(folder))
        file = folder / "config.yaml"
        file.write_text(file.read_text().replace("model: bertcnn", "model: linear"))
        after = composed(("node=A",), str(folder))
    assert (before.model.name, after.model.name) == ("bertcnn", "linear")


def test_links_that_lead_nowhere_do_no_harm(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(schema.config_folder(), tmp_path / "conf"))
    (folder / ".#config.yaml").symlink_to("nobody@nowhere")
    with composed_once():
        assert composed(("node=A", "seed=4"), str(folder)).seed == 4


def test_the_working_folder_is_that_of_each_composition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with composed_once():
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            assert composed(("node=A",)).hydra.runtime.cwd == str(tmp_path / name)


def test_strange_files_are_refused_and_hydra_is_left_as_it_was() -> None:
    load = ConfigLoaderImpl.load_configuration
    with composed_once(), pytest.raises(ConfigError, match="leads outside conf/"):
        composed(("model=../model/rnn", "node=A"))
    assert ConfigLoaderImpl.load_configuration is load
