"""What has been run on one corpus and split: finished nodes, grouped by configuration and seed, and what is missing."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from patent_hier.artifacts import MANIFEST, fingerprint, is_complete, read_json, verify
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.predictions import PREDICTIONS_FILE, Predictions
from patent_hier.pipeline.node import CONFIG_FILE, HISTORY_FILE, METRICS_FILE
from patent_hier.pipeline.stages import load_parts
from patent_hier.settings import FLAT, HIER_NODES, ROOT

_HIERARCHICAL = ("hier", "section", "class")  # levels that are parts of a hierarchical result
_LAYERS = "model.num_last_layers"
Group = tuple[str, str]  # model, fingerprint of its configuration


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
        """``root``, a section, or ``flat``."""
        return str(self.manifest["node"])

    @property
    def seed(self) -> int:
        """The model's seed."""
        return int(self.manifest["seed"])

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
        """All settings, nested."""
        return yaml.safe_load((self.folder / CONFIG_FILE).read_text("utf-8"))

    @cached_property
    def predictions(self) -> Predictions:
        """The node's predictions, checked against the manifest.

        Raises:
            ArtifactError: If the file is damaged.
        """
        verify(self.folder, only=(PREDICTIONS_FILE,))
        return Predictions.read(self.folder / PREDICTIONS_FILE)


@dataclass(frozen=True, eq=False)
class Configuration:
    """One configuration of a model with all its seeds.

    Attributes:
        name: The model's name, and the settings that set it apart from other configurations of the model.
        model: The model's name.
        runs: By seed, then by node.
    """

    name: str
    model: str
    runs: Mapping[int, Mapping[str, NodeRun]]

    @property
    def first(self) -> NodeRun:
        """Any of its runs: the first node of the first seed."""
        return next(iter(next(iter(self.runs.values())).values()))


@dataclass(frozen=True)
class Missing:
    """Nodes that a result needs and that are not there.

    Attributes:
        name: The configuration's name.
        seed: The seed.
        nodes: The missing nodes.
        command: What trains them.
    """

    name: str
    seed: int
    nodes: tuple[str, ...]
    command: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a report is made of.

    Attributes:
        corpus: The clean corpus.
        split: Folder of the split.
        hierarchical: Configurations with, for each seed, all nodes of a hierarchical result.
        flat: Configurations with the flat classifier, by seed.
        layers: Runs of one node that differ only in the number of last layers: by node, then by number, seed 1 first.
        missing: What is wanted and not there.
    """

    corpus: Corpus
    split: Path
    hierarchical: tuple[Configuration, ...]
    flat: tuple[Configuration, ...]
    layers: Mapping[str, Mapping[int, NodeRun]]
    missing: tuple[Missing, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Of all runs and of what is missing: equal evidence makes an equal report."""
        configurations = (*self.hierarchical, *self.flat)
        runs = [run for item in configurations for nodes in item.runs.values() for run in nodes.values()]
        runs += [run for by_number in self.layers.values() for run in by_number.values()]
        files = sorted([str(run.folder), fingerprint(run.manifest)] for run in runs)
        return fingerprint([files, [[m.name, m.seed, m.nodes] for m in self.missing]])

    @cached_property
    def wanted_nodes(self) -> tuple[str, ...]:
        """The nodes of a hierarchical result on this corpus: sections without training documents have none."""
        return wanted_nodes(self.corpus, self.split)


def wanted_nodes(corpus: Corpus, split: Path) -> tuple[str, ...]:
    """``root`` and every section with a training document."""
    sections = set(corpus.column("section").to_numpy()[load_parts(corpus, split) == TRAIN])
    return tuple(node for node in HIER_NODES if node == ROOT or node in sections)


def collect(runs_dir: Path, corpus: Corpus, split: Path) -> Evidence:
    """Find what has been run on a corpus and split.

    Args:
        runs_dir: Folder of results.
        corpus: The clean corpus.
        split: Folder of its split.

    Raises:
        ArtifactError: If a result is damaged.
    """
    runs = find_runs(runs_dir, corpus, split)
    by_group: dict[Group, list[NodeRun]] = defaultdict(list)
    for run in runs:
        by_group[_group(run.manifest)].append(run)
    promised = _promised(runs_dir, corpus, split)
    systems = {
        group: members
        for group, members in by_group.items()
        if group in promised or any(run.manifest["level"] in (*_HIERARCHICAL, FLAT) for run in members)
    }
    names = name_configurations(systems)
    nodes = wanted_nodes(corpus, split)
    missing: list[Missing] = []
    hierarchical, flat = [], []
    for group, members in systems.items():
        by_seed = _by_seed(members)
        whole: dict[int, dict[str, NodeRun]] = {}
        alone: dict[int, dict[str, NodeRun]] = {}
        for seed, found in by_seed.items():
            if FLAT in found:
                alone[seed] = {FLAT: found[FLAT]}
            if not any(run.manifest["level"] in _HIERARCHICAL for run in found.values()):
                continue
            if absent := tuple(node for node in nodes if node not in found):
                missing.append(Missing(names[group], seed, absent, _command(found.values(), "hier")))
            else:
                whole[seed] = {node: found[node] for node in nodes}
        if whole:
            hierarchical.append(Configuration(names[group], members[0].manifest["model"], whole))
        if alone:
            flat.append(Configuration(names[group], members[0].manifest["model"], alone))
    missing += _broken_promises(promised, by_group, names, missing)
    return Evidence(corpus, split, tuple(hierarchical), tuple(flat), _layers(runs), tuple(missing))


def find_runs(runs_dir: Path, corpus: Corpus, split: Path) -> list[NodeRun]:
    """All finished nodes of a corpus and split, ordered by model, seed and node.

    Raises:
        ArtifactError: If one of them is damaged.
    """
    runs = []
    for file in sorted(runs_dir.glob(f"[!.]*/[!.]*-*/{MANIFEST}")):
        manifest = read_json(file)
        if manifest.get("kind") != "node" or not _belongs(manifest, corpus, split):
            continue
        if not is_complete(file.parent):
            raise ArtifactError(
                f"result {file.parent} is damaged (files differ from its manifest); delete it and run "
                f"again: {_command([NodeRun(file.parent, manifest)], manifest['level'])}"
            )
        runs.append(NodeRun(file.parent, manifest))
    order = {node: position for position, node in enumerate((*HIER_NODES, FLAT))}
    return sorted(runs, key=lambda run: (run.manifest["model"], run.seed, order[run.node]))


def name_configurations(groups: Mapping[Group, list[NodeRun]]) -> dict[Group, str]:
    """A short name for each group: its model, and the settings in which it differs from others of the model."""
    contents = {group: _flatten(runs[0]) for group, runs in groups.items()}
    names = {}
    for group, runs in groups.items():
        model = runs[0].manifest["model"]
        rivals = [contents[other] for other, members in groups.items() if members[0].manifest["model"] == model]
        keys = dict.fromkeys(key for content in rivals for key in content)
        varied = [key for key in keys if len({str(content.get(key)) for content in rivals}) > 1]
        settings = [f"{key.removeprefix('model.')}={contents[group][key]}" for key in varied if key in contents[group]]
        names[group] = " ".join([model, *settings])
    return names


def _flatten(run: NodeRun) -> dict[str, Any]:
    """What decides a result, flat; the encoder by its name instead of its digest."""
    flat: dict[str, Any] = {}
    for group, content in run.manifest["content"].items():
        if isinstance(content, dict):
            flat |= {f"{group}.{key}": value for key, value in content.items()}
    if "encoder.digest" in flat:
        flat["encoder"] = f"{run.manifest['inputs']['encoder']['name']}-{flat.pop('encoder.digest')[:6]}"
    return flat


def _group(manifest: Mapping[str, Any]) -> Group:
    return str(manifest["model"]), str(manifest["group"])


def _belongs(manifest: Mapping[str, Any], corpus: Corpus, split: Path) -> bool:
    data = manifest.get("data", {})
    return data.get("corpus") == corpus.fingerprint and data.get("split") == split.name and "group" in manifest


def _by_seed(runs: Iterable[NodeRun]) -> dict[int, dict[str, NodeRun]]:
    seeds: dict[int, dict[str, NodeRun]] = defaultdict(dict)
    for run in runs:
        seeds[run.seed][run.node] = run
    return dict(seeds)


def _command(runs: Iterable[NodeRun], level: str) -> str:
    """The command that trains what is missing beside these runs."""
    run = next(iter(runs))
    words = [word for word in run.manifest.get("overrides", []) if word.split("=")[0] not in ("level", "node")]
    node = [f"node={run.node}"] if level == "node" else []
    return shlex.join(["python", "run.py", *words, f"level={level}", *node])


def _promised(runs_dir: Path, corpus: Corpus, split: Path) -> dict[Group, list[Any]]:
    """Manifests of aggregated results, by group: each names nodes that were there once."""
    promised: dict[Group, list[Any]] = defaultdict(list)
    for file in sorted(runs_dir.glob(f"*/result-*/{MANIFEST}")):
        manifest = read_json(file)
        if manifest.get("kind") == "result" and _belongs(manifest, corpus, split):
            promised[_group(manifest)].append(manifest)
    return promised


def _broken_promises(
    promised: Mapping[Group, list[Any]],
    by_group: Mapping[Group, list[NodeRun]],
    names: Mapping[Group, str],
    known: Iterable[Missing],
) -> list[Missing]:
    """Nodes of aggregated results that are gone and that the nodes left do not tell of themselves."""
    told = {(item.name, item.seed) for item in known}
    missing = []
    for group, manifests in promised.items():
        for manifest in manifests:
            name, seed = names.get(group, manifest["model"]), int(manifest["seed"])
            there = {run.node for run in by_group.get(group, ()) if run.seed == seed}
            absent = tuple(node for node in manifest["nodes"] if node not in there)
            if absent and (absent == (FLAT,) or (name, seed) not in told):
                level = FLAT if absent == (FLAT,) else "hier"
                words = [w for w in manifest.get("overrides", []) if w.split("=")[0] not in ("level", "node")]
                missing.append(Missing(name, seed, absent, shlex.join(["python", "run.py", *words, f"level={level}"])))
    return missing


def _layers(runs: Iterable[NodeRun]) -> dict[str, dict[int, NodeRun]]:
    """Runs that differ only in the number of last layers; of several such series the one with most numbers."""
    series: dict[tuple[str, str], dict[int, NodeRun]] = defaultdict(dict)
    for run in runs:
        content = _flatten(run)
        if _LAYERS in content:
            number = content.pop(_LAYERS)
            series[run.node, fingerprint([content, run.seed])][number] = run
    best: dict[str, dict[int, NodeRun]] = {}
    for (node, _), by_number in series.items():
        if len(by_number) > max(1, len(best.get(node, {}))):
            best[node] = dict(sorted(by_number.items()))
    return best
