"""Workflows, forms for issues and the Containerfile: what they call, copy and ask for exists."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
CONTAINERFILE = (ROOT / "Containerfile").read_text("utf-8").replace("\\\n", " ")


def project() -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return read


def stem(path: Path) -> str:
    return path.stem


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_workflows_and_forms() -> None:
    assert {path.stem for path in WORKFLOWS} == {"test", "docs", "release"}
    assert {path.stem for path in FORMS} == {"bug", "feature", "question"}


@pytest.mark.parametrize("file", WORKFLOWS, ids=stem)
def test_a_workflow_calls_what_exists(file: Path) -> None:
    commands = [step["run"] for step in steps(yaml.safe_load(file.read_text("utf-8"))) if "run" in step]
    assert {name for command in commands for name in re.findall(r"\bmake ([a-z-]+)", command)} <= TARGETS
    assert [command for command in commands if command.startswith(("make ", ".ci/run"))]
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.parametrize("file", WORKFLOWS, ids=stem)
def test_a_workflow_may_only_read_and_names_versions_of_actions(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    granted = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    allowed = {"deploy": {"pages": "write", "id-token": "write"}, "publish": {"id-token": "write"}}
    assert all(permissions == allowed[name] for name, permissions in granted.items())
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    uses = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", use) for use in uses)


def test_the_tests_run_on_every_python_that_is_named() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    named = {line.rpartition(" ")[2] for line in project()["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"]) == named


@pytest.mark.parametrize("file", FORMS, ids=stem)
def test_a_form_asks_for_the_version_and_names_each_field_once(file: Path) -> None:
    form = yaml.safe_load(file.read_text("utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    fields = {part["id"]: part for part in form["body"] if part["type"] != "markdown"}
    assert len(fields) == sum(part["type"] != "markdown" for part in form["body"])
    assert all(part["attributes"]["label"] for part in fields.values())
    assert fields["version"]["validations"]["required"]
    assert "`patent-hier --version`" in fields["version"]["attributes"]["description"]


def test_a_bug_is_told_with_what_it_takes_to_find_it() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text("utf-8"))
    asked = {part.get("id") for part in form["body"]}
    assert {"version", "command", "error", "traceback", "manifest", "data"} <= asked
    assert "PATENT_HIER_DEBUG=1" in str(form)


def test_the_container_copies_what_is_there_and_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for words in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.MULTILINE)
        for source in words.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)


def test_the_container_serves_without_rights_and_installs_pinned_versions() -> None:
    last = CONTAINERFILE[CONTAINERFILE.rindex("\nFROM ") :]
    base = CONTAINERFILE[: CONTAINERFILE.index(" AS demo")]
    assert re.findall(r"^USER (.+)$", base, re.MULTILINE) == ["10001:10001"]
    assert "USER" not in last
    assert "HEALTHCHECK" in last
    assert all("-c constraints.txt" in words for words in re.findall(r"pip install(.*)", CONTAINERFILE))
    extras = re.findall(r"^ARG EXTRAS=(.+)$", CONTAINERFILE, re.MULTILINE)[0].split(",")
    assert set(extras) <= project()["optional-dependencies"].keys()
