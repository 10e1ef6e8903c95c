"""Open what a planned node learns from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import corpus_labels
from patent_hier.pipeline.inputs import Opened
from patent_hier.pipeline.plan import NodePlan
from patent_hier.pipeline.stages import load_label_texts, load_parts
from patent_hier.settings import Settings

if TYPE_CHECKING:
    from patent_hier.training.node_data import CorpusView


@dataclass(frozen=True)
class Ready:
    """A node's corpus, all in corpus order.

    Attributes:
        document_ids: Ids, ``(n,)``.
        parts: Part codes, ``(n,)``.
        opened: The corpus as the model reads it.
        view: What training reads: the corpus, and behind it the label texts, which nothing else ever sees.
    """

    document_ids: "pa.ChunkedArray[Any]"
    parts: NDArray[np.int8]
    opened: Opened
    view: "CorpusView[Any]"


def open_view(plan: NodePlan) -> Ready:
    """Open a planned node's inputs; what is not there is made.

    Raises:
        PatentHierError: If an input is unusable.
    """
    parts = load_parts(plan.corpus, plan.split)
    opened = plan.inputs.open(plan.corpus, plan.split, parts)
    return Ready(plan.corpus.document_ids, parts, opened, _view(opened, plan.corpus, parts, plan.settings))


def _view(opened: Opened, corpus: Corpus, parts: NDArray[np.int8], settings: Settings) -> "CorpusView[Any]":
    from patent_hier.training.node_data import CorpusView

    label_texts = load_label_texts(settings.data)
    return CorpusView(
        opened.store if label_texts is None else opened.join(list(label_texts.texts)),
        corpus_labels(corpus, settings.data.depth),
        parts,
        settings.data.labels == "all",
        label_texts,
        settings.data.label_weights(settings.model.inputs),
    )
