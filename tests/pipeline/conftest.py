from dataclasses import replace

import pytest

from patent_hier.settings import BertCnnSettings, DataSettings, LevelSettings, Settings, TrainerSettings
from tests.commands import write_csv
from tests.conftest import tiny_encoder_settings


@pytest.fixture
def settings(tmp_path) -> Settings:
    """A run on 160 documents: sections A and B with two classes each, C with one."""
    symbols = {"A01B1/00": 40, "A23L1/00": 30, "B60K1/00": 30, "B65D1/00": 30, "C07D1/00": 30}
    return Settings(
        data=DataSettings("gazette", path=str(write_csv(tmp_path / "raw.csv", symbols)), text=["摘要"]),
        encoder=tiny_encoder_settings(),
        model=BertCnnSettings(num_last_layers=2),
        level=LevelSettings("node"),
        trainer=TrainerSettings(max_epochs=1, min_steps=0, num_threads=1, progress=False),
        node="A",
        runs_dir=str(tmp_path / "runs"),
        cache_dir=str(tmp_path / "cache"),
    )


@pytest.fixture
def changed(settings):
    """The settings with changes: ``changed(seed=2)``, ``changed("encoder", max_length=16)``."""

    def change(group=None, **changes):
        if group is None:
            return replace(settings, **changes)
        return replace(settings, **{group: replace(getattr(settings, group), **changes)})

    return change
