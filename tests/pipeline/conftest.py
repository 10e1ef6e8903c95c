from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from patent_hier.settings import (
    BertCnnSettings,
    DataSettings,
    FeatureSettings,
    LevelSettings,
    LinearSettings,
    ModelSettings,
    NaiveBayesSettings,
    NeighboursSettings,
    RnnSettings,
    Settings,
    TextCnnSettings,
    TrainerSettings,
)
from tests.commands import write_csv
from tests.conftest import tiny_encoder_settings

SYMBOLS = {"A01B1/00": 40, "A23L1/00": 30, "B60K1/00": 30, "B65D1/00": 30, "C07D1/00": 30}
MODELS: dict[str, ModelSettings] = {
    "bertcnn": BertCnnSettings(num_last_layers=2),
    "textcnn": TextCnnSettings(num_filters=4),
    "rnn": RnnSettings(hidden_size=4),
    "linear": LinearSettings(),
    "logistic": LinearSettings(name="logistic", classifier="logistic"),
    "naive_bayes": NaiveBayesSettings(),
    "knn": NeighboursSettings(),
}


def make_settings(folder: Path, model: str = "bertcnn") -> Settings:
    """A run on 160 documents: sections A and B with two classes each, C with one."""
    raw = folder / "raw.csv"
    if not raw.is_file():
        write_csv(raw, SYMBOLS)
    words = MODELS[model].inputs == "words"
    return Settings(
        data=DataSettings("gazette", path=str(raw), text=["摘要"]),
        encoder=tiny_encoder_settings(),
        features=FeatureSettings(name="chars" if words else "words", max_length=20, vector_size=4, epochs=1),
        model=MODELS[model],
        level=LevelSettings("node"),
        trainer=TrainerSettings(max_epochs=1, min_steps=0, num_threads=1, progress=False),
        node="A",
        runs_dir=str(folder / "runs"),
        cache_dir=str(folder / "cache"),
    )


def change(settings: Settings, group: str | None = None, **changes: Any) -> Settings:
    """The settings with changes: ``change(settings, seed=2)``, ``change(settings, "encoder", max_length=16)``."""
    if group is None:
        return replace(settings, **changes)
    return replace(settings, **{group: replace(getattr(settings, group), **changes)})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def changed(settings: Settings) -> Callable[..., Settings]:
    """The settings with changes; see :func:`change`."""

    def changed(group: str | None = None, **changes: Any) -> Settings:
        return change(settings, group, **changes)

    return changed
