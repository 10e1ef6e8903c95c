"""Export of a finished system of networks to an ONNX folder, for programs that do not use this package.

The folder holds ``<node>.onnx`` for each network, one folder per reader with the vocabulary behind its ids, and
``onnx.json``, which describes how they fit together: label trees, how a text becomes ids, how logits become
probabilities, the weights in ensembles, and how closely each file matches its network. Scoring needs only numpy,
onnxruntime and the reader's library (tokenizers or jieba).

Source: ONNX, https://onnx.ai/onnx/intro; the files use only operators of the standard set.
"""

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

import patent_hier
from patent_hier.artifacts import refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.errors import ConfigError
from patent_hier.evaluation.pooling import FLOOR
from patent_hier.features.wordpiece import WordPieceReader, load_tokenizer
from patent_hier.features.words import FIRST_WORD_ID, UNKNOWN_ID, WORDS_FILE, WordReader
from patent_hier.inference.calibration import Calibration
from patent_hier.inference.nodes import Classifier, Ensemble
from patent_hier.inference.onnx_network import INPUTS, OPSET, OUTPUT, export_network, require_libraries
from patent_hier.inference.predictor import System
from patent_hier.models.registry import Reader

ONNX_VERSION = 3  # version of the folder's format
ONNX_KIND = "onnx"  # kind in the manifest
ONNX_FILE = "onnx.json"
_TOKENIZER = "tokenizer.json"
_PACKAGES = ("torch", "onnx", "onnxruntime", "tokenizers", "jieba")


def export_onnx(system: System, folder: Path, calibration: Calibration | None = None) -> dict[str, Any]:
    """Write all networks of a system as ONNX, each compared with PyTorch's scores.

    Args:
        system: Finished and loaded system; see :func:`patent_hier.inference.predictor.load_system`.
        folder: New or empty folder, or an earlier export, which is replaced once the new one is complete.
        calibration: The system's calibration. Its scalings are written too; without them, probabilities differ from
            those of ``predict``.

    Returns:
        The content of ``onnx.json``. ``nodes`` names the classifier of each node. ``classifiers`` has, by name, node,
        tree, flat and kind: a ``network`` with its file, reader and comparison (number of documents, their lengths in
        tokens, batch sizes, and the largest difference of a log-probability), a ``constant`` classifier, which gives
        its only path probability 1, or a ``combination`` (an ensemble) of others with their weights. ``readers`` has
        files, ``max_length`` and ``pad_id``; ``scalings`` has temperatures and shapes, by node, then by level.

    Raises:
        ConfigError: If onnx or onnxruntime is missing, a classifier is not a network, the folder holds something else,
            or a file's scores differ from its network's by more than 1e-4 or in the first label; nothing is written.
    """
    require_libraries()
    _require_networks(system)
    refuse_foreign(folder, ONNX_KIND)
    with exclusive(folder), atomic_folder(folder) as staging:
        scalings = {} if calibration is None else calibration.as_dict()["scalings"]
        content = _write(system, staging) | {"scalings": scalings}
        write_json(staging / ONNX_FILE, content)
        facts = {key: content[key] for key in ("format", "model", "opset", "versions")}
        seal(staging, {"kind": ONNX_KIND, **facts})
    return content


def _require_networks(system: System) -> None:
    """Raise an error for n-gram models, and for systems that consist of constant classifiers only."""
    classifiers = [one.classifier for one in system.loaded.values() if isinstance(one, Classifier)]
    for one in classifiers:
        if one.model is not None and not isinstance(one.model, nn.Module):
            kind = one.settings.name if one.settings else "?"
            raise ConfigError(
                f"{system.name}, node {one.node}: {kind} is an n-gram model, not a network, and cannot be written as "
                "ONNX; export a system that consists only of bertcnn, bert, textcnn or rnn"
            )
    if all(one.model is None for one in classifiers):
        raise ConfigError(
            f"{system.name} has no network, because each of its nodes has only one path; there is nothing to export"
        )


def _write(system: System, staging: Path) -> dict[str, Any]:
    """Write all files except ``onnx.json``, and return its content."""
    names = _names(system)
    alike: dict[Hashable, Reader] = {  # by a key that is equal for classifiers that read in the same way
        one.reader_digests: one.classifier.reader
        for one in system.loaded.values()
        if isinstance(one, Classifier) and one.classifier.reader is not None
    }
    readers = {key: "reader" if len(alike) == 1 else f"reader-{n}" for n, key in enumerate(alike, 1)}
    notes = resources.files("patent_hier.resources") / "onnx_notes.json"
    return {
        "kind": ONNX_KIND,
        "format": ONNX_VERSION,
        "model": system.name,
        "nodes": {node: names[path] for node, path in system.nodes.items()},
        "classifiers": {
            names[path]: _write_node(path, one, names, readers, staging) for path, one in system.loaded.items()
        },
        "readers": {readers[key]: _write_reader(reader, readers[key], staging) for key, reader in alike.items()},
        "text": {"columns": list(system.raw.text)},
        "inputs": list(INPUTS),
        "output": OUTPUT,
        "opset": OPSET,
        "versions": {"patent_hier": patent_hier.__version__, **{name: version(name) for name in _PACKAGES}},
        "notes": json.loads(notes.read_text("utf-8")),
    }


def _names(system: System) -> dict[Path, str]:
    """Return a name for each loaded folder: its node, numbered if several folders have the same node."""
    plain = {
        path: f"combination-{one.node}" if isinstance(one, Ensemble) else one.node
        for path, one in system.loaded.items()
    }
    how_many, so_far = Counter(plain.values()), Counter[str]()
    names = {}
    for path, name in plain.items():
        so_far[name] += 1
        names[path] = name if how_many[name] == 1 else f"{name}-{so_far[name]}"
    return names


def _write_node(
    path: Path, one: Classifier | Ensemble, names: Mapping[Path, str], readers: Mapping[Hashable, str], staging: Path
) -> dict[str, Any]:
    """Return the entry of a loaded folder for ``onnx.json``; for a network, write its file first."""
    labels = {"node": one.node, "tree": one.tree.as_dict(), "flat": one.flat}
    if isinstance(one, Ensemble):
        if one.unknown is not None:
            raise ConfigError("an ensemble over several levels cannot be written as ONNX; export its members")
        if one.depth is not None:
            raise ConfigError(
                f"an ensemble with members that reach below {one.depth} cannot be written as ONNX; export its members"
            )
        members = [
            {"weight": member.weights[0], "nodes": {node: names[folder] for node, folder in member.nodes.items()}}
            for member in one.members
        ]
        return {"kind": "combination", **labels, "floor": FLOOR, "members": members}
    if one.classifier.model is None:
        return {"kind": "constant", **labels, "source": path.name}
    file = f"{names[path]}.onnx"
    comparison = export_network(one.classifier, staging / file)
    facts = {
        "model": one.classifier.settings.name if one.classifier.settings else None,
        "file": file,
        "reader": readers[one.reader_digests],
        "comparison": asdict(comparison),
    }
    return {"kind": "network", **labels, "source": path.name, **facts}


def _write_reader(reader: Reader, name: str, staging: Path) -> dict[str, Any]:
    """Write a vocabulary and return its entry for ``onnx.json``."""
    assert isinstance(reader, WordPieceReader | WordReader)
    (staging / name).mkdir()
    common = {"max_length": reader.max_length, "pad_id": reader.pad_id}
    if isinstance(reader, WordPieceReader):
        load_tokenizer(reader.files, reader.max_length).save(str(staging / name / _TOKENIZER))
        return {"kind": "wordpiece", "files": [f"{name}/{_TOKENIZER}"], **common}
    write_json(staging / name / WORDS_FILE, list(reader.words))
    ids = {"unknown_id": UNKNOWN_ID, "first_word_id": FIRST_WORD_ID}
    return {"kind": reader.unit, "files": [f"{name}/{WORDS_FILE}"], **common, **ids}
