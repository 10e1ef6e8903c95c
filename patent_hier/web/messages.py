"""Messages over HTTP: questions with their limits, answers and errors, which FastAPI describes in OpenAPI."""

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
    """Input from a client, restricted to known fields with strict types."""

    model_config = ConfigDict(extra="forbid", strict=True)  # true and "3" are not numbers, and 3.0 is not an integer

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, values: Any) -> Any:
        """Raise one error for many unknown fields; describing each of thousands would block the event loop."""
        if isinstance(values, dict) and len(values) > len(cls.model_fields):
            raise ValueError("too many fields")
        return values


class Options(_Bounded):
    """Options for the answer to each text, with the names of ``patent_hier.inference.answering.Question``."""

    top_k: Annotated[int, Field(ge=1, le=20, description="Number of paths per text, and of labels per level.")] = 3
    target_accuracy: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description="Answer only if, with 95 % confidence, answers are right at least this often; null: always.",
        ),
    ] = None
    depth: Annotated[
        str | None, Field(max_length=64, description="Deepest level of the answer; null: the model's deepest level.")
    ] = None
    force: Annotated[
        _Labels, Field(description="Labels of any level. The answer is one of them or lies below one. []: no limit.")
    ] = []
    exclude: Annotated[
        _Labels, Field(description="Labels of any level. The answer is none of them and lies below none of them.")
    ] = []

    all_symbols: Annotated[bool, Field(description="Also return all labels of the document at each level.")] = False

    def question(self) -> Question:
        """Return the options as a question for the classifier."""
        return Question(**self.model_dump(include=set(Options.model_fields)))


class PredictQuestion(Options):
    """One text to classify."""

    context: Annotated[
        dict[_Column, _Value],
        Field(max_length=8, description="Additional information, by column; only columns that the model reads."),
    ] = {}
    text: Annotated[str, Field(min_length=1, description="Abstract or title, as in the model's training data.")]
    explain: Annotated[bool, Field(description="Also return which parts of the text support the first label.")] = False
    neighbours: Annotated[int, Field(ge=0, le=20, description="Number of similar known patents to return.")] = 0
    names: Annotated[bool, Field(description="Also return the titles of all labels in the answer.")] = False


class BatchQuestion(Options):
    """Several texts to classify; each receives an answer or an error in its place."""

    texts: Annotated[list[str], Field(min_length=1, fail_fast=True)]
    context: Annotated[
        dict[_Column, Annotated[list[_Value], Field(fail_fast=True)]],
        Field(max_length=8, description="Additional information, by column, with one value per text."),
    ] = {}
    triage: Annotated[bool, Field(description="Also return how likely each answer is wrong, for review.")] = False


class JudgementQuestion(_Bounded):
    """A person's judgement of one answer: it is right, or another label is."""

    request_id: Annotated[
        str, Field(pattern=_UUID, description="UUID chosen by the client; a judgement that is sent again keeps it.")
    ]
    text: Annotated[str, Field(min_length=1, description="Classified text.")]
    context: Annotated[
        dict[_Column, _Value], Field(max_length=8, description="Additional information, as for /predict.")
    ] = {}
    verdict: Literal["right", "corrected"]
    label: Annotated[_Label, Field(description="True label: a label of the model, or any IPC symbol.")]
    level: Annotated[_Label, Field(description="Level of the true label.")]
    predicted: Annotated[_Label | None, Field(description="Label of the answer; null if undecided.")]
    probability: Annotated[float | None, Field(ge=0, le=1, description="Probability of the answer.")]
    model_version: Annotated[str, Field(min_length=1, max_length=64, description="Model version of the answer.")]
    document_id: Annotated[
        str | None, Field(max_length=64, pattern=r"\S", description="Application or publication number.")
    ] = None


@dataclass(frozen=True)
class JudgementAnswer:
    """A judgement that is stored on disk.

    Attributes:
        id: Number of the judgement in the file.
        time: Time at which it was stored.
    """

    id: int
    time: str


@dataclass(frozen=True)
class PredictAnswer(Prediction):
    """All results for one text.

    Attributes:
        neighbours: Known patents similar to the text, if requested.
        names: All labels of the answer with their titles, if requested.
    """

    neighbours: list[Neighbour] | None = None
    names: list[Label] | None = None


@dataclass(frozen=True)
class BatchItem:
    """Result for one of several texts: its prediction, or an error.

    Attributes:
        prediction: Prediction for the text.
        error: Reason why the text has no prediction.
        review: Probability that the first label of the deepest level is wrong, 0 to 1, if requested.
        why: Main reason to review the answer, one of :data:`patent_hier.inference.triage.REASONS`; absent if there is
            none.
    """

    prediction: Prediction | None = None
    error: str | None = None
    review: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class BatchAnswer:
    """Results for several texts, in their order.

    Attributes:
        results: One result per text.
        note: Reason why the results lack a requested ``review``.
    """

    results: list[BatchItem]
    note: str | None = None


@dataclass(frozen=True)
class Fault:
    """Reason why a request was rejected."""

    code: str
    message: str


@dataclass(frozen=True)
class ErrorAnswer:
    """Answer to a rejected request; it repeats nothing of the question."""

    error: Fault


class BrokenOffError(Exception):
    """An answer that was started but cannot be finished; the reason was printed for the administrator."""


class RefusedError(Exception):
    """A request that is rejected.

    Args:
        status: HTTP status.
        code: Error code for programs.
        message: Message for people; it repeats nothing of the question.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.answer = ErrorAnswer(Fault(code, message))

    def response(self) -> JSONResponse:
        """Return the response to send to the client."""
        headers = {}
        if self.status in (400, 408, 413):
            headers["connection"] = (
                "close"  # the rest of the request is not read, and must not be taken for a new request
            )
        if self.status in (429, 503):
            headers["retry-after"] = "1"
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(asdict(self.answer), self.status, headers)
