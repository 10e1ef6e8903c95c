"""Messages over HTTP: questions with their bounds, answers and refusals. FastAPI describes them as OpenAPI."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from patent_hier.inference.answering import Question
from patent_hier.inference.neighbours import Neighbour
from patent_hier.inference.results import Prediction
from patent_hier.web.taxonomy import Label

_Label = Annotated[str, Field(min_length=1, max_length=64)]
_Labels = _Label | Annotated[list[_Label], Field(max_length=64, fail_fast=True)]

_Column = Annotated[str, Field(max_length=64)]
_Value = Annotated[str, Field(max_length=1000)] | None
_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class _Bounded(BaseModel):
    """What comes from a client: known fields of strict types only."""

    model_config = ConfigDict(extra="forbid", strict=True)  # true and "3" are no numbers, 3.0 is no count

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, values: Any) -> Any:
        """One error for thousands of unknown fields: to describe each of them takes the event loop's time."""
        if isinstance(values, dict) and len(values) > len(cls.model_fields):
            raise ValueError("more fields than there are")
        return values


class Options(_Bounded):
    """Options for the answer to each text, named as in ``patent_hier.inference.answering.Question``."""

    top_k: Annotated[int, Field(ge=1, le=20, description="Paths, and labels of each level, for each text.")] = 3
    target_accuracy: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description="Answer only where, with 95 % confidence, answers are right at least this often; null: always.",
        ),
    ] = None
    depth: Annotated[
        str | None, Field(max_length=64, description="The deepest level of the answer; null: that of the model.")
    ] = None
    force: Annotated[
        _Labels, Field(description="Labels of any level; the answer is one of them, or below one. [] for no bound.")
    ] = []
    exclude: Annotated[
        _Labels, Field(description="Labels of any level; the answer is none of them, nor below one.")
    ] = []

    all_symbols: Annotated[bool, Field(description="Also name all labels of each level that the document has.")] = False

    def question(self) -> Question:
        """The same as the classifier takes it."""
        return Question(**self.model_dump(include=set(Options.model_fields)))


class PredictQuestion(Options):
    """One text."""

    context: Annotated[
        dict[_Column, _Value],
        Field(max_length=8, description="What is known beside the text, by the columns that the model reads."),
    ] = {}
    text: Annotated[str, Field(min_length=1, description="An abstract or a title, as the model was trained on.")]
    explain: Annotated[bool, Field(description="Say which parts of the text speak for the first label.")] = False
    neighbours: Annotated[int, Field(ge=0, le=20, description="How many similar known patents to name.")] = 0
    names: Annotated[bool, Field(description="Give the titles of all labels of the answer.")] = False


class BatchQuestion(Options):
    """Several texts; each is answered, or has its error in its place."""

    texts: Annotated[list[str], Field(min_length=1, fail_fast=True)]
    context: Annotated[
        dict[_Column, Annotated[list[_Value], Field(fail_fast=True)]],
        Field(max_length=8, description="Likewise for each text, by column."),
    ] = {}
    triage: Annotated[bool, Field(description="Say how likely each answer is wrong, so that it is reviewed.")] = False


class JudgementQuestion(_Bounded):
    """What a person says of one answer: it is right, or another label is."""

    request_id: Annotated[
        str, Field(pattern=_UUID, description="A UUID of the client's; a judgement that is sent again has the same.")
    ]
    text: Annotated[str, Field(min_length=1, description="The text that was classified.")]
    context: Annotated[
        dict[_Column, _Value], Field(max_length=8, description="What was known beside it, as for /predict.")
    ] = {}
    verdict: Literal["right", "corrected"]
    label: Annotated[_Label, Field(description="The true label: of the model, or any symbol of the IPC.")]
    level: Annotated[_Label, Field(description="Its level.")]
    predicted: Annotated[_Label | None, Field(description="The label that was answered; null if undecided.")]
    probability: Annotated[float | None, Field(ge=0, le=1, description="Its probability.")]
    model_version: Annotated[str, Field(min_length=1, max_length=64, description="Of the answer.")]
    document_id: Annotated[
        str | None, Field(max_length=64, pattern=r"\S", description="Application or publication number.")
    ] = None


@dataclass(frozen=True)
class JudgementAnswer:
    """A judgement that is on the disk.

    Attributes:
        id: Its number in the file.
        time: When it was stored.
    """

    id: int
    time: str


@dataclass(frozen=True)
class PredictAnswer(Prediction):
    """All that is said of one text.

    Attributes:
        neighbours: Known patents that are like the text, if they were asked for.
        names: All labels of the answer with their titles, if they were asked for.
    """

    neighbours: list[Neighbour] | None = None
    names: list[Label] | None = None


@dataclass(frozen=True)
class BatchItem:
    """One of several texts: its prediction, or why it has none.

    Attributes:
        prediction: Its prediction.
        error: Why it has none.
        review: Probability that the first label of the deepest level is wrong, 0 to 1, if that was asked for.
        why: The main reason to look at it, one of :data:`patent_hier.inference.triage.REASONS`, if there is one.
    """

    prediction: Prediction | None = None
    error: str | None = None
    review: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class BatchAnswer:
    """The texts in their order.

    Attributes:
        results: One for each.
        note: Why they have no ``review``, where one was asked for and could not be made.
    """

    results: list[BatchItem]
    note: str | None = None


@dataclass(frozen=True)
class Fault:
    """Why a request was refused."""

    code: str
    message: str


@dataclass(frozen=True)
class ErrorAnswer:
    """The answer to a request that was refused; it repeats nothing of the question."""

    error: Fault


class BrokenOffError(Exception):
    """An answer that has begun and cannot be finished; why has been told to who runs the service."""


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: Of HTTP.
        code: For programs.
        message: For people; it repeats nothing of the question.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.answer = ErrorAnswer(Fault(code, message))

    def response(self) -> JSONResponse:
        """Return the response to send to the client."""
        headers = {}
        if self.status in (400, 408, 413):
            headers["connection"] = "close"  # what the client still sends is not read, nor taken for a request
        if self.status in (429, 503):
            headers["retry-after"] = "1"
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(asdict(self.answer), self.status, headers)
