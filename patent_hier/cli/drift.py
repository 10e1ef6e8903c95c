"""``patent-hier drift``: whether new documents still look like those that a system was calibrated on."""

import argparse
import gc
from collections.abc import Sequence
from pathlib import Path

from patent_hier import sanitize
from patent_hier.cli.documents import READING, check_batch_size, is_standard_input, reading
from patent_hier.cli.overrides import parsed
from patent_hier.errors import ConfigError

DRIFT_STATUS = 10  # drift was found: no error, and no status that errors or shells use
DRIFT = f"""Compare new documents with those that a finished system was calibrated on; nothing is trained.

usage: patent-hier drift MODEL FILE [options]

  MODEL             an exported model, or a result folder with its nodes beside it: runs/<model>/result-hier-...
  FILE              as for patent-hier predict: a table, JSON, TXT with a document a line, a folder or a pattern; - is
                    standard input
  --output FOLDER   tables (JSON, CSV) and figures; the default is FILE's name with .drift, here
  --overwrite       replace an earlier FOLDER
  --text 摘要,...   fields that make the text; the default is those of the training, or known headers for them
  --date NAME       column of the dates that give the months; the default is a known header of the day of application,
                    else of publication
  --symbols NAME    column of the true symbols, for the accuracy; the default is that of the training, or a known header
  --applicant NAME  column of the applicants, for a model that reads them
  --titles FILE     titles of the labels (CSV of code, level, title)
  --convert t2s     convert Traditional characters to Simplified ones before they are read; also tw2sp, hk2s
  --input-format F  csv (any table), txt or jsonl, where FILE's name does not tell; txt for standard input
  --delimiter tab   between fields, where it is not found by itself; --sheet NAME: a workbook's sheet, else the first
  --batch-size 64   documents per batch of a network

Compared are the shares of letters, and of pairs of letters, that training has hardly shown, the share of Latin letters,
the length of texts, the confidence at each level, and the predicted labels of the first two levels. Drift is what
chance does not explain (p below 0.01, adjusted for the number of measures) and what is also large (the table names the
distance from which on it is an alarm). Fewer than 100 documents are not judged. Months are compared likewise, and named
where they differ; that raises no alarm, for the applications that one gazette publishes differ by month anyway. Nor do
accuracies, which are told where FILE has true symbols. Do not give documents that MODEL was trained on: it is surer of
them, and that looks like drift.

Exit status: 0 no drift; {DRIFT_STATUS} drift in FILE; 1 or 2 an error, 130 stopped."""


def drift(words: Sequence[str]) -> int:
    """Classify, compare, print, write.

    Returns:
        The exit status: 0, or :data:`DRIFT_STATUS`.

    Raises:
        ConfigError: If an option cannot be used, MODEL is no system or has no profile, or the output is there already.
        ArtifactError: If a file of MODEL is damaged or missing.
        DataError: If FILE cannot be used, or no row of it can be classified.
    """
    options = parsed(words, "model file", output=Path, overwrite=False, date=str, batch_size=64, **READING)
    check_batch_size(options.batch_size)
    folder = _folder(options)
    from rich.console import Console

    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.inference.drift import Drift, Known, read_stream
    from patent_hier.progress import byte_progress
    from patent_hier.report.drift import DRIFT_KIND, drift_grids, drift_notes, verdict, write_drift
    from patent_hier.report.tables import print_grid

    if folder.exists():
        from patent_hier.artifacts import refuse_foreign

        refuse_foreign(folder, DRIFT_KIND)  # before any work, not after it
    classifier = HierarchicalClassifier.from_pretrained(options.model, titles=options.titles, convert=options.convert)
    reference = Known.require(classifier.system).reference
    gc.freeze()  # or the collector walks through all that was loaded again and again
    _, documents = reading(options, classifier.system)
    rows = documents()
    with byte_progress(f"{classifier.system.name}: classifying {options.file}") as progress:
        stream = read_stream(classifier, rows, options.batch_size, progress)
    found = Drift.of(reference, stream)
    write_drift(folder, found, classifier, {"source": options.file.name, "text": list(rows.text_columns)})
    console = Console()
    for grid in drift_grids(found, options.file.name):
        print_grid(console, grid)
    notes = [*(f"note: {note}" for note in rows.notes), *drift_notes(found)]
    print(sanitize.lines("\n".join([*notes, f"{verdict(found)}: {folder}"])))
    return DRIFT_STATUS if found.is_found else 0


def _folder(options: argparse.Namespace) -> Path:
    if options.output is None and is_standard_input(options):
        raise ConfigError("--output is needed for standard input; name a FOLDER")
    folder = options.output or Path(f"{options.file.stem}.drift")
    if folder.exists() and not options.overwrite:
        raise ConfigError(f"{folder} exists; choose another --output, or replace it with --overwrite")
    return Path(folder)
