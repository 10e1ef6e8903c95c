"""The node folders of a system, checked and loaded: classifiers, and combinations of other folders' classifiers."""

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

# The names that patent_hier.pipeline.node gives to these files.
CONFIG_FILE = "config.yaml"
MODEL_FOLDER = "model"
NODE_KIND = "node"
COMBINATION = "combination"
CLASSIFIER_FILE = "classifier.json"  # as patent_hier.models.saved, which imports torch
_LONGEST_PATH = 2048  # bytes; the system takes twice as much
_LONGEST_NAME = 1000  # characters of a column
_MOST_WEIGHT = 1e3  # of a member; more leaves no numbers
_NO_READERS = (CLASSIFIER_FILE, "model.safetensors")  # of a model folder; the other files make the reader


@dataclass(frozen=True, eq=False)
class Classifier:
    """A node folder with a classifier of its own.

    Attributes:
        classifier: It, on the device where it will score.
        files: Names and SHA-256 of the files of its model folder.
        raw: The form of the raw file that it was trained on.
    """

    classifier: "NodeClassifier"
    files: Mapping[str, str]
    raw: RawFormat

    @property
    def reader_digests(self) -> frozenset[tuple[str, str]]:
        """Names and digests of its reader's files: equal for classifiers that read the same of a text."""
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
        """Whether one softmax over the deepest level decides."""
        return self.classifier.flat


@dataclass(frozen=True)
class Member:
    """One system in a combination.

    Attributes:
        nodes: The folders that say what it thinks of the combined node: that node's own, or all that it is derived
            from.
        weights: Its exponent in the pool, or one for each level.
    """

    nodes: Mapping[str, Path]
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A node folder that pools what other folders say.

    Attributes:
        node: The node.
        tree: Its labels.
        flat: Whether one softmax over the deepest level decides.
        members: What is pooled.
        unknown: For each level, what a label gets that some member does not know; None where each head is pooled by
            itself, with one weight for each member.
        depth: The level below which members are not asked; None where none of them reaches further.
    """

    node: str
    tree: LabelTree
    flat: bool
    members: tuple[Member, ...]
    unknown: tuple[float, ...] | None = None
    depth: str | None = None


class NodeLoader:
    """Loads node folders with all that they need; each folder once.

    Attributes:
        nodes: What has been loaded, by folder.
    """

    def __init__(self) -> None:
        self.nodes: dict[Path, Classifier | Ensemble] = {}

    def load(self, folder: Path, node: str, within: tuple[Path, ...] = ()) -> Path:
        """Load a node folder, and of a combination also the folders of its members.

        Args:
            folder: A sealed node folder.
            node: The node that it must be of.
            within: The combinations that this one is loaded for, the outermost first.

        Returns:
            The folder's name among :attr:`nodes`.

        Raises:
            ArtifactError: If it is damaged, of another node, or a combination that contains itself.
        """
        folder = folder.resolve()
        if folder in within:
            raise ArtifactError(f"combination {folder} is a member of itself; delete it and combine again")
        if folder not in self.nodes:
            digests = _verified(folder)
            facts = read_json(folder / MODEL_FOLDER / CLASSIFIER_FILE)
            kind, known = (facts.get("kind"), facts.get("node")) if isinstance(facts, dict) else (None, None)
            if known != node:
                raise ArtifactError(f"{folder} is of node {shown(known)}, not {node}; delete it and run again")
            one = self._ensemble(folder, facts, within) if kind == COMBINATION else _classifier(folder, digests)
            if one.tree.root != (root := ROOT if node in WHOLE else node):
                file = folder / MODEL_FOLDER / CLASSIFIER_FILE
                raise ArtifactError(
                    f"{file}: its labels stand below {shown(one.tree.root)}, not {root}; train the node again"
                )
            self.nodes[folder] = one
        return folder

    def _ensemble(self, folder: Path, facts: dict[str, Any], within: tuple[Path, ...]) -> Ensemble:
        try:
            node, tree, flat = facts["node"], LabelTree.from_dict(facts["tree"]), bool(facts["flat"])
            unknown = None if facts.get("unknown") is None else _numbers(facts["unknown"])
            listed = [(dict(member["nodes"]), _numbers(member["weight"])) for member in facts["members"]]
            if not all(is_path(path) for paths, _ in listed for path in paths.values()):
                raise TypeError("a member's folder is no path")
            if not all(0 <= weight <= _MOST_WEIGHT for _, weights in listed for weight in weights):  # NaN is not either
                raise ValueError("a weight is out of range")
            if not all(abs(number) <= _MOST_WEIGHT for number in unknown or ()):
                raise ValueError("a number of unknown labels is out of range")
            if (depth := facts.get("depth")) not in (None, *LABEL_LEVELS):
                raise ValueError(f"its members are asked down to {shown(depth)}, which is not a level")
            each = 1 if unknown is None else len(tree.levels)
            if {len(weights) for _, weights in listed} - {each} or (unknown is not None and len(unknown) != each):
                raise ValueError(f"a member has another number of weights than {each}")
        except (ArtifactError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{folder / MODEL_FOLDER / CLASSIFIER_FILE} is no combination's ({reason(error)}); combine again"
            ) from error
        members = []
        for paths, weights in listed:
            needed = {node: paths[node]} if node in paths else paths
            nodes = {name: self.load(folder / path, name, (*within, folder)) for name, path in needed.items()}
            members.append(Member(nodes, weights))
        if not members:
            raise ArtifactError(f"combination {folder} has no members; delete it and combine again")
        return Ensemble(node, tree, flat, tuple(members), unknown, depth)


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, list) else (float(value),)


def is_path(value: object) -> bool:
    """Whether a value of a manifest can be a folder's name."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        return len(value.encode()) < _LONGEST_PATH and all(len(part.encode()) < 256 for part in value.split("/"))
    except UnicodeEncodeError:  # half of a character
        return False


def _verified(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of a node's model files, once they and its settings are as its manifest says."""
    if not folder.is_dir():
        raise ArtifactError(f"node folder {folder} is missing; copy it, or train the node again")
    verify(folder, only=())  # is there a manifest with a list of files?
    files: dict[str, Any] = read_json(folder / MANIFEST)["files"]
    wanted = [name for name in files if name == CONFIG_FILE or name.startswith(f"{MODEL_FOLDER}/")]
    if missing := [name for name in (CONFIG_FILE, f"{MODEL_FOLDER}/{CLASSIFIER_FILE}") if name not in wanted]:
        raise ArtifactError(f"the manifest of {folder} does not list {missing[0]}; delete it and run again")
    verify(folder, only=wanted)
    return {name.removeprefix(f"{MODEL_FOLDER}/"): str(files[name]["sha256"]) for name in wanted if name != CONFIG_FILE}


def _classifier(folder: Path, digests: Mapping[str, str]) -> Classifier:
    import torch  # seconds: only once the folder is known to be good
    from torch import nn

    from patent_hier.models.saved import load_classifier

    classifier = load_classifier(folder / MODEL_FOLDER)
    if isinstance(classifier.model, nn.Module) and torch.cuda.is_available():
        classifier.model.cuda()
    return Classifier(classifier, digests, _raw_format(folder / CONFIG_FILE))


def _raw_format(config: Path) -> RawFormat:
    """The form of the raw file, from the settings that a node was trained with."""
    try:
        data = read_yaml(config)["data"]
        columns, text = dict(data["columns"]), list(data["text"])
        rest = {name: data[name] for name in ("min_symbol", "edition", "encoding")}
        given = [*columns, *columns.values(), *text, *(value for value in rest.values() if value is not None)]
        if wrong := [name for name in given if not _is_name(name)]:
            raise TypeError(f"{shown(wrong[0])} is no name")
        context = tuple(data.get("context", ()))
        if unknown := [name for name in context if name not in CONTEXT_COLUMNS]:
            raise TypeError(f"{shown(unknown[0])} is no column of context")
        return RawFormat(columns=columns, text=tuple(text), convert=data.get("convert"), context=context, **rest)
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise ArtifactError(
            f"{config} does not say how the raw file was read ({reason(error)}); train the node again"
        ) from error


def _is_name(value: object) -> bool:
    """Whether a value can be the name of a column or of a choice."""
    return isinstance(value, str) and len(value) <= _LONGEST_NAME
