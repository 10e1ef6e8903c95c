"""The lower bounds keep out releases with a known hole on a way that this program takes."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import patent_hier

ROOT = Path(patent_hier.__file__).parents[1]
# The last release with the hole, or a malicious one, and why.
KNOWN = [
    ("torch", "2.5.1", "CVE-2025-32434"),
    ("torch", "2.9.1", "CVE-2026-24747"),
    ("transformers", "5.2.0", "CVE-2026-4372"),
    ("pyarrow", "14.0.0", "CVE-2023-47248"),
    ("hydra-core", "1.3.2", "issue 3259"),
    ("pytorch-lightning", "2.6.2", "malicious"),
    ("pytorch-lightning", "2.6.3", "malicious"),
    ("pyyaml", "5.3.1", "CVE-2020-14343"),
    ("scikit-learn", "1.4.2", "CVE-2024-5206"),
    ("joblib", "1.1.0", "CVE-2022-21797"),
    ("h11", "0.14.0", "CVE-2025-43859"),
    ("starlette", "1.0.0", "CVE-2026-48710"),
    ("starlette", "1.2.1", "CVE-2026-54282"),
    ("starlette", "1.3.0", "CVE-2026-54283"),
]


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for lines in lists for line in lines]


@pytest.mark.parametrize(("package", "version", "why"), KNOWN)
def test_releases_with_holes_stay_out(package: str, version: str, why: str) -> None:
    bounds = [requirement for requirement in requirements() if requirement.name == package]
    assert bounds
    assert not any(requirement.specifier.contains(version) for requirement in bounds)
    line = next(line for line in (ROOT / "pyproject.toml").read_text("utf-8").splitlines() if f'"{package}>=' in line)
    assert why in line


def test_the_pinned_versions_are_within_the_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for requirement in requirements():
        if requirement.name not in ("wandb", "mlflow"):  # loggers of services that a test cannot reach
            version = Version(pinned[requirement.name.lower()])
            assert requirement.specifier.contains(version), requirement
