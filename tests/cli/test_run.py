import json

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from patent_hier.cli import composing
from patent_hier.cli.messages import DEBUG
from patent_hier.errors import ConfigError
from tests.commands import command

BAD = ("level=section", "seed=-1")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def jobs(runs):
    return [json.loads(file.read_text("utf-8")) for file in sorted(runs.rglob("job.json"))]


def test_failed_job_leaves_its_outcome(runs):
    outcome = command("run", *BAD)
    (job,) = jobs(runs)
    assert outcome.err == f"error: {job['error']}\n"
    assert outcome.status == job["exit_status"] == 2
    assert (job["node"], job["level"], job["folder"]) == ("root", "section", "")


def test_the_jobs_of_a_sweep_share_a_composition_and_leave_their_outcome(runs, monkeypatch):
    monkeypatch.setattr(composing, "_kept", {})
    composed, load = [], ConfigLoaderImpl.load_configuration

    def counted(*arguments, **options):
        composed.append(repr((arguments[1:], options)))
        return load(*arguments, **options)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    outcome = command("run", "level=class", "seed=-1")
    assert outcome.err == "error: seed=-1 is negative; use 0 or more\n"
    assert [job["node"] for job in jobs(runs)] == list("ABCDEFGH")
    assert len(composed) == 3  # of the sweep, twice, and of its jobs, whose node alone differs


def test_one_command_does_not_report_the_failures_of_another(runs):
    assert command("run", *BAD).status == 2
    assert command("run", "--cfg", "job").status == 0


def test_debug_raises_what_happened(runs, monkeypatch):
    monkeypatch.setenv(DEBUG, "1")
    with pytest.raises(ConfigError, match="seed=-1"):
        command("run", *BAD)


def test_configuration_is_shown_and_nothing_run(runs):
    outcome = command("run", "--cfg", "job", "level=node", "node=D", "data.text=[摘要]")
    assert (outcome.status, outcome.err) == (0, "")
    assert "node: D" in outcome.out
    assert "- 摘要" in outcome.out
    assert jobs(runs) == []


def test_options_of_hydra_still_work():
    assert command("run", "--version").status == 0
    assert "hydra/launcher" in command("run", "--hydra-help").out
