"""A finished system as one thing: new texts in, log-probabilities of every node or the likeliest paths out.

No Lightning and no Hydra is needed, and torch is imported only when a checked folder is loaded.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from patent_hier.artifacts import MANIFEST, verify
from patent_hier.atomic import read_json
from patent_hier.data.raw import RawFormat
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.evaluation.decoding import NO_PATH, Columns, Tree, check_search, decode
from patent_hier.evaluation.deriving import NodeScores
from patent_hier.inference.nodes import NODE_KIND, Classifier, Combination, NodeLoader, is_path
from patent_hier.inference.results import IpcPath
from patent_hier.inference.texts import TextScorer
from patent_hier.settings import FLAT, ROOT

RESULT_KIND = "result"
SYSTEM_KIND = "system"  # of patent_hier.inference.exporting
NODES = "nodes"  # its folder of node folders


class System:
    """A finished result, ready for new texts; all its classifiers are in memory, on the GPU if there is one.

    Attributes:
        name: The model's name.
        nodes: Node -> its folder.
        loaded: Folder -> what was loaded of it: all node folders, and those that combinations need.
        raw: The form of the raw file that it was trained on; its ``text`` names the fields that make a document's text.
        passes: How many classifiers read each text.
    """

    def __init__(
        self, name: str, nodes: Mapping[str, Path], loaded: Mapping[Path, Classifier | Combination], raw: RawFormat
    ) -> None:
        self.name = name
        self.nodes = dict(nodes)
        self.raw = raw
        self.loaded = dict(loaded)
        self._scorer = TextScorer(loaded)
        self.passes = self._scorer.passes

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes that :meth:`paths` can name, sorted.

        Raises:
            IncompleteError: If this is one node of a hierarchical system.
        """
        if FLAT in self.nodes:
            return tuple(sorted(self.loaded[self.nodes[FLAT]].labels))
        sections = self.loaded[self.nodes[ROOT]].labels if ROOT in self.nodes else ()
        if missing := [node for node in (ROOT, *sections) if node not in self.nodes]:
            raise IncompleteError(
                f"{self.name} {', '.join(self.nodes)} makes no whole paths without node {', '.join(missing)}; "
                "give the result folder of all nodes (result-hier-... or result-flat-...)"
            )
        return tuple(sorted(label for section in sections for label in self.loaded[self.nodes[section]].labels))

    def log_prob(
        self,
        texts: list[str],
        progress: Callable[[int], None] | None = None,
        batch_size: int = 64,
        only: Collection[str] | None = None,
    ) -> dict[str, NodeScores]:
        """Score every text by every node.

        Each kind of reader reads a text once, and each classifier scores it once, in however many combinations it is.

        Args:
            texts: ``n`` texts, built as in training.
            progress: Called after each batch of each classifier with its number of documents: ``passes * n`` in all.
            batch_size: Documents per batch of a network.
            only: Names of the nodes to ask; None for all.

        Returns:
            By node: labels, and ``log_prob`` ``(n, n_labels)`` float32.

        Raises:
            ArtifactError: If the classifiers do not fit together.
        """
        nodes = {node: folder for node, folder in self.nodes.items() if only is None or node in only}
        return self._scorer.score(nodes, texts, progress, batch_size)

    def paths(
        self,
        texts: list[str],
        top_k: int = 3,
        progress: Callable[[int], None] | None = None,
        batch_size: int = 64,
    ) -> list[list[IpcPath]]:
        """The likeliest classes of each text.

        Args:
            texts: ``n`` texts, built as in training.
            top_k: Paths for each text, from 1 to the number of classes.
            progress: As in :meth:`log_prob`.
            batch_size: As there.

        Returns:
            For each text ``top_k`` paths, the most probable first; of equally probable ones the first class.

        Raises:
            ConfigError: If ``top_k`` is out of range.
            IncompleteError: If this is one node of a hierarchical system.
        """
        check_search((), len(self.classes), top_k)
        return best_paths(self.log_prob(texts, progress, batch_size), top_k)


def best_paths(scores: Mapping[str, NodeScores], top_k: int) -> list[list[IpcPath]]:
    """The ``top_k`` likeliest paths of each document, from the scores of a whole system; see :meth:`System.paths`."""
    tree = Tree.of(scores)
    return paths_of(tree, decode(tree, top_k))


def paths_of(tree: Tree, columns: Columns) -> list[list[IpcPath]]:
    """The paths to each document's classes, by their positions in ``tree.classes``, ``(n, top_k)``, in that order."""
    rows = np.arange(len(columns))[:, None]
    section = tree.section_of[columns]
    chosen = (tree.class_log_prob[rows, columns], tree.section_log_prob[rows, section])
    probabilities = np.exp(np.stack([*chosen, tree.within_log_prob[rows, columns]], axis=-1)).tolist()
    return [
        [
            IpcPath(tree.classes[column][0], tree.classes[column], *three)
            for column, three in zip(own, threes, strict=True)
            if column != NO_PATH
        ]
        for own, threes in zip(columns.tolist(), probabilities, strict=True)
    ]


def load_system(folder: Path) -> System:
    """Load a finished result.

    Args:
        folder: ``runs/<model>/result-hier-...`` or ``result-flat-...``, beside its node folders; or one node's folder;
            or an exported system. All may have been moved.

    Raises:
        ConfigError: If the folder holds no result.
        IncompleteError: Naming the node folders that are missing beside the result.
        ArtifactError: If a file is missing or differs from its manifest.
    """
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if kind not in (RESULT_KIND, NODE_KIND, SYSTEM_KIND):
        raise ConfigError(
            f"{folder} holds no finished result; name a folder such as runs/linear/result-hier-... or result-flat-..."
        )
    folders = {str(manifest.get("node")): folder} if kind == NODE_KIND else _nodes_of(folder, manifest)
    if absent := [node for node, path in folders.items() if not path.is_dir()]:
        names = ", ".join(f"{node} ({folders[node].name})" for node in absent)
        raise IncompleteError(f"beside {folder} these nodes are missing: {names}; copy them there, or run again")
    loader = NodeLoader()
    nodes = {node: loader.load(path, node) for node, path in folders.items()}
    return System(
        str(manifest.get("name" if kind == SYSTEM_KIND else "model")), nodes, loader.nodes, _common_format(loader.nodes)
    )


def _nodes_of(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """The node folders that a manifest names: beside a result, as they lay when it was made; or inside a system."""
    verify(folder)
    nodes = manifest.get("nodes")
    if not isinstance(nodes, dict) or not nodes or not all(is_path(path) for path in nodes.values()):
        raise ArtifactError(f"{folder / MANIFEST} names no nodes; delete {folder} and run again")
    place = folder.resolve() / NODES if manifest["kind"] == SYSTEM_KIND else folder.resolve().parent
    return {node: place / Path(path).name for node, path in nodes.items()}


def _common_format(loaded: Mapping[Path, Classifier | Combination]) -> RawFormat:
    """The form of the raw file that all classifiers were trained on."""
    formats = [node.raw for node in loaded.values() if isinstance(node, Classifier)]
    if any(raw.content != formats[0].content for raw in formats):
        raise ArtifactError("the classifiers were trained on texts of different form (data.*); combine others")
    return formats[0]
