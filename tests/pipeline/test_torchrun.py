"""Rank 0 under torchrun, and the ranks that follow it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist

import patent_hier
from patent_hier.errors import ConfigError, LostRanksError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.pipeline import torchrun
from patent_hier.pipeline.torchrun import Session, follow
from patent_hier.settings import TrainerSettings
from patent_hier.training.ranks import Ranks
from tests.commands import TINY, command, write_csv
from tests.pipeline.conftest import SYMBOLS

CHECKOUT = Path(patent_hier.__file__).parents[1]
TOLERANCE = 1e-5  # of log-probabilities, after one epoch without dropout


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = dist.HashStore()  # type: ignore[attr-defined]  # it is there
    monkeypatch.setattr("patent_hier.training.launch.find_store", lambda: found)
    monkeypatch.setattr("patent_hier.training.launch.be_quiet", lambda: None)
    return found


def test_settings_must_mean_torchruns_processes(store: Any) -> None:
    session = Session(Ranks(0, 4, 2))
    session.check(TrainerSettings(devices=None))
    session.check(TrainerSettings(devices=2))
    with pytest.raises(ConfigError, match=r"trainer\.devices=1, but torchrun has started 2 processes .* trainer=ddp"):
        session.check(TrainerSettings())


def test_followers_go_when_rank_0_ends_without_training(store: Any) -> None:
    Session(Ranks(0, 2, 2)).end()
    follow(Ranks(1, 2, 2))


def test_after_a_failure_no_further_node_waits_for_ranks_that_are_gone(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("connection closed by peer")

    monkeypatch.setattr(torchrun, "_exchange", fail)
    session = Session(Ranks(0, 2, 2))
    nothing: Any = None
    with pytest.raises(RuntimeError, match="closed"):
        session.fit(nothing, nothing)
    with pytest.raises(LostRanksError, match="its own error line gives the reason"):
        session.fit(nothing, nothing)
    session.end()


def test_a_rank_that_fails_says_so_before_its_connections_break(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConfigError("no memory on this machine")

    session = Session(Ranks(0, 2, 2))
    session._tell(b"train")
    monkeypatch.setattr(torchrun, "_exchange", fail)
    with pytest.raises(ConfigError, match="no memory"):
        follow(Ranks(1, 2, 2))
    nothing: Any = None
    with pytest.raises(LostRanksError):  # whatever rank 0 meets then, the reason lies elsewhere
        session.fit(nothing, nothing)


@pytest.mark.slow
def test_torchrun_makes_the_result_of_one_process(tmp_path: Path) -> None:
    """Two nodes, one of them with a single class: both ranks go through both, one set of outputs is left."""
    raw = write_csv(tmp_path / "raw.csv", SYMBOLS)
    words = ["data=gazette", f"data.path={raw}", "data.text=[摘要]", "level=node", "node=A,C", "encoder=demo"]
    words += [word for word in TINY if not word.startswith("data.")]
    words += ["encoder.dropout=0", "model.dropout=0", f"cache_dir={tmp_path / 'cache'}", "trainer.accelerator=cpu"]
    assert command("run", "-m", *words, f"runs_dir={tmp_path / 'one'}").status == 0
    torchrun_words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*torchrun_words, "run.py", "-m", *words, f"runs_dir={tmp_path / 'two'}", "trainer=ddp"],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("bertcnn A: test accuracy") == 1
    assert done.stdout.count("C: only one label") == 1
    assert len(list((tmp_path / "two" / ".jobs").iterdir())) == 1
    names = {path.name for path in (tmp_path / "one" / "bertcnn").iterdir()}
    assert {path.name for path in (tmp_path / "two" / "bertcnn").iterdir()} == names
    for name in names - {".locks"}:
        one, two = (
            NetworkPredictions.read(tmp_path / runs / "bertcnn" / name / "predictions.parquet")
            for runs in ("one", "two")
        )
        np.testing.assert_allclose(two.scores().log_prob, one.scores().log_prob, atol=TOLERANCE, rtol=0)
        facts = json.loads((tmp_path / "two" / "bertcnn" / name / "metrics.json").read_text("utf-8"))["training"]
        assert facts.get("devices") == (2 if name.startswith("A") else None)
