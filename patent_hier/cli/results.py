"""Commands on finished results: report, audit of a split, confidence of a system, attention."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import key_of, parsed
from patent_hier.errors import ConfigError, IncompleteError
from patent_hier.sanitize import one_line

if TYPE_CHECKING:
    from patent_hier.report.tables import Grid

REPORT = """Write all finished results of one corpus and split as one page (English and Chinese), Markdown and figures.

usage: patent-hier report [--output FOLDER] [data=... split=... runs_dir=...]

  patent-hier report data=cnipa data.path=patents.csv split=applicant

The overrides choose the corpus and the split; the report covers every model that was run on them. Nothing is trained.
If nodes are missing, the command names them and the commands that train them, and its exit status is not 0."""
AUDIT = """Find related documents in different parts of a split: equal or similar texts, families, applicants, dates.

usage: patent-hier audit [--output FOLDER] [data=... split=... runs_dir=...]

  patent-hier audit data=cnipa data.path=patents.csv split=random

Prints tables and writes them to runs/audit-<data>-<split>/ as Markdown and JSON, with the number of test documents that
the encoder (encoder=... encoder.path=FOLDER) has read in pre-training, if its folder records it. Finished results of
the corpus and split are scored again without leaked documents; results of the same system under several splits are
shown side by side. Nothing is trained. If the split violates its policy, the command ends with status 1
after writing."""
CONFIDENCE = """Show how far to trust a trained system: coverage and accuracy at target accuracies, calibration errors.

usage: patent-hier confidence MODEL [--output FOLDER]

  MODEL             an exported model, or a result folder with its nodes next to it: runs/<model>/result-hier-...
  --output FOLDER   also write the tables, the risk-coverage curve, and all numbers as JSON"""
ATTENTION = """Show an encoder's attention between two texts: an interactive page, figures, and numbers as JSON.

usage: patent-hier attention [options] [encoder=... encoder.path=FOLDER ...]

  --text-a TEXT     first text; default: the pair of the paper's Figure 5
  --text-b TEXT     second text
  --layers 2,11     layers of the figure, counted from 1; the page has all layers and opens with the first of these
  --model FOLDER    use the encoder of a trained bertcnn node: the model folder of its result
  --output FOLDER   where to write; default: runs/attention-<fingerprint>

Attention illustrates how the encoder mixes tokens; it does not explain a decision."""
_KINDS = {"flat_model": " (flat)", "shared_network": " (shared)"}  # suffixes of the systems' names, by kind


def report(words: Sequence[str]) -> None:
    """Collect and score the results of a corpus and split, then write the report.

    Raises:
        IncompleteError: After writing, if results are incomplete; the message names their missing nodes.
    """
    options = parsed(words, output=Path)
    settings = compose_settings(options.overrides)
    from patent_hier.pipeline.stages import ensure_data
    from patent_hier.report.build import PAGE_FILE, build_report, read_table_2
    from patent_hier.report.tables import PAPER_NOTE

    folder, evidence = build_report(settings, *ensure_data(settings), options.output, options.overrides)
    _print([read_table_2(folder)], [] if settings.data.name == "demo" else [PAPER_NOTE], settings.data.name)
    print(one_line(f"report: {folder / PAGE_FILE} (open it in a browser)"))
    if evidence.missing:
        lacks = "; ".join(f"{item.name} seed={item.seed}: {', '.join(item.nodes)}" for item in evidence.missing)
        commands = " && ".join(dict.fromkeys(item.command for item in evidence.missing))
        raise IncompleteError(f"the report {folder} lacks nodes of {lacks}; train them with: {commands}")


def audit(words: Sequence[str]) -> None:
    """Audit a split, print the tables and write them.

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
    here = None if path is None else local_folder(path)  # encoders of the hub have no digests
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
    """Print coverage and accuracy at target accuracies, and write them if requested.

    Raises:
        ConfigError: If MODEL is not a trained system or has no calibration, or FOLDER contains something else.
        ArtifactError: If a file of MODEL is damaged or missing.
    """
    options = parsed(words, "model", output=Path)
    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.report.confidence import NOTES, TABLE_FILE, confidence_tables, shortfalls, write_confidence

    classifier = HierarchicalClassifier.from_pretrained(options.model)
    if classifier.calibration is None:
        raise ConfigError(
            f"{options.model} has no calibration: its split left no documents for it, or its predictions are missing; "
            "train with split.calibration above 0"
        )
    blocked = [f"{classifier.blocked.in_words()}; all figures here were measured without blocking."] * bool(
        classifier.blocked
    )
    notes = (*shortfalls(classifier.calibration), *blocked, *NOTES)
    _print(confidence_tables(classifier.calibration), notes, (classifier.facts.get("data") or {}).get("name"))
    if options.output is not None:
        write_confidence(options.output, classifier, classifier.calibration)
        print(f"written: {options.output / TABLE_FILE}")


def attention(words: Sequence[str]) -> None:
    """Write the views of an encoder's attention, unless they are finished already.

    Raises:
        ConfigError: If an option, a layer or a text cannot be used.
    """
    options = parsed(words, text_a=str, text_b=str, layers=str, model=Path, output=Path)
    layers = None if options.layers is None else _layers(options.layers)
    for word in options.overrides if options.model is not None else ():
        if key_of(word).split(".")[0] == "encoder":
            raise ConfigError(f"{word} and --model both choose an encoder; leave one of them out")
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
