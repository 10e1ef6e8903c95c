"""``patent-hier feedback``: list, export or delete the judgements stored by ``serve --feedback``."""

import argparse
import shlex
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from patent_hier.atomic import atomic_file
from patent_hier.cli.overrides import parsed
from patent_hier.data.feedback import CORRECTED, RIGHT, FeedbackStore, Period, Stored
from patent_hier.data.feedback_table import FeedbackTable
from patent_hier.data.raw import parse_date
from patent_hier.errors import ConfigError
from patent_hier.sanitize import one_line
from patent_hier.wording import quantity

FEEDBACK = """List, export or delete the judgements that examiners made on the page of patent-hier serve --feedback.

usage: patent-hier feedback FILE.sqlite [--since DATE] [--until DATE] [--export OUT.csv]
       patent-hier feedback FILE.sqlite --delete ID [--delete ID ...]
       patent-hier feedback FILE.sqlite --delete-older-than DAYS

  FILE.sqlite               the file of serve --feedback; running services can keep writing to it
  --since, --until DATE     only judgements from this date on, or up to and including it, for example 2026-03-31
  --export OUT.csv          write a table that prepare reads: patent-hier prepare data=cnipa data.path=OUT.csv. Only the
                            newest judgement of each document is written (of each text, if the document's number is not
                            known). Judgements whose label is only a section are left out. Both are counted
  --delete ID               delete this judgement and overwrite its content in the file
  --delete-older-than DAYS  delete all judgements that were stored more than this many days ago

Without options, the newest 50 judgements are listed and all are counted. Deletion asks for no confirmation."""
_SHOWN = 50  # judgements
_LETTERS, _LEAST = 60, 8  # of a text: maximum characters and minimum columns
_DAY = 86_400_000  # milliseconds


def feedback(words: Sequence[str]) -> None:
    """List, export or delete judgements.

    Raises:
        ConfigError: If options contradict each other or are out of range.
        DataError: If FILE is not a file of judgements, cannot be read, or lacks a judgement to delete.
        ArtifactError: If a newer version of the program wrote FILE.
        UnavailableError: If FILE cannot be written.
    """
    options = parsed(words, "file", since=str, until=str, export=Path, delete=[], delete_older_than=int)
    period = _period(options)
    ids = _ids(options)
    store = FeedbackStore.open(options.file)
    try:
        if ids or options.delete_older_than is not None:
            _delete(store, ids, options.delete_older_than)
        elif options.export is not None:
            _export(store, period, options.export)
        else:
            _list(store, period)
    finally:
        store.close()


def _period(options: argparse.Namespace) -> Period:
    period = Period.of_days(_day("--since", options.since), _day("--until", options.until))
    is_bounded = options.since is not None or options.until is not None
    chosen = [bool(options.delete), options.delete_older_than is not None, options.export is not None or is_bounded]
    if sum(chosen) > 1:
        raise ConfigError(
            "--delete, --delete-older-than, and --export with --since or --until cannot be combined; use one of them"
        )
    if period.since >= period.until:
        raise ConfigError(f"--since {options.since} is after --until {options.until}; swap them")
    return period


def _day(option: str, value: str | None) -> date | None:
    day = None if value is None else parse_date(value)
    if value is not None and (day is None or not 1970 < day.year < 9999):
        raise ConfigError(f"{option} {value} is not a date from 1971 to 9998; use YYYY-MM-DD")
    return day


def _ids(options: argparse.Namespace) -> list[int]:
    if options.delete_older_than is not None and not 0 <= options.delete_older_than <= 100_000:
        raise ConfigError(f"--delete-older-than {options.delete_older_than} is out of range; use 0 to 100000 days")
    for word in options.delete:
        if not (word.isascii() and word.isdecimal() and len(word) < 19):
            raise ConfigError(f"--delete {word} is not a judgement number; the list without options shows the numbers")
    return [int(word) for word in options.delete]


def _list(store: FeedbackStore, period: Period) -> None:
    last = store.last_id()
    counts = store.counts(last, period)
    total = sum(counts.values())
    newest = store.newest(_SHOWN, last, period)
    if newest:
        console = Console()
        console.print(_table(newest, console.width))
    shown = f"; the newest {_SHOWN} are shown" if total > _SHOWN else ""
    print(f"{quantity(total, 'judgement')}: {counts[RIGHT]} right, {counts[CORRECTED]} corrected{shown}")


def _table(judgements: Sequence[Stored], width: int) -> Table:
    """Return a row for each judgement; the beginning of the text fills the rest of the terminal's width."""
    names = ("id", "time", "verdict", "label")
    rows = [[one_line(" ".join(cell.split())) for cell in _cells(one)] for one in judgements]
    table = Table(box=None, pad_edge=False)
    for name in (*names, "text"):
        table.add_column(name, no_wrap=True, justify="right" if name == "id" else "left")
    taken = sum(
        max(len(name), *map(len, cells)) + 2 for name, cells in zip(names, zip(*rows, strict=True), strict=False)
    )
    for *row, text in rows:
        beginning = Text(text)
        beginning.truncate(max(_LEAST, width - taken), overflow="ellipsis")
        table.add_row(*map(Text, row), beginning)
    return table


def _cells(one: Stored) -> tuple[str, ...]:
    said = one.judgement
    label = said.label if said.verdict == RIGHT else f"{said.predicted or 'undecided'} -> {said.label}"
    return str(one.id), f"{one.when:%Y-%m-%d %H:%M}", said.verdict, label, said.text[:_LETTERS]


def _export(store: FeedbackStore, period: Period, output: Path) -> None:
    if output.exists() and output.samefile(store.path):
        raise ConfigError(f"--export {output} is the file of judgements itself; choose another file")
    last = store.last_id()
    fields = store.text_fields()
    table = FeedbackTable(fields or ["abstract"])
    with atomic_file(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(table.lines(store.judgements(last, period)))
    older = sum(store.counts(last, period).values()) - table.written - table.sections
    left_out = [f"{older} older ones of the same document or text"] if older else []
    left_out += [f"{table.sections} with only a section as the label"] if table.sections else []
    if left_out:
        print(f"left out: {', '.join(left_out)}")
    if table.odd:
        print(f"{quantity(table.odd, 'judgement')} without a valid IPC symbol; patent-hier prepare rejects such rows")
    reader = _command(output, fields, table.min_symbol)
    print(one_line(f"{quantity(table.written, 'judgement')}: {output}; read it with: {reader}"))


def _command(output: Path, fields: Sequence[str], min_symbol: str) -> str:
    """Return the command that reads an export, with the settings that its texts and labels need."""
    texts = {("title",): ["'data.text=[专利名称]'"], ("abstract", "title"): ["'data.text=[专利名称,摘要]'"]}
    settings = ["data=cnipa", shlex.quote(f"data.path={output}"), *texts.get(tuple(fields), [])]
    settings += [] if min_symbol == "group" else [f"data.min_symbol={min_symbol}"]
    return " ".join(("patent-hier prepare", *settings))


def _delete(store: FeedbackStore, ids: Sequence[int], days: int | None) -> None:
    now = time.time_ns() // 1_000_000
    count = store.delete(ids) if days is None else store.delete_before(now - days * _DAY)
    print(f"deleted {quantity(count, 'judgement')}")
    if not store.empty_log():
        print(
            "the write-ahead log next to the file still contains deleted judgements, because another process reads it; "
            "run the same command again later to empty the log"
        )
