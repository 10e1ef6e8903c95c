"""Judgements of answers by examiners, in one SQLite file that several processes may write.

What is acknowledged is on the disk: each judgement is a transaction of its own, in a write-ahead log that is synced
before :meth:`FeedbackStore.add` returns. A judgement carries a number that its sender made, so a request that is sent
again, after a time-out or a crash, is stored once.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from datetime import time as time_of_day
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Self

from patent_hier.data.feedback_file import open_file
from patent_hier.data.raw import fold_number, normalise
from patent_hier.errors import DataError, FullError, RepeatedRequestError, UnavailableError
from patent_hier.sanitize import reason

VERDICTS = RIGHT, CORRECTED = "right", "corrected"
PAGE = 100  # judgements that are held at once
_LAST = (1 << 63) - 1
_INSERT = """INSERT INTO judgement (time, subject, request_id, text, text_field, context, verdict, label, level,
  predicted, probability, model_version, document_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (request_id) DO NOTHING"""
_FIND = """SELECT id, time, request_id, text, text_field, context, verdict, label, level, predicted, probability,
  model_version, document_id FROM judgement WHERE request_id = ?"""
# Keyset pages: no reader holds a transaction open while its client is slow, or the log could not be emptied.
_PAGE_OF = """SELECT id, time, request_id, text, text_field, context, verdict, label, level, predicted, probability,
  model_version, document_id FROM judgement
  WHERE id > :after AND id <= :last AND time >= :since AND time < :until AND (:every OR NOT EXISTS (
    SELECT 1 FROM judgement AS later WHERE later.subject = judgement.subject AND later.id > judgement.id
    AND later.id <= :last AND later.time >= :since AND later.time < :until))
  ORDER BY id LIMIT :most"""
_NEWEST = """SELECT id, time, request_id, text, text_field, context, verdict, label, level, predicted, probability,
  model_version, document_id FROM judgement WHERE id <= :last AND time >= :since AND time < :until
  ORDER BY id DESC LIMIT :most"""
_COUNT = (
    "SELECT verdict, COUNT(*) FROM judgement WHERE id <= :last AND time >= :since AND time < :until GROUP BY verdict"
)
# Without the pages that deleted judgements have left, which the next ones take.
_SIZE = """SELECT (page_count - freelist_count) * page_size
  FROM pragma_page_count, pragma_freelist_count, pragma_page_size"""
_FIELDS = "SELECT DISTINCT text_field FROM judgement ORDER BY text_field"


@dataclass(frozen=True)
class Judgement:
    """What a person says of one answer.

    Attributes:
        request_id: Made by the sender, a UUID in lower case; a judgement that comes again has the same.
        text: The text that was classified, as it was sent.
        text_field: What it is, by our name: ``abstract`` or ``title``.
        context: What was known beside it, by our names of columns.
        verdict: One of :data:`VERDICTS`.
        label: The true label.
        level: Its level.
        predicted: The label that was answered; None if undecided.
        probability: Of the answer, 0 to 1; None if unknown.
        model_version: Of the model that answered.
        document_id: Application or publication number, if known.
    """

    request_id: str
    text: str
    text_field: str
    context: Mapping[str, str | None]
    verdict: str
    label: str
    level: str
    predicted: str | None
    probability: float | None
    model_version: str
    document_id: str | None = None


class Stored(NamedTuple):
    """A judgement in the file.

    Attributes:
        id: Its number in the file; no number is given twice.
        time: When it was stored, milliseconds since 1970.
        judgement: What was said.
        is_new: False if the file had it before.
    """

    id: int
    time: int
    judgement: Judgement
    is_new: bool = False

    @property
    def when(self) -> datetime:
        """The time, with the offset of this machine's time zone."""
        return datetime.fromtimestamp(self.time / 1000).astimezone()


class Period(NamedTuple):
    """Times from ``since`` to before ``until``, milliseconds since 1970."""

    since: int = 0
    until: int = _LAST

    @classmethod
    def of_days(cls, since: date | None, until: date | None) -> Self:
        """Whole days of this machine's time zone, the last one with them; None for no bound."""
        beyond = None if until is None else date.fromordinal(until.toordinal() + 1)
        return cls(0 if since is None else _start(since), _LAST if beyond is None else _start(beyond))


def _start(day: date) -> int:
    return round(datetime.combine(day, time_of_day()).timestamp() * 1000)


class FeedbackStore:
    """An open file of judgements; made by :meth:`open`. One thread at a time may use it, whichever it is.

    Args:
        path: The file.
        connection: To it.
        limit: Bytes that it may have; None for no bound.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, limit: int | None = None) -> None:
        self.path = path
        self._limit = limit
        self._connection = connection
        self._identity = _identity(path)

    @classmethod
    def open(cls, path: Path, *, create: bool = False, limit: int | None = None) -> Self:
        """Open a file of judgements.

        Args:
            path: The file, on a disk of this machine.
            create: Make it, readable by its owner alone, if there is none.
            limit: Bytes that it may have; a judgement that goes beyond is refused. None for no bound.

        Raises:
            DataError: If it is missing, cannot be opened, or is no such file; it stays as it is.
            ArtifactError: If it is of a newer version, or damaged.
        """
        return cls(path, open_file(path, create=create), limit)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, judgement: Judgement) -> Stored:
        """Store a judgement; it is on the disk when this returns.

        Raises:
            RepeatedRequestError: If the file has another judgement under the same ``request_id``.
            FullError: If the file would have more bytes than it may have.
            UnavailableError: If it cannot be stored now; the same judgement may be added again.
        """
        now = time.time_ns() // 1_000_000
        context = json.dumps(dict(judgement.context), ensure_ascii=False, sort_keys=True)
        content = {**vars(judgement), "context": context}  # in the order of the columns
        with self._writing():
            cursor = self._connection.execute(_INSERT, (now, _subject(judgement), *content.values()))
            is_new = cursor.rowcount == 1
            found = _read(self._connection.execute(_FIND, (judgement.request_id,)).fetchone())
            if is_new and self._limit is not None and self._connection.execute(_SIZE).fetchone()[0] > self._limit:
                raise FullError(  # within the transaction, which leaves no trace then
                    f"{self.path} has reached its bound of {self._limit >> 20} MiB; delete old judgements (patent-hier "
                    "feedback --delete-older-than), or raise --feedback-limit"
                )
        if replace(found.judgement, text_field=judgement.text_field) != judgement:
            raise RepeatedRequestError("another judgement has this request_id; make a new one")
        return found._replace(is_new=is_new)

    def last_id(self) -> int:
        """The number of the newest judgement; 0 for none."""
        return int(self._ask("SELECT COALESCE(MAX(id), 0) FROM judgement")[0][0])

    def page(self, after: int, last: int, period: Period, *, every: bool = False) -> list[Stored]:
        """At most :data:`PAGE` judgements, by their numbers.

        Args:
            after: They follow this number.
            last: The last number that counts.
            period: When they were stored.
            every: All of them; else the newest only of each document, or of each text where no document is named.

        Raises:
            DataError: If the file cannot be read.
        """
        bounds = {"after": after, "last": last, **period._asdict(), "every": every, "most": PAGE}
        return [_read(row) for row in self._ask(_PAGE_OF, bounds)]

    def newest(self, most: int, last: int, period: Period) -> list[Stored]:
        """The newest judgements of a period, at most so many, by their numbers.

        Raises:
            DataError: If the file cannot be read.
        """
        rows = self._ask(_NEWEST, {"last": last, **period._asdict(), "most": most})
        return [_read(row) for row in reversed(rows)]

    def judgements(self, last: int, period: Period, *, every: bool = False) -> Iterator[Stored]:
        """All judgements of a period, as :meth:`page` gives them, in flat memory."""
        after = 0
        while page := self.page(after, last, period, every=every):
            yield from page
            after = page[-1].id

    def counts(self, last: int, period: Period) -> dict[str, int]:
        """How many judgements of a period have each verdict.

        Raises:
            DataError: If the file cannot be read.
        """
        found = dict(self._ask(_COUNT, {"last": last, **period._asdict()}))
        return {verdict: found.get(verdict, 0) for verdict in VERDICTS}

    def text_fields(self) -> list[str]:
        """What the texts of the judgements are, by our names.

        Raises:
            DataError: If the file cannot be read.
        """
        return [name for (name,) in self._ask(_FIELDS)]

    def delete(self, ids: Collection[int]) -> int:
        """Delete judgements by their numbers, all or none; what they held is overwritten.

        Raises:
            DataError: Naming the first number that there is not.
            UnavailableError: If the file cannot be written.
        """
        with self._writing():
            for number in sorted(set(ids)):
                if not self._connection.execute("DELETE FROM judgement WHERE id = ?", (number,)).rowcount:
                    raise DataError(f"{self.path} has no judgement {number}; nothing was deleted")
        return len(set(ids))

    def delete_before(self, end: int) -> int:
        """Delete the judgements that were stored before a time (milliseconds since 1970); returns their number.

        Raises:
            UnavailableError: If the file cannot be written.
        """
        with self._writing():
            return self._connection.execute("DELETE FROM judgement WHERE time < ?", (end,)).rowcount

    def empty_log(self) -> bool:
        """Move what the write-ahead log holds into the file, and cut the log; False while another process reads it.

        Raises:
            DataError: If the file cannot be written.
        """
        return not self._ask("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]

    def _ask(self, statement: str, values: Any = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise DataError(f"{self.path} cannot be read ({reason(error)}); check the disk, then try again") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: whole and synced at the end of the block, or without a trace."""
        try:
            if _identity(self.path) != self._identity:  # what is written there now, nobody would find
                raise UnavailableError(f"{self.path} was moved or replaced; start the service again")
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise UnavailableError(
                f"{self.path} cannot be written ({reason(error)}); see that the disk has space and no program keeps "
                "the file locked"
            ) from error
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the first error is told
                    self._connection.execute("ROLLBACK")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _subject(judgement: Judgement) -> str:
    """What is judged: a document by its number in one spelling, else a text as models read it."""
    if number := fold_number(judgement.document_id or ""):
        return f"document {number}"
    return f"text {text_digest(judgement.text)}"


def text_digest(text: str) -> str:
    """The SHA-256 of a text as models read it, as hexadecimal digits: equal for two spellings of one text."""
    return sha256(normalise(text).encode()).hexdigest()


def _read(row: Any) -> Stored:
    number, stored_at, request_id, text, text_field, context, *rest = row
    return Stored(number, stored_at, Judgement(request_id, text, text_field, json.loads(context), *rest))
