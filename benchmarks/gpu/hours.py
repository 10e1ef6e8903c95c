"""Estimate the hours of the paper's experiment on this device, from the figures just measured."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu.steps import Found
from benchmarks.plan.plan import make_plan
from benchmarks.plan.records import Record, find_records, read_figures
from benchmarks.plan.work import PAPER_ROWS, encoder_size, make_work, paper_documents
from patent_hier.errors import ConfigError
from patent_hier.pipeline.environment import describe_environment

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

_PARTS = ("before", "level_1", "level_2", "scoring", "wall_clock")


def hours(check: "Check") -> Found:
    """Estimate the hours for nine networks and for one shared network, trained one after the other.

    Raises:
        ConfigError: If no training step has been measured.
    """
    if not any(row.work.startswith("training step") for row in check.rows):
        raise ConfigError("no training step was measured, so there is nothing to estimate; see the step 'training'")
    own = Record(Path("this-check"), describe_environment(), [row.as_dict() for row in check.rows])
    records, facts = [own, *find_records([], check.runs)], {}
    for level, settings in check.paper.items():
        figures = read_figures(records, encoder_size(settings))
        work = make_work(settings, paper_documents(PAPER_ROWS), 1, figures.training.tokens)
        plan = make_plan(work, figures, settings)
        here = plan["hours"][0]
        facts[level] = {
            **{part: here[part] for part in _PARTS},
            "documents": plan["facts"]["documents"],
            "epochs": plan["facts"]["epochs"],
            "encoder": plan["facts"]["encoder"],
            "training_on": f"{figures.training.device}, {figures.training.precision}",
            "scoring_on": f"{figures.scoring.device}, {figures.scoring.precision}",
            "pace": here["pace"],
        }
    lines = [
        f"- level={level}: {one['wall_clock']:.2f} h (before training {one['before']:.2f}, L1 or shared "
        f"{one['level_1']:.2f}, L2 {one['level_2']:.2f}, scoring {one['scoring']:.2f}); training measured on "
        f"{one['training_on']}, scoring on {one['scoring_on']}; limited by {one['pace']}"
        for level, one in facts.items()
    ]
    head = f"{PAPER_ROWS:,} rows, the paper's epochs and batch; steps before training as recorded on other machines."
    return Found(facts, f"{head}\n\n" + "\n".join(lines))
