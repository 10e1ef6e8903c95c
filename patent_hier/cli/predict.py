"""``patent-hier predict``: a finished system on new documents."""

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

if TYPE_CHECKING:
    from patent_hier.data.incoming import IncomingFiles
    from patent_hier.inference.files import Options, Summary

_MOST_BLOCKED = 5  # labels that a line names
PREDICT = """Classify documents with a finished system; nothing is trained.

usage: patent-hier predict MODEL FILE [options]
       patent-hier predict MODEL --abstract TEXT [--abstract TEXT ...] [options]

  MODEL             an exported model, or a result folder with its nodes beside it: runs/<model>/result-hier-...
  FILE              a table as for training (a class need not be known, --text is all that is needed): CSV, TSV, Excel,
                    JSON with "text" or the fields' names, compressed or not; TXT with a document a line; a folder or a
                    pattern such as '2019-*.csv'; - is standard input
  --abstract TEXT   a text of the command line; the answer is a table
  --output OUT      OUT.csv or OUT.jsonl; the default is FILE's name with .predicted.csv, here; - is standard output.
                    A command that was interrupted goes on where it was
  --overwrite       replace an existing OUT
  --top-k 3         paths for each document, from the first level down, the most probable first
  --target-accuracy 0.9   answer at the deepest level at which answers are right at least this often, with 95 %
                    confidence, or not at all; patent-hier confidence MODEL says what that comes to
  --depth LEVEL     answer no deeper than this level, such as section, class, subclass, main_group
  --force A01,B60K  answer only with labels below one of these, of any level; may be repeated. Probabilities are then
                    those given that one of them is right
  --exclude A01B1/00   answer with none of these, nor below one; likewise
  --all-symbols     also name all symbols of a document, at each level those above a threshold from calibration; for
                    models of documents with several symbols
  --beam 1          follow only so many labels at each level; 1 is greedy; the default follows all
  --explain         say which parts of the text speak for the first label; for --abstract, or into OUT.jsonl; slow
  --blocked FILE    places of the scheme that no answer may name, with reasons (CSV of code, reason, perhaps level), in
                    place of blocked.csv in MODEL's folder. Accuracies that --target-accuracy keeps were measured
                    without it
  --titles FILE     titles of the labels (CSV of code, level, title), for their names; the default is those of
                    data.label_text in training
  --text 摘要,...   fields that make the text; the default is those of the training, or known headers for them
  --applicant NAME  column of the applicants, for a model that reads them beside the text (data.context); the default is
                    that of the training, or a known header. With --abstract: the applicant itself
  --symbols NAME    column of the true symbols, for the accuracy; the default is that of the training, or a known header
  --convert t2s     convert Traditional characters to Simplified ones before they are read; also tw2sp, hk2s
  --input-format F  csv (any table), txt or jsonl, where FILE's name does not tell; txt for standard input
  --delimiter tab   between fields, where it is not found by itself; --sheet NAME: a workbook's sheet, else the first
  --output-format F csv or jsonl, likewise; csv for standard output
  --batch-size 64   documents per batch of a network
  --engine torch    what runs the networks: torch, onnx (ONNX Runtime) or openvino; the last two run on the CPU and need
                    the extra of that name.
                    In fp32 used only if it gives PyTorch's first label to all of FILE's first documents
  --precision fp32  or bf16 (torch, openvino), faster where the processor computes in it; or int8 (onnx, openvino),
                    faster on most. Used only if it gives the first label of fp32 to 99 % of FILE's first documents
  --cache-dir cache where networks are kept as these engines read them

OUT has a line for every row of FILE, in its order; a row that cannot be classified has the reason. OUT.csv is UTF-8
with a byte order mark, and holds nothing that a spreadsheet would run. Where FILE has true symbols, their agreement
with the first path is told at the end, level by level; that says something only of documents that MODEL was not
trained on."""


def predict(words: Sequence[str]) -> None:
    """Load the system, classify, and say how it went.

    Raises:
        ConfigError: If an option cannot be used, MODEL is no system, the output is there already, or half precision
            changes too much.
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
        raise ConfigError("name either FILE or --abstract TEXT; see patent-hier predict --help")
    if options.text is not None:
        text_columns(options.text)  # before the model is loaded
    if not engine.is_plain and (options.file is None or is_standard_input(options)):
        raise ConfigError(
            f"{engine.options} is first compared with fp32 on FILE; name a file instead of --abstract or standard input"
        )
    if options.abstract:
        _answer(options)
        return
    output = output_path(options.output, options.file, options.overwrite, ".predicted.csv")
    kind = output_format(options.output_format, output)
    if options.explain and kind != "jsonl":
        raise ConfigError("--explain needs OUT.jsonl, or --output-format jsonl; a CSV file has no place for reasons")
    with standard_output(output) as stream:
        lines = _predict(options, engine, output or stream, kind)
    lines[-1] += f": {output}" if output else ""
    print(sanitize.lines("\n".join(lines)), file=sys.stdout if output else sys.stderr)


def _answer(options: argparse.Namespace) -> None:
    """Classify the texts of the command line and show a table of each."""
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
                "training has hardly shown many characters of this text; probabilities may be too high"
                f"{strange_advice(prediction.strange, options.convert)}\n"
            )
    if classifier.blocked:
        print(f"note: {classifier.blocked.note()}")
    if shortfall := classifier.shortfall(options.target_accuracy):
        print(shortfall)


def _predict(options: argparse.Namespace, engine: Engine, output: Path | IO[str], kind: str) -> list[str]:
    """Classify a file; the lines that say how it went."""
    from patent_hier.data.corpus import source_digest
    from patent_hier.inference.files import first_documents, predict_to_file, predict_to_stream
    from patent_hier.progress import byte_progress, say

    classifier = loaded(options)
    gc.freeze()  # or the collector walks through all that was loaded again and again
    system, asked = classifier.system, _options(options)
    classifier.ask(asked)  # before any work, not after it
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
        yield f"{before} rows were there from an earlier command"
    yield from _strange(summary, options)
    yield from _without_context(summary)
    yield from _accuracies(summary)
    yield from _blocked(summary)
    if options.target_accuracy is not None:
        yield f"at a target accuracy of {options.target_accuracy:g}: {summary.decisions_in_words()}"
    errors = f"{summary.errors} rows with errors" + (f" ({summary.faults_in_words()})" if summary.errors else "")
    rate = max(summary.rows - before, 0) / max(seconds, 1e-9)
    note = "" if engine.is_plain else f", {engine}"
    yield f"{summary.predicted} documents, {errors}, {seconds:.1f} s, {rate:,.0f} documents/s{note}"


def _strange(summary: "Summary", options: argparse.Namespace) -> Iterator[str]:
    """That training has not shown such texts, and what helps."""
    if not summary.strange:
        return
    total, place = summary.strange.total(), f"of {summary.predicted} texts"
    yield (
        f"{total} {place} {'has' if total == 1 else 'have'} many characters that training has hardly shown "
        f"({'' if total == 1 else 'the first: '}row {summary.first_strange}); probabilities may be too high there"
        f"{strange_advice(max(summary.strange, key=summary.strange.__getitem__), options.convert)}"
    )


def _without_context(summary: "Summary") -> Iterator[str]:
    """How many documents lack what the model reads beside the text."""
    for column, count in summary.without.items():
        if count:
            all_lack = (column, count) == (APPLICANT, summary.predicted)
            hint = "; --applicant NAME names their column" if all_lack else ""
            yield f"{count} of {summary.predicted} documents have no {column} and are judged by their text alone{hint}"


def _why_no_accuracy(rows: "IncomingFiles") -> str:
    if rows.has_symbols:
        return f"no accuracy: {rows.source} has no true symbol that can be read; --symbols NAME names another column"
    return f"no accuracy: {rows.source} has no known column of true symbols; --symbols NAME names it"


def _accuracies(summary: "Summary") -> Iterator[str]:
    """How often the first path's labels are the true ones; nothing for a file without symbols."""
    if not summary.labelled:
        return
    parts, most = [], max(summary.labelled.values())
    for level, score in summary.accuracies.items():
        low, high = (100 * bound for bound in score.interval)
        fewer = f" of {score.n_documents} documents" if score.n_documents < most else ""
        support = f"({low:.1f}-{high:.1f}, {score.n_classes_with_support} occur)"
        parts.append(f"{level} {100 * score.value:.1f} %{fewer} {support}")
    yield (
        f"accuracy of the first {summary.levels[-1]} with 95 % interval: {', '.join(parts)}; {most} documents with a "
        f"true symbol, {summary.predicted - most} without a readable one"
    )


def _blocked(summary: "Summary") -> Iterator[str]:
    """How many documents belong where no answer may go."""
    if summary.blocked:
        named = ", ".join(f"{label} {count}" for label, count in summary.blocked.most_common(_MOST_BLOCKED))
        total = summary.blocked.total()
        yield (
            f"{total} of the documents with a true symbol {'has' if total == 1 else 'have'} one that is blocked, which "
            f"no answer can be: {named}{', ...' if len(summary.blocked) > _MOST_BLOCKED else ''}"
        )


def _options(options: argparse.Namespace) -> "Options":
    from patent_hier.inference.files import Options

    return Options(
        options.top_k, options.target_accuracy, options.depth, options.force, options.exclude, options.beam,
        options.all_symbols, options.explain, options.batch_size,
    )  # fmt: skip
