"""The service's routes. Every file that it gives out is one of its own, known by name when it starts."""

from importlib import resources
from pathlib import PurePath
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from patent_hier import __version__
from patent_hier.errors import PatentHierError, UnknownLabelError
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.neighbours import Neighbours
from patent_hier.web.guard import Guard, ServiceSettings
from patent_hier.web.messages import (
    BatchAnswer,
    BatchQuestion,
    ErrorAnswer,
    PredictAnswer,
    PredictQuestion,
    RefusedError,
)
from patent_hier.web.service import Service

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_KNOWN = {404: ("not_found", "there is nothing here"), 405: ("bad_method", "this address takes another method")}
_FIELDS = {*PredictQuestion.model_fields, *BatchQuestion.model_fields}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 403, 408, 413, 422, 429, 503)
}


def create_app(
    classifier: HierarchicalClassifier,
    settings: ServiceSettings | None = None,
    neighbours: Neighbours | None = None,
) -> ASGIApp:
    """The service as an ASGI application.

    Args:
        classifier: The system that answers.
        settings: Its bounds.
        neighbours: Known patents that are named beside an answer.
    """
    settings = settings or ServiceSettings()
    service = Service(classifier, settings, neighbours)

    kinds = (Exception, RefusedError, PatentHierError, RequestValidationError, HTTPException)
    app = FastAPI(
        title="patent_hier",
        version=__version__,
        lifespan=lambda app: service.running(),
        docs_url=None,
        redoc_url=None,
        responses=_REFUSALS,
        exception_handlers=dict.fromkeys(kinds, _told),
    )
    _add_routes(app, service)
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

    @app.get("/taxonomy")
    async def taxonomy() -> Response:
        """The tree of all labels that can be answered, level by level, with our short names of sections and classes."""
        return Response(service.taxonomy, media_type="application/json")

    @app.get("/about")
    async def about() -> dict[str, Any]:
        """The model, its data, and what each target accuracy came to on test documents."""
        return service.about()

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service is there."""
        return {"status": "ok", "model_version": service.classifier.version}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counts for Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)


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
    """Return the response to an error; for a fault of ours it says only that, and the log has the traceback."""
    match error:
        case RefusedError():
            return error.response()
        case UnknownLabelError():  # its message repeats what was asked
            message = f"force or exclude has a label that this model does not know; like it are {', '.join(error.near)}"
            return RefusedError(422, "unknown_label", message).response()
        case PatentHierError():
            message = "top_k, target_accuracy, depth, force or exclude is beyond what this model knows"
            return RefusedError(422, "bad_question", message).response()
        case RequestValidationError():
            places = {str(part) for one in error.errors() for part in one["loc"]} & _FIELDS
            where = f": look at {', '.join(sorted(places))}" if places else ""
            message = f"the request is not as /openapi.json describes it{where}"
            return RefusedError(422, "bad_question", message).response()
        case HTTPException():
            code, message = _KNOWN.get(error.status_code, ("bad_request", "the request cannot be read"))
            return RefusedError(error.status_code, code, message).response()
    return RefusedError(500, "failed", "the request could not be answered").response()
