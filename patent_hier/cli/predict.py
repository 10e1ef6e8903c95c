"""``patent-hier predict``: a finished result on the documents of a new CSV file."""

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from patent_hier import harmless
from patent_hier.cli.overrides import OneLineParser
from patent_hier.errors import ConfigError, DataError
from patent_hier.settings import BF16, FP32

if TYPE_CHECKING:
    from patent_hier.data.incoming import IncomingFile
    from patent_hier.inference.files import Summary
    from patent_hier.inference.precision import Agreement
    from patent_hier.inference.predictor import System

_STDOUT = "-"
USAGE = """Classify the documents of a CSV file with a finished result; nothing is trained.

usage: patent-hier predict MODEL FILE [options]

  MODEL             a result folder with its nodes beside it: runs/<model>/result-hier-... or result-flat-...
  FILE              CSV as for training, GB18030 or UTF-8; a class need not be known, --text is all that is needed
  --output OUT.csv  where to write; the default is FILE's name with .predicted.csv, here; - is standard output
  --force           replace an existing OUT.csv
  --top-k 3         classes for each document, the most probable first
  --text 摘要,...   columns that make the text; the default is those of the training
  --batch-size 64   documents per batch of a network
  --precision 32-true   or bf16-mixed, faster where the processor computes in it; used only if it gives the first class
                    of fp32 to 99 % of FILE's first documents, and told at the end

OUT.csv is UTF-8 with a byte order mark and has a line for every row, the reason for a row without classes in its last
column. Where FILE has true symbols, their agreement with the first class is told at the end; that says something only
of documents that MODEL was not trained on."""


def run(arguments: Sequence[str]) -> None:
    """Load the result, classify, and say how it went.

    Raises:
        ConfigError: If an option cannot be used, MODEL is no result, the output is there already, or half precision
            changes too much.
        ArtifactError: If a file of MODEL is damaged or missing.
        DataError: If FILE cannot be used, or no row of it can be classified.
    """
    options = _parser().parse_args(list(arguments))
    if options.batch_size < 1:
        raise ConfigError(f"--batch-size {options.batch_size} is out of range; give 1 or more")
    text = None if options.text is None else _text(options.text)
    output = None if options.output == _STDOUT else _output(options.output, options.file, options.force)
    with _open_output(output) as file:
        lines = _predict(options, text, file)
    lines[-1] += f": {output}" if output else ""
    print(harmless.lines("\n".join(lines)), file=sys.stdout if output else sys.stderr)


def _predict(options: argparse.Namespace, text: Sequence[str] | None, output: IO[str]) -> list[str]:
    """Classify; the lines that say how it went."""
    from patent_hier.data.incoming import IncomingFile
    from patent_hier.inference.files import predict_file
    from patent_hier.inference.precision import scoring_in
    from patent_hier.inference.predictor import load_system
    from patent_hier.pipeline.progress import byte_progress, say

    file: Path = options.file
    system = load_system(options.model)
    fmt = system.raw if text is None else replace(system.raw, text=tuple(text))
    if text is not None and tuple(text) != tuple(system.raw.text):
        say(f"note: {system.name} was trained on {','.join(system.raw.text)}; now it reads {','.join(text)}")
    if options.precision == BF16:
        system.check_top_k(options.top_k)  # before the comparison, not after it
        say(f"{options.precision}: {_agreement(system, IncomingFile(file, fmt), options.batch_size)}")
    start = time.perf_counter()
    with byte_progress(f"{system.name}: classifying {file.name}") as progress, scoring_in(options.precision):
        summary = predict_file(
            system,
            IncomingFile(file, fmt),
            output,
            top_k=options.top_k,
            batch_size=options.batch_size,
            progress=progress,
        )
    seconds = time.perf_counter() - start
    errors = f"{summary.errors} rows with errors" + (f" ({summary.faults_in_words()})" if summary.errors else "")
    rate = summary.predicted / max(seconds, 1e-9)
    note = "" if options.precision == FP32 else f", {options.precision}"
    return [
        *_accuracies(summary),
        f"{summary.predicted} documents, {errors}, {seconds:.1f} s, {rate:,.0f} documents/s{note}",
    ]


def _agreement(system: "System", incoming: "IncomingFile", batch_size: int) -> "Agreement":
    """Of half precision with fp32, on the first documents of the file.

    Raises:
        ConfigError: If it is too little.
        DataError: If the file cannot be used; if none of its first rows has a text, nothing can be compared.
    """
    from patent_hier.inference.files import BATCH
    from patent_hier.inference.precision import compare_precisions, require_agreement

    texts = [row.text for row in next(incoming.batches(BATCH), []) if row.fault is None]
    if not texts:
        raise DataError(
            f"none of the first {BATCH} rows of {incoming.source} has a text, so precisions cannot be compared; leave "
            "--precision out"
        )
    agreement = compare_precisions(system, texts, batch_size)
    require_agreement(agreement)
    return agreement


def _accuracies(summary: "Summary") -> Iterator[str]:
    """How often the first class is the true one; nothing for a file without symbols."""
    if not summary.labelled:
        return
    parts = []
    for name, score in (("section", summary.section_accuracy), ("class", summary.class_accuracy)):
        low, high = (100 * bound for bound in score.interval)
        parts.append(f"{name} {100 * score.value:.1f} % ({low:.1f}-{high:.1f}, {score.n_classes_with_support} occur)")
    without = summary.predicted - summary.labelled
    yield (
        f"accuracy of the first class with 95 % interval: {', '.join(parts)}; {summary.labelled} documents with a true "
        f"symbol, {without} without a readable one"
    )


@contextlib.contextmanager
def _open_output(path: Path | None) -> Iterator[IO[str]]:
    """The file for the predictions, there once it is whole; or standard output, and then all else goes to stderr.

    Standard output is UTF-8 then, whatever the locale.
    """
    if path is None:
        out = sys.stdout
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(encoding="utf-8", newline="")
        with contextlib.redirect_stdout(sys.stderr):
            yield out
        return
    from patent_hier.atomic import atomic_file

    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


def _output(given: str | None, source: Path, force: bool) -> Path:
    path = Path(f"{source.stem}.predicted.csv" if given is None else given)
    if path.is_dir():
        raise ConfigError(f"--output {path} is a folder; name a CSV file")
    if path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"--output {path} is the file to be classified; choose another name")
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; choose another --output, or replace it with --force")
    return path


def _text(given: str) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    if not all(names):
        raise ConfigError(f"--text {given} names an empty column; write it as --text 专利名称,摘要")
    return names


def _parser() -> OneLineParser:
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--output")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--top-k", type=int, default=3)
    parser.add_argument("--text")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=(FP32, BF16), default=FP32)
    return parser
