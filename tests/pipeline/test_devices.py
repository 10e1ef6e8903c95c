"""A node on two devices, from settings to result folder: the same result, one set of outputs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patent_hier.errors import ConfigError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.pipeline import devices
from patent_hier.pipeline.node import run_node
from patent_hier.settings import Settings
from tests.pipeline.conftest import change, make_settings

TOLERANCE = 1e-5  # of log-probabilities, after one epoch without dropout


def without_dropout(folder: Path, runs: str, model: str = "bertcnn", **trainer: Any) -> Settings:
    settings = change(make_settings(folder, model), "trainer", accelerator="cpu", **trainer)
    return replace(change(settings, "model", dropout=0.0), runs_dir=str(folder / runs))


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text("utf-8"))


@pytest.mark.slow
def test_two_devices_make_the_same_result_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one = run_node(without_dropout(tmp_path, "one")).folder
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    made_before = {path for path in (tmp_path / "cache").rglob("*") if ".locks" not in path.parts}
    capfd.readouterr()
    done = run_node(without_dropout(tmp_path, "two", devices=2, progress=True))
    two = done.folder
    out, err = capfd.readouterr()
    assert [line.split("  ")[:2] for line in out.splitlines() if "epoch" in line] == [["bertcnn A", "epoch 1/1"]]
    assert err == ""

    assert two.name == one.name  # the number of devices is no part of the fingerprint
    files = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (one, two)]
    assert files[0] == files[1]
    assert {path for path in (tmp_path / "cache").rglob("*") if ".locks" not in path.parts} == made_before
    assert {path.name for path in two.parent.iterdir()} == {two.name, ".locks"}
    assert not list((tmp_path / "temporary").rglob("*"))

    a, b = (NetworkPredictions.read(folder / "predictions.parquet") for folder in (one, two))
    np.testing.assert_allclose(b.scores().log_prob, a.scores().log_prob, atol=TOLERANCE, rtol=0)
    metrics = [read(folder, "metrics.json") for folder in (one, two)]
    facts = [own.pop("training") for own in metrics]
    assert metrics[0] == metrics[1]
    assert [own["devices"] for own in facts] == [1, 2]
    assert facts[1]["peak_memory_bytes"] > 10**8
    assert [read(folder, "manifest.json")["environment"]["devices"] for folder in (one, two)] == [1, 2]
    assert run_node(without_dropout(tmp_path, "two")).folder == two  # and one device finds it finished


@pytest.mark.slow
def test_an_error_while_training_is_the_same_error_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = change(without_dropout(tmp_path, "runs", devices=2), "model", kernel_size=17)
    with pytest.raises(ConfigError, match=r"model\.kernel_size=17 .* do not fit into hidden_size=16"):
        run_node(settings)
    assert "Traceback" not in capfd.readouterr().err
    assert [path.name for path in (tmp_path / "runs" / "bertcnn").iterdir()] == [".locks"]


def test_a_classical_model_needs_no_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(devices, "_fit_apart", never)
    settings = change(make_settings(tmp_path, "linear"), "trainer", devices=2)
    assert run_node(settings).folder.is_dir()


def test_all_devices_of_a_machine_without_gpus_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_node(without_dropout(tmp_path, "runs", devices=None)).folder
    assert read(folder, "metrics.json")["training"]["devices"] == 1
    assert "trainer.devices=null: one process" in capsys.readouterr().out


def test_jobs_side_by_side_may_not_share_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = without_dropout(tmp_path, "runs", devices=2)
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none: "loky")
    with pytest.raises(ConfigError, match=r"trainer\.devices=2: with hydra/launcher=joblib"):
        run_node(settings)
    environment = {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "x"}
    for name, value in {**environment, "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ConfigError, match="under torchrun"):  # a job of another launcher has no session
        run_node(settings)
