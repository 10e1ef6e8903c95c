"""``patent-hier triage``: order documents by how urgently an examiner should check their answers."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from patent_hier import sanitize
from patent_hier.cli.documents import (
    OUTPUT_FORMATS,
    READING,
    is_standard_input,
    loaded,
    output_format,
    output_path,
    reading,
    standard_output,
    text_columns,
)
from patent_hier.cli.overrides import parsed
from patent_hier.errors import ConfigError
from patent_hier.wording import quantity

if TYPE_CHECKING:
    from typing import IO

    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.inference.triage import Triage
    from patent_hier.inference.triage_files import Pile

_SHOWN = 60  # characters of a text
TRIAGE = """Order documents for review: the answers that are most likely wrong come first, each with a reason.

usage: patent-hier triage MODEL FILE [options]

  patent-hier triage runs/linear/result-hier-... new.csv --top 20

  MODEL             an exported model, or a result folder with its nodes next to it: runs/<model>/result-hier-...
  FILE              as for patent-hier predict; - is standard input. All rows are held in memory at once
  --output OUT      OUT.csv or OUT.jsonl, or - for standard output; default: FILE's name with .triage.csv, in the
                    working folder
  --overwrite       replace an existing OUT
  --top 20          also print the first 20 documents; default: none
  --cache-dir cache where MODEL's corpus is: a model of errors is fitted to its calibration documents, and texts are
                    compared with its training documents. Without the corpus, the stored predictions next to MODEL are
                    used; without these, plain confidence. A message reports which
  --blocked FILE    IPC symbols that no answer may name, as for patent-hier predict
  --titles FILE     titles of the labels, as for patent-hier predict; so are --text, --applicant, --symbols, --convert,
                    --input-format, --delimiter, --sheet and --output-format

The model of errors is a logistic regression on signs of doubt: probabilities, the margin between the two most likely
labels, disagreement among the members of an ensemble, rare characters, similar known patents. It is fitted on each
call, to documents that nothing was trained on. It is used only if cross-validation on these documents shows that it
finds at least as many wrong answers as plain confidence among the first 10 and 20 % of the documents.

OUT has one line for every row of FILE: rank, number, text, answer, its probability, the probability that it is wrong,
the reason to check it, and the true symbols if FILE has them. Rows that cannot be classified come last. If FILE has
true symbols, the share of all wrong answers among the first 10 and 20 % is printed with 95 % intervals; it is
meaningful only for documents that MODEL was neither trained nor calibrated on."""


def triage(words: Sequence[str]) -> None:
    """Load the system, fit the model of errors, and write the order.

    Raises:
        ConfigError: If an option is invalid, MODEL is not a trained system, or the output exists already.
        ArtifactError: If a file of MODEL is damaged or missing.
        DataError: If FILE cannot be used, or no row of it can be classified.
    """
    options = parsed(
        words, "model file", output=str, overwrite=False, top=0, cache_dir=Path("cache"), blocked=Path,
        output_format=OUTPUT_FORMATS, **READING,
    )  # fmt: skip
    if options.top < 0:
        raise ConfigError(f"--top {options.top} is out of range; use 0 or more")
    if options.text is not None:
        text_columns(options.text)  # before the model is loaded
    output = output_path(options.output, options.file, options.overwrite, ".triage.csv")
    kind = output_format(options.output_format, output)
    with standard_output(output) as stream:
        lines = _triage(options, kind, output, stream)
    print(sanitize.lines("\n".join(lines)), file=sys.stdout if output else sys.stderr)


def _triage(options: argparse.Namespace, kind: str, output: Path | None, stream: "IO[str]") -> list[str]:
    from patent_hier.atomic import atomic_file
    from patent_hier.inference.triage_files import review_file, write_pile
    from patent_hier.progress import byte_progress

    classifier = loaded(options)
    fmt, documents = reading(options, classifier.system)
    rows = documents()
    order = _fitted(classifier, options.cache_dir)
    shown = "standard input" if is_standard_input(options) else options.file
    with byte_progress(f"{classifier.system.name}: classifying {shown}") as progress:
        pile = review_file(order, classifier, rows, fmt, progress)
    if output is None:
        write_pile(pile, kind, stream)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(output) as path, path.open("w", encoding="utf-8", newline="") as file:
            write_pile(pile, kind, file)
    notes = [f"note: {note}" for note in (*rows.notes, classifier.blocked.note()) if note]
    return [*notes, order.note, *_top(pile, options.top), *_lines(pile, output)]


def _fitted(classifier: "HierarchicalClassifier", cache: Path) -> "Triage":
    from patent_hier.inference.triage import Triage
    from patent_hier.pipeline.known_patents import find_known_patents, labelled_calibration
    from patent_hier.progress import item_progress

    labelled = labelled_calibration(classifier, cache)
    if labelled is None:
        return Triage.fit(classifier)
    neighbours = find_known_patents(classifier.facts.get("data") or {}, cache)
    total = classifier.system.passes * len(labelled.documents)
    with item_progress(f"{classifier.system.name}: calibration documents", total) as progress:
        return Triage.fit(classifier, labelled, neighbours, progress)


def _top(pile: "Pile", count: int) -> Iterator[str]:
    """Yield one line for each of the first documents."""
    for rank, one in enumerate(pile.reviewed[:count], 1):
        text = sanitize.one_line(" ".join(one.fields))
        beginning = text[:_SHOWN] + ("…" if len(text) > _SHOWN else "")
        reason = f", {one.reason}" if one.reason else ""
        yield f"{rank:>4}  {one.document_id}  {one.label}, {100 * one.error:.0f} % likely wrong{reason}  {beginning}"


def _lines(pile: "Pile", output: Path | None) -> Iterator[str]:
    """Yield the lines that count the documents and evaluate the order."""
    known, found = pile.labelled, pile.worth()
    wrong = sum(bool(one.is_wrong) for one in known)
    if known:
        yield f"{wrong} of {len(known)} documents with a true symbol have a wrong answer" + (":" if found else "")
    for name, own in found.items():
        shares = (
            f"{100 * one.found:.1f} % ({100 * one.interval[0]:.1f}-{100 * one.interval[1]:.1f}) of these in the first "
            f"{100 * one.share:.0f} %"
            for one in own
        )
        yield f"  by {name}: {', '.join(shares)}"
    if found:
        chance = " and ".join(f"{100 * one.share:.0f}" for one in next(iter(found.values())))
        yield f"  by chance: {chance} %"
    errors = f"{quantity(len(pile.faulty), 'row')} with errors" + (
        f" ({pile.faults_in_words()})" if pile.faulty else ""
    )
    yield f"{quantity(len(pile.reviewed), 'document')}, {errors}" + (f": {output}" if output else "")
