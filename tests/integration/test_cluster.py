"""Nodes as jobs of submitit, which also submits to Slurm; here in its local mode, in processes of this machine."""

import importlib.util
import shutil

import pytest

from patent_hier.artifacts import find_damage
from tests.commands import command
from tests.integration.conftest import place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("submitit") is None,
        reason="hydra-submitit-launcher is not installed; it comes with the extras cluster and dev",
    ),
]


def test_nodes_as_jobs_one_of_which_fails(suite, tmp_path):
    """Two jobs: one is kept, one fails in one line; once its reason is gone, the same command trains only that one."""
    words = place("bertcnn", tmp_path / "runs", suite.cache).words
    known = suite.nodes()["D"].name
    blocked = tmp_path / "runs" / "bertcnn" / suite.nodes()["H"].name
    blocked.mkdir(parents=True)  # a result without its files: damaged
    sweep = ["run", "-m", "hydra/launcher=local", "level=node", "node=D,H", *words]
    outcome = command(*sweep)
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1
    assert f"node=H failed: result {blocked} is damaged" in outcome.err
    assert "the other 1 of 2 are kept" in outcome.err
    kept = tmp_path / "runs" / "bertcnn" / known
    assert find_damage(kept) is None
    assert (kept / "predictions.parquet").read_bytes() == (suite.nodes()["D"] / "predictions.parquet").read_bytes()
    stamp = (kept / "manifest.json").stat().st_mtime_ns

    shutil.rmtree(blocked)
    again = command(*sweep)
    assert (again.status, again.err) == (0, "")
    assert find_damage(blocked) is None
    assert (kept / "manifest.json").stat().st_mtime_ns == stamp
    rows = [line.split()[0] for line in again.out.splitlines() if line[:2] in ("D ", "H ")]
    assert rows == ["D", "H"]  # in the order of the sweep
    logs = "".join(file.read_text("utf-8") for file in (tmp_path / "runs" / ".jobs").rglob("*_log.out"))
    assert logs.count("bertcnn D: test accuracy") == 1  # the second sweep submits no job for a finished node
