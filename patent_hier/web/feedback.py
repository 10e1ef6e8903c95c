"""Judgements over HTTP: checked against the labels, stored by a separate thread, exported to holders of the token."""

import asyncio
import hmac
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter

from patent_hier.data.feedback import RIGHT, VERDICTS, FeedbackStore, Judgement, Period, Stored
from patent_hier.data.feedback_table import FeedbackTable
from patent_hier.data.headers import field_of
from patent_hier.errors import (
    ConfigError,
    FullError,
    PatentHierError,
    RepeatedRequestError,
    UnavailableError,
    UnknownLabelError,
)
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.texts import checked_context
from patent_hier.regular_files import open_regular
from patent_hier.sanitize import one_line
from patent_hier.taxonomy.names import is_ipc
from patent_hier.taxonomy.symbols import IPC_LEVELS, IpcSymbol, Level, SymbolError
from patent_hier.web.messages import BrokenOffError, JudgementAnswer, JudgementQuestion, RefusedError

SHORTEST_TOKEN = 16  # characters
_LONGEST_TOKEN = 1024
_MOST_WAITING = 64  # judgements
_TEXT_FIELDS = ("abstract", "title")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class FeedbackSettings:
    """Where judgements are stored, and the token for exporting them.

    Attributes:
        store: Open store.
        token: Token required to export judgements; None: nobody may.
    """

    store: FeedbackStore
    token: str | None = None


def read_token(path: Path) -> str:
    """Return the token in the first line of a file.

    Raises:
        ConfigError: If the file cannot be read, or the token is too short or contains other characters than printable
            ASCII.
    """
    try:
        with open_regular(path) as file:
            line = file.readline(_LONGEST_TOKEN + 2)
    except OSError as error:
        raise ConfigError(f"--feedback-token {path} cannot be read: {error.strerror}; use a readable file") from error
    token = line.decode("ascii", "replace").strip()
    if not (token.isascii() and token.isprintable() and " " not in token and len(token) <= _LONGEST_TOKEN):
        raise ConfigError(f"--feedback-token {path}: the first line is not a token; use letters and digits only")
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"--feedback-token {path}: the token has {len(token)} characters; use at least {SHORTEST_TOKEN}, "
            "for example from openssl rand -hex 32"
        )
    return token


class Feedback:
    """Stores judgements of a system's answers, and exports them.

    Args:
        settings: Where judgements are stored.
        classifier: The system.
        problem: Returns why a text cannot be classified; None if it can.
        time_limit: Time limit for one judgement in seconds.
        registry: Registry of the metrics.
    """

    def __init__(
        self,
        settings: FeedbackSettings,
        classifier: HierarchicalClassifier,
        problem: Callable[[str], str | None],
        time_limit: float,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._classifier = classifier
        self._problem = problem
        self._time_limit = time_limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._waiting = 0
        self._has_failed = False
        self._count = Counter("patent_hier_feedback", "Stored judgements.", ["verdict"], registry=registry)
        for verdict in VERDICTS:
            self._count.labels(verdict)
        field = field_of(classifier.system.raw.text[0])
        self._text_field = field if field in _TEXT_FIELDS else _TEXT_FIELDS[0]

    def close(self) -> None:
        """Finish pending work, and close the store."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._settings.store.close()

    async def take(self, question: JudgementQuestion) -> JudgementAnswer:
        """Store a judgement; it is on disk when this returns.

        Raises:
            RefusedError: If the judgement is not valid, or cannot be stored now.
        """
        judgement = self._judgement(question)
        if self._waiting >= _MOST_WAITING:
            raise RefusedError(503, "busy", "too many judgements are waiting; try again in a moment")
        self._waiting += 1
        try:
            stored = await self._on_thread(self._store, judgement)
        except RepeatedRequestError as error:
            raise RefusedError(
                409, "repeated_id", "another judgement already has this request_id; generate a new request_id"
            ) from error
        except FullError as error:
            self._tell(error)
            raise RefusedError(503, "full", "the file of judgements is full; contact the administrator") from error
        except UnavailableError as error:
            self._tell(error)
            raise RefusedError(503, "not_stored", "the judgement could not be stored; send it again") from error
        finally:
            self._waiting -= 1
        self._has_failed = False
        return JudgementAnswer(stored.id, stored.when.isoformat(timespec="milliseconds"))

    def _store(self, judgement: Judgement) -> Stored:
        """Store and count a judgement in the thread, so that it is counted even if its request was abandoned."""
        stored = self._settings.store.add(judgement)
        if stored.is_new:
            self._count.labels(judgement.verdict).inc()
        return stored

    def require_token(self, authorization: str | None) -> None:
        """Raise an error unless a request may export the judgements.

        Args:
            authorization: Value of the ``Authorization`` header.

        Raises:
            RefusedError: If the token is wrong or missing, or nobody may export them.
        """
        if self._settings.token is None:
            raise RefusedError(403, "closed", "the service was started without a token for this address")
        scheme, _, given = (authorization or "").partition(" ")
        digests = [sha256(token.encode("utf-8", "surrogateescape")).digest() for token in (given, self._settings.token)]
        if not hmac.compare_digest(*digests) or scheme.lower() != "bearer":
            raise RefusedError(401, "no_token", "this address requires the header Authorization: Bearer TOKEN")

    async def csv(self) -> AsyncIterator[bytes]:
        """Return the newest judgement of each document or text in pieces, as ``patent-hier feedback --export`` does.

        Raises:
            RefusedError: If the first piece takes too long.
            DataError: If the file cannot be read.
            BrokenOffError: From the iterator, if a later piece cannot be read; a printed line gives the reason.
        """
        table = FeedbackTable(await self._on_thread(self._settings.store.text_fields))
        return self._pieces(table, await self._on_thread(self._settings.store.last_id))

    async def _pieces(self, table: FeedbackTable, last: int) -> AsyncIterator[bytes]:
        yield "".join(table.lines(())).encode()
        after: int | None = 0
        while after is not None:
            try:
                piece, after = await self._on_thread(self._piece, table, after, last)
            except (PatentHierError, RefusedError) as error:
                print(one_line(f"/feedback.csv was interrupted: {error}"), file=sys.stderr, flush=True)
                raise BrokenOffError from error
            yield piece

    def _piece(self, table: FeedbackTable, after: int, last: int) -> tuple[bytes, int | None]:
        """Return the next rows, and the number of the last one; None after the last row."""
        page = self._settings.store.page(after, last, Period())
        return "".join(table.rows(page)).encode(), page[-1].id if page else None

    async def _on_thread(self, work: Callable[..., Answer], *arguments: object) -> Answer:
        try:
            async with asyncio.timeout(self._time_limit):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except TimeoutError as error:
            raise RefusedError(
                503, "too_slow", "the judgements could not be accessed in time; send the request again"
            ) from error

    def _judgement(self, question: JudgementQuestion) -> Judgement:
        if problem := self._problem(question.text):
            raise RefusedError(422, "bad_text", f"the text {problem}")
        checked_context({name: [value] for name, value in question.context.items()}, self._known_context, 1)
        label, level = self._found(question.label, question.level)
        predicted = None if question.predicted is None else self._found(question.predicted, None)[0]
        if question.verdict == RIGHT and predicted != label:
            raise RefusedError(422, "bad_verdict", "with the verdict right, label must equal predicted")
        return Judgement(
            question.request_id.lower(),
            question.text,
            self._text_field,
            question.context,
            question.verdict,
            label,
            level,
            predicted,
            question.probability,
            question.model_version,
            question.document_id,
        )

    @property
    def _known_context(self) -> tuple[str, ...]:
        return self._classifier.system.raw.context

    def _found(self, spelling: str, level: str | None) -> tuple[str, str]:
        """Return code and level of a label of the model or of the whole IPC.

        Raises:
            RefusedError: If the label belongs to neither, or has another level.
        """
        tree = self._classifier.system.tree
        prefix, colon, rest = (part.strip() for part in spelling.partition(":"))
        named = prefix if colon and prefix in {*tree.levels, *IPC_LEVELS} else None
        wanted, code = (named, rest) if named else (level, spelling)
        try:
            place = self._classifier.lookup.find(f"{wanted}:{code}" if wanted in tree.levels else code)
            found = str(tree.codes[place]), tree.level_of(place)
        except UnknownLabelError:
            if not is_ipc(tree):
                raise
            found = _beyond(code, wanted)
        if found[1] != (wanted or found[1]) or found[1] != (level or found[1]):
            raise RefusedError(422, "bad_level", "a label does not have the given level")
        return found

    def _tell(self, error: UnavailableError) -> None:
        """Print an error once for the administrator; one line per request would fill the log."""
        if not self._has_failed:
            print(one_line(f"judgements are refused: {error}"), file=sys.stderr, flush=True)
        self._has_failed = True


def _beyond(spelling: str, level: str | None) -> tuple[str, str]:
    """Return a symbol of the IPC that the model lacks; as in the tree, a main group can also be a subgroup label."""
    try:
        symbol = IpcSymbol.parse(spelling)
    except SymbolError as error:
        raise RefusedError(422, "unknown_label", "the label belongs neither to the model nor to the IPC") from error
    ends_above = symbol.depth is Level.MAIN_GROUP and level == Level.SUBGROUP
    return str(symbol), (Level.SUBGROUP if ends_above else symbol.depth).value
