"""Find the finished runs of one corpus and split, and the nodes that are still missing."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from patent_hier.artifacts import MANIFEST, find_damage, fingerprint
from patent_hier.atomic import read_json
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ArtifactError
from patent_hier.pipeline.evidence import (
    NO_SEED,
    Configuration,
    Evidence,
    Group,
    Missing,
    NodeRun,
    group_of,
    members_of,
    seed_of,
)
from patent_hier.pipeline.naming import name_configurations
from patent_hier.pipeline.stages import wanted_nodes
from patent_hier.settings import HIER_NODES, WHOLE

_HIERARCHICAL = ("hier", "section", "class")  # levels whose nodes belong to a hierarchical result
_LAYERS = "model.num_last_layers"
_Seeds = dict[int, dict[str, NodeRun]]


def collect(runs_dir: Path, corpus: Corpus, split: Path) -> Evidence:
    """Find the finished runs of a corpus and split, and the nodes that are still missing.

    Raises:
        ArtifactError: If a result is damaged.
    """
    runs = find_runs(runs_dir, corpus, split)
    results = _results(runs_dir, corpus, split)
    wanted = {
        (group_of(manifest), seed_of(manifest)) for manifest in results if not set(WHOLE) & set(manifest["nodes"])
    }
    wanted |= {(run.group, run.seed) for run in runs if run.manifest["level"] in _HIERARCHICAL}
    whole = [_by_group(run for run in runs if run.node == node) for node in WHOLE]
    local = _by_group(run for run in runs if run.node in HIER_NODES and (run.group, run.seed) in wanted)
    names, *whole_names = name_configurations(local, *whole)
    hierarchical, missing = _whole(local, names, wanted_nodes(corpus, split))
    flat, shared = (
        tuple(Configuration(own_names[group], group[0], _by_seed(own)) for group, own in groups.items())
        for groups, own_names in zip(whole, whole_names, strict=True)
    )
    missing += _gone(results, runs, {group: name for own in (*whole_names, names) for group, name in own.items()})
    return Evidence(corpus, split, hierarchical, flat, shared, layer_series(runs), tuple(missing))


def find_runs(runs_dir: Path, corpus: Corpus, split: Path) -> list[NodeRun]:
    """Return the finished nodes of a corpus and split, ordered by model, seed and node; refused versions are left out.

    Raises:
        ArtifactError: If a node's folder is damaged.
    """
    runs, refused = [], _refused(runs_dir)
    for file in sorted(runs_dir.glob(f"[!.]*/[!.]*-*/{MANIFEST}")):
        manifest = read_json(file)
        if manifest.get("kind") != "node" or not _belongs(manifest, corpus, split):
            continue
        if manifest.get("suite") in refused:
            continue
        run = NodeRun(file.parent, manifest)
        if damaged := find_damage(file.parent):
            raise ArtifactError(
                f"result {file.parent} is damaged ({file.parent / damaged} does not match its manifest); "
                f"delete it and run again: {_command(manifest, manifest['level'], run.node)}"
            )
        runs.append(run)
    order = {node: position for position, node in enumerate((*HIER_NODES, *WHOLE))}
    return sorted(runs, key=lambda run: (run.manifest["model"], run.seed, order.get(run.node, len(order)), run.node))


def layer_series(runs: Iterable[NodeRun]) -> dict[str, dict[int, NodeRun]]:
    """Return the runs that differ only in the number of last layers, by node and number of layers.

    All of them have the same configuration and seed: the ones with the most runs; on ties, the first in ``runs``.
    """
    series: dict[str, dict[str, dict[int, NodeRun]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        content = dict(run.content)
        if _LAYERS in content:
            number = content.pop(_LAYERS)
            series[fingerprint([run.manifest["model"], content, run.seed])][run.node][number] = run
    compared = [{node: own for node, own in nodes.items() if len(own) > 1} for nodes in series.values()]
    best = max(compared, key=lambda nodes: sum(map(len, nodes.values())), default={})
    return {node: dict(sorted(own.items())) for node, own in best.items()}


def _whole(
    groups: Mapping[Group, Sequence[NodeRun]], names: Mapping[Group, str], nodes: tuple[str, ...]
) -> tuple[tuple[Configuration, ...], list[Missing]]:
    """Return the configurations with their complete seeds, and the missing nodes of the other seeds."""
    configurations, missing = [], []
    for group, runs in groups.items():
        seeds = _by_seed(runs)
        for seed, found in seeds.items():
            if absent := tuple(node for node in nodes if node not in found):
                command = _command(next(iter(found.values())).manifest, "hier")
                missing.append(Missing(names[group], _shown(seed), absent, command))
        whole = {seed: found for seed, found in seeds.items() if all(node in found for node in nodes)}
        if whole:
            configurations.append(Configuration(names[group], group[0], whole))
    return tuple(configurations), missing


def _gone(results: Iterable[Any], runs: Sequence[NodeRun], names: Mapping[Group, str]) -> list[Missing]:
    """Return the aggregated results whose node folders have all been deleted."""
    there = {(run.group, run.seed, run.node if run.node in WHOLE else "hier") for run in runs}
    missing = []
    for manifest in results:
        group, seed = group_of(manifest), seed_of(manifest)
        level = next((node for node in WHOLE if node in manifest["nodes"]), "hier")
        if (group, seed, level) not in there:
            command = _command(manifest, level)
            missing.append(Missing(names.get(group, group[0]), _shown(seed), tuple(manifest["nodes"]), command))
    return missing


def _by_group(runs: Iterable[NodeRun]) -> dict[Group, list[NodeRun]]:
    groups: dict[Group, list[NodeRun]] = defaultdict(list)
    for run in runs:
        groups[run.group].append(run)
    return dict(groups)


def _by_seed(runs: Iterable[NodeRun]) -> _Seeds:
    seeds: _Seeds = defaultdict(dict)
    for run in runs:
        seeds[run.seed][run.node] = run
    return dict(seeds)


def _results(runs_dir: Path, corpus: Corpus, split: Path) -> list[Any]:
    """Return the manifests of aggregated results; each one names the nodes that the result was made from."""
    manifests = [read_json(file) for file in sorted(runs_dir.glob(f"[!.]*/result-*/{MANIFEST}"))]
    refused = _refused(runs_dir)
    found = [own for own in manifests if own.get("kind") == "result" and _belongs(own, corpus, split)]
    return [own for own in found if own["suite"] not in refused]


def _refused(runs_dir: Path) -> set[str]:
    """Return the suites that ``patent-hier learn`` has refused, according to the records next to the results."""
    records = (read_json(file) for file in sorted(runs_dir.glob("[!.]*/learnt-*.json")))
    return {str(own["suite"]) for own in records if own.get("refused")}


def _belongs(manifest: Mapping[str, Any], corpus: Corpus, split: Path) -> bool:
    data = manifest.get("data", {})
    return data.get("corpus") == corpus.fingerprint and data.get("split") == split.name and "group" in manifest


def _command(manifest: Mapping[str, Any], level: str, node: str | None = None) -> str:
    """Return the command that makes the missing nodes of a result."""
    if members_of(manifest):
        return shlex.join(["patent-hier", "combine", *manifest.get("overrides", [])])
    words = [word for word in manifest.get("overrides", []) if word.split("=")[0] not in ("level", "node")]
    chosen = [f"node={node}"] if level == "node" else []
    return shlex.join(["python", "run.py", *words, f"level={level}", *chosen])


def _shown(seed: int) -> int | str:
    return "–" if seed == NO_SEED else seed
