import json
import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import patent_hier
from patent_hier.features.versions import package_version
from patent_hier.pipeline import environment


def test_facts_are_plain_and_complete():
    facts = environment.describe_environment()
    assert json.loads(json.dumps(facts)) == facts
    assert datetime.fromisoformat(facts["date"]).tzinfo is not None
    assert facts["packages"]["torch"]
    assert facts["patent_hier"] == patent_hier.__version__


def test_commit_of_a_checkout(tmp_path, monkeypatch):
    def git(*words):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(("git", *identity, *words), cwd=tmp_path, check=True, capture_output=True)

    file = tmp_path / "patent_hier" / "__init__.py"
    file.parent.mkdir()
    file.write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "x")
    monkeypatch.setattr(patent_hier, "__file__", str(file))
    clean = environment.describe_environment()["git_commit"]
    assert len(clean) == 40
    file.write_text("# changed")
    assert environment.describe_environment()["git_commit"] == clean  # the code that was loaded
    environment._git_commit.cache_clear()  # a new process
    assert environment.describe_environment()["git_commit"] == f"{clean}+"
    monkeypatch.setattr(patent_hier, "__file__", str(tmp_path / ".venv" / "patent_hier" / "__init__.py"))
    (tmp_path / ".venv" / "patent_hier").mkdir(parents=True)
    assert environment.describe_environment()["git_commit"] is None  # installed below a checkout of something else


def test_no_checkout_no_git(tmp_path, monkeypatch):
    monkeypatch.setattr(patent_hier, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.describe_environment()["git_commit"] is None
    environment._git_commit.cache_clear()
    monkeypatch.setenv("PATH", str(Path(tmp_path)))
    assert environment.describe_environment()["git_commit"] is None


def test_unknown_package():
    assert package_version("no-such-package-here") is None


def held(n_bytes):
    block = np.ones(n_bytes, np.uint8)  # every page is touched
    return int(block[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="the mark is set back on Linux only")
def test_peak_memory_is_of_what_happened_since():
    large = 300 << 20
    memory = environment.PeakMemory()
    before = memory.bytes()
    assert held(large)
    assert before + 0.9 * large < memory.bytes() < before + 1.3 * large
    assert environment.PeakMemory().bytes() < before + 0.2 * large  # what was held before does not count


def test_peak_memory_is_read_in_kilobytes(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_PROC", tmp_path)
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t  9000 kB\nVmHWM:\t  1234 kB\nVmRSS:\t  77 kB\n")
    memory = environment.PeakMemory()
    assert (tmp_path / "clear_refs").read_text() == "5"
    assert memory.bytes() == 1234 * 1024


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_memory_where_the_mark_cannot_be_set_back(platform, unit, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_PROC", tmp_path / "nowhere")
    monkeypatch.setattr(sys, "platform", platform)
    assert environment.PeakMemory().bytes() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
