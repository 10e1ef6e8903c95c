"""Aggregate finished nodes into one result: merge their predictions and score them with the corpus's labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.data.characters import Characters
from patent_hier.data.corpus import Corpus
from patent_hier.data.familiarity import Familiar
from patent_hier.data.labels import DocumentLabels, corpus_labels
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.evaluation.aggregate import aggregate
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.frequency import training_counts
from patent_hier.evaluation.recalibration import choose_scalings
from patent_hier.evaluation.reference import Reference
from patent_hier.evaluation.result import Result
from patent_hier.evaluation.scaling import Scalings
from patent_hier.evaluation.system import aligned, merge, positions, scaled, with_truth
from patent_hier.inference.calibration import CALIBRATION
from patent_hier.pipeline.data_facts import data_facts
from patent_hier.pipeline.known_applicants import reads_applicants, scores_by_applicant, without_context
from patent_hier.pipeline.node import Make, finished, read_predictions, run_node
from patent_hier.pipeline.plan import Given, plan_node
from patent_hier.pipeline.profiling import calibration_reference
from patent_hier.pipeline.stages import load_parts, split_of, training_bigrams, training_characters
from patent_hier.pipeline.text_read import ReadBefore
from patent_hier.pipeline.titles import titles_of
from patent_hier.progress import say
from patent_hier.settings import HIER_NODES, WHOLE, Settings
from patent_hier.taxonomy.symbols import SECTIONS
from patent_hier.taxonomy.tree import LabelTree

if TYPE_CHECKING:
    from patent_hier.training.observers import ObserverFactory


@dataclass(frozen=True)
class SuiteResult:
    """One aggregated result, not yet saved.

    Attributes:
        result: The scores.
        model: The model's name.
        demo: Whether the corpus is the generated demo corpus.
        folder: Its folder: ``runs/<model>/result-hier-<fingerprint>``, with ``flat`` or ``shared`` in place of
            ``hier``.
        nodes: The node folders that it was made from.
        facts: Facts from the nodes' manifests that identify it: model, data, inputs, seed, fingerprints.
        overrides: Overrides of the command that made it.
        tree: Its labels, with the known titles.
        characters: Character statistics of the training part.
        reference: The reference that new documents are compared with; None without calibration documents.
        data: Facts about its data; see :mod:`patent_hier.pipeline.data_facts`.
        learnt: Counts of the corrections that it has learnt; None if it has learnt none.
    """

    result: Result
    model: str
    demo: bool
    folder: Path
    nodes: dict[str, Path]
    facts: dict[str, object]
    overrides: tuple[str, ...]
    tree: LabelTree
    characters: Characters
    reference: Reference | None
    data: Mapping[str, Any]
    learnt: Mapping[str, int] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the test documents that its encoder has read, if that is recorded."""
        inputs: Any = self.facts["inputs"]
        if (read := inputs.get("read_before")) is None:
            return ()
        return (ReadBefore(**read).in_words(inputs["encoder"]["name"]),)


def train_suite(
    settings: Settings,
    words: Sequence[str],
    observers: "ObserverFactory | None" = None,
    given: Given | None = None,
    make: Make | None = None,
) -> SuiteResult:
    """Train the missing nodes of a system one after another, and aggregate all of them; see :func:`run_node`.

    Args:
        settings: Settings of any of its nodes; ``level`` determines the nodes.
        words: The overrides that made the settings, for the manifests.
        observers: Factory of loggers and callbacks for each node.
        given: Corpus and split to use in place of those in the settings.
        make: As for :func:`run_node`.
    """
    nodes = (settings.level.name,) if settings.level.name in WHOLE else HIER_NODES
    done = {node: run_node(replace(settings, node=node), words, observers, given, make) for node in nodes}
    corpus = next(iter(done.values())).corpus.folder
    return aggregate_nodes({node: plan.folder for node, plan in done.items() if plan.is_trained}, corpus)


def find_nodes(settings: Settings) -> tuple[dict[str, Path], Path]:
    """Return the finished result folders of one configuration, for all nodes of its level.

    Returns:
        Node -> folder, and the corpus folder.

    Raises:
        IncompleteError: If nodes are missing; the message names them and the folder that was searched.
        ConfigError: If the level has no aggregated result.
    """
    if settings.level.name not in ("hier", *WHOLE):
        raise ConfigError(
            f"level={settings.level.name} has no aggregated result; use level=hier, level=flat or level=shared"
        )
    wanted = (settings.level.name,) if settings.level.name in WHOLE else HIER_NODES
    plans = [plan for node in wanted if (plan := plan_node(replace(settings, node=node))).is_trained]
    missing = [plan.settings.node for plan in plans if not finished(plan.folder)]
    if missing:
        raise IncompleteError(
            f"{len(missing)} of {len(plans)} nodes are missing in {plans[0].folder.parent}: {', '.join(missing)}; "
            f"train them with the same settings: python run.py level={settings.level.name} ..."
        )
    return {plan.settings.node: plan.folder for plan in plans}, plans[0].corpus.folder


def aggregate_nodes(folders: Mapping[str, Path], corpus_folder: Path) -> SuiteResult:
    """Aggregate finished nodes of one configuration.

    Args:
        folders: Node -> result folder; the nodes of a hierarchical result, or ``flat`` or ``shared`` alone.
        corpus_folder: The corpus that they were trained on.

    Raises:
        IncompleteError: If a node is missing.
        ArtifactError: If a file does not match its manifest, or the nodes do not have the same configuration.
    """
    first = next(iter(folders.values()))
    manifest = _common_manifest(folders)
    corpus = Corpus.open(corpus_folder)
    system, result = score_nodes(folders, corpus, split_of(corpus, manifest["data"]["split"]), SECTIONS)
    if reads_applicants(manifest):
        beside = without_context(folders, manifest)
        other = None if beside is None else read_system(beside, corpus)[0]
        parts = load_parts(corpus, split_of(corpus, manifest["data"]["split"]))
        result = replace(result, by_applicant=scores_by_applicant(system, other, corpus, parts, result.part))
    name = f"result-{result.kind}-{manifest['suite']}"
    facts = {key: manifest[key] for key in ("model", "data", "inputs", "seed", "suite", "group")}
    overrides = tuple(word for word in manifest["overrides"] if not word.startswith("node="))
    demo = manifest["data"]["name"] == "demo"
    tree = replace(system.tree, titles=titles_of(first, system.tree))
    folder, split = first.parent / name, split_of(corpus, manifest["data"]["split"])
    shown = training_characters(corpus, split)
    familiar = Familiar(shown.known, training_bigrams(corpus, split))
    calibrated = read_recalibrated(folders, system.document_ids)
    reference = None if calibrated is None else calibration_reference(calibrated, system, corpus, familiar)
    said = reference, data_facts(corpus, split), _learnt(manifest)
    return SuiteResult(result, manifest["model"], demo, folder, dict(folders), facts, overrides, tree, shown, *said)


def _learnt(manifest: Mapping[str, Any]) -> Mapping[str, int] | None:
    """Return the counts of the corrections that a node has learnt, from its manifest."""
    counts: Mapping[str, int] | None = (manifest.get("corrections") or {}).get("counts")
    return counts


def score_nodes(
    folders: Mapping[str, Path], corpus: Corpus, split: Path, every_label: tuple[str, ...] = ()
) -> tuple[NetworkPredictions, Result]:
    """Score the finished nodes of a system on the test part.

    Args:
        folders: Node -> result folder.
        corpus: The corpus that they were trained on.
        split: Folder of its split.
        every_label: As in :func:`aggregate`.

    Returns:
        The system's predictions for all held-out documents, and the scores.
    """
    system, labels = read_system(folders, corpus)
    counts = training_counts(corpus_labels(corpus, system.tree.depth), load_parts(corpus, split) == TRAIN)
    calibrated = read_recalibrated(folders, system.document_ids) if len(labels.further) else None
    return system, aggregate(system, labels, every_label=every_label, train_counts=counts, calibrated=calibrated)


def _common_manifest(folders: Mapping[str, Path]) -> Any:
    """Return the first node's manifest, after checking that all nodes have the same configuration."""
    manifests = {node: read_json(folder / MANIFEST) for node, folder in folders.items()}
    suites = {manifest["suite"] for manifest in manifests.values()}
    if len(suites) > 1:
        raise ArtifactError(
            f"the nodes {', '.join(folders)} have {len(suites)} different configurations; aggregate nodes of one "
            "configuration"
        )
    precisions = {node: manifest["environment"]["precision"] for node, manifest in manifests.items()}
    if len(known := set(precisions.values()) - {None}) > 1:
        say(f"note: the nodes were trained with different precisions: {', '.join(sorted(known))}")
    return next(iter(manifests.values()))


def read_system(
    folders: Mapping[str, Path], corpus: Corpus, scalings: Mapping[str, Scalings] | None = None
) -> tuple[NetworkPredictions, DocumentLabels]:
    """Merge the predictions of a system's nodes into those of one network, with the corpus's labels as targets.

    Args:
        folders: Node -> result folder.
        corpus: The corpus that they were trained on.
        scalings: Scalings by node, then by level; None for none.

    Returns:
        The predictions, and the labels of their documents in the same order.
    """
    predictions = {node: read_predictions(folder) for node, folder in folders.items()}
    system = merge({node: scaled(own, (scalings or {}).get(node, {})) for node, own in predictions.items()})
    labels = corpus_labels(corpus, system.tree.depth)
    rows = positions(system.document_ids, corpus.document_ids.to_numpy(), "the corpus")
    own = labels.take(rows)
    return with_truth(system, own), own


def read_recalibrated(folders: Mapping[str, Path], document_ids: NDArray[Any]) -> NetworkPredictions | None:
    """Return a system's predictions as ``predict`` reports them, recalibrated where that helps.

    Args:
        folders: Node -> result folder.
        document_ids: Ids of the documents in the wanted order, ``(n,)``.

    Returns:
        The predictions; None without calibration documents.
    """
    predictions = {node: read_predictions(folder) for node, folder in folders.items()}
    if not any((own.parts == CALIBRATION).any() for own in predictions.values()):
        return None
    scalings, _ = choose_scalings({node: own.select(CALIBRATION) for node, own in predictions.items()})
    return aligned(merge({node: scaled(own, scalings[node]) for node, own in predictions.items()}), document_ids)
