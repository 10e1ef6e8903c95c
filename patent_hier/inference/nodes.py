"""Node folders of a system, checked and loaded: classifiers, and ensembles of classifiers in other folders."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.artifacts import MANIFEST, verify
from patent_hier.atomic import read_json, read_yaml
from patent_hier.data.raw import RawFormat
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.sanitize import reason, shown
from patent_hier.settings import ROOT, WHOLE
from patent_hier.settings.data import CONTEXT_COLUMNS, LABEL_LEVELS
from patent_hier.taxonomy.tree import LabelTree

if TYPE_CHECKING:
    from patent_hier.models.saved import NodeClassifier

# File names used by patent_hier.pipeline.node.
CONFIG_FILE = "config.yaml"
MODEL_FOLDER = "model"
NODE_KIND = "node"
COMBINATION = "combination"
CLASSIFIER_FILE = "classifier.json"  # as in patent_hier.models.saved, which imports torch
_LONGEST_PATH = 2048  # bytes; the operating system allows twice as many
_LONGEST_NAME = 1000  # characters in a column name
_MOST_WEIGHT = 1e3  # maximum weight of a member; larger ones overflow
_NO_READERS = (CLASSIFIER_FILE, "model.safetensors")  # files of a model folder that do not belong to the reader


@dataclass(frozen=True, eq=False)
class Classifier:
    """A node folder with its own classifier.

    Attributes:
        classifier: The classifier, on the device that scores it.
        files: Names and SHA-256 digests of the files in its model folder.
        raw: Format of the raw file that it was trained on.
    """

    classifier: "NodeClassifier"
    files: Mapping[str, str]
    raw: RawFormat

    @property
    def reader_digests(self) -> frozenset[tuple[str, str]]:
        """Names and digests of the reader's files; equal for classifiers that read texts in the same way."""
        return frozenset((name, digest) for name, digest in self.files.items() if name not in _NO_READERS)

    @property
    def node(self) -> str:
        """The node."""
        return self.classifier.node

    @property
    def tree(self) -> LabelTree:
        """The node's labels."""
        return self.classifier.tree

    @property
    def flat(self) -> bool:
        """Whether the node has a single softmax over the deepest level."""
        return self.classifier.flat


@dataclass(frozen=True)
class Member:
    """One member of an ensemble.

    Attributes:
        nodes: Folders that provide the member's scores for the ensemble's node: the node's own folder, or all folders
            it is derived from.
        weights: Exponent of the member in the pool, either one for all levels or one per level.
    """

    nodes: Mapping[str, Path]
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A node folder that pools the scores of other folders.

    Attributes:
        node: Name of the node.
        tree: Labels of the node.
        flat: Whether the node has a single softmax over the deepest level.
        members: Pooled members.
        unknown: For each level, the value for labels that a member does not know; None if each head is pooled
            separately, with one weight per member.
        depth: Level below which members are cut off; None if no member reaches further.
    """

    node: str
    tree: LabelTree
    flat: bool
    members: tuple[Member, ...]
    unknown: tuple[float, ...] | None = None
    depth: str | None = None


class NodeLoader:
    """Loads node folders and everything they need; each folder is loaded once.

    Attributes:
        nodes: Loaded folders.
    """

    def __init__(self) -> None:
        self.nodes: dict[Path, Classifier | Ensemble] = {}

    def load(self, folder: Path, node: str, within: tuple[Path, ...] = ()) -> Path:
        """Load a node folder and, for an ensemble, its members' folders.

        Args:
            folder: A sealed node folder.
            node: Expected node of the folder.
            within: Ensembles that this folder is loaded for, outermost first.

        Returns:
            The folder's key in :attr:`nodes`.

        Raises:
            ArtifactError: If the folder is damaged, belongs to another node, or is an ensemble that contains itself.
        """
        folder = folder.resolve()
        if folder in within:
            raise ArtifactError(f"ensemble {folder} is a member of itself; delete it and combine again")
        if folder not in self.nodes:
            digests = _verified(folder)
            facts = read_json(folder / MODEL_FOLDER / CLASSIFIER_FILE)
            kind, known = (facts.get("kind"), facts.get("node")) if isinstance(facts, dict) else (None, None)
            if known != node:
                raise ArtifactError(f"{folder} belongs to node {shown(known)}, not {node}; delete it and run again")
            one = self._ensemble(folder, facts, within) if kind == COMBINATION else _classifier(folder, digests)
            if one.tree.root != (root := ROOT if node in WHOLE else node):
                file = folder / MODEL_FOLDER / CLASSIFIER_FILE
                raise ArtifactError(f"{file} has labels below {shown(one.tree.root)}, not {root}; train the node again")
            self.nodes[folder] = one
        return folder

    def _ensemble(self, folder: Path, facts: dict[str, Any], within: tuple[Path, ...]) -> Ensemble:
        try:
            node, tree, flat = facts["node"], LabelTree.from_dict(facts["tree"]), bool(facts["flat"])
            unknown = None if facts.get("unknown") is None else _numbers(facts["unknown"])
            listed = [(dict(member["nodes"]), _numbers(member["weight"])) for member in facts["members"]]
            if not all(is_path(path) for paths, _ in listed for path in paths.values()):
                raise TypeError("a member's folder is not a path")
            if not all(0 <= weight <= _MOST_WEIGHT for _, weights in listed for weight in weights):  # also rejects NaN
                raise ValueError("a weight is out of range")
            if not all(abs(number) <= _MOST_WEIGHT for number in unknown or ()):
                raise ValueError("a value for unknown labels is out of range")
            if (depth := facts.get("depth")) not in (None, *LABEL_LEVELS):
                raise ValueError(f"its members are cut off below {shown(depth)}, which is not a level")
            each = 1 if unknown is None else len(tree.levels)
            if {len(weights) for _, weights in listed} - {each} or (unknown is not None and len(unknown) != each):
                raise ValueError(f"a member's weights or the values for unknown labels do not have length {each}")
        except (ArtifactError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{folder / MODEL_FOLDER / CLASSIFIER_FILE} does not describe an ensemble ({reason(error)}); "
                "combine again"
            ) from error
        members = []
        for paths, weights in listed:
            needed = {node: paths[node]} if node in paths else paths
            nodes = {name: self.load(folder / path, name, (*within, folder)) for name, path in needed.items()}
            members.append(Member(nodes, weights))
        if not members:
            raise ArtifactError(f"ensemble {folder} has no members; delete it and combine again")
        return Ensemble(node, tree, flat, tuple(members), unknown, depth)


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, list) else (float(value),)


def is_path(value: object) -> bool:
    """Return whether a value from a manifest can be a folder name."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        return len(value.encode()) < _LONGEST_PATH and all(len(part.encode()) < 256 for part in value.split("/"))
    except UnicodeEncodeError:  # unpaired surrogate
        return False


def _verified(folder: Path) -> dict[str, str]:
    """Verify a node's model files and settings against its manifest, and return file name -> SHA-256."""
    if not folder.is_dir():
        raise ArtifactError(f"node folder {folder} is missing; copy it there, or train the node again")
    verify(folder, only=())  # requires a manifest with a list of files
    files: dict[str, Any] = read_json(folder / MANIFEST)["files"]
    wanted = [name for name in files if name == CONFIG_FILE or name.startswith(f"{MODEL_FOLDER}/")]
    if missing := [name for name in (CONFIG_FILE, f"{MODEL_FOLDER}/{CLASSIFIER_FILE}") if name not in wanted]:
        raise ArtifactError(f"the manifest of {folder} does not list {missing[0]}; delete it and run again")
    verify(folder, only=wanted)
    return {name.removeprefix(f"{MODEL_FOLDER}/"): str(files[name]["sha256"]) for name in wanted if name != CONFIG_FILE}


def _classifier(folder: Path, digests: Mapping[str, str]) -> Classifier:
    import torch  # takes seconds, so import it only for a verified folder
    from torch import nn

    from patent_hier.models.saved import load_classifier

    classifier = load_classifier(folder / MODEL_FOLDER)
    if isinstance(classifier.model, nn.Module) and torch.cuda.is_available():
        classifier.model.cuda()
    return Classifier(classifier, digests, _raw_format(folder / CONFIG_FILE))


def _raw_format(config: Path) -> RawFormat:
    """Return the format of the raw file, from the settings that a node was trained with."""
    try:
        data = read_yaml(config)["data"]
        columns, text = dict(data["columns"]), list(data["text"])
        rest = {name: data[name] for name in ("min_symbol", "edition", "encoding")}
        given = [*columns, *columns.values(), *text, *(value for value in rest.values() if value is not None)]
        if wrong := [name for name in given if not _is_name(name)]:
            raise TypeError(f"{shown(wrong[0])} is not a name")
        context = tuple(data.get("context", ()))
        if unknown := [name for name in context if name not in CONTEXT_COLUMNS]:
            raise TypeError(f"{shown(unknown[0])} is not a context column")
        return RawFormat(columns=columns, text=tuple(text), convert=data.get("convert"), context=context, **rest)
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise ArtifactError(
            f"{config} does not describe how the raw file was read ({reason(error)}); train the node again"
        ) from error


def _is_name(value: object) -> bool:
    """Return whether a value can be the name of a column or of an option."""
    return isinstance(value, str) and len(value) <= _LONGEST_NAME
