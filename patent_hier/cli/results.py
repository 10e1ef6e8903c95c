"""Commands on finished results: the report, the audit of a split, how far a system can be trusted; attention."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import key_of, parsed
from patent_hier.errors import ConfigError, IncompleteError
from patent_hier.sanitize import one_line

if TYPE_CHECKING:
    from patent_hier.report.tables import Grid

REPORT = """All finished results of one corpus and split -> one page (English and Chinese), its Markdown, its figures.

usage: patent-hier report [--output FOLDER] [data=... split=... runs_dir=...]

The corpus and the split are those of the overrides; every model that was run on them is in the report. Nothing is
trained; what is missing is named, with the command that trains it. The exit status is then not 0."""
AUDIT = """Look for relatives on two sides of a split: equal and similar texts, families, applicants, days.

usage: patent-hier audit [--output FOLDER] [data=... split=... runs_dir=...]

Prints tables and writes them to runs/audit-<data>-<split>/, as Markdown and JSON. Below them stands how many test
documents the encoder (encoder=... encoder.path=FOLDER) has read in its pre-training, where its folder tells. Finished
results of the corpus and split are scored again without leaked documents, and equal systems under several splits stand
side by side. Nothing is trained. A split that breaks the promise of its policy ends the command with status 1, after
writing."""
CONFIDENCE = """Say how far to trust a finished system: coverage and accuracy at asked accuracies, calibration errors.

usage: patent-hier confidence MODEL [--output FOLDER]

  MODEL             an exported model, or a result folder with its nodes beside it
  --output FOLDER   also write the tables, the curve of risk and coverage, and all numbers as JSON"""
ATTENTION = """Show an encoder's attention between two texts: an interactive page, a figure, where the attention goes.

usage: patent-hier attention [options] [encoder=... encoder.path=FOLDER ...]

  --text-a TEXT     first text; the default pair is that of the paper's Figure 5
  --text-b TEXT     second text
  --layers 2,11     layers of the figure, from 1; the page has all, and opens with the first of these
  --model FOLDER    the encoder of a trained bertcnn node: the model folder of its result
  --output FOLDER   where to write; the default is runs/attention-<fingerprint>

Attention illustrates how the encoder mixes tokens; it is no explanation of a decision."""
_KINDS = {"flat_model": " (flat)", "shared_network": " (shared)"}  # of systems, for their names


def report(words: Sequence[str]) -> None:
    """Collect the results of a corpus and split, score, write.

    Raises:
        IncompleteError: After writing, if results that were begun are not complete; the line names them.
    """
    options = parsed(words, output=Path)
    settings = compose_settings(options.overrides)
    from patent_hier.pipeline.stages import ensure_data
    from patent_hier.report.build import PAGE_FILE, build_report, read_table_2

    folder, evidence = build_report(settings, *ensure_data(settings), options.output, options.overrides)
    _print([read_table_2(folder)], [], settings.data.name)
    print(one_line(f"{folder / PAGE_FILE}: the whole report, to be opened in a browser"))
    if evidence.missing:
        lacks = "; ".join(f"{item.name} seed={item.seed}: {', '.join(item.nodes)}" for item in evidence.missing)
        commands = " && ".join(dict.fromkeys(item.command for item in evidence.missing))
        raise IncompleteError(f"the report {folder} lacks nodes of {lacks}; train them: {commands}")


def audit(words: Sequence[str]) -> None:
    """Audit a split, print, write.

    Raises:
        DataError: After writing, if the split breaks its policy's promise.
        ArtifactError: If a result is damaged.
    """
    options = parsed(words, output=Path)
    settings = compose_settings(options.overrides)
    from patent_hier.features.pretrained import local_folder
    from patent_hier.pipeline import relations
    from patent_hier.pipeline.collecting import collect
    from patent_hier.pipeline.stages import ensure_data, load_parts
    from patent_hier.pipeline.text_read import read_before
    from patent_hier.report.auditing import TABLE_FILE, AuditReport, scores_by_policy
    from patent_hier.report.scores import leakage, leaked_ids, score_all

    runs = Path(settings.runs_dir)
    corpus, split = ensure_data(settings)
    related = relations.load_relations(corpus, Path(settings.cache_dir))
    found = relations.audit(corpus, split, settings.split.policy, related)
    ids = leaked_ids(corpus, related, load_parts(corpus, split))
    systems = score_all(collect(runs, corpus, split))
    leakages = {item.configuration.name + _KINDS.get(item.kind, ""): leakage(item, ids) for item in systems}
    path = settings.encoder.path if settings.encoder.pretrained else None
    here = None if path is None else local_folder(path)  # those of the hub have no digests
    read = None if here is None else read_before(here, corpus, split, Path(settings.cache_dir))
    encoder = None if read is None else (settings.encoder.name, read)
    report = AuditReport(split.name, found, leakages, scores_by_policy(runs, corpus), encoder)
    _print(report.grids, report.notes, settings.data.name)
    folder = options.output or runs / f"audit-{corpus.manifest['name']}-{split.name}"
    facts = {"data": corpus.manifest["name"], "corpus": corpus.fingerprint, "split": split.name}
    report.write(folder, {**facts, "overrides": list(options.overrides)})
    print(f"audit: {folder / TABLE_FILE}")
    relations.refuse_broken(found, split)


def confidence(words: Sequence[str]) -> None:
    """Print what an asked accuracy comes to, and write it if asked to.

    Raises:
        ConfigError: If MODEL is no system or has no calibration, or FOLDER holds something else.
        ArtifactError: If a file of MODEL is damaged or missing.
    """
    options = parsed(words, "model", output=Path)
    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.report.confidence import NOTES, TABLE_FILE, confidence_tables, shortfalls, write_confidence

    classifier = HierarchicalClassifier.from_pretrained(options.model)
    if classifier.calibration is None:
        raise ConfigError(
            f"{options.model} has no calibration: its split left no documents for it, or its predictions are gone; "
            "train with split.calibration above 0"
        )
    blocked = [f"{classifier.blocked.in_words()}; all this was chosen and measured without it."] * bool(
        classifier.blocked
    )
    notes = (*shortfalls(classifier.calibration), *blocked, *NOTES)
    _print(confidence_tables(classifier.calibration), notes, (classifier.facts.get("data") or {}).get("name"))
    if options.output is not None:
        write_confidence(options.output, classifier, classifier.calibration)
        print(f"written: {options.output / TABLE_FILE}")


def attention(words: Sequence[str]) -> None:
    """Make the views of an encoder's attention, or find them finished.

    Raises:
        ConfigError: If an option, a layer or a text cannot be used.
    """
    options = parsed(words, text_a=str, text_b=str, layers=str, model=Path, output=Path)
    layers = None if options.layers is None else _layers(options.layers)
    for word in options.overrides if options.model is not None else ():
        if key_of(word).split(".")[0] == "encoder":
            raise ConfigError(f"{word}: --model brings its own encoder; leave one of the two out")
    settings = compose_settings(options.overrides)
    from patent_hier.report.attention.view import TEXT_A, TEXT_B, attention_view

    text_a = TEXT_A if options.text_a is None else options.text_a
    text_b = TEXT_B if options.text_b is None else options.text_b
    folder, made = attention_view(settings, text_a, text_b, layers=layers, model=options.model, output=options.output)
    print(one_line(f"{'attention views' if made else 'finished attention views'}: {folder / 'attention.html'}"))


def _layers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--layers {text} is not a list of numbers; write it as --layers 2,11") from error


def _print(tables: Sequence["Grid"], notes: Sequence[str], data: str | None) -> None:
    from rich.console import Console

    from patent_hier.report.tables import DEMO_NOTE, print_grid

    console = Console()
    for table in tables:
        print_grid(console, table)
    for note in (*notes, *([DEMO_NOTE] if data == "demo" else [])):
        print(note)
