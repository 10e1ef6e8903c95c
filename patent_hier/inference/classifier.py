"""``HierarchicalClassifier``: a finished system behind every door, with calibrated probabilities and honest doubt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from patent_hier.data.raw import has_words, is_unicode, normalise
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.evaluation.decoding import Tree, check_search, decode
from patent_hier.evaluation.selective import NEVER, Thresholds, at_least
from patent_hier.evaluation.temperature import scale_nodes
from patent_hier.inference.calibration import Calibration
from patent_hier.inference.exporting import (
    export_system,
    load_calibration,
    load_facts,
    located,
    system_version,
    upload_folder,
)
from patent_hier.inference.predictor import System, load_system, paths_of
from patent_hier.inference.results import (
    CLASS,
    SECTION,
    UNDECIDED,
    Decision,
    Explanation,
    IpcPath,
    Prediction,
    SectionScore,
)

Progress = Callable[[int], None]


class HierarchicalClassifier:
    """A finished system for new texts.

    Attributes:
        system: Its classifiers.
        calibration: Temperatures and thresholds; None if the split left no documents for them.
        facts: Data, split and scores of the system, as JSON-able values.
        version: Fingerprint of the weights and of all that turns texts into numbers.
    """

    def __init__(self, system: System, calibration: Calibration | None, facts: Mapping[str, Any]) -> None:
        self.system = system
        self.calibration = calibration
        self.facts = dict(facts)
        self.version = system_version(system)

    @cached_property
    def sections(self) -> tuple[str, ...]:
        """The sections that it can name, sorted."""
        return tuple(sorted({label[0] for label in self.system.classes}))

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None) -> Self:
        """Load a system: all its classifiers are in memory then, on the GPU if there is one.

        Args:
            source: A folder that :meth:`save_pretrained` wrote; a result with its nodes beside it
                (``runs/<model>/result-hier-...`` or ``result-flat-...``); or the name of a repository on the Hugging
                Face hub (``owner/name``), which must hold such a folder.
            revision: Branch, tag or commit of the repository.

        Raises:
            ConfigError: If it is none of these.
            IncompleteError: If nodes are missing.
            ArtifactError: If a file is missing or differs from its manifest.
        """
        folder = located(source, revision)
        system = load_system(folder)
        _ = system.classes  # one node alone makes no paths
        return cls(system, load_calibration(folder, system), load_facts(folder))

    def save_pretrained(self, folder: str | Path, *, license: str | None = None) -> None:  # noqa: A002 - the hub's word
        """Write one folder with all that is needed, and nothing that runs: safetensors, JSON, text and a model card.

        Args:
            folder: New, empty, or an earlier export, which is replaced.
            license: The hub's identifier of the licence of the weights, such as ``mit``; None: not said.

        Raises:
            ConfigError: If the folder holds something else.
        """
        export_system(self.system, self.version, self.calibration, self.facts, Path(folder), license)

    def push_to_hub(self, repo_id: str, *, license: str | None = None, private: bool = True) -> str:  # noqa: A002
        """Save into a repository of the Hugging Face hub; needs a network and a token.

        Returns:
            The address of the commit.
        """
        save = partial(self.save_pretrained, license=license)
        return upload_folder(save, repo_id, private, self.version)

    def predict(
        self,
        texts: Sequence[str],
        top_k: int = 3,
        *,
        target_accuracy: float | None = None,
        force: str | None = None,
        beam: int | None = None,
        explain: bool = False,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> list[Prediction]:
        """Classify texts.

        Args:
            texts: ``n`` texts, built as in training (``system.raw.text`` names their fields).
            top_k: Classes and sections for each text, the most probable first; fewer where fewer are followed.
            target_accuracy: Answer with the class only where answers are right this often, else with the section under
                the same condition, else not at all. None: always the likeliest class.
            force: A section that is taken for granted.
            beam: Sections that are followed; None follows all (see :func:`patent_hier.evaluation.decoding.decode`).
            explain: Also say which parts of each text speak for its first class; takes many passes for each text.
            batch_size: Documents per batch of a network; without influence on the results beyond rounding.
            progress: Called after each batch of each classifier with its number of documents.

        Raises:
            ConfigError: If an argument is out of range, or the system has no calibration for a target accuracy.
            DataError: Naming the first text that has no words or is no Unicode.
        """
        self.check(top_k, target_accuracy, force, beam)
        tree = self.score(texts, batch_size=batch_size, progress=progress)
        predictions = self.answer(tree, top_k, target_accuracy=target_accuracy, force=force, beam=beam)
        if not explain:
            return predictions
        return [
            replace(one, explanation=self.explain(text, one.paths[0].ipc_class))
            for text, one in zip(texts, predictions, strict=True)
        ]

    def explain(self, text: str, label: str) -> Explanation:
        """Which parts of a text speak for a section or class, and which against it.

        Scores are of the classifiers as they were trained, without temperatures. How faithful they are can be measured:
        :func:`patent_hier.inference.faithfulness.faithfulness`.

        Args:
            text: As in :meth:`predict`; ``Explanation.text`` is what its places are counted in.
            label: Such as ``A`` or ``A01``.

        Raises:
            ConfigError: If the label is unknown, or captum is missing for a network.
            DataError: If the text has no words or is no Unicode.
        """
        from patent_hier.inference.explain import explain

        if problem := text_problem(text):
            raise DataError(f"the text {problem}")
        return explain(self.system, normalise(text), label)

    def score(self, texts: Sequence[str], *, batch_size: int = 64, progress: Progress | None = None) -> Tree:
        """What the classifiers say, calibrated: the part of :meth:`predict` that takes time; arguments as there.

        Raises:
            ArtifactError: If weights give NaN.
            DataError: Naming the first text that has no words or is no Unicode.
        """
        for number, text in enumerate(texts):
            if problem := text_problem(text):
                raise DataError(f"text {number} {problem}")
        scores = self.system.log_prob([normalise(text) for text in texts], progress, batch_size)
        if broken := [node for node, own in scores.items() if np.isnan(own.log_prob).any()]:
            raise ArtifactError(f"the scores of node {broken[0]} are no numbers (NaN); its weights are of no use")
        return Tree.of(scale_nodes(scores, self.calibration.temperatures if self.calibration else {}))

    def answer(
        self,
        tree: Tree,
        top_k: int = 3,
        *,
        target_accuracy: float | None = None,
        force: str | None = None,
        beam: int | None = None,
    ) -> list[Prediction]:
        """The predictions of :meth:`score`'s documents; arguments and errors as in :meth:`predict`."""
        thresholds = self.check(top_k, target_accuracy, force, beam)
        paths = paths_of(tree, decode(tree, top_k, beam=beam, force=force))
        return [
            Prediction(_decide(own, sections[0], thresholds, force), tuple(own), tuple(sections), self.version)
            for own, sections in zip(paths, _sections(tree, top_k), strict=True)
        ]

    def check(
        self, top_k: int, target_accuracy: float | None, force: str | None, beam: int | None
    ) -> Thresholds | None:
        """Refuse arguments of :meth:`predict` that cannot be used, before any work; the thresholds of the accuracy."""
        check_search(self.sections, len(self.system.classes), top_k, beam=beam, force=force)
        return self.thresholds(target_accuracy)

    def thresholds(self, target_accuracy: float | None) -> Thresholds | None:
        """The thresholds of a wanted accuracy; None for None.

        Raises:
            ConfigError: If it is out of range, or there is no calibration.
        """
        if target_accuracy is None:
            return None
        if self.calibration is None:
            raise ConfigError(
                f"target accuracy {target_accuracy:g}: {self.system.name} has no calibration, because its split left "
                "no documents for it or its predictions are gone; train with split.calibration above 0"
            )
        return at_least(self.calibration.thresholds, target_accuracy)


def text_problem(text: str) -> str | None:
    """Why a text cannot be classified, in a few words; None if it can."""
    if not is_unicode(text):
        return "is no valid Unicode (half of a surrogate pair); repair its encoding"
    return None if has_words(text) else "has no words; give an abstract or a title"


def _decide(
    paths: Sequence[IpcPath], section: SectionScore, thresholds: Thresholds | None, force: str | None
) -> Decision:
    best = paths[0]
    confidence = best.class_given_section if force else best.probability
    if thresholds is None:
        reason = "likeliest class" if force is None else f"likeliest class of section {force}, which was given"
        return Decision(CLASS, best.ipc_class, confidence, None, reason)
    target = thresholds.target
    if confidence >= thresholds.ipc_class:
        reason = f"class {confidence:.3f} >= {thresholds.ipc_class:.3f}"
        return Decision(CLASS, best.ipc_class, confidence, target, reason)
    doubt = f"class {best.ipc_class} {confidence:.3f} < {_shown(thresholds.ipc_class)}"
    if force is not None:
        return Decision(SECTION, force, 1.0, target, f"{doubt}, section {force} was given")
    if section.probability >= thresholds.section:
        reason = f"{doubt}, section {section.probability:.3f} >= {thresholds.section:.3f}"
        return Decision(SECTION, section.section, section.probability, target, reason)
    reason = f"{doubt}, section {section.section} {section.probability:.3f} < {_shown(thresholds.section)}"
    return Decision(UNDECIDED, None, section.probability, target, reason)


def _shown(threshold: float) -> str:
    return f"{threshold:.3f}" if threshold < NEVER else "any confidence (the target is not reached)"


def _sections(tree: Tree, top_k: int) -> list[list[SectionScore]]:
    order = np.argsort(-tree.section_log_prob, axis=1, kind="stable")[:, :top_k]
    probabilities = np.exp(np.take_along_axis(tree.section_log_prob, order, axis=1)).tolist()
    return [
        [SectionScore(tree.sections[place], value) for place, value in zip(places, values, strict=True)]
        for places, values in zip(order.tolist(), probabilities, strict=True)
    ]
