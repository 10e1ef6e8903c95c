"""``patent-hier drift``: check whether new documents resemble those that a system was calibrated on."""

import argparse
import gc
from collections.abc import Sequence
from pathlib import Path

from patent_hier import sanitize
from patent_hier.cli.documents import READING, check_batch_size, is_standard_input, reading
from patent_hier.cli.overrides import parsed
from patent_hier.errors import ConfigError

DRIFT_STATUS = 10  # drift was found; not an error, and not a status that errors or shells use
DRIFT = f"""Check whether new documents still resemble those that a trained system was calibrated on.

usage: patent-hier drift MODEL FILE [options]

  patent-hier drift runs/linear/result-hier-... new.csv

  MODEL             an exported model, or a result folder with its nodes next to it: runs/<model>/result-hier-...
  FILE              as for patent-hier predict: a table, JSON, TXT with one document per line, a folder or a pattern;
                    - is standard input
  --output FOLDER   folder for tables (JSON, CSV) and figures; default: FILE's name with .drift, in the working folder
  --overwrite       replace an existing FOLDER
  --text 摘要,...   columns that make up the text; default: those of training, or known headers for them
  --date NAME       date column that defines the months; default: a known header of the application date, else of the
                    publication date
  --symbols NAME    column of the true symbols, for the accuracy; default: that of training, or a known header
  --applicant NAME  column of the applicants, for a model that reads them
  --titles FILE     titles of the labels (CSV of code, level, title)
  --convert t2s     convert Traditional to Simplified characters before reading; also tw2sp, hk2s
  --input-format F  csv (any table), txt or jsonl, if FILE's name does not show it; default for standard input: txt
  --delimiter tab   field delimiter, if it is not detected; --sheet NAME: a workbook's sheet, default: the first
  --batch-size 64   documents per batch of a network

The comparison covers the shares of characters and of character pairs that are rare in training, the share of Latin
letters, text lengths, the confidence at each level, and the predicted labels of the first two levels. A difference is
drift if chance does not explain it (p below 0.01, adjusted for the number of measures) and it is also large (the table
shows the alarm threshold of each measure). Files with fewer than 100 documents are not judged. Months are compared in
the same way and named if they differ, without raising an alarm, because the applications in one gazette differ by month
anyway. Accuracies, printed if FILE has true symbols, raise no alarm either. Do not use documents that MODEL was trained
on: it is more certain of them, which looks like drift.

Exit status: 0 no drift; {DRIFT_STATUS} drift in FILE; 1 or 2 error; 130 interrupted."""


def drift(words: Sequence[str]) -> int:
    """Classify the documents, compare them with the calibration documents, and print and write the result.

    Returns:
        The exit status: 0, or :data:`DRIFT_STATUS`.

    Raises:
        ConfigError: If an option is invalid, MODEL is not a system with a profile, or the output exists already.
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

        refuse_foreign(folder, DRIFT_KIND)  # before any work is done
    classifier = HierarchicalClassifier.from_pretrained(options.model, titles=options.titles, convert=options.convert)
    reference = Known.require(classifier.system).reference
    gc.freeze()  # keeps the garbage collector from scanning the loaded system repeatedly
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
        raise ConfigError("standard input needs --output; name a FOLDER")
    folder = options.output or Path(f"{options.file.stem}.drift")
    if folder.exists() and not options.overwrite:
        raise ConfigError(f"{folder} exists; choose another --output, or replace it with --overwrite")
    return Path(folder)
