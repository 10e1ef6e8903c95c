"""The service without its transport: predictions in batches, explanations one at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from patent_hier.data.layout import accepted_headers
from patent_hier.evaluation.scores import TreeScores
from patent_hier.inference.answering import Asked
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.neighbours import Neighbour, Neighbours
from patent_hier.inference.results import Prediction
from patent_hier.inference.texts import Context, checked_context, text_problem
from patent_hier.inference.triage import Review, Triage
from patent_hier.web.batching import Batcher
from patent_hier.web.drifting import DriftCounts
from patent_hier.web.feedback import Feedback, FeedbackSettings
from patent_hier.web.guard import ServiceSettings
from patent_hier.web.messages import (
    BatchAnswer,
    BatchItem,
    BatchQuestion,
    Options,
    PredictAnswer,
    PredictQuestion,
    RefusedError,
)
from patent_hier.web.taxonomy import Taxonomy

_NUMBERS = ("publication_number", "application_number")  # of a document, the preferred one first
_MOST_BLOCKED = 200  # places listed by /about
_MOST_EXPLANATIONS = 8  # waiting explanations; each takes many passes
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


class _Answered(NamedTuple):
    """Texts with their context as documents, the checked question, and their scores and predictions."""

    documents: list[str]
    asked: Asked
    scores: TreeScores
    predictions: list[Prediction]


class Service:
    """A system that answers requests.

    Args:
        classifier: The system.
        settings: Limits of the service.
        neighbours: Index of known patents; None: no similar patents are returned.
        feedback: Where judgements of answers are stored; None: judgements are not accepted.
        triage: Triage that decides which answers of a batch to review first; None: plain confidence.

    Attributes:
        taxonomy: Labels that can be answered.
        registry: Prometheus metrics of the service, without any text from requests.
        responses: Count of answers, by status.
        feedback: Storage for judgements; None: judgements are not accepted.
    """

    def __init__(
        self,
        classifier: HierarchicalClassifier,
        settings: ServiceSettings,
        neighbours: Neighbours | None,
        feedback: FeedbackSettings | None = None,
        triage: Triage | None = None,
    ) -> None:
        self.classifier = classifier
        self.settings = settings
        self.taxonomy = Taxonomy(classifier.system.tree, classifier.lookup, classifier.version, classifier.blocked)
        self._neighbours = neighbours
        self._triage = triage or Triage.plain(classifier)
        self._batcher = Batcher(
            self._score,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            max_waiting=settings.max_waiting,
        )
        self._explaining = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._answering = ThreadPoolExecutor(1, thread_name_prefix="answer")
        self.registry = own = CollectorRegistry()
        self.responses = Counter("patent_hier_responses", "Responses by HTTP status.", ["status"], registry=own)
        self._texts = Counter("patent_hier_texts", "Classified texts.", registry=own)
        self._batches = Counter("patent_hier_batches", "Scored batches.", registry=own)
        self._seconds = Histogram(
            "patent_hier_answer_seconds", "Answer times in seconds.", buckets=_BOUNDS, registry=own
        )
        waiting = Gauge("patent_hier_waiting_texts", "Texts waiting or being scored.", registry=own)
        waiting.set_function(lambda: self._batcher.waiting)
        self._drift = DriftCounts.find(classifier.system, own)
        self.feedback: Feedback | None = None
        if feedback is not None:
            self.feedback = Feedback(feedback, classifier, self._problem, settings.time_limit, own)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the service; it answers questions within this context."""
        try:
            async with self._batcher:
                yield
        finally:
            for thread in (self._answering, self._thread):
                thread.shutdown(wait=True, cancel_futures=True)
            if self.feedback:
                self.feedback.close()

    async def predict(self, question: PredictQuestion) -> PredictAnswer:
        """Answer a question about one text.

        Raises:
            RefusedError: If the question cannot be answered.
        """
        if problem := self._problem(question.text):
            raise RefusedError(422, "bad_text", f"the text {problem}")
        fields = {column: [value] for column, value in question.context.items()}
        answered = await self._predictions([question.text], fields, question)
        (document,), (prediction,) = answered.documents, answered.predictions
        further: dict[str, Any] = {}
        if question.explain and prediction.paths:
            best = prediction.paths[0]
            further["explanation"] = await self._aside(
                self.classifier.explain_document, document, best.label, best.level
            )
        if question.neighbours and self._neighbours is not None:
            further["neighbours"] = await self._aside(self._nearest, question.text, question.neighbours)
        if question.names:
            further["names"] = self.taxonomy.named_in(prediction)
        return PredictAnswer(**vars(prediction) | further)

    async def batch(self, question: BatchQuestion) -> BatchAnswer:
        """Answer a question about several texts, in their order.

        Raises:
            RefusedError: If there are too many texts, or they cannot be answered in time.
        """
        if len(question.texts) > self.settings.max_texts:
            raise RefusedError(422, "too_many_texts", f"a batch may have at most {self.settings.max_texts} texts")
        problems = [self._problem(text) for text in question.texts]
        fields = checked_context(question.context, self.classifier.system.raw.context, len(problems))
        kept = [place for place, problem in enumerate(problems) if problem is None]
        good = [question.texts[place] for place in kept]
        known = {column: [own[place] for place in kept] for column, own in fields.items()}
        found, note = await self._items(good, known, question) if good else ([], None)
        items = iter(found)
        return BatchAnswer([BatchItem(error=f"the text {bad}") if bad else next(items) for bad in problems], note)

    async def _items(
        self, texts: Sequence[str], context: Context, question: BatchQuestion
    ) -> tuple[list[BatchItem], str | None]:
        """Return the predictions, reviewed if requested and possible now, and the reason if they are not."""
        documents, asked, scores, predictions = await self._predictions(texts, context, question)
        plain = list(map(BatchItem, predictions))
        if not question.triage:
            return plain, None
        try:
            reviews: list[Review] = (await self._aside(self._triage.review, documents, asked, scores))[1]
        except RefusedError:  # the answers are available, and a client can order them by probability
            return (
                plain,
                "the service is too busy to estimate which answers are wrong; order the answers by probability",
            )
        return [replace(one, review=own.error, why=own.why) for one, own in zip(plain, reviews, strict=True)], None

    def about(self) -> dict[str, Any]:
        """Return facts about the system, for the page and for programs."""
        calibration = self.classifier.calibration
        data = self.classifier.facts.get("data") or {}
        raw = self.classifier.system.raw
        return {
            "name": self.classifier.system.name,
            "version": self.classifier.version,
            "is_demo": data.get("name") == "demo",
            "data": {key: data.get(key) for key in ("name", "documents", "split")},
            "levels": list(self.taxonomy.levels),
            "labels": self.taxonomy.levels,
            "text_fields": list(raw.text),
            "text_headers": {name: accepted_headers(raw, name) for name in raw.text},
            "number_headers": [accepted_headers(raw, name) for name in _NUMBERS],
            "context_fields": list(raw.context),
            "has_sets": bool(calibration and calibration.sets),
            "has_neighbours": self._neighbours is not None,
            "feedback": self.feedback is not None,
            "blocked": {
                "count": len(self.classifier.blocked),
                "places": [asdict(place) for place in self.classifier.blocked.places[:_MOST_BLOCKED]],
            },
            "limits": {"characters": self.settings.max_characters, "texts": self.settings.max_texts},
            "calibration_documents": calibration.documents if calibration else 0,
            "test_documents": calibration.measured.get("documents", 0) if calibration else 0,
            "targets": calibration.measured.get("targets", {}) if calibration else {},
        }

    def _problem(self, text: str) -> str | None:
        if len(text) > self.settings.max_characters:
            return f"has more than {self.settings.max_characters} characters"
        return text_problem(text)

    def _score(self, documents: Sequence[str]) -> TreeScores:
        self._batches.inc()
        return self.classifier.score_documents(documents)

    async def _predictions(self, texts: Sequence[str], context: Context, question: Options) -> _Answered:
        start = time.perf_counter()
        answering = partial(asyncio.get_running_loop().run_in_executor, self._answering)  # slow with many labels
        try:
            async with asyncio.timeout(self.settings.time_limit):
                asked = await answering(self.classifier.ask, question.question())
                documents = await answering(self.classifier.documents, texts, context)
                scores = await self._batcher.score(documents)
                predictions = await answering(self.classifier.answer, scores, asked, documents)
                if self._drift is not None:
                    await answering(self._drift.count, scores, documents, predictions)
        except TimeoutError as error:
            raise RefusedError(503, "too_slow", "the answer takes too long; try again in a moment") from error
        self._texts.inc(len(texts))
        self._seconds.observe(time.perf_counter() - start)
        return _Answered(documents, asked, scores, predictions)

    def _nearest(self, text: str, k: int) -> list[Neighbour]:
        assert self._neighbours is not None
        (found,) = self._neighbours.nearest([self.classifier.system.raw.read(text)], k)
        return found

    async def _aside(self, work: Any, *arguments: Any) -> Any:
        """Do work that is not batched, one task at a time, with few waiting."""
        if self._explaining >= _MOST_EXPLANATIONS:
            raise RefusedError(503, "busy", "too many explanations are waiting; try again in a moment")
        self._explaining += 1
        try:
            async with asyncio.timeout(self.settings.time_limit):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except TimeoutError as error:
            raise RefusedError(503, "too_slow", "the explanation takes too long; send a shorter text") from error
        finally:
            self._explaining -= 1
