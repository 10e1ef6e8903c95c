"""A finished system as one object that scores new texts with log-probabilities of every label or the likeliest paths.

It needs neither Lightning nor Hydra, and imports torch only when a verified folder is loaded.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from patent_hier.artifacts import MANIFEST, verify
from patent_hier.atomic import read_json
from patent_hier.data.characters import Characters, load_characters
from patent_hier.data.raw import RawFormat
from patent_hier.data.titles import load_titles
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.evaluation.decoding import NO_PATH
from patent_hier.evaluation.reference import Reference, load_reference
from patent_hier.evaluation.scores import TreeScores, missing_nodes, whole, whole_tree
from patent_hier.inference.nodes import NODE_KIND, Classifier, Ensemble, NodeLoader, is_path
from patent_hier.inference.results import LabelPath, Step
from patent_hier.inference.scoring import Progress, TextScorer
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

RESULT_KIND = "result"
SYSTEM_KIND = "system"  # written by patent_hier.inference.exporting
NODES = "nodes"  # folder in an exported system that holds its node folders
_CELLS = 1 << 24  # documents x labels scored at once: 64 MiB of float32


class System:
    """A finished result, ready for new texts; all its classifiers are in memory, on the GPU if there is one.

    Attributes:
        name: Name of the model.
        nodes: Node -> its folder.
        loaded: Folder -> loaded content, for all node folders and those that ensembles need.
        raw: Format of the raw file that it was trained on; its ``text`` names the fields that form a document's text.
        passes: Number of classifiers that read each text.
        titles: Titles of labels by code, as far as known.
        characters: Characters seen in training; None if unknown.
        reference: Profile of the calibration documents; None if unknown.
    """

    def __init__(
        self,
        name: str,
        nodes: Mapping[str, Path],
        loaded: Mapping[Path, Classifier | Ensemble],
        raw: RawFormat,
        titles: Mapping[str, str] | None = None,
        characters: Characters | None = None,
        reference: Reference | None = None,
    ) -> None:
        self.name = name
        self.characters = characters
        self.reference = reference
        self.titles = dict(titles or {})
        self.nodes = dict(nodes)
        self.raw = raw
        self.loaded = dict(loaded)
        self._scorer = TextScorer(loaded)
        self.passes = self._scorer.passes

    @cached_property
    def tree(self) -> LabelTree:
        """All labels that the system can answer, with their titles.

        Raises:
            IncompleteError: If this is one node of a hierarchical system.
        """
        trees = {node: self.loaded[folder].tree for node, folder in self.nodes.items()}
        if missing := missing_nodes(trees):
            raise IncompleteError(
                f"{self.name} {', '.join(self.nodes)} cannot form complete paths without node {', '.join(missing)}; "
                "use the result folder of all nodes (result-hier-..., result-flat-... or result-shared-...)"
            )
        return replace(whole_tree(trees), titles=self.titles)

    @property
    def _known(self) -> tuple[Characters | None, Reference | None]:
        """Statistics that belong to the classifiers and do not depend on the engine."""
        return self.characters, self.reference

    def with_titles(self, titles: Mapping[str, str]) -> "System":
        """Return the same classifiers with titles for their labels."""
        return System(self.name, self.nodes, self.loaded, self.raw, titles, *self._known)

    def with_loaded(self, loaded: Mapping[Path, Classifier | Ensemble]) -> "System":
        """Return the same nodes with other classifiers, or with the same ones on another engine."""
        return System(self.name, self.nodes, loaded, self.raw, self.titles, *self._known)

    def converting(self, convert: str) -> "System":
        """Return the same classifiers with a character conversion applied to texts first (``RawFormat.convert``)."""
        raw = replace(self.raw, convert=convert)
        return System(self.name, self.nodes, self.loaded, raw, self.titles, *self._known)

    def portions(self, texts: list[str]) -> Iterator[list[str]]:
        """Yield the texts in portions whose scores for all labels fit into a bounded amount of memory."""
        size = max(1, _CELLS // sum(len(one.tree) for one in self.loaded.values()))
        for start in range(0, len(texts), size):
            yield texts[start : start + size]

    def whole(self, scores: Mapping[str, TreeScores]) -> TreeScores:
        """Combine the scores of all nodes from :meth:`log_prob` over the whole tree."""
        return whole(scores, self.tree)

    def log_prob(
        self,
        texts: list[str],
        progress: Progress | None = None,
        batch_size: int = 64,
        only: Collection[str] | None = None,
    ) -> dict[str, TreeScores]:
        """Score every text with every node.

        Each kind of reader reads a text once, and each classifier scores it once, however many ensembles use it.

        Args:
            texts: ``n`` texts composed as in training.
            progress: Called after each batch of each classifier with its number of documents: ``passes * n`` in total.
            batch_size: Documents per batch of a network.
            only: Names of the nodes to score; None: all.

        Returns:
            For each node, its labels and their joint log-probabilities; memory grows with ``n`` times the number of
            labels.

        Raises:
            ArtifactError: If the classifiers do not fit together.
        """
        nodes = {node: folder for node, folder in self.nodes.items() if only is None or node in only}
        return self._scorer.score(nodes, texts, progress, batch_size)

    @property
    def has_members(self) -> bool:
        """Whether every node is an ensemble, all with the same number of members."""
        nodes = [self.loaded[folder] for folder in self.nodes.values()]
        counts = {len(one.members) if isinstance(one, Ensemble) else 0 for one in nodes}
        return len(counts) == 1 and min(counts) > 1

    def log_prob_with_members(
        self, texts: list[str], progress: Progress | None = None, batch_size: int = 64
    ) -> tuple[dict[str, TreeScores], list[dict[str, TreeScores]]]:
        """Return :meth:`log_prob` and the scores of each member; no members unless :attr:`has_members`."""
        scores, by_node = self._scorer.score_with_members(self.nodes, texts, progress, batch_size)
        if not self.has_members:
            return scores, []
        count = min(map(len, by_node.values()))
        return scores, [{node: own[place] for node, own in by_node.items()} for place in range(count)]


def paths_of(scores: TreeScores, ends: Positions) -> list[list[LabelPath]]:
    """Return the paths to each document's labels, given as positions in the tree, ``(n, top_k)``, in that order."""
    tree = scores.tree
    steps = tree.paths(ends.reshape(-1)).reshape(*ends.shape, len(tree.levels))  # (n, top_k, n_levels)
    rows = np.arange(len(ends))[:, None, None]
    joint = scores.log_prob[rows, steps]
    above = np.zeros_like(joint)  # log-probability of the parent; 0 for the root
    above[..., 1:] = joint[..., :-1]
    with np.errstate(invalid="ignore"):
        conditional = joint - above
    equal = -np.log(np.diff(tree.child_bounds)[tree.parents[steps] + 1])  # used below a label of probability 0
    conditional = np.where(np.isneginf(above), equal, conditional)
    values = np.exp(np.stack([joint, conditional], axis=-1)).tolist()
    codes = tree.codes[steps].tolist()
    documents = zip(codes, steps.tolist(), values, ends.tolist(), strict=True)
    return [
        [_path(tree.levels, *one) for *one, end in zip(*document, strict=True) if end != NO_PATH]
        for document in documents
    ]


def _path(levels: Sequence[str], codes: list[str], places: list[int], numbers: list[list[float]]) -> LabelPath:
    steps = tuple(
        Step(level, code, *both)
        for level, code, place, both in zip(levels, codes, places, numbers, strict=True)
        if place != NONE
    )
    return LabelPath(steps[-1].label, steps[-1].probability, steps)


def load_system(folder: Path) -> System:
    """Load a finished result.

    Args:
        folder: A result ``runs/<model>/result-hier-...`` (or ``-flat-``, ``-shared-``) with its node folders next to
            it, the folder of one node, or an exported system. All may have been moved.

    Raises:
        ConfigError: If the folder holds no result.
        IncompleteError: If node folders next to the result are missing; the message names them.
        ArtifactError: If a file is missing or differs from its manifest.
    """
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if kind not in (RESULT_KIND, NODE_KIND, SYSTEM_KIND):
        raise ConfigError(
            f"{folder} holds no finished result; use a folder such as runs/linear/result-hier-... or result-flat-..."
        )
    folders = {str(manifest.get("node")): folder} if kind == NODE_KIND else _nodes_of(folder, manifest)
    if absent := [node for node, path in folders.items() if not path.is_dir()]:
        names = ", ".join(f"{node} ({folders[node].name})" for node in absent)
        raise IncompleteError(f"node folders next to {folder} are missing: {names}; copy them there, or run again")
    name = str(manifest.get("name" if kind == SYSTEM_KIND else "model"))
    own = assemble(name, folders)
    system = System(name, own.nodes, own.loaded, own.raw, load_titles(folder), load_characters(folder))
    if kind != NODE_KIND:  # a single node has no whole tree to check the file against, and no such file
        system.reference = load_reference(folder, system.tree)
    return system


def assemble(name: str, folders: Mapping[str, Path]) -> System:
    """Load node folders as a system, without the titles and character statistics of a result.

    Args:
        name: Name of the model.
        folders: Folder of each node.

    Raises:
        ArtifactError: If a file is missing or differs from its manifest.
    """
    loader = NodeLoader()
    nodes = {node: loader.load(path, node) for node, path in folders.items()}
    return System(name, nodes, loader.nodes, _common_format(loader.nodes))


def _nodes_of(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """Return the node folders that a manifest names: next to a result, or inside an exported system."""
    verify(folder)
    nodes = manifest.get("nodes")
    if not isinstance(nodes, dict) or not nodes or not all(is_path(path) for path in nodes.values()):
        raise ArtifactError(f"{folder / MANIFEST} lists no nodes; delete {folder} and run again")
    place = folder.resolve() / NODES if manifest["kind"] == SYSTEM_KIND else folder.resolve().parent
    return {node: place / Path(path).name for node, path in nodes.items()}


def _common_format(loaded: Mapping[Path, Classifier | Ensemble]) -> RawFormat:
    """Return the format of the raw file that all classifiers were trained on."""
    formats = [node.raw for node in loaded.values() if isinstance(node, Classifier)]
    if any(raw.content != formats[0].content for raw in formats):
        raise ArtifactError("the classifiers were trained on texts in different formats (data.*); combine others")
    return replace(formats[0], context=tuple(dict.fromkeys(name for raw in formats for name in raw.context)))
