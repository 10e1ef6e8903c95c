"""Joint output of the jobs of one command: aggregated results, or a table of a sweep."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from patent_hier.atomic import read_json
from patent_hier.cli.jobs import Job
from patent_hier.evaluation.result import Score
from patent_hier.pipeline.node import METRICS_FILE
from patent_hier.pipeline.suite import SuiteResult, aggregate_nodes
from patent_hier.report.results import MARKDOWN_FILE, SweepRow, print_result, save_suite, suite_table, sweep_table
from patent_hier.report.tables import print_grid
from patent_hier.sanitize import one_line
from patent_hier.settings import WHOLE

_AGGREGATED = ("hier", *WHOLE)


def publish(suite: SuiteResult) -> None:
    """Save one result, print it, and print its folder."""
    save_suite(suite)
    print_result(Console(), suite.result, suite.model, suite.demo, suite.notes)
    print(one_line(f"every score with its interval: {suite.folder / MARKDOWN_FILE}"))
    print(one_line(f"saved in {suite.folder}"))


def finish(jobs: Sequence[Job]) -> None:
    """Print and save the joint result of finished jobs.

    Args:
        jobs: All jobs of one command; none of them failed.
    """
    if jobs[0].level not in _AGGREGATED:
        axes = _axes(jobs)
        rows = [row for job, overrides in zip(jobs, axes, strict=True) if (row := _sweep_row(job, overrides))]
        if rows:
            print_grid(Console(), sweep_table(rows))
        return
    groups: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.suite].append(job)
    axes = _axes([group[0] for group in groups.values()])
    suites = []
    for group, overrides in zip(groups.values(), axes, strict=True):
        suite = aggregate_nodes({job.node: Path(job.folder) for job in group if job.folder}, Path(group[0].corpus))
        publish(suite)
        suites.append((overrides, suite.result))
    if len(suites) > 1:
        print_grid(Console(), suite_table(suites))


def _sweep_row(job: Job, overrides: Mapping[str, str]) -> SweepRow | None:
    """Return one node's row; None if the corpus has no document of its section."""
    if not job.folder:
        return None
    metrics = read_json(Path(job.folder) / METRICS_FILE)
    val, test = (Score(**metrics[part]["accuracy"]) if metrics[part]["accuracy"] else None for part in ("val", "test"))
    return overrides, job.node, val, test


def _axes(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Return the overrides in which jobs differ, the axes of a sweep, without the node, which has its own column."""
    given = [dict(word.lstrip("+").split("=", 1) for word in job.overrides if "=" in word) for job in jobs]
    names = [name for name in dict.fromkeys(name for overrides in given for name in overrides) if name != "node"]
    varied = [name for name in names if len({overrides.get(name) for overrides in given}) > 1]
    return [{name: overrides[name] for name in varied if name in overrides} for overrides in given]
