"""The rules of preparing, written row by row: what the fast way must give for every file.

It shares with it only the rules for single values and :class:`RecordReader`; it decodes, judges and counts each row by
itself and keeps all keys in sets.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from patent_hier.data.accounting import Accounting
from patent_hier.data.layout import read_columns, read_mark
from patent_hier.data.raw import (
    EXCERPT,
    SPREADSHEET_NUMBER,
    Layout,
    RawFormat,
    Rejection,
    TextFault,
    document_id,
    excerpt,
    has_words,
    normalise,
    parse_date,
    text_of,
)
from patent_hier.data.records import Record, RecordReader
from patent_hier.data.texts import is_mojibake
from patent_hier.taxonomy.symbols import RejectReason, SymbolError, parse_symbols

KEPT = ("title", "abstract", "applicant", "application_date", "publication_date", "kind")
NUMBERS = ("application_number", "publication_number")


class Outcome(NamedTuple):
    documents: list[dict[str, Any]]
    rejections: list[Rejection]
    accounting: Accounting
    classes: Counter[str]
    mean_text_length: float


def read_serially(source: Path, fmt: RawFormat, limit_rows: int | None = None) -> Outcome:
    content = source.read_bytes()
    encoding, mark = read_mark(content, fmt.encoding, source)
    reader = RecordReader([content[mark:]], encoding, fmt.limits)
    layout = read_columns(reader.header(), encoding, fmt, source)
    accounting = Accounting()
    documents: list[dict[str, Any]] = []
    rejections: list[Rejection] = []
    seen_rows: set[bytes] = set()
    seen_ids: set[str] = set()
    for record in islice(reader.records(len(layout.header)), limit_rows):
        accounting.rows += 1
        result: dict[str, Any] | Rejection
        if record.fault is not None:
            result = Rejection(record.line_number, record.fault, excerpt(record.raw, encoding))
        elif record.raw in seen_rows:
            accounting.duplicates += 1
            continue
        else:
            seen_rows.add(record.raw)
            result = clean(record, layout, fmt, accounting.warnings)
            if isinstance(result, dict) and result["document_id"] in seen_ids:
                result = Rejection(record.line_number, TextFault.REPEATED_ID, excerpt(record.raw, encoding))
        if isinstance(result, dict):
            seen_ids.add(result["document_id"])
            documents.append(result)
        else:
            rejections.append(result)
    accounting.warnings += Counter()  # without zeros
    accounting.kept = len(documents)
    accounting.rejected.update(str(rejection.reason) for rejection in rejections)
    accounting.blank_lines = reader.blank_lines
    lengths = [len(document["text"]) for document in documents]
    classes = Counter(document["ipc_class"] for document in documents)
    return Outcome(documents, rejections, accounting, classes, sum(lengths) / len(lengths) if lengths else 0.0)


def clean(record: Record, layout: Layout, fmt: RawFormat, warnings: Counter[str]) -> dict[str, Any] | Rejection:
    try:
        symbols = parse_symbols(record.fields[layout.positions["symbols"]], fmt.edition, fmt.min_symbol)
    except SymbolError as error:
        shown = excerpt(record.raw, layout.encoding) if error.reason is RejectReason.EMPTY else error.value[:EXCERPT]
        return Rejection(record.line_number, error.reason, shown)
    text = fmt.read(text_of(record.fields, layout))
    if not has_words(text):
        return Rejection(record.line_number, TextFault.EMPTY_TEXT, excerpt(record.raw, layout.encoding))
    warnings["mojibake"] += is_mojibake(text)
    warnings["damaged_characters"] += "\ufffd" in text and not is_mojibake(text)
    warnings["header_as_text"] += text in layout.header
    values = values_of(record.fields, layout)
    if values["application_number"] and SPREADSHEET_NUMBER.fullmatch(values["application_number"]):
        warnings["damaged_application_number"] += 1
    dates: dict[str, date | None] = {}
    for name in ("application_date", "publication_date"):
        dates[name] = parse_date(values[name]) if values[name] else None
        if values[name] and dates[name] is None:
            warnings[f"unreadable_{name}"] += 1
    main = symbols.main
    return {
        "document_id": document_id(values["publication_number"], values["application_number"], record.raw),
        "text": text,
        "title": values["title"],
        "abstract": values["abstract"],
        "section": main.section,
        "ipc_class": main.ipc_class,
        "subclass": main.subclass,
        "main_group": main.main_group,
        "subgroup": main.subgroup,
        "further_symbols": list(map(str, symbols.further)),
        "skipped_symbols": [symbol.value for symbol in symbols.skipped],
        "applicant": (values["applicant"] or "").rstrip(";； ") or None,
        **dates,
        "kind": values["kind"],
        "application_number": values["application_number"],
        "publication_number": values["publication_number"],
        "line_number": record.line_number,
    }


def values_of(fields: Sequence[str], layout: Layout) -> Mapping[str, Any]:
    positions = layout.positions
    return {
        name: (normalise(fields[positions[name]]) or None) if name in positions else None for name in (*KEPT, *NUMBERS)
    }
