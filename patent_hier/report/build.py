"""Report of a corpus and split: collects and scores results, then writes the page, Markdown and figures."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import patent_hier
from patent_hier.artifacts import MANIFEST, find_damage, fingerprint, refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ConfigError
from patent_hier.inference.nodes import MODEL_FOLDER
from patent_hier.pipeline.collecting import collect
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.evidence import Evidence
from patent_hier.progress import say
from patent_hier.report.attention.view import attention_view
from patent_hier.report.content.context import MOST_PANELS, Context, contexts
from patent_hier.report.content.data import data
from patent_hier.report.content.details import details, layers
from patent_hier.report.content.runs import runs
from patent_hier.report.content.sets import sets
from patent_hier.report.content.systems import systems
from patent_hier.report.content.table_2 import table_2, table_2_grid
from patent_hier.report.figures import Rendered
from patent_hier.report.figures.fonts import cjk_font
from patent_hier.report.rendering import write_report
from patent_hier.report.scores import FLAT_MODEL
from patent_hier.report.tables import Grid
from patent_hier.settings import ROOT, Settings

REPORT_VERSION = 11
PAGE_FILE = "report.html"
_SCORES_FILE = "scores.json"
_ATTENTION_PAGE = "attention.html"
_KIND = "report"
_SHARED = ("data=", "data.", "split=", "split.", "runs_dir=", "cache_dir=", "encoder=", "encoder.", "experiment=")


def build_report(
    settings: Settings, corpus: Corpus, split: Path, output: Path | None = None, overrides: Sequence[str] = ()
) -> tuple[Path, Evidence]:
    """Write the report unless an up-to-date one exists.

    Args:
        settings: Settings, of which folders, encoder and seed are used.
        corpus: The cleaned corpus.
        split: Folder of the split.
        output: Folder to write; None for ``<runs_dir>/report-<data>-<split>``.
        overrides: Overrides behind the settings; those of corpus, split and folders go into the printed commands.

    Returns:
        The folder and the evidence behind the report; the evidence's ``missing`` lists incomplete results.

    Raises:
        ArtifactError: If a result is damaged.
        ConfigError: If the folder contains anything other than a report.
    """
    runs = Path(settings.runs_dir)
    folder = output or runs / f"report-{corpus.manifest['name']}-{split.name}"
    refuse_foreign(folder, _KIND)
    shared = tuple(word for word in overrides if word.lstrip("+").startswith(_SHARED))
    with exclusive(folder):
        evidence = collect(runs, corpus, split)
        name = fingerprint([REPORT_VERSION, patent_hier.__version__, evidence.fingerprint, shared, cjk_font()])
        if find_damage(folder) is None and read_json(folder / MANIFEST).get("fingerprint") == name:
            say(f"report: up to date  {folder / PAGE_FILE}")
            return folder, evidence
        environment = describe_environment()
        with atomic_folder(folder) as staging:
            _write(settings, evidence, shared, f"{environment['date']}, patent_hier", staging)
            facts = {"kind": _KIND, "fingerprint": name, "data": corpus.fingerprint, "split": split.name}
            seal(staging, {**facts, "made_of": _made_of(evidence), "environment": environment})
    say(f"report: written  {folder / PAGE_FILE}")
    return folder, evidence


def _made_of(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the results behind the report, each with its command and code version."""
    runs = [(item.name, run) for item in evidence.configurations for run in item.all_runs]
    runs += [("layers", run) for by_number in evidence.layers.values() for run in by_number.values()]
    return [
        {
            "name": name,
            "node": run.node,
            "seed": run.manifest["seed"],
            "folder": f"{run.folder.parent.name}/{run.folder.name}",
            "overrides": run.manifest["overrides"],
            "code": run.manifest["environment"]["git_commit"],
            "date": run.manifest["environment"]["date"],
        }
        for name, run in runs
    ]


def _write(settings: Settings, evidence: Evidence, shared: tuple[str, ...], generated: str, staging: Path) -> None:
    view = _attention(settings, evidence)
    material = contexts(evidence, Path(settings.cache_dir), shared)
    contents = {language: {**content(context), "attention": view} for language, context in material.items()}
    write_report(staging, contents, generated)
    write_json(staging / _SCORES_FILE, _numbers(material["en"]))
    if view and "folder" in view:
        shutil.copyfile(view["folder"] / _ATTENTION_PAGE, staging / _ATTENTION_PAGE)


def content(context: Context) -> dict[str, Any]:
    """Return all variables of the report in one language, except the attention view."""
    parts = (data, table_2, systems, sets, layers, details, runs)
    return {"most": MOST_PANELS} | {name: value for part in parts for name, value in part(context).items()}


def _numbers(context: Context) -> dict[str, Any]:
    """Return the numbers for programs as fractions at full precision, and Table 2 as printed."""
    numbers: dict[str, Any] = {"hierarchical": [], "shared": [], "flat": []}
    for item in context.systems:
        if item.kind == FLAT_MODEL:
            spreads = {"flat": item.best_guess, "section": item.levels["section"]}
        else:
            spreads = {**item.table_2, "cascade": item.best_guess}
        numbers[item.kind.split("_")[0]].append(
            {
                "name": item.configuration.name,
                **{name: asdict(spread) for name, spread in spreads.items()},
                **{score: item.mean(score) for score in ("top_3", "macro_f1")},
                "classes_named": item.classes_named,
                "ece": item.first.reliability.ece,
            }
        )
    grid = table_2_grid(context)
    return {**numbers, "table_2": {"header": grid.header, "rows": grid.rows}}


def read_table_2(folder: Path) -> Grid:
    """Read Table 2 of a finished report, in English."""
    content = read_json(folder / _SCORES_FILE)["table_2"]
    rows = tuple(tuple(row) for row in content["rows"])
    return Grid("Accuracy (%): ours, the paper's and the difference (Table 2)", tuple(content["header"]), rows)


def _attention(settings: Settings, evidence: Evidence) -> dict[str, Any] | None:
    """Return the attention view of the first trained section model with an encoder, or why it cannot be shown.

    None if there is no such model.
    """
    trained = [item for item in evidence.hierarchical if "encoder" in item.first.manifest["inputs"]]
    trained.sort(key=lambda item: item.model != "bertcnn")  # the paper's model comes first
    if not trained:
        return None
    item = trained[0]
    run = next(iter(item.runs.values()))[ROOT]
    try:
        folder, _ = attention_view(settings, model=run.folder / MODEL_FOLDER)
    except ConfigError as error:  # such as an encoder too short for the pair; the report prints the reason instead
        return {"name": item.name, "reason": str(error)}
    svg, png = ((folder / f"attention.{kind}").read_bytes() for kind in ("svg", "png"))
    return {
        "folder": folder,
        "figure": Rendered("attention", svg, png, ""),
        "encoder": f"{run.manifest['inputs']['encoder']['name']}, {item.name}, seed {run.seed}",
        "layers": ", ".join(map(str, read_json(folder / "attention.json")["chosen_layers"])),
    }
