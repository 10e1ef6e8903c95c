"""Save one aggregated result for people and programs: JSON, CSV and Markdown, in one step."""

import json
from pathlib import Path
from typing import Any

from patent_hier.artifacts import MANIFEST, find_damage, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.suite import SuiteResult
from patent_hier.report.tables import result_csv, result_markdown

_ENVIRONMENT = "environment"
_OF_THE_FOLDER = ("files", "sha256", _ENVIRONMENT)  # of a manifest: what says nothing of the result


def save_suite(suite: SuiteResult) -> None:
    """Write ``result.json``, ``result.csv``, ``result.md`` and ``manifest.json`` into ``suite.folder``.

    A result that is there and says the same stays as it is, with the date of its making.
    """
    nodes = {node: str(folder) for node, folder in suite.nodes.items()}
    facts = {"kind": "result", **suite.facts, "nodes": nodes, "overrides": suite.overrides}
    files = {
        "result.csv": result_csv(suite.result),
        "result.md": result_markdown(suite.result, suite.model, suite.demo),
    }
    content = {**suite.facts, "demo": suite.demo, **suite.result.as_dict()}
    with exclusive(suite.folder):
        if _says(suite.folder, facts, files):
            return
        with atomic_folder(suite.folder) as staging:
            write_json(staging / "result.json", content)
            for name, text in files.items():
                (staging / name).write_text(text, "utf-8")
            seal(staging, {**facts, _ENVIRONMENT: describe_environment()})


def _says(folder: Path, facts: dict[str, Any], files: dict[str, str]) -> bool:
    if not folder.exists() or find_damage(folder) is not None:
        return False
    manifest = {key: value for key, value in read_json(folder / MANIFEST).items() if key not in _OF_THE_FOLDER}
    told = json.loads(json.dumps(facts))  # as it is read
    return bool(manifest == told) and all((folder / name).read_text("utf-8") == text for name, text in files.items())
