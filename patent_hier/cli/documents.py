"""Options shared by the commands on files of documents: input columns and output files."""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from patent_hier.data.convert import CONVERSIONS
from patent_hier.errors import ConfigError
from patent_hier.settings.data import APPLICANT

if TYPE_CHECKING:
    from patent_hier.data.incoming import IncomingFiles
    from patent_hier.data.raw import RawFormat
    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.inference.predictor import System

READING = {
    "text": str, "symbols": str, "applicant": str, "titles": Path, "convert": (None, *CONVERSIONS), "delimiter": str,
    "sheet": str, "input_format": (None, "csv", "txt", "jsonl"),
}  # fmt: skip  # options of every command that reads a file of documents, for parsed()
OUTPUT_FORMATS = (None, "csv", "jsonl")
_STDOUT = _STDIN = "-"
_OUTPUT_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def loaded(options: argparse.Namespace) -> "HierarchicalClassifier":
    """Return the trained system that the options name."""
    from patent_hier.inference.classifier import HierarchicalClassifier

    return HierarchicalClassifier.from_pretrained(
        options.model, titles=options.titles, convert=options.convert, blocked=options.blocked
    )


def check_batch_size(size: int) -> None:
    """Refuse a batch size below 1."""
    if size < 1:
        raise ConfigError(f"--batch-size {size} is out of range; use 1 or more")


def is_standard_input(options: argparse.Namespace) -> bool:
    """Return whether the documents come from standard input."""
    return str(options.file) == _STDIN


def reading(options: argparse.Namespace, system: "System") -> "tuple[RawFormat, Callable[[], IncomingFiles]]":
    """Return the format of the file that the options name, and a function that opens it.

    Raises:
        ConfigError: If the options name a column that cannot be read.
    """
    from patent_hier.data.incoming import IncomingFiles
    from patent_hier.progress import say
    from patent_hier.reading.sources import STDIN

    fmt = system.raw if options.text is None else replace(system.raw, text=text_columns(options.text))
    if fmt.text != system.raw.text:
        say(f"note: {system.name} was trained on {','.join(system.raw.text)} but now reads {','.join(fmt.text)}")
    check_applicant(system, options.applicant)
    date = getattr(options, "date", None)  # an option of drift only
    given = {"symbols": options.symbols, APPLICANT: options.applicant, "application_date": date}
    named = {ours: name for ours, name in given.items() if name}
    fmt = replace(fmt, columns={**fmt.columns, **named}, delimiter=options.delimiter, sheet=options.sheet)
    source = STDIN if is_standard_input(options) else options.file
    return fmt, lambda: IncomingFiles(source, fmt, options.input_format, tuple(named))


def check_applicant(system: "System", applicant: str | None) -> None:
    """Refuse an applicant if the model does not read applicants."""
    if applicant and APPLICANT not in system.raw.context:
        raise ConfigError(
            f"--applicant {applicant}: {system.name} reads only the text; train a model with data.context=[applicant]"
        )


@contextlib.contextmanager
def standard_output(output: Path | None) -> Iterator[IO[str]]:
    """Yield standard output; without ``output`` it takes the results in UTF-8, and all other lines go to stderr."""
    out = sys.stdout
    if output is not None:
        yield out
        return
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(encoding="utf-8", newline="")
    with contextlib.redirect_stdout(sys.stderr):
        yield out


def output_path(given: str | None, source: Path, overwrite: bool, ending: str) -> Path | None:
    """Return the file to write; None for standard output.

    Args:
        given: The user's choice; None for the source's name with another ending.
        source: The file that is read.
        overwrite: Whether an existing file may be replaced.
        ending: Default ending, such as ``.predicted.csv``.

    Raises:
        ConfigError: If the file cannot be used.
    """
    if given == _STDOUT:
        return None
    if given is None and str(source) == _STDIN:
        raise ConfigError("standard input needs --output; name OUT.csv, OUT.jsonl, or - for standard output")
    path = Path(f"{source.stem}{ending}" if given is None else given)
    if path.is_dir():
        raise ConfigError(f"--output {path} is a folder; name a file such as OUT.csv or OUT.jsonl")
    if path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"--output {path} is the input file; choose another name")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists; choose another --output, or replace it with --overwrite")
    return path


def output_format(given: str | None, output: Path | None) -> str:
    """Return ``csv`` or ``jsonl``: the user's choice, else by the output's ending; CSV for standard output.

    Raises:
        ConfigError: If the ending is neither.
    """
    if given is not None:
        return given
    kind = "csv" if output is None else _OUTPUT_SUFFIXES.get(output.suffix.lower())
    if kind is None:
        raise ConfigError(f"--output {output} ends in neither .csv nor .jsonl; name the format with --output-format")
    return kind


def text_columns(given: str) -> tuple[str, ...]:
    """Return the columns that make up the text.

    Raises:
        ConfigError: If one has no name.
    """
    names = tuple(name.strip() for name in given.split(","))
    if not all(names):
        raise ConfigError(f"--text {given} contains an empty name; write it as --text 专利名称,摘要")
    return names
