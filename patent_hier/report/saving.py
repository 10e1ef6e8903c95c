"""Save one aggregated result for people and programs: JSON, CSV and Markdown, in one step."""

from patent_hier.artifacts import atomic_folder, exclusive, seal, write_json
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.suite import SuiteResult
from patent_hier.report.tables import result_csv, result_markdown


def save_suite(suite: SuiteResult) -> None:
    """Write ``result.json``, ``result.csv``, ``result.md`` and ``manifest.json`` into ``suite.folder``."""
    nodes = {node: str(folder) for node, folder in suite.nodes.items()}
    with exclusive(suite.folder), atomic_folder(suite.folder) as staging:
        write_json(staging / "result.json", {**suite.facts, "demo": suite.demo, **suite.result.as_dict()})
        (staging / "result.csv").write_text(result_csv(suite.result), "utf-8")
        (staging / "result.md").write_text(result_markdown(suite.result, suite.model, suite.demo), "utf-8")
        origin = {"nodes": nodes, "overrides": suite.overrides, "environment": describe_environment()}
        seal(staging, {"kind": "result", **suite.facts, **origin})
