"""What goes over the wire: questions with their bounds, and answers. FastAPI makes the OpenAPI description of it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

TopK = Annotated[int, Field(ge=1, le=20, description="Classes and sections for each text.")]
Target = Annotated[
    float | None, Field(gt=0, le=1, description="Answer only where answers are right this often; null: always.")
]
Section = Annotated[str | None, Field(pattern="^[A-H]$", description="A section that is taken for granted.")]


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    top_k: TopK = 3
    target_accuracy: Target = None
    force: Section = None


class PredictQuestion(_Question):
    """One text."""

    text: Annotated[str, Field(min_length=1, description="An abstract or a title, as the model was trained on.")]
    explain: Annotated[bool, Field(description="Say which parts of the text speak for the first class.")] = False
    neighbours: Annotated[int, Field(ge=0, le=20, description="How many similar known patents to name.")] = 0


class BatchQuestion(_Question):
    """Several texts; each is answered, or has its error in its place."""

    texts: Annotated[list[str], Field(min_length=1)]


class Path(BaseModel):
    """A class with its section."""

    section: str
    ipc_class: str
    probability: float
    section_probability: float
    class_given_section: float


class SectionScore(BaseModel):
    """A section with its probability."""

    section: str
    probability: float


class Decision(BaseModel):
    """What is answered: ``class``, ``section`` or ``undecided``."""

    level: str
    label: str | None
    confidence: float
    target_accuracy: float | None
    reason: str


class Span(BaseModel):
    """Characters ``start`` to ``end`` of the read text, and what they add to the label's log-probability."""

    start: int
    end: int
    score: float


class Explanation(BaseModel):
    """Which parts of the text speak for a label, and its log-probability with a neutral text and with this one."""

    text: str
    node: str
    label: str
    method: str
    spans: list[Span]
    base: float
    value: float


class Neighbour(BaseModel):
    """A known patent that is like the text."""

    document_id: str
    title: str
    ipc_class: str
    similarity: float


class PredictAnswer(BaseModel):
    """All that is said of one text."""

    decision: Decision
    paths: list[Path]
    sections: list[SectionScore]
    model_version: str
    explanation: Explanation | None = None
    neighbours: list[Neighbour] | None = None


class BatchItem(BaseModel):
    """One of several texts: its prediction, or why it has none."""

    prediction: PredictAnswer | None = None
    error: str | None = None


class BatchAnswer(BaseModel):
    """The texts in their order."""

    results: list[BatchItem]


class Fault(BaseModel):
    """Why a request was refused."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """The answer to a request that was refused; it repeats nothing of the question."""

    error: Fault
