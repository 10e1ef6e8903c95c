"""What ``patent-hier pretrain`` takes as settings, from the words of a command to checked values."""

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from patent_hier.cli.compose import compose_pretrain_settings
from patent_hier.errors import ConfigError
from patent_hier.settings import PretrainSettings
from patent_hier.settings.pretraining import ArchitectureSettings, MaskingSettings, VocabularySettings

END = "max_steps=5"


def test_groups_and_keys_can_be_chosen() -> None:
    words = [
        "data=gazette",
        "data.path=a.csv",
        "optimizer=adam",
        "text=[甲.txt,b.txt.xz]",
        "start=模型",
        "max_time=1.5",
    ]
    found = compose_pretrain_settings([END, *words])
    assert (found.data.name, found.data.path) == ("gazette", "a.csv")
    assert found.encoder is None  # whatever the file of the data chooses for run.py
    assert (found.optimizer.name, found.optimizer.lr) == ("adam", 1e-3)  # not the rate of some encoder of run.py
    assert found.text == ["甲.txt", "b.txt.xz"]
    assert (found.start, found.max_time) == ("模型", 1.5)


# What is refused, and where the message is more than that, what it names.
REFUSED = {
    **dict.fromkeys(("max_steps=0", "max_time=0", "name=a/b", "name=", "seq_len=1024", "seq_len=7", "masking.share=0")),
    **dict.fromkeys(("architecture.hidden_size=0", "architecture.dropout=1", "vocabulary.size=50", "dropout=-0.1")),
    **dict.fromkeys(("vocabulary.min_count=0", "held_out=0", "held_out=0.6", "held_out_tokens=0", "batch_size=0")),
    **dict.fromkeys(("steps_per_round=0", "gradient_clip=0", "num_threads=0", "seed=-1", "optimizer.lr=-1")),
    "optimizer.warmup=2": None,
    "max_steps=null": "pre-training needs a limit; set max_steps=NUMBER or max_time=MINUTES",
    "data=cnipa": "data.path=FILE.csv",
    "architecture.num_attention_heads=3": "architecture.num_attention_heads=3 does not divide",
    "architecture.max_positions=64": "seq_len=128 is out of range; use a value from 8 to 64",
    "accelerator=tpu": "accelerator=tpu is unknown",
    "precision=16": "precision=16 is unknown",
    "optimizer.schedule=cosine": "optimizer.schedule=cosine is unknown",
    "--foo": "unknown option --foo",
    "encoder=small": "start=FOLDER",
    "encoder.path=x": "start=FOLDER",
}


@pytest.mark.parametrize(("word", "named"), REFUSED.items())
def test_values_that_are_refused(word: str, named: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_pretrain_settings([END, word])
    assert (named or word) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["step=3", "architecture.layers=2", "text=a.txt", "batch_size=many", "model=bert"])
def test_misspelt_keys_and_wrong_types(word: str) -> None:
    with pytest.raises((HydraException, OmegaConfBaseException)):
        compose_pretrain_settings([END, word])


def test_an_encoder_that_is_trained_further_has_its_own_sizes() -> None:
    words = [END, "start=folder", "seq_len=4096", "architecture.max_positions=64", "architecture.num_attention_heads=3"]
    assert compose_pretrain_settings(words).seq_len == 4096


@pytest.mark.parametrize("group", [PretrainSettings, VocabularySettings, ArchitectureSettings, MaskingSettings])
def test_every_key_is_described(group: Any) -> None:
    assert is_dataclass(group)
    for field in fields(group):
        assert f"        {field.name}: " in (group.__doc__ or ""), field.name
