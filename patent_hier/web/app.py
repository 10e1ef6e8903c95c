"""The service's routes. Every file that it gives out is one of its own, known by name when it starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from patent_hier import __version__
from patent_hier.errors import PatentHierError
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.web.counters import Counters
from patent_hier.web.guard import App, Guard, error_body
from patent_hier.web.messages import BatchAnswer, BatchQuestion, ErrorAnswer, PredictAnswer, PredictQuestion
from patent_hier.web.service import RefusedError, Service
from patent_hier.web.settings import ServiceSettings

if TYPE_CHECKING:
    from patent_hier.inference.neighbours import Neighbours

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FIELDS = {*PredictQuestion.model_fields, *BatchQuestion.model_fields}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorAnswer} for code in (400, 403, 408, 413, 422, 429, 503)
}


def create_app(
    classifier: HierarchicalClassifier,
    settings: ServiceSettings | None = None,
    neighbours: "Neighbours | None" = None,
) -> App:
    """The service as an ASGI application.

    Args:
        classifier: The system that answers.
        settings: Its bounds.
        neighbours: Known patents that are named beside an answer.
    """
    settings = settings or ServiceSettings()
    counters = Counters()
    service = Service(classifier, settings, neighbours, counters)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service:
            yield

    app = FastAPI(
        title="patent_hier", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, responses=_REFUSALS
    )
    _add_questions(app, service)
    _add_facts(app, service)
    _add_page(app)
    _add_errors(app)
    return Guard(app, settings, counters.count_status)


def _add_questions(app: FastAPI, service: Service) -> None:
    @app.post("/predict", response_model=PredictAnswer, response_model_exclude_unset=True)
    async def predict(question: PredictQuestion) -> Any:
        """Classify one text."""
        return await service.predict(question)

    @app.post("/batch", response_model=BatchAnswer, response_model_exclude_unset=True)
    async def batch(question: BatchQuestion) -> Any:
        """Classify several texts."""
        return {"results": await service.batch(question)}


def _add_facts(app: FastAPI, service: Service) -> None:
    @app.get("/taxonomy")
    async def taxonomy() -> dict[str, Any]:
        """Sections and classes that can be answered, with our short names of them."""
        return service.taxonomy()

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
        text = service.counters.render(service.batcher.waiting, service.batcher.batches)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    folder = resources.files("patent_hier.web") / "static"
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.name[file.name.rfind(".") :] in _TYPES}

    def give(name: str) -> Response:
        if name not in files:
            raise RefusedError(404, "not_found", "there is nothing here")
        return Response(files[name], media_type=_TYPES[name[name.rfind(".") :]])

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return give("index.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return give(name)


def _add_errors(app: FastAPI) -> None:
    def answer(status: int, code: str, message: str) -> Response:
        headers = {"retry-after": "1"} if status == 503 else {}
        return Response(error_body(code, message), status, headers, "application/json")

    @app.exception_handler(Exception)  # a mistake of ours; its traceback goes to the log
    async def failed(request: Request, error: Exception) -> Response:
        return answer(500, "failed", "the request could not be answered")

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return answer(error.status, error.code, error.message)

    @app.exception_handler(PatentHierError)
    async def unusable(request: Request, error: PatentHierError) -> Response:
        return answer(422, "bad_question", "top_k, target_accuracy or force is beyond what this model knows")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        places = {str(part) for one in error.errors() for part in one["loc"]} & _FIELDS
        where = f": look at {', '.join(sorted(places))}" if places else ""
        return answer(422, "bad_question", f"the request is not as /openapi.json describes it{where}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        known = {404: ("not_found", "there is nothing here"), 405: ("bad_method", "this address takes another method")}
        code, message = known.get(error.status_code, ("bad_request", "the request cannot be read"))
        return answer(error.status_code, code, message)
