"""Examiners' judgements of predictions, in one SQLite file that several processes may write.

An acknowledged judgement is on disk: each judgement is a transaction of its own, in a write-ahead log that is synced
before :meth:`FeedbackStore.add` returns. The sender gives each judgement a request id, so a request that is sent again
after a time-out or a crash is stored only once.
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
PAGE = 100  # judgements that are read into memory at once
_LAST = (1 << 63) - 1
_INSERT = """INSERT INTO judgement (time, subject, request_id, text, text_field, context, verdict, label, level,
  predicted, probability, model_version, document_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (request_id) DO NOTHING"""
_FIND = """SELECT id, time, request_id, text, text_field, context, verdict, label, level, predicted, probability,
  model_version, document_id FROM judgement WHERE request_id = ?"""
# Keyset pagination: a slow client must not hold a transaction open, or the log could not be truncated.
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
# Excludes the free pages of deleted judgements, which later ones reuse.
_SIZE = """SELECT (page_count - freelist_count) * page_size
  FROM pragma_page_count, pragma_freelist_count, pragma_page_size"""
_FIELDS = "SELECT DISTINCT text_field FROM judgement ORDER BY text_field"


@dataclass(frozen=True)
class Judgement:
    """A person's judgement of one prediction.

    Attributes:
        request_id: UUID in lower case, created by the sender; a repeated request has the same one.
        text: The classified text, as it was sent.
        text_field: Kind of the text: ``abstract`` or ``title``.
        context: Context fields of the text by our column names.
        verdict: One of :data:`VERDICTS`.
        label: The true label.
        level: The level of the true label.
        predicted: The predicted label; None if the model was undecided.
        probability: Probability of the prediction, 0 to 1; None if unknown.
        model_version: Version of the model that predicted.
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
    """A judgement stored in the file.

    Attributes:
        id: Number of the judgement in the file; a number is never reused.
        time: Time of storage, milliseconds since 1970.
        judgement: The judgement.
        is_new: False if the file already had it.
    """

    id: int
    time: int
    judgement: Judgement
    is_new: bool = False

    @property
    def when(self) -> datetime:
        """Time of storage in this machine's time zone."""
        return datetime.fromtimestamp(self.time / 1000).astimezone()


class Period(NamedTuple):
    """A period from ``since`` (inclusive) to ``until`` (exclusive), milliseconds since 1970."""

    since: int = 0
    until: int = _LAST

    @classmethod
    def of_days(cls, since: date | None, until: date | None) -> Self:
        """Return the period of whole days in this machine's time zone, including the last day; None for no bound."""
        beyond = None if until is None else date.fromordinal(until.toordinal() + 1)
        return cls(0 if since is None else _start(since), _LAST if beyond is None else _start(beyond))


def _start(day: date) -> int:
    return round(datetime.combine(day, time_of_day()).timestamp() * 1000)


class FeedbackStore:
    """An open file of judgements, created by :meth:`open`. Any thread may use it, but only one at a time.

    Args:
        path: The file.
        connection: Connection to the file.
        limit: Largest size in bytes; None for no limit.

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
            path: The file, on a local disk.
            create: Whether to create the file if it is missing; only its owner can read it.
            limit: Largest size in bytes; a judgement that would exceed it is refused. None for no limit.

        Raises:
            DataError: If the file is missing, cannot be opened, or is not a file of judgements; it is not changed.
            ArtifactError: If a newer version of the program wrote it, or it is damaged.
        """
        return cls(path, open_file(path, create=create), limit)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, judgement: Judgement) -> Stored:
        """Store a judgement; it is on disk when this method returns.

        Raises:
            RepeatedRequestError: If the file has a different judgement with the same ``request_id``.
            FullError: If the file would exceed its size limit.
            UnavailableError: If the judgement cannot be stored now; the same judgement may be added again.
        """
        now = time.time_ns() // 1_000_000
        context = json.dumps(dict(judgement.context), ensure_ascii=False, sort_keys=True)
        content = {**vars(judgement), "context": context}  # in the order of the columns
        with self._writing():
            cursor = self._connection.execute(_INSERT, (now, _subject(judgement), *content.values()))
            is_new = cursor.rowcount == 1
            found = _read(self._connection.execute(_FIND, (judgement.request_id,)).fetchone())
            if is_new and self._limit is not None and self._connection.execute(_SIZE).fetchone()[0] > self._limit:
                raise FullError(  # raised inside the transaction, which is then rolled back
                    f"{self.path} has reached its limit of {self._limit >> 20} MiB; delete old judgements (patent-hier "
                    "feedback --delete-older-than), or increase --feedback-limit"
                )
        if replace(found.judgement, text_field=judgement.text_field) != judgement:
            raise RepeatedRequestError("another judgement already has this request_id; use a new one")
        return found._replace(is_new=is_new)

    def last_id(self) -> int:
        """Return the number of the newest judgement; 0 if there is none."""
        return int(self._ask("SELECT COALESCE(MAX(id), 0) FROM judgement")[0][0])

    def page(self, after: int, last: int, period: Period, *, every: bool = False) -> list[Stored]:
        """Return at most :data:`PAGE` judgements, ordered by number.

        Args:
            after: Number after which the page starts.
            last: Largest number that is considered.
            period: Period in which the judgements were stored.
            every: Whether to return all judgements; if not, only the newest one of each document, or of each text that
                has no document number.

        Raises:
            DataError: If the file cannot be read.
        """
        bounds = {"after": after, "last": last, **period._asdict(), "every": every, "most": PAGE}
        return [_read(row) for row in self._ask(_PAGE_OF, bounds)]

    def newest(self, most: int, last: int, period: Period) -> list[Stored]:
        """Return the newest judgements of a period, at most ``most``, ordered by number.

        Raises:
            DataError: If the file cannot be read.
        """
        rows = self._ask(_NEWEST, {"last": last, **period._asdict(), "most": most})
        return [_read(row) for row in reversed(rows)]

    def judgements(self, last: int, period: Period, *, every: bool = False) -> Iterator[Stored]:
        """Yield all judgements of a period, page by page as :meth:`page`, in constant memory."""
        after = 0
        while page := self.page(after, last, period, every=every):
            yield from page
            after = page[-1].id

    def counts(self, last: int, period: Period) -> dict[str, int]:
        """Return the number of judgements of a period with each verdict.

        Raises:
            DataError: If the file cannot be read.
        """
        found = dict(self._ask(_COUNT, {"last": last, **period._asdict()}))
        return {verdict: found.get(verdict, 0) for verdict in VERDICTS}

    def text_fields(self) -> list[str]:
        """Return the kinds of the judged texts, by our names.

        Raises:
            DataError: If the file cannot be read.
        """
        return [name for (name,) in self._ask(_FIELDS)]

    def delete(self, ids: Collection[int]) -> int:
        """Delete judgements by number, all or none, and overwrite their content; return how many were deleted.

        Raises:
            DataError: If a number does not exist; the message names the first.
            UnavailableError: If the file cannot be written.
        """
        with self._writing():
            for number in sorted(set(ids)):
                if not self._connection.execute("DELETE FROM judgement WHERE id = ?", (number,)).rowcount:
                    raise DataError(f"{self.path} has no judgement {number}; nothing was deleted")
        return len(set(ids))

    def delete_before(self, end: int) -> int:
        """Delete the judgements stored before a time (milliseconds since 1970); return how many were deleted.

        Raises:
            UnavailableError: If the file cannot be written.
        """
        with self._writing():
            return self._connection.execute("DELETE FROM judgement WHERE time < ?", (end,)).rowcount

    def empty_log(self) -> bool:
        """Move the write-ahead log into the file and truncate the log; return False if another process prevents it.

        Raises:
            DataError: If the file cannot be written.
        """
        return not self._ask("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]

    def _ask(self, statement: str, values: Any = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise DataError(f"cannot read {self.path} ({reason(error)}); check the disk, then try again") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Run the block as one transaction, which is committed and synced at the end, or rolled back on an error."""
        try:
            if _identity(self.path) != self._identity:  # nobody would find what is written to the old file
                raise UnavailableError(f"{self.path} was moved or replaced; restart the service")
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise UnavailableError(
                f"cannot write {self.path} ({reason(error)}); check that the disk has space and that no other program "
                "has locked the file"
            ) from error
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the first error is the one to report
                    self._connection.execute("ROLLBACK")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _subject(judgement: Judgement) -> str:
    """Return a key for the judged document: its number in one spelling, else a digest of its text."""
    if number := fold_number(judgement.document_id or ""):
        return f"document {number}"
    return f"text {text_digest(judgement.text)}"


def text_digest(text: str) -> str:
    """Return the SHA-256 of a normalised text in hexadecimal digits, which is the same for different spellings."""
    return sha256(normalise(text).encode()).hexdigest()


def _read(row: Any) -> Stored:
    number, stored_at, request_id, text, text_field, context, *rest = row
    return Stored(number, stored_at, Judgement(request_id, text, text_field, json.loads(context), *rest))
