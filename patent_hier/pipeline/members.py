"""Members of an ensemble: finished results of one corpus and split, and their nodes."""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from patent_hier.artifacts import MANIFEST, find_damage, fingerprint, manifest_of
from patent_hier.atomic import read_json, read_yaml
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.evaluation.contract import PREDICTIONS_FILE
from patent_hier.inference.nodes import CLASSIFIER_FILE, COMBINATION, CONFIG_FILE, MODEL_FOLDER
from patent_hier.pipeline.node import finished
from patent_hier.settings import ROOT, WHOLE
from patent_hier.taxonomy.tree import LabelTree


@dataclass(frozen=True)
class Member:
    """One system of an ensemble.

    Attributes:
        result: Its result folder, as given.
        manifest: Manifest of that folder.
        nodes: Its node folders: ``flat`` or ``shared`` alone, or ``root`` and sections. They are next to the result
            folder, even if that has been moved.
    """

    result: Path
    manifest: dict[str, Any]
    nodes: dict[str, Path]

    @property
    def level(self) -> str:
        """``flat``, ``shared`` or ``hier``."""
        return next((node for node in WHOLE if node in self.nodes), "hier")

    @property
    def name(self) -> str:
        """Name that distinguishes it from every other result: ``linear/result-hier-0123456789ab``."""
        return f"{self.manifest['model']}/result-{self.level}-{self.manifest['suite']}"

    @property
    def short_name(self) -> str:
        """Short name for progress lines, such as ``linear flat seed 1``."""
        seed = self.manifest["seed"]
        return " ".join([str(self.manifest["model"]), self.level, *([] if seed is None else [f"seed {seed}"])])

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Facts that identify it, including a fingerprint of its predictions."""
        files = {node: read_json(folder / MANIFEST)["files"] for node, folder in self.nodes.items()}
        predictions = {node: own[PREDICTIONS_FILE]["sha256"] for node, own in files.items()}
        known = {key: self.manifest[key] for key in ("model", "group", "suite", "seed")}
        return {**known, "level": self.level, "predictions": fingerprint(predictions)}

    @cached_property
    def tree(self) -> LabelTree:
        """The tree of all labels that it can predict."""
        trees = {
            node: LabelTree.from_dict(read_json(folder / MODEL_FOLDER / CLASSIFIER_FILE)["tree"])
            for node, folder in self.nodes.items()
        }
        root = trees.pop(ROOT, None)
        return trees[self.level] if root is None else root.graft(trees)

    def sources(self, node: str) -> dict[str, Path]:
        """Return the resolved folders that :func:`patent_hier.evaluation.scores.derive` needs for a node."""
        names = [node] if node in self.nodes else self.nodes
        return {name: self.nodes[name].resolve() for name in names}


def read_members(results: Sequence[Path]) -> list[Member]:
    """Return the members in a fixed order, regardless of the order of the folders.

    Raises:
        ConfigError: If there are fewer than two, or one is not a result, is given twice, or has another corpus or
            split.
        IncompleteError: If one lacks a node.
        ArtifactError: If one is damaged.
    """
    members = sorted((read_member(result) for result in results), key=lambda member: member.name)
    if len(members) < 2:
        raise ConfigError(f"an ensemble needs two or more results, not {len(members)}; give more result folders")
    for one, other in itertools.pairwise(members):
        if one.name == other.name:
            raise ConfigError(f"{one.result} and {other.result} are the same result; give each result once")
    first = members[0]
    for other in members[1:]:
        for key in ("corpus", "split"):
            own, theirs = first.manifest["data"][key], other.manifest["data"][key]
            if own != theirs:
                raise ConfigError(
                    f"{first.result} has {key} {own}, but {other.result} has {theirs}; "
                    "combine only results of one corpus and split"
                )
    return members


def corpus_of(member: Member, cache_dir: Path | None) -> tuple[Corpus, Path]:
    """Return the corpus of a member and its cache folder: the given one, or the one that the member was trained with.

    Raises:
        ConfigError: If the corpus is not in the cache.
        ArtifactError: If the corpus is damaged.
    """
    config = next(iter(member.nodes.values())) / CONFIG_FILE
    cache = cache_dir or Path(read_yaml(config)["cache_dir"])
    data = member.manifest["data"]
    folder = cache / "corpora" / f"{data['name']}-{data['corpus']}"
    if not folder.is_dir():
        raise ConfigError(
            f"the corpus {folder} of {member.result} is missing; if it is in another cache, use --cache-dir FOLDER"
        )
    return Corpus.open(folder), cache


def read_member(result: Path) -> Member:
    """Return one finished system with all its nodes; errors are those of :func:`read_members`."""
    manifest = manifest_of(result, "result")
    if manifest is None:
        raise ConfigError(
            f"{result} is not a result folder; give folders such as runs/<model>/result-hier-<fingerprint>"
        )
    if find_damage(result):
        raise ArtifactError(f"result {result} is damaged (files differ from its manifest); aggregate its nodes again")
    program = ["patent-hier", "combine"] if manifest.get("model") == COMBINATION else ["python", "run.py"]
    command = shlex.join([*program, *manifest.get("overrides", [])])
    if "suite" not in manifest or "group" not in manifest:
        raise ArtifactError(f"result {result} was made by an older version; run its command again: {command}")
    nodes = {node: result.parent / Path(folder).name for node, folder in manifest["nodes"].items()}
    absent = [node for node, folder in nodes.items() if not finished(folder)]
    if absent:
        raise IncompleteError(
            f"{result} lacks node {', '.join(absent)} in {result.parent}; run its command again: {command}"
        )
    return Member(result, manifest, nodes)
