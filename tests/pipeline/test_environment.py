import json
import subprocess
from datetime import datetime
from pathlib import Path

import patent_hier
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
    assert environment.describe_environment()["git_commit"] == f"{clean}+"
    monkeypatch.setattr(patent_hier, "__file__", str(tmp_path / ".venv" / "patent_hier" / "__init__.py"))
    (tmp_path / ".venv" / "patent_hier").mkdir(parents=True)
    assert environment.describe_environment()["git_commit"] is None  # installed below a checkout of something else


def test_no_checkout_no_git(tmp_path, monkeypatch):
    monkeypatch.setattr(patent_hier, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.describe_environment()["git_commit"] is None
    monkeypatch.setenv("PATH", str(Path(tmp_path)))
    assert environment.describe_environment()["git_commit"] is None


def test_unknown_package():
    assert environment._version("no-such-package-here") is None
