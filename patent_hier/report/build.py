"""The report of a corpus and split: collect, score, write page, Markdown and figures into one folder."""

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
from patent_hier.pipeline.collecting import collect
from patent_hier.pipeline.environment import describe_environment
from patent_hier.pipeline.evidence import Configuration, Evidence
from patent_hier.pipeline.node import MODEL_FOLDER
from patent_hier.pipeline.relations import audit, load_relations
from patent_hier.pipeline.stages import load_parts
from patent_hier.pipeline.suite import load_truth
from patent_hier.progress import say
from patent_hier.report.attention.view import attention_view
from patent_hier.report.blocks import Block
from patent_hier.report.content.attention import PAGE, AttentionFolder, AttentionRefused, attention
from patent_hier.report.content.comparison import comparison
from patent_hier.report.content.context import Context
from patent_hier.report.content.cost import cost
from patent_hier.report.content.data import data
from patent_hier.report.content.details import details
from patent_hier.report.content.layers import layers
from patent_hier.report.content.leakage import leaks
from patent_hier.report.content.provenance import provenance
from patent_hier.report.content.summary import summary
from patent_hier.report.content.table_2 import cells, table_2, table_2_grid
from patent_hier.report.figures import Language
from patent_hier.report.figures.fonts import cjk_font
from patent_hier.report.leakage import leaked_ids
from patent_hier.report.page import write_report
from patent_hier.report.scores import score_flat, score_hierarchical
from patent_hier.report.tables import Grid
from patent_hier.settings import ROOT, Settings

REPORT_VERSION = 5
PAGE_FILE = "report.html"
SCORES_FILE = "scores.json"
_KIND = "report"
_SHARED = ("data=", "data.", "split=", "split.", "runs_dir=", "cache_dir=", "encoder=", "encoder.", "experiment=")
_LANGUAGES: tuple[Language, ...] = ("en", "zh")


def build_report(
    settings: Settings, corpus: Corpus, split: Path, output: Path | None = None, overrides: Sequence[str] = ()
) -> tuple[Path, Evidence]:
    """Write the report, unless an equal one is there.

    Args:
        settings: Folders, encoder and seed are read.
        corpus: The clean corpus.
        split: Folder of its split.
        output: The folder to write; None for ``<runs_dir>/report-<data>-<split>``.
        overrides: The words that made the settings; those of corpus, split and folders go into the printed commands.

    Returns:
        The folder, and what the report is made of: its ``missing`` says what is not in it.

    Raises:
        ArtifactError: If a result is damaged.
        ConfigError: If the folder holds something else.
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
    """The results behind the report, with the command and code version that made each."""
    runs = [(item.name, run) for item in (*evidence.hierarchical, *evidence.flat) for run in item.all_runs]
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
    truth = load_truth(evidence.corpus)
    hierarchical = [score_hierarchical(item, truth) for item in evidence.hierarchical]
    hierarchical.sort(key=lambda item: -item.cascade.mean)
    flat = sorted((score_flat(item, truth) for item in evidence.flat), key=lambda item: -item.flat.mean)
    view = _attention(settings, evidence)
    relations = load_relations(evidence.corpus, Path(settings.cache_dir))
    found = audit(evidence.corpus, evidence.split, evidence.split.name.split("-")[0], relations)
    parts = load_parts(evidence.corpus, evidence.split)
    ids = leaked_ids(evidence.corpus, relations, parts)
    bodies: dict[Language, Sequence[Block]] = {}
    titles: dict[Language, str] = {}
    for language in _LANGUAGES:
        context = Context(evidence, truth, hierarchical, flat, language, found, ids, shared)
        titles[language] = context.say("title")
        bodies[language] = _body(context, view)
        if language == "en":
            write_json(staging / SCORES_FILE, _scores(context))
    write_report(staging, titles, bodies, generated)
    if isinstance(view, AttentionFolder):
        shutil.copyfile(view.folder / PAGE, staging / PAGE)


def _body(context: Context, view: AttentionFolder | AttentionRefused | None) -> Sequence[Block]:
    return [
        *summary(context),
        *data(context),
        *table_2(context),
        *comparison(context),
        *leaks(context),
        *layers(context),
        *attention(context, view),
        *details(context),
        *cost(context),
        *provenance(context),
    ]


def _scores(context: Context) -> dict[str, Any]:
    """The numbers for programs: fractions at full precision; and Table 2 as it is printed."""
    grid = table_2_grid(context)[0]
    return {
        "hierarchical": [
            {
                "name": item.configuration.name,
                **{name: asdict(spread) for name, spread in cells(item).items()},
                "cascade": asdict(item.cascade),
                "top_3": item.top_3,
                "macro_f1": item.macro_f1,
                "classes_named": item.classes_named,
                "ece": item.reliability.ece,
            }
            for item in context.hierarchical
        ],
        "flat": [
            {
                "name": item.configuration.name,
                "flat": asdict(item.flat),
                "section": asdict(item.section),
                "top_3": item.top_3,
                "macro_f1": item.macro_f1,
                "classes_named": item.classes_named,
                "ece": item.reliability.ece,
            }
            for item in context.flat
        ],
        "table_2": {"header": grid.header, "rows": grid.rows},
    }


def read_table_2(folder: Path) -> Grid:
    """Table 2 of a finished report, in English."""
    content = read_json(folder / SCORES_FILE)["table_2"]
    rows = tuple(tuple(row) for row in content["rows"])
    return Grid("Accuracy (%): ours, the paper's, the difference (Table 2)", tuple(content["header"]), rows)


def _attention(settings: Settings, evidence: Evidence) -> AttentionFolder | AttentionRefused | None:
    """The view of the first trained section model on word pieces; None where there is none."""
    trained = [item for item in evidence.hierarchical if _reads_word_pieces(item)]
    trained.sort(key=lambda item: item.model != "bertcnn")  # the paper's before its controls
    if not trained:
        return None
    item = trained[0]
    run = next(iter(item.runs.values()))[ROOT]
    try:
        view = attention_view(settings, model=run.folder / MODEL_FOLDER)
    except ConfigError as error:  # such as an encoder too short for the pair: the report says so in the figure's place
        return AttentionRefused(item.name, str(error))
    encoder = run.manifest["inputs"]["encoder"]["name"]
    return AttentionFolder(view.folder, f"{encoder}, {item.name}, seed {run.seed}")


def _reads_word_pieces(configuration: Configuration) -> bool:
    return "encoder" in configuration.first.manifest["inputs"]
