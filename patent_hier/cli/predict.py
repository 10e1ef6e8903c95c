"""``patent-hier predict``: classify new documents with a trained system."""

import argparse
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from patent_hier import sanitize
from patent_hier.artifacts import file_digest
from patent_hier.cli.answers import strange_advice
from patent_hier.cli.documents import (
    OUTPUT_FORMATS,
    READING,
    check_applicant,
    check_batch_size,
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
from patent_hier.inference.engines import ENGINES, PRECISIONS, TORCH, Engine
from patent_hier.settings.data import APPLICANT
from patent_hier.wording import quantity

if TYPE_CHECKING:
    from patent_hier.data.incoming import IncomingFiles
    from patent_hier.inference.files import Options, Summary

_MOST_BLOCKED = 5  # labels named in one line
PREDICT = """Classify documents with a trained system.

usage: patent-hier predict MODEL FILE [options]
       patent-hier predict MODEL --abstract TEXT [--abstract TEXT ...] [options]

  patent-hier predict runs/ensemble/result-flat-... new.csv
  patent-hier predict runs/linear/result-hier-... new.csv --target-accuracy 0.9 --output answers.jsonl
  patent-hier predict runs/linear/result-hier-... --abstract 一种锂离子电池的正极材料

  MODEL             an exported model, or a result folder with its nodes next to it: runs/<model>/result-hier-...
  FILE              a table as for training (only the columns of --text are needed, no symbols): CSV, TSV, Excel, JSON
                    with "text" or the names of the columns, compressed or not; TXT with one document per line; a folder
                    or a pattern such as '2019-*.csv'; - is standard input
  --abstract TEXT   a text on the command line; the answer is printed as a table

Output
  --output OUT      OUT.csv or OUT.jsonl, or - for standard output; default: FILE's name with .predicted.csv, in the
                    working folder. The same command continues an interrupted output
  --output-format F csv or jsonl, if OUT's name does not show it; default for standard output: csv
  --overwrite       replace an existing OUT
  --explain         show which parts of the text support the first label; with --abstract, or into OUT.jsonl; slow

Answers
  --top-k 3         paths for each document, from the first level down, most probable first
  --target-accuracy 0.9   answer at the deepest level at which answers are right at least this often, with 95 %
                    confidence, or not at all; patent-hier confidence MODEL shows the coverage of each target
  --depth LEVEL     answer no deeper than this level: section, class, subclass, main_group or subgroup
  --force A01,B60K  answer only with labels below one of these, at any level; may be repeated. Probabilities are then
                    conditional on one of these being right
  --exclude A01B1/00   never answer with one of these or a label below it; may be repeated
  --all-symbols     also list all symbols of a document: at each level, those above a threshold from calibration; for
                    models of documents with several symbols
  --beam 1          follow only this many labels at each level, 1 being greedy; default: all
  --blocked FILE    IPC symbols that no answer may name, with reasons (CSV of code, reason and optionally level);
                    replaces blocked.csv in MODEL's folder. Target accuracies were measured without it
  --titles FILE     titles of the labels (CSV of code, level, title), shown as their names; default: those of
                    data.label_text in training

Input
  --text 摘要,...   columns that make up the text; default: those of training, or known headers for them
  --applicant NAME  column of the applicants, for a model that also reads them (data.context); default: that of
                    training, or a known header. With --abstract: the applicant itself
  --symbols NAME    column of the true symbols, for the accuracy; default: that of training, or a known header
  --convert t2s     convert Traditional to Simplified characters before reading; also tw2sp, hk2s
  --input-format F  csv (any table), txt or jsonl, if FILE's name does not show it; default for standard input: txt
  --delimiter tab   field delimiter, if it is not detected; --sheet NAME: a workbook's sheet, default: the first

Speed
  --batch-size 64   documents per batch of a network
  --engine torch    what runs the networks: torch, onnx (ONNX Runtime) or openvino; the last two run on the CPU and need
                    the extra of the same name. In fp32, an engine is used only if its first label agrees with PyTorch's
                    for all of FILE's first documents
  --precision fp32  or bf16 (torch, openvino), faster if the processor supports it; or int8 (onnx, openvino), faster on
                    most. Used only if the first label agrees with fp32 for 99 % of FILE's first documents
  --cache-dir cache where the networks are stored in the format of these engines

OUT has one line for every row of FILE, in the same order; for a row that cannot be classified, it has the reason.
OUT.csv is UTF-8 with a byte order mark and contains nothing that a spreadsheet would execute. If FILE has true symbols,
the accuracy of the first path is printed at the end, level by level; it is meaningful only for documents that MODEL was
not trained on."""


def predict(words: Sequence[str]) -> None:
    """Load the system, classify the documents, and print a summary.

    Raises:
        ConfigError: If an option is invalid, MODEL is not a trained system, the output exists already, or the engine
            or precision changes too many labels.
        ArtifactError: If a file of MODEL is damaged or missing.
        DataError: If FILE cannot be used, or no row of it can be classified.
    """
    options = parsed(
        words, "model file?", abstract=[], output=str, overwrite=False, top_k=3, target_accuracy=float, depth=str,
        force=[], exclude=[], all_symbols=False, beam=int, explain=False, blocked=Path, output_format=OUTPUT_FORMATS,
        batch_size=64, precision=tuple(PRECISIONS), engine=tuple(ENGINES), cache_dir=Path("cache"), **READING,
    )  # fmt: skip
    check_batch_size(options.batch_size)
    engine = Engine(options.engine, options.precision)
    if (options.file is None) == (not options.abstract):
        raise ConfigError("predict needs either FILE or --abstract TEXT; name one of them")
    if options.text is not None:
        text_columns(options.text)  # before the model is loaded
    if not engine.is_plain and (options.file is None or is_standard_input(options)):
        raise ConfigError(
            f"{engine.options} is first compared with fp32 on FILE; use a file instead of --abstract or standard input"
        )
    if options.abstract:
        _answer(options)
        return
    output = output_path(options.output, options.file, options.overwrite, ".predicted.csv")
    kind = output_format(options.output_format, output)
    if options.explain and kind != "jsonl":
        raise ConfigError("--explain cannot write to CSV; use --output OUT.jsonl or --output-format jsonl")
    with standard_output(output) as stream:
        lines = _predict(options, engine, output or stream, kind)
    lines[-1] += f": {output}" if output else ""
    print(sanitize.lines("\n".join(lines)), file=sys.stdout if output else sys.stderr)


def _answer(options: argparse.Namespace) -> None:
    """Classify the texts of the command line and print a table for each."""
    from patent_hier.cli.answers import show_prediction
    from patent_hier.taxonomy.names import LabelNames

    classifier = loaded(options)
    names = LabelNames(classifier.system.tree)
    check_applicant(classifier.system, options.applicant)
    context = {APPLICANT: [options.applicant] * len(options.abstract)} if options.applicant else {}
    predictions = classifier.predict(options.abstract, context=context, **asdict(_options(options)))
    for text, prediction in zip(options.abstract, predictions, strict=True):
        show_prediction(text, prediction, names)
        if prediction.strange is not None:
            print(
                "many characters of this text are rare in training; probabilities may be too high"
                f"{strange_advice(prediction.strange, options.convert)}\n"
            )
    if classifier.blocked:
        print(f"note: {classifier.blocked.note()}")
    if shortfall := classifier.shortfall(options.target_accuracy):
        print(shortfall)


def _predict(options: argparse.Namespace, engine: Engine, output: Path | IO[str], kind: str) -> list[str]:
    """Classify a file and return the lines of the summary."""
    from patent_hier.data.corpus import source_digest
    from patent_hier.inference.files import first_documents, predict_to_file, predict_to_stream
    from patent_hier.progress import byte_progress, say

    classifier = loaded(options)
    gc.freeze()  # keeps the garbage collector from scanning the loaded system repeatedly
    system, asked = classifier.system, _options(options)
    classifier.ask(asked)  # before any work is done
    fmt, documents = reading(options, system)
    if not engine.is_plain:
        classifier = classifier.moved(engine, first_documents(documents()), options.cache_dir, asked.batch_size)
        say(f"{engine}: {classifier.agreement}")
    start = time.perf_counter()
    with byte_progress(f"{system.name}: classifying {options.file}") as progress:
        rows = documents()
        if not isinstance(output, Path):
            summary, before = predict_to_stream(classifier, rows, asked, kind, output, progress), 0
        else:
            given: dict[str, object] = {"text": list(fmt.text), "precision": engine.precision, "format": kind}
            given["titles"] = system.titles
            names = ("symbols", "applicant", "convert", "delimiter", "sheet")
            further = {name: getattr(options, name) for name in names}
            further["engine"] = "" if engine.name == TORCH else engine.name
            further["blocked"] = sorted(classifier.blocked.reasons)
            given |= {name: value for name, value in further.items() if value}
            given["source"] = None if is_standard_input(options) else source_digest(list(map(file_digest, rows.files)))
            summary, before = predict_to_file(classifier, rows, asked, kind, output, given, progress)
    lines = list(_lines(summary, before, time.perf_counter() - start, options, engine))
    if rows.has_columns and not summary.labelled:
        lines.insert(0, _why_no_accuracy(rows))
    shortfall = classifier.shortfall(options.target_accuracy)
    notes = [f"note: {note}" for note in (*rows.notes, classifier.blocked.note()) if note]
    return [*notes, *([shortfall] if shortfall else []), *lines]


def _lines(
    summary: "Summary", before: int, seconds: float, options: argparse.Namespace, engine: Engine
) -> Iterator[str]:
    if before:
        yield f"{quantity(before, 'row')} already written by an earlier command"
    yield from _strange(summary, options)
    yield from _without_context(summary)
    yield from _accuracies(summary)
    yield from _blocked(summary)
    if options.target_accuracy is not None:
        yield f"at a target accuracy of {options.target_accuracy:g}: {summary.decisions_in_words()}"
    errors = f"{quantity(summary.errors, 'row')} with errors" + (
        f" ({summary.faults_in_words()})" if summary.errors else ""
    )
    rate = max(summary.rows - before, 0) / max(seconds, 1e-9)
    note = "" if engine.is_plain else f", {engine}"
    yield f"{quantity(summary.predicted, 'document')}, {errors}, {seconds:.1f} s, {rate:,.0f} documents/s{note}"


def _strange(summary: "Summary", options: argparse.Namespace) -> Iterator[str]:
    """Yield a line on texts unlike those of training, with advice."""
    if not summary.strange:
        return
    total, place = summary.strange.total(), f"of {summary.predicted} texts"
    yield (
        f"{total} {place} {'has' if total == 1 else 'have'} many characters that are rare in training "
        f"({'' if total == 1 else 'the first: '}row {summary.first_strange}); probabilities may be too high there"
        f"{strange_advice(max(summary.strange, key=summary.strange.__getitem__), options.convert)}"
    )


def _without_context(summary: "Summary") -> Iterator[str]:
    """Yield a line for each further column that documents lack."""
    for column, count in summary.without.items():
        if count:
            all_lack = (column, count) == (APPLICANT, summary.predicted)
            hint = "; name the column with --applicant NAME" if all_lack else ""
            yield f"{count} of {summary.predicted} documents have no {column}; only their text is used{hint}"


def _why_no_accuracy(rows: "IncomingFiles") -> str:
    if rows.has_symbols:
        return f"no accuracy: {rows.source} has no readable true symbol; name another column with --symbols NAME"
    return f"no accuracy: {rows.source} has no known column of true symbols; name the column with --symbols NAME"


def _accuracies(summary: "Summary") -> Iterator[str]:
    """Yield the accuracy of the first path at each level; nothing for a file without symbols."""
    if not summary.labelled:
        return
    parts, most = [], max(summary.labelled.values())
    for level, score in summary.accuracies.items():
        low, high = (100 * bound for bound in score.interval)
        fewer = f" of {score.n_documents} documents" if score.n_documents < most else ""
        n_labels = quantity(score.n_classes_with_support, "label", "different labels")
        support = f"({low:.1f}-{high:.1f}; {n_labels})"
        parts.append(f"{level} {100 * score.value:.1f} %{fewer} {support}")
    yield (
        f"right answers by level with 95 % interval: {', '.join(parts)}; "
        f"{quantity(most, 'document')} with a true symbol, "
        f"{summary.predicted - most} without a readable one; documents seen in training make this too high"
    )


def _blocked(summary: "Summary") -> Iterator[str]:
    """Yield a line on documents whose true symbol is blocked."""
    if summary.blocked:
        named = ", ".join(f"{label} {count}" for label, count in summary.blocked.most_common(_MOST_BLOCKED))
        total = summary.blocked.total()
        yield (
            f"{total} of the documents with a true symbol {'has' if total == 1 else 'have'} one that is blocked and "
            f"cannot be answered: {named}{', ...' if len(summary.blocked) > _MOST_BLOCKED else ''}"
        )


def _options(options: argparse.Namespace) -> "Options":
    from patent_hier.inference.files import Options

    return Options(
        options.top_k, options.target_accuracy, options.depth, options.force, options.exclude, options.beam,
        options.all_symbols, options.explain, options.batch_size,
    )  # fmt: skip
