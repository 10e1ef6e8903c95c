"""``HierarchicalClassifier``: a finished system for new texts, with probabilities and back-off."""

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
    """A finished system for new texts.

    Attributes:
        system: Its classifiers.
        calibration: Scalings of the probabilities, and thresholds; None if the split left no documents for them.
        facts: Data, split and scores of the system, as JSON-able values.
        version: Fingerprint of the weights and of all that turns texts into numbers; behind it the engine, if it is not
            PyTorch in fp32.
        agreement: How its engine compares with PyTorch in fp32; None where that is what computes.
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
        """Load a system: all its classifiers are in memory then, on the GPU if there is one.

        Args:
            source: A folder that :meth:`save_pretrained` wrote; a result with its nodes beside it
                (``runs/<model>/result-hier-...``, ``result-flat-...`` or ``result-shared-...``); or the name of a
                repository on the Hugging Face hub (``owner/name``), which must hold such a folder.
            revision: Branch, tag or commit of the repository.
            titles: Table of the scheme's titles (``code``, ``level`` or ``parent``, ``title``), in place of those that
                the system has; they are exported with it.
            convert: Conversion of characters before texts are read, in place of the training's: ``t2s``, ``tw2sp`` or
                ``hk2s``.
            blocked: List of the places that no answer may name (``code``, ``reason``, perhaps ``level``), in place of
                ``blocked.csv`` in the system's folder; it is exported with it.

        Raises:
            ConfigError: If it is none of these.
            IncompleteError: If nodes are missing.
            ArtifactError: If a file is missing or differs from its manifest.
            DataError: If the table of titles or the list of blocked places cannot be used.
        """
        folder = located(source, revision)
        system = load_system(folder)
        tree = system.tree  # one node alone makes no paths
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
        """The same classifier with its networks computed by another runtime, or in other numbers, on the CPU.

        Explanations are PyTorch's, whatever computes the predictions.

        Args:
            engine: ``torch``, ``onnx`` (ONNX Runtime) or ``openvino``; the last two need the extra of that name.
            precision: ``fp32``, ``bf16`` (not with onnx) or ``int8`` (not with torch).
            texts: Some such as will be classified. They are scored by PyTorch in fp32 too, up to 512 of them, and
                ``agreement`` of the new classifier says what was measured.
            cache_dir: Folder that keeps converted networks for the next time; None: they are converted each time.

        Raises:
            ConfigError: If there is no such engine or precision, its package is missing, there is no network or none
                that can be converted, or too much changes: in fp32 any first label, else more than one in a hundred.
            DataError: As :meth:`predict`, or if there is no text.
        """
        documents = self.documents(texts)
        return self.moved(Engine(engine, precision), documents, None if cache_dir is None else Path(cache_dir))

    def moved(self, engine: Engine, documents: Sequence[str], cache: Path | None, batch_size: int = 64) -> Self:
        """:meth:`with_engine` for what :meth:`documents` gives, one or more."""
        plain = restored(self.system)
        if engine.is_plain:
            return type(self)(plain, self.calibration, self.facts, self.blocked)
        if not documents:
            raise DataError(f"{engine.options}: there are no texts to compare it with fp32 on; give some")
        system = move(plain, engine, cache)
        agreement = compare(plain, system, engine, documents, batch_size)
        agreement.require()
        classifier = type(self)(system, self.calibration, self.facts, self.blocked)
        classifier.agreement = agreement
        classifier.version += f"+{engine}".replace(", ", ".")
        return classifier

    def save_pretrained(self, folder: str | Path, *, license: str | None = None) -> None:  # noqa: A002 - the hub's word
        """Write one folder with all that is needed, and nothing that runs: safetensors, JSON, text and a model card.

        Args:
            folder: New, empty, or an earlier export, which is replaced.
            license: The hub's identifier of the licence of the weights, such as ``mit``; None: not said.

        Raises:
            ConfigError: If the folder holds something else, or another list of blocked places.
        """
        export_system(self._export(license), Path(folder))

    def push_to_hub(self, repo_id: str, *, license: str | None = None, private: bool = True) -> str:  # noqa: A002
        """Save into a repository of the Hugging Face hub; needs a network and a token.

        Returns:
            The address of the commit.
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
        """Classify texts; what may be asked is described in :class:`patent_hier.inference.answering.Question`.

        Args:
            texts: One text, or ``n`` in any iterable: a list, a generator, a pandas Series, a NumPy array. They are
                built as in training (``system.raw.text`` names their fields).
            top_k: Paths for each text, and labels of each level.
            context: What is known beside the texts, by column (``system.raw.context`` names those that are read): a
                value for each text, such as ``{"applicant": ["华为技术有限公司", None]}``; None where there is none.
            target_accuracy: Answer with the deepest level at which answers are right at least this often, with 95 %
                confidence (see :mod:`patent_hier.evaluation.guarantee`), or not at all; :meth:`shortfall` says when
                nothing can be answered.
            depth: The deepest level of answers.
            force: Labels that the answer must be, or be below.
            exclude: Labels that it must not be, nor be below.
            beam: Labels that are followed at each level.
            all_symbols: Also name all labels that each document has.
            explain: Also say which parts of each text speak for its first label; takes many passes for each text.
            batch_size: Documents per batch of a network; without influence on the results beyond rounding.
            progress: Called after each batch of each classifier with its number of documents.

        Returns:
            ``n`` predictions, in the order of the texts; one for one text.

        Raises:
            ConfigError: If an argument is out of range, the system has no calibration for a target accuracy, or it does
                not read a column of the context.
            DataError: Naming the position, from 0, of the first item that is no text, has no words or is no Unicode; or
                if the context has not a value for each text.
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
        """Texts as the classifiers read them, each with its context (:mod:`patent_hier.data.context`).

        Raises:
            ConfigError: As :meth:`predict`, and so is DataError.
        """
        given = [self.system.raw.read(text) for text in readable(texts)]
        fields = checked_context(context or {}, self.system.raw.context, len(given))
        return [join_context(text, {name: own[row] for name, own in fields.items()}) for row, text in enumerate(given)]

    def explain(self, text: str, label: str, level: str | None = None) -> Explanation:
        """Which parts of a text speak for a label, and which against it.

        Scores are of the classifiers as they were trained, not recalibrated. How faithful they are can be measured:
        :func:`patent_hier.inference.faithfulness.faithfulness`.

        Args:
            text: As in :meth:`predict`; ``Explanation.text`` is what its places are counted in.
            label: Of any level, such as ``A`` or ``A01B1/02``.
            level: Its level; needed only where a main group is also the name of what has no subgroup in it.

        Raises:
            ConfigError: If the label is unknown or blocked, or captum is missing for a network.
            DataError: If the text is no text, has no words or is no Unicode.
        """
        require_text(text)
        return self.explain_document(self.system.raw.read(text), label, level)

    def explain_document(self, document: str, label: str, level: str | None = None) -> Explanation:
        """:meth:`explain` for one of :meth:`documents`: spans are of its text, its context belongs to the base."""
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
        """Return the classifiers' recalibrated scores: the part of :meth:`predict` that takes time; arguments as there.

        Memory grows with texts times labels; :meth:`predict` takes some texts at a time.

        Raises:
            ArtifactError: If weights give NaN.
            DataError: As :meth:`predict`.
        """
        return self.score_documents(self.documents(texts, context), batch_size, progress)

    def score_documents(
        self, documents: Sequence[str], batch_size: int = 64, progress: Progress | None = None
    ) -> TreeScores:
        """:meth:`score` for what :meth:`documents` gives."""
        return self._whole(self.system.log_prob(list(documents), progress, batch_size))

    def score_with_members(
        self, documents: Sequence[str], batch_size: int = 64, progress: Progress | None = None
    ) -> tuple[TreeScores, list[TreeScores]]:
        """:meth:`score_documents`, and of a combination the scores of each member, as they are; else none of them."""
        scores, members = self.system.log_prob_with_members(list(documents), progress, batch_size)
        return self._whole(scores), [whole(own) for own in members]

    def _whole(self, scores: Mapping[str, TreeScores]) -> TreeScores:
        """The nodes' scores, recalibrated, over the whole tree."""
        if broken := [node for node, own in scores.items() if np.isnan(own.log_prob).any()]:
            raise ArtifactError(f"the scores of node {broken[0]} are no numbers (NaN); its weights are of no use")
        scalings = self.calibration.scalings if self.calibration else {}
        return self.system.whole({node: _scaled(own, scalings.get(node, {})) for node, own in scores.items()})

    def ask(self, question: Question) -> Asked:
        """Check a question, before any work.

        Raises:
            ConfigError: If it cannot be answered, see :meth:`predict`.
        """
        target = question.target_accuracy
        if target is not None and self.calibration is None:
            raise ConfigError(
                f"target accuracy {target:g}: {self.system.name} has no calibration, because its split left no "
                "documents for it or its predictions are gone; train with split.calibration above 0"
            )
        sets = self.calibration.sets if self.calibration else None
        if question.all_symbols and sets is None:
            raise ConfigError(
                f"all symbols: {self.system.name} has no thresholds for sets of labels, because no document of its "
                "calibration part has several symbols; leave them out, or train on documents that have several"
            )
        known = self.calibration.thresholds if self.calibration else []
        thresholds = None if target is None else at_least(known, target)
        return self._answering.ask(question, thresholds, sets if question.all_symbols else None)

    def answer(self, scores: TreeScores, asked: Asked, documents: Sequence[str]) -> list[Prediction]:
        """The predictions of scored :meth:`documents` for what was :meth:`ask`ed."""
        predictions, known = list(asked.answers(scores, self.version)), self.system.characters
        if known is None:
            return predictions
        strange = [known.judge(text_of(document)) for document in documents]
        return [
            one if why is None else replace(one, strange=why) for one, why in zip(predictions, strange, strict=True)
        ]

    @cached_property
    def blocked(self) -> Blocked:
        """The places of the scheme that no answer names."""
        return self._given_blocked or Blocked(self.system.tree, {})

    @cached_property
    def lookup(self) -> LabelLookup:
        """Finds labels by what people write."""
        return LabelLookup(self.system.tree)

    @cached_property
    def _answering(self) -> Answering:
        return Answering(self.system.tree, lambda: self.lookup, self.blocked)

    def shortfall(self, target_accuracy: float | None) -> str | None:
        """In one line, why nothing is answered at a target accuracy; None if something is."""
        thresholds = self.ask(Question(1, target_accuracy)).thresholds
        return None if thresholds is None or self.calibration is None else self.calibration.shortfall(thresholds)


def _scaled(own: TreeScores, scalings: Scalings) -> TreeScores:
    """The scores of new texts, recalibrated as those of the network's predictions are."""
    if not changes(scalings, own.tree):
        return own
    parts = [scale(own.tree, piece.log_prob, scalings, own.flat) for piece in own.pieces()]
    return replace(own, log_prob=np.concatenate(parts) if parts else own.log_prob)
