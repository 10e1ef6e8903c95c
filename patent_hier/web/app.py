"""Routes of the service. All static files are read at startup and served by name only."""

from importlib import resources
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BeforeValidator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from patent_hier import __version__
from patent_hier.errors import BlockedLabelError, PatentHierError, UnknownLabelError
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.neighbours import Neighbours
from patent_hier.inference.triage import Triage
from patent_hier.web.feedback import Feedback, FeedbackSettings
from patent_hier.web.guard import Guard, ServiceSettings
from patent_hier.web.messages import (
    BatchAnswer,
    BatchQuestion,
    ErrorAnswer,
    JudgementAnswer,
    JudgementQuestion,
    PredictAnswer,
    PredictQuestion,
    RefusedError,
)
from patent_hier.web.service import Service
from patent_hier.web.taxonomy import MOST_CHILDREN, Family

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_KNOWN = {404: ("not_found", "this address does not exist"), 405: ("bad_method", "this address uses another method")}
_QUESTIONS = (PredictQuestion, BatchQuestion, JudgementQuestion)
_FIELDS = {*(name for one in _QUESTIONS for name in one.model_fields), "parent", "level", "offset", "limit"}
_MOST_DIGITS = 10


def _count(value: object) -> object:
    """Reject a query number that is not made of decimal digits, even if Python or Pydantic would accept it."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS):
        raise ValueError("not a whole number")
    return value  # some versions of FastAPI also validate the default


_Count = Annotated[int, BeforeValidator(_count)]
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 403, 408, 413, 422, 429, 503)
}


def create_app(
    classifier: HierarchicalClassifier,
    settings: ServiceSettings | None = None,
    neighbours: Neighbours | None = None,
    feedback: FeedbackSettings | None = None,
    triage: Triage | None = None,
) -> ASGIApp:
    """Return the service as an ASGI application.

    Args:
        classifier: System that answers.
        settings: Limits of the service.
        neighbours: Index of known patents, named with an answer.
        feedback: Where judgements of answers are stored; None: judgements are not accepted.
        triage: Triage that decides which answers of a batch to review first; None: plain confidence.
    """
    settings = settings or ServiceSettings()
    service = Service(classifier, settings, neighbours, feedback, triage)

    kinds = (Exception, RefusedError, PatentHierError, RequestValidationError, HTTPException)
    app = FastAPI(
        title="patent_hier",
        version=__version__,
        lifespan=lambda app: service.running(),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the question
        responses=_REFUSALS,
        exception_handlers=dict.fromkeys(kinds, _told),
    )
    _add_routes(app, service)
    if service.feedback is not None:
        _add_feedback(app, service.feedback)
    _add_page(app)
    return Guard(app, settings, lambda status: service.responses.labels(status).inc())


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/predict", response_model_exclude_defaults=True)
    async def predict(question: PredictQuestion) -> PredictAnswer:
        """Classify one text."""
        return await service.predict(question)

    @app.post("/batch", response_model_exclude_defaults=True)
    async def batch(question: BatchQuestion) -> BatchAnswer:
        """Classify several texts."""
        return await service.batch(question)

    @app.get("/taxonomy", response_model=Family, response_model_exclude_defaults=True)
    async def taxonomy(
        response: Response,
        parent: Annotated[
            str | None, Query(max_length=64, description="Parent label; omit it for the whole scheme.")
        ] = None,
        level: Annotated[
            str | None, Query(max_length=64, description="Level of the label, if two levels share its code.")
        ] = None,
        offset: Annotated[_Count, Query(ge=0, le=10**9, description="Number of children to skip.")] = 0,
        limit: Annotated[_Count, Query(ge=1, le=MOST_CHILDREN, description="Maximum number of children.")] = 200,
        if_none_match: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Family | Response:
        """Return a label with all its ancestors, and the labels directly below it, with their titles."""
        cached = {
            "etag": service.taxonomy.etag,
            "cache-control": "private, no-cache",
        }  # browsers may cache it, but must revalidate it
        if if_none_match == service.taxonomy.etag:
            return Response(status_code=304, headers=cached)
        response.headers.update(cached)
        return service.taxonomy.family(parent, level, offset, limit)

    @app.get("/about")
    async def about() -> dict[str, Any]:
        """Return the model, its data, and the result of each target accuracy on the test documents."""
        return service.about()

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Return the status of the service and the version of the model."""
        return {"status": "ok", "model_version": service.classifier.version}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Return the metrics for Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)


def _add_feedback(app: FastAPI, feedback: Feedback) -> None:
    @app.post("/feedback", status_code=201, responses={409: {"model": ErrorAnswer}})
    async def judge(question: JudgementQuestion) -> JudgementAnswer:
        """Store a judgement of one answer; the response is sent once the judgement is on disk."""
        return await feedback.take(question)

    @app.get("/feedback.csv", response_class=Response, responses={401: {"model": ErrorAnswer}})
    async def judgements(authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> Response:
        """Return the newest judgement of each document or text, as a table that ``patent-hier prepare`` reads.

        The request must carry the token as a bearer token.
        """
        feedback.require_token(authorization)
        return StreamingResponse(await feedback.csv(), media_type="text/csv; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    folder = resources.files("patent_hier.web") / "static"
    files = {file.name: file.read_bytes() for file in folder.iterdir() if PurePath(file.name).suffix in _TYPES}

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=_TYPES[PurePath(name).suffix])

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return await static("index.html")


async def _told(request: Request, error: Exception) -> Response:
    """Return the response to an error; an internal error is only named, and its traceback is logged."""
    match error:
        case RefusedError():
            return error.response()
        case UnknownLabelError():  # its own message would repeat the question
            message = f"one of the labels is unknown to this model; similar labels are {', '.join(error.near)}"
            return RefusedError(422, "unknown_label", message).response()
        case BlockedLabelError():  # the reason was written by the office
            return RefusedError(422, "blocked_label", f"one of the labels is blocked: {error.reason}").response()
        case PatentHierError():
            fields = "top_k, target_accuracy, depth, level, force, exclude, all_symbols or context"
            message = f"{fields} has a value that this model does not support"
            return RefusedError(422, "bad_question", message).response()
        case RequestValidationError():
            places = {str(part) for one in error.errors() for part in one["loc"]} & _FIELDS
            where = f"; check {', '.join(sorted(places))}" if places else ""
            message = f"the request does not match /openapi.json{where}"
            return RefusedError(422, "bad_question", message).response()
        case HTTPException():
            code, message = _KNOWN.get(error.status_code, ("bad_request", "the request cannot be read"))
            return RefusedError(error.status_code, code, message).response()
    return RefusedError(500, "failed", "the request failed because of an internal error").response()
