"""Evidence for a report: finished nodes, grouped by configuration and seed, and missing nodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from patent_hier.artifacts import fingerprint
from patent_hier.atomic import read_json, read_yaml
from patent_hier.data.corpus import Corpus
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.inference.nodes import COMBINATION, CONFIG_FILE
from patent_hier.pipeline.node import HISTORY_FILE, METRICS_FILE, read_predictions

Group = tuple[str, str]  # model, fingerprint of its configuration
NO_SEED = -1  # an ensemble has no seed of its own; its members have seeds


@dataclass(frozen=True, eq=False)
class NodeRun:
    """One finished node.

    Attributes:
        folder: Its result folder.
        manifest: Content of its manifest.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def node(self) -> str:
        """``root``, a label, ``flat`` or ``shared``."""
        return str(self.manifest["node"])

    @property
    def seed(self) -> int:
        """The model's seed, or :data:`NO_SEED`."""
        return seed_of(self.manifest)

    @property
    def group(self) -> Group:
        """The group, shared by all nodes and seeds of one configuration."""
        return group_of(self.manifest)

    @cached_property
    def content(self) -> dict[str, Any]:
        """Settings that determine its result, except node and seed: setting -> value; the encoder by its name."""
        flat: dict[str, Any] = {}
        for group, content in self.manifest["content"].items():
            if isinstance(content, dict):
                flat |= {f"{group}.{key}": value for key, value in content.items()}
            elif group not in ("corpus", "split"):  # the same for all runs of a report
                flat[group] = content
        if "features.name" in flat:  # first: the vectors' origin matters more than their settings
            vectors = flat.pop("features.vectors", "trained")[:7]
            flat = {"features.name": flat["features.name"], "features.vectors": vectors, **flat}
        if "encoder.digest" in flat:
            flat["encoder"] = f"{self.manifest['inputs']['encoder']['name']}-{flat.pop('encoder.digest')[:6]}"
        return flat

    @cached_property
    def metrics(self) -> Any:
        """Content of ``metrics.json``."""
        return read_json(self.folder / METRICS_FILE)

    @cached_property
    def history(self) -> Any:
        """Content of ``history.json``: a dictionary for each epoch."""
        return read_json(self.folder / HISTORY_FILE)

    @cached_property
    def config(self) -> Any:
        """All settings of the run, as a nested dictionary."""
        return read_yaml(self.folder / CONFIG_FILE)

    def read_predictions(self) -> NetworkPredictions:
        """Return the node's predictions, checked against the manifest; not cached, because they are large.

        Raises:
            ArtifactError: If the file is damaged.
        """
        return read_predictions(self.folder)


@dataclass(frozen=True, eq=False)
class Configuration:
    """One configuration of a model with all its seeds.

    Attributes:
        name: The model's name, and the settings that distinguish it from other configurations of the model.
        model: The model's name.
        runs: By seed, then by node.
    """

    name: str
    model: str
    runs: Mapping[int, Mapping[str, NodeRun]]

    @property
    def first(self) -> NodeRun:
        """Any of its runs: the first node of the first seed."""
        return self.all_runs[0]

    @property
    def all_runs(self) -> list[NodeRun]:
        """Its runs, seed by seed."""
        return [run for nodes in self.runs.values() for run in nodes.values()]


@dataclass(frozen=True)
class Missing:
    """Missing nodes of a result.

    Attributes:
        name: The configuration's name.
        seed: The seed; a dash for a system without one.
        nodes: The missing nodes.
        command: The command that trains them.
    """

    name: str
    seed: int | str
    nodes: tuple[str, ...]
    command: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a report is based on.

    Attributes:
        corpus: The clean corpus.
        split: Folder of the split.
        hierarchical: Configurations that have all nodes of a hierarchical result for each seed.
        flat: Configurations with the flat classifier, by seed.
        shared: Configurations with the shared network, by seed.
        layers: Runs of one configuration that differ only in the number of last layers: by node, then by number.
        missing: Missing nodes, by result.
    """

    corpus: Corpus
    split: Path
    hierarchical: tuple[Configuration, ...]
    flat: tuple[Configuration, ...]
    shared: tuple[Configuration, ...]
    layers: Mapping[str, Mapping[int, NodeRun]]
    missing: tuple[Missing, ...]

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """The configurations of all kinds."""
        return (*self.hierarchical, *self.shared, *self.flat)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of all runs and missing nodes: equal evidence gives an identical report."""
        runs = [run for item in self.configurations for run in item.all_runs]
        runs += [run for by_number in self.layers.values() for run in by_number.values()]
        files = sorted([str(run.folder), fingerprint(run.manifest)] for run in runs)
        return fingerprint([files, [[m.name, m.seed, m.nodes] for m in self.missing]])


def group_of(manifest: Mapping[str, Any]) -> Group:
    """Return the group of a node's or result's manifest."""
    return str(manifest["model"]), str(manifest["group"])


def seed_of(manifest: Mapping[str, Any]) -> int:
    """Return the seed of a node's or result's manifest; :data:`NO_SEED` for an ensemble."""
    return NO_SEED if manifest["seed"] is None else int(manifest["seed"])


def members_of(manifest: Mapping[str, Any]) -> list[Any]:
    """Return model, group, level and seed of each member of an ensemble's node or result; empty for a trained model."""
    return list(manifest["inputs"].get("members", [])) if manifest["model"] == COMBINATION else []
