"""``HierarchicalClassifier``: a finished system that classifies new texts, with probabilities and back-off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from patent_hier.data.context import join_context, text_of
from patent_hier.data.titles import read_titles
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.evaluation.scaling import Scalings
from patent_hier.evaluation.scores import TreeScores, whole
from patent_hier.evaluation.selective import at_least
from patent_hier.evaluation.system import changes, scale
from patent_hier.inference.answering import Answering, Asked, Labels, Question
from patent_hier.inference.blocked import Blocked
from patent_hier.inference.calibration import Calibration
from patent_hier.inference.engines import TORCH, Engine
from patent_hier.inference.exporting import (
    Export,
    export_system,
    load_calibration,
    load_facts,
    located,
    system_version,
    upload,
)
from patent_hier.inference.moving import move, restored
from patent_hier.inference.precision import Agreement, compare
from patent_hier.inference.predictor import System, load_system
from patent_hier.inference.results import Explanation, Prediction
from patent_hier.inference.texts import Context, Texts, checked_context, readable, require_text
from patent_hier.taxonomy.lookup import LabelLookup

Progress = Callable[[int], None]


class HierarchicalClassifier:
    """A finished system that classifies new texts.

    Attributes:
        system: The classifiers.
        calibration: Scalings of the probabilities, and thresholds; None if the split left no calibration documents.
        facts: Data, split and scores of the system, as JSON-able values.
        version: Fingerprint of the weights and of everything that turns texts into numbers, followed by the engine if
            it is not PyTorch in fp32.
        agreement: Comparison of the engine with PyTorch in fp32; None if PyTorch in fp32 is the engine.
    """

    def __init__(
        self,
        system: System,
        calibration: Calibration | None,
        facts: Mapping[str, Any],
        blocked: Blocked | None = None,
    ) -> None:
        self.system = system
        self.calibration = calibration
        self.facts = dict(facts)
        self._given_blocked = blocked
        self.version = system_version(system)
        self.agreement: Agreement | None = None

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        titles: str | Path | None = None,
        convert: str | None = None,
        blocked: str | Path | None = None,
    ) -> Self:
        """Load a system with all its classifiers into memory, on the GPU if there is one.

        Args:
            source: A folder written by :meth:`save_pretrained`; a result with its node folders next to it
                (``runs/<model>/result-hier-...``, ``result-flat-...`` or ``result-shared-...``); or a repository on the
                Hugging Face hub (``owner/name``) that holds such a folder.
            revision: Branch, tag or commit of the repository.
            titles: Table of the scheme's titles (``code``, ``level`` or ``parent``, ``title``) that replaces the
                system's own titles. It is exported with the system.
            convert: Character conversion applied to texts before they are read, instead of the one used in training:
                ``t2s``, ``tw2sp`` or ``hk2s``.
            blocked: Table of labels that are never given as an answer (``code``, ``reason``, optionally ``level``). It
                replaces ``blocked.csv`` in the system's folder and is exported with the system.

        Raises:
            ConfigError: If the source is none of these.
            IncompleteError: If nodes are missing.
            ArtifactError: If a file is missing or differs from its manifest.
            DataError: If the table of titles or the list of blocked places is invalid.
        """
        folder = located(source, revision)
        system = load_system(folder)
        tree = system.tree  # fails for a single node, which has no complete paths
        if titles is not None:
            system = system.with_titles(read_titles(Path(titles), tree))
        if convert is not None:
            system = system.converting(convert)
        places = Blocked.load(folder, tree) if blocked is None else Blocked.read(Path(blocked), tree)
        return cls(system, load_calibration(folder, system), load_facts(folder), places)

    def with_engine(
        self,
        engine: str = TORCH,
        precision: str = "fp32",
        *,
        texts: Texts,
        cache_dir: str | Path | None = None,
    ) -> Self:
        """Return the same classifier with its networks computed on the CPU by another runtime or in another precision.

        Explanations always come from PyTorch.

        Args:
            engine: ``torch``, ``onnx`` (ONNX Runtime) or ``openvino``; ``onnx`` and ``openvino`` need the extra of the
                same name.
            precision: ``fp32``, ``bf16`` (not with onnx) or ``int8`` (not with torch).
            texts: Sample of the texts to classify. Up to 512 of them are also scored by PyTorch in fp32; the new
                classifier's ``agreement`` holds the comparison.
            cache_dir: Folder that stores converted networks for later use; None: they are converted every time.

        Raises:
            ConfigError: If the engine or precision is unknown, its package is missing, no network exists or can be
                converted, or too many labels change: any first label in fp32, more than 1 in 100 otherwise.
            DataError: As in :meth:`predict`, or if there are no texts.
        """
        documents = self.documents(texts)
        return self.moved(Engine(engine, precision), documents, None if cache_dir is None else Path(cache_dir))

    def moved(self, engine: Engine, documents: Sequence[str], cache: Path | None, batch_size: int = 64) -> Self:
        """Do the work of :meth:`with_engine` for one or more documents from :meth:`documents`."""
        plain = restored(self.system)
        if engine.is_plain:
            return type(self)(plain, self.calibration, self.facts, self.blocked)
        if not documents:
            raise DataError(f"{engine.options}: there are no texts for the comparison with fp32; provide at least one")
        system = move(plain, engine, cache)
        agreement = compare(plain, system, engine, documents, batch_size)
        agreement.require()
        classifier = type(self)(system, self.calibration, self.facts, self.blocked)
        classifier.agreement = agreement
        classifier.version += f"+{engine}".replace(", ", ".")
        return classifier

    def save_pretrained(self, folder: str | Path, *, license: str | None = None) -> None:  # noqa: A002 - the hub's term
        """Write a self-contained folder without executable code: safetensors, JSON, text files and a model card.

        Args:
            folder: A new or empty folder, or an earlier export, which is replaced.
            license: The hub's identifier of the weights' licence, such as ``mit``; None: unspecified.

        Raises:
            ConfigError: If the folder holds anything else, or a different list of blocked places.
        """
        export_system(self._export(license), Path(folder))

    def push_to_hub(self, repo_id: str, *, license: str | None = None, private: bool = True) -> str:  # noqa: A002
        """Upload the system to a repository on the Hugging Face hub; needs network access and a token.

        Returns:
            The URL of the commit.
        """
        return upload(self._export(license), repo_id, private)

    def _export(self, license_name: str | None) -> Export:
        return Export(self.system, self.calibration, self.facts, license_name, self.blocked)

    def predict(
        self,
        texts: Texts,
        top_k: int = 3,
        *,
        context: Context | None = None,
        target_accuracy: float | None = None,
        depth: str | None = None,
        force: Labels = (),
        exclude: Labels = (),
        beam: int | None = None,
        all_symbols: bool = False,
        explain: bool = False,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> list[Prediction]:
        """Classify texts; :class:`patent_hier.inference.answering.Question` describes the options.

        Args:
            texts: One text, or ``n`` texts in any iterable: a list, a generator, a pandas Series, a NumPy array. They
                are composed as in training (``system.raw.text`` names their fields).
            top_k: Number of paths per text, and of labels per level.
            context: Additional information about the texts, by column (``system.raw.context`` names the columns that
                the model reads): one value per text, such as ``{"applicant": ["华为技术有限公司", None]}``; None if a
                value is unknown.
            target_accuracy: Answer at the deepest level at which answers are right at least this often with 95 %
                confidence (see :mod:`patent_hier.evaluation.guarantee`), or not at all; :meth:`shortfall` returns the
                reason if nothing can be answered.
            depth: Deepest level of the answers.
            force: Labels that the answer must be or lie below.
            exclude: Labels that the answer must neither be nor lie below.
            beam: Number of labels followed at each level.
            all_symbols: Also return all labels of each document.
            explain: Also return which parts of each text support its first label; takes many passes per text.
            batch_size: Documents per batch of a network; affects the results only by rounding.
            progress: Called after each batch of each classifier with its number of documents.

        Returns:
            ``n`` predictions in the order of the texts; one prediction for one text.

        Raises:
            ConfigError: If an argument is out of range, the system has no calibration for a target accuracy, or the
                model does not read a column of the context.
            DataError: If an item is not a string, contains no words or is not valid Unicode (the message gives its
                position, from 0), or if the context does not have one value per text.
        """
        asked = self.ask(Question(top_k, target_accuracy, depth, force, exclude, beam, all_symbols))
        found = self.documents(texts, context)
        predictions: list[Prediction] = []
        for part in self.system.portions(found):
            scores = self.score_documents(part, batch_size, progress)
            predictions += self.answer(scores, asked, part)
        if not explain:
            return predictions
        return [
            replace(one, explanation=self.explain_document(document, one.paths[0].label, one.paths[0].level))
            for document, one in zip(found, predictions, strict=True)
        ]

    def documents(self, texts: Texts, context: Context | None = None) -> list[str]:
        """Return the texts as the classifiers read them, each with its context (:mod:`patent_hier.data.context`).

        Raises:
            ConfigError: As in :meth:`predict`.
            DataError: As in :meth:`predict`.
        """
        given = [self.system.raw.read(text) for text in readable(texts)]
        fields = checked_context(context or {}, self.system.raw.context, len(given))
        return [join_context(text, {name: own[row] for name, own in fields.items()}) for row, text in enumerate(given)]

    def explain(self, text: str, label: str, level: str | None = None) -> Explanation:
        """Return which parts of a text support a label, and which contradict it.

        The scores explain the classifiers as trained, without recalibration.
        :func:`patent_hier.inference.faithfulness.faithfulness` measures how faithful an explanation is.

        Args:
            text: As in :meth:`predict`; the spans refer to ``Explanation.text``.
            label: Label of any level, such as ``A`` or ``A01B1/02``.
            level: Level of the label; needed only if a main group's code also denotes its documents without a subgroup.

        Raises:
            ConfigError: If the label is unknown or blocked, or captum is missing for a network.
            DataError: If the text is not a string, contains no words or is not valid Unicode.
        """
        require_text(text)
        return self.explain_document(self.system.raw.read(text), label, level)

    def explain_document(self, document: str, label: str, level: str | None = None) -> Explanation:
        """Explain one of the :meth:`documents`; spans refer to its text, and its context counts towards the base."""
        from patent_hier.inference.explain import explain

        self.blocked.refuse_label(label, level)
        return explain(self.system, document, label, level)

    def score(
        self,
        texts: Texts,
        *,
        context: Context | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> TreeScores:
        """Return the classifiers' recalibrated scores, the slow part of :meth:`predict`; the arguments are the same.

        Memory grows with the number of texts times the number of labels; :meth:`predict` scores the texts in portions.

        Raises:
            ArtifactError: If the weights produce NaN.
            DataError: As in :meth:`predict`.
        """
        return self.score_documents(self.documents(texts, context), batch_size, progress)

    def score_documents(
        self, documents: Sequence[str], batch_size: int = 64, progress: Progress | None = None
    ) -> TreeScores:
        """Return the :meth:`score` of texts that :meth:`documents` has prepared."""
        return self._whole(self.system.log_prob(list(documents), progress, batch_size))

    def score_with_members(
        self, documents: Sequence[str], batch_size: int = 64, progress: Progress | None = None
    ) -> tuple[TreeScores, list[TreeScores]]:
        """Return :meth:`score_documents` and the scores of each ensemble member, without recalibration.

        The list of members is empty for a system that is not an ensemble throughout.
        """
        scores, members = self.system.log_prob_with_members(list(documents), progress, batch_size)
        return self._whole(scores), [whole(own) for own in members]

    def _whole(self, scores: Mapping[str, TreeScores]) -> TreeScores:
        """Recalibrate the nodes' scores and combine them over the whole tree."""
        if broken := [node for node, own in scores.items() if np.isnan(own.log_prob).any()]:
            raise ArtifactError(
                f"the scores of node {broken[0]} are not numbers (NaN); its weights are unusable, so train it again"
            )
        scalings = self.calibration.scalings if self.calibration else {}
        return self.system.whole({node: _scaled(own, scalings.get(node, {})) for node, own in scores.items()})

    def ask(self, question: Question) -> Asked:
        """Check a question before any text is scored.

        Raises:
            ConfigError: If the question cannot be answered; see :meth:`predict`.
        """
        target = question.target_accuracy
        if target is not None and self.calibration is None:
            raise ConfigError(
                f"target accuracy {target:g}: {self.system.name} has no calibration, because its split left no "
                "calibration documents or its predictions are missing; train with split.calibration above 0"
            )
        sets = self.calibration.sets if self.calibration else None
        if question.all_symbols and sets is None:
            raise ConfigError(
                f"all symbols: {self.system.name} has no thresholds for sets of labels, because no document of its "
                "calibration part has several symbols; omit this option, or train on documents with several symbols"
            )
        known = self.calibration.thresholds if self.calibration else []
        thresholds = None if target is None else at_least(known, target)
        return self._answering.ask(question, thresholds, sets if question.all_symbols else None)

    def answer(self, scores: TreeScores, asked: Asked, documents: Sequence[str]) -> list[Prediction]:
        """Return the predictions for scored :meth:`documents` and a question that :meth:`ask` has checked."""
        predictions, known = list(asked.answers(scores, self.version)), self.system.characters
        if known is None:
            return predictions
        strange = [known.judge(text_of(document)) for document in documents]
        return [
            one if why is None else replace(one, strange=why) for one, why in zip(predictions, strange, strict=True)
        ]

    @cached_property
    def blocked(self) -> Blocked:
        """Labels of the scheme that are never given as an answer."""
        return self._given_blocked or Blocked(self.system.tree, {})

    @cached_property
    def lookup(self) -> LabelLookup:
        """Lookup that finds labels in any usual spelling."""
        return LabelLookup(self.system.tree)

    @cached_property
    def _answering(self) -> Answering:
        return Answering(self.system.tree, lambda: self.lookup, self.blocked)

    def shortfall(self, target_accuracy: float | None) -> str | None:
        """Return a one-line reason why nothing is answered at a target accuracy; None if something is answered."""
        thresholds = self.ask(Question(1, target_accuracy)).thresholds
        return None if thresholds is None or self.calibration is None else self.calibration.shortfall(thresholds)


def _scaled(own: TreeScores, scalings: Scalings) -> TreeScores:
    """Return the scores of new texts, recalibrated in the same way as the network's stored predictions."""
    if not changes(scalings, own.tree):
        return own
    parts = [scale(own.tree, piece.log_prob, scalings, own.flat) for piece in own.pieces()]
    return replace(own, log_prob=np.concatenate(parts) if parts else own.log_prob)
