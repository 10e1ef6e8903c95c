"""The groups ``logger`` and ``callbacks``, from the words of a command to Lightning's objects."""

import pickle
import sys
from pathlib import Path

import pytest
from pytorch_lightning.callbacks import LearningRateMonitor, RichProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from patent_hier.cli.compose import compose_training
from patent_hier.cli.observers import ConfiguredObservers
from patent_hier.errors import ConfigError
from patent_hier.training.observers import Observers

NAME = "bertcnn/D-0123"


def configured(*words: str) -> ConfiguredObservers:
    return compose_training(list(words))[1]


def observers(tmp_path: Path, *words: str) -> Observers:
    """Made as in another process: from a pickle."""
    made: Observers = pickle.loads(pickle.dumps(configured(*words)))(tmp_path / "logs", NAME)  # noqa: S301 - our own
    return made


def test_by_default_there_is_a_bar_and_no_log(tmp_path: Path) -> None:
    made = observers(tmp_path)
    assert made.loggers == []
    assert [type(callback) for callback in made.callbacks] == [RichProgressBar]
    assert observers(tmp_path, "callbacks=none").callbacks == []


@pytest.mark.parametrize(("logger", "kind"), [("csv", CSVLogger), ("tensorboard", TensorBoardLogger)])
def test_a_log_has_the_name_of_the_result(tmp_path: Path, logger: str, kind: type) -> None:
    (made,) = observers(tmp_path, f"logger={logger}").loggers
    assert isinstance(made, kind)
    assert Path(str(made.log_dir)) == tmp_path / "logs" / NAME / logger / "version_0"


def test_several_and_their_arguments(tmp_path: Path) -> None:
    made = observers(
        tmp_path,
        "logger=[csv,tensorboard]",
        "logger.csv.name=${model.name}",
        "callbacks=[default,learning_rate_monitor]",
        "callbacks.learning_rate_monitor.logging_interval=step",
        "callbacks.rich_progress=null",
    )
    assert [logger.name for logger in made.loggers] == ["bertcnn", f"{NAME}/tensorboard"]
    (monitor,) = made.callbacks
    assert isinstance(monitor, LearningRateMonitor)
    assert monitor.logging_interval == "step"


def test_a_class_of_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "mine.yaml").write_text(
        "mine: {_target_: own_callbacks.Mine, word: '${node}'}\n", "utf-8"
    )
    source = (
        "import pytorch_lightning as pl\nclass Mine(pl.Callback):\n    def __init__(self, word): self.word = word\n"
    )
    (tmp_path / "own_callbacks.py").write_text(source, "utf-8")
    (mine,) = observers(tmp_path, f"hydra.searchpath=[file://{tmp_path}]", "callbacks=mine").callbacks
    assert (type(mine).__name__, vars(mine)["word"]) == ("Mine", "root")
    with pytest.raises(ConfigError, match=r"own_callbacks\.Mine is not allowed"):
        configured("+callbacks.mine._target_=own_callbacks.Mine")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os.mkdir", "is not allowed"),
        ("pytorch_lightning.trainer.trainer.Trainer", "is not allowed"),
        ("patent_hierarchy.Mine", "is not allowed"),
        ("patent_hier.cli.jobs.Path", "is defined in pathlib"),
        ("patent_hier.cli.jobs.Path.mkdir", "cannot be found"),
        ("patent_hier.training.callbacks.Nothing", "cannot be found"),
        ("${oc.decode:os.mkdir}", "is not allowed"),
        ("patent_hier.settings.TrainerSettings", "is not a Callback of Lightning"),
        ("pytorch_lightning.callbacks.EarlyStopping", "cannot be created"),  # it needs an argument
    ],
)
def test_what_may_not_or_cannot_be_made(tmp_path: Path, target: str, said: str) -> None:
    path = [] if "path" not in target and "mkdir" not in target else [f"+callbacks.evil.path={tmp_path / 'made'}"]
    with pytest.raises(ConfigError, match=said) as caught:
        observers(tmp_path, f"+callbacks.evil._target_={target}", *path)
    assert str(caught.value).startswith("callbacks.evil")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_an_argument_may_not_be_called_either(tmp_path: Path) -> None:
    evil = f"+logger.csv.prefix={{_target_:os.mkdir,path:{tmp_path / 'made'}}}"
    with pytest.raises(ConfigError, match=r"logger\.csv\.prefix\._target_=os\.mkdir is not allowed"):
        configured("logger=csv", evil)


def test_a_missing_package_is_named_before_any_work() -> None:
    for logger in ("wandb", "mlflow"):
        with pytest.raises(ConfigError, match=rf"install it: pip install -e .*\[{logger}\]"):
            configured(f"logger={logger}")
