"""A finished system of networks as a folder in ONNX, for programs that know nothing of this one.

``<node>.onnx`` for each network, a folder for each reader with the vocabulary that its ids come from, and
``onnx.json``, which says how they belong together: label trees, how a text becomes ids, how logits become
probabilities, what combinations weigh, and how close each file came to its network. numpy, onnxruntime and the
reader's library (tokenizers or jieba) suffice to score.

Source: ONNX, https://onnx.ai/onnx/intro; the files have operators of its standard set only.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import patent_hier
from patent_hier.artifacts import refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.errors import ConfigError
from patent_hier.evaluation.pooling import FLOOR
from patent_hier.features.wordpiece import WordPieceReader, load_tokenizer
from patent_hier.features.words import FIRST_WORD_ID, UNKNOWN_ID, WORDS_FILE, WordReader
from patent_hier.inference.nodes import Classifier, Combination
from patent_hier.inference.predictor import System

if TYPE_CHECKING:
    from patent_hier.models.kinds import Reader

ONNX_VERSION = 2  # of the folder's form
ONNX_KIND = "onnx"  # in its manifest
ONNX_FILE = "onnx.json"
_TOKENIZER = "tokenizer.json"
_PACKAGES = ("torch", "onnx", "onnxruntime", "tokenizers", "jieba")
_Loaded = Mapping[Path, Classifier | Combination]
# What onnx.json says to people.
_NOTES = {
    "text": "Unicode NFC; every run of white space is one blank, none at the ends. Several columns are joined in their "
    "order, with 。 after one that does not end in punctuation (Unicode categories P*).",
    "wordpiece": "Tokenizer.from_file(tokenizer.json).encode(text).ids, package tokenizers; it cuts at max_length.",
    "words": "jieba.cut(text.lower()) without white space; ids are positions in words.json + first_word_id, "
    "other words are unknown_id; the first max_length of them; a text without words is [unknown_id].",
    "chars": "The characters of text.lower() without white space; ids as positions in words.json + first_word_id, "
    "others are unknown_id; the first max_length of them; a text without characters is [unknown_id].",
    "batch": "input_ids are padded with pad_id at the end to the longest text, attention_mask is 1 for ids and 0 for "
    "padding; both int64 (batch, seq_len), seq_len from 1 to max_length.",
    "tree": "The labels' levels from the top, their codes level by level, and the position of each one's parent, -1 at "
    "the first level. A code that stands at two levels is a main group, and what has no subgroup in it.",
    "logits": "One for each label of the tree, in its order: log P(label | parent) = logit - log-sum-exp over the "
    "labels of the same parent. If flat, one for each label of the deepest level: log P(label) = logit - log-sum-exp "
    "over all, and a label above has the sum of P over its children.",
    "joint": "log P(label | node) = log P(label | parent) + log P(parent | node), from the top.",
    "combination": "log P(label | parent) = sum over members of weight * max(log P of member, floor), then log-softmax "
    "over the labels of the same parent (if flat, over all labels of the deepest level), labels of all members; one "
    "that a member lacks has floor there. A member without this node is derived from its others: under a label L, "
    "log P(label | L) = log P(label) - log P(L); a sum over children gives what is above.",
    "hierarchy": "log P(label) = log P of its first label under root + log P of the label under the node of that name.",
}


def export_onnx(system: System, folder: Path) -> dict[str, Any]:
    """Write all networks of a system as ONNX, each compared with what PyTorch scores.

    Args:
        system: Finished and loaded; see :func:`patent_hier.inference.predictor.load_system`.
        folder: It may be absent, empty, or an earlier export, which is replaced once the new one is whole.

    Returns:
        The content of ``onnx.json``. ``nodes`` names the classifier of each node. ``classifiers`` has, by name, node,
        tree, flat and kind: a ``network`` with its file, reader and comparison (documents, their lengths in tokens,
        sizes of batches, and the largest difference of a log-probability), a ``constant`` one, which is certain of its
        labels, or a ``combination`` of others with their weights. ``readers`` has files, ``max_length`` and ``pad_id``.

    Raises:
        ConfigError: If onnx or onnxruntime is missing, a classifier is no network, the folder holds something else, or
            a file's scores differ from its network's by more than 1e-4 or in the first label; nothing is written.
    """
    from patent_hier.inference.onnx_network import onnx_library

    for library in ("onnx", "onnxruntime"):
        onnx_library(library)
    _require_networks(system)
    refuse_foreign(folder, ONNX_KIND)
    with exclusive(folder), atomic_folder(folder) as staging:
        content = _write(system, staging)
        write_json(staging / ONNX_FILE, content)
        facts = {key: content[key] for key in ("format", "model", "opset", "versions")}
        seal(staging, {"kind": ONNX_KIND, **facts})
    return content


def _require_networks(system: System) -> None:
    """Refuse models on n-gram counts, and systems that are certain of everything."""
    from torch import nn

    classifiers = [one.classifier for one in system.loaded.values() if isinstance(one, Classifier)]
    for one in classifiers:
        if one.model is not None and not isinstance(one.model, nn.Module):
            kind = one.settings.name if one.settings else "?"
            raise ConfigError(
                f"{system.name}, node {one.node}: {kind} counts n-grams and is no network, so ONNX cannot hold it; "
                "export a system of bertcnn, bert, textcnn or rnn alone"
            )
    if all(one.model is None for one in classifiers):
        raise ConfigError(f"{system.name} has no network, since each node has one path; there is nothing to export")


def _write(system: System, staging: Path) -> dict[str, Any]:
    """Write all but ``onnx.json``, whose content is returned."""
    from patent_hier.inference.onnx_network import INPUTS, OPSET, OUTPUT

    names, readers = _names(system.loaded), _write_readers(system.loaded, staging)
    return {
        "kind": ONNX_KIND,
        "format": ONNX_VERSION,
        "model": system.name,
        "nodes": {node: names[path] for node, path in system.nodes.items()},
        "classifiers": {
            names[path]: _write_classifier(one, names, path, readers, staging) for path, one in system.loaded.items()
        },
        "readers": dict(readers.values()),
        "text": {"columns": list(system.raw.text)},
        "inputs": list(INPUTS),
        "output": OUTPUT,
        "opset": OPSET,
        "versions": {"patent_hier": patent_hier.__version__, **{name: version(name) for name in _PACKAGES}},
        "notes": _NOTES,
    }


def _names(loaded: _Loaded) -> dict[Path, str]:
    """A name for each loaded folder: its node, with a number where several are of one node."""
    plain = {
        path: one.classifier.node if isinstance(one, Classifier) else f"combination-{one.node}"
        for path, one in loaded.items()
    }
    how_many, so_far = Counter(plain.values()), Counter[str]()
    names = {}
    for path, name in plain.items():
        so_far[name] += 1
        names[path] = name if how_many[name] == 1 else f"{name}-{so_far[name]}"
    return names


def _write_classifier(
    one: Classifier | Combination,
    names: Mapping[Path, str],
    path: Path,
    readers: Mapping[Hashable, tuple[str, dict[str, Any]]],
    staging: Path,
) -> dict[str, Any]:
    """What ``onnx.json`` says of one of the loaded folders; a network's file is written."""
    from patent_hier.inference.onnx_network import export_network

    labels: dict[str, Any] = {"tree": one.tree.as_dict()}
    if isinstance(one, Combination):
        members = [
            {"weight": member.weight, "nodes": {node: names[folder] for node, folder in member.nodes.items()}}
            for member in one.members
        ]
        labels["flat"] = one.flat
        return {"kind": "combination", "node": one.node, **labels, "floor": FLOOR, "members": members}
    labels["flat"] = one.classifier.flat
    facts: dict[str, Any] = {"kind": "constant", "node": one.classifier.node, **labels, "source": path.name}
    if one.classifier.model is None:
        return facts
    file = f"{names[path]}.onnx"
    comparison = export_network(one.classifier, staging / file)
    reader, _ = readers[one.reader_digests]
    kind = one.classifier.settings.name if one.classifier.settings else None
    return {**facts, "kind": "network", "model": kind, "file": file, "reader": reader, "comparison": asdict(comparison)}


def _write_readers(loaded: _Loaded, staging: Path) -> dict[Hashable, tuple[str, dict[str, Any]]]:
    """By what is equal for classifiers that read alike: the name of their reader, also its folder's, and its facts."""
    found: dict[Hashable, Reader] = {
        one.reader_digests: one.classifier.reader
        for one in loaded.values()
        if isinstance(one, Classifier) and one.classifier.reader is not None
    }
    written = {}
    for number, (key, reader) in enumerate(found.items(), 1):
        name = "reader" if len(found) == 1 else f"reader-{number}"
        (staging / name).mkdir()
        written[key] = name, _write_reader(reader, name, staging)
    return written


def _write_reader(reader: "Reader", name: str, staging: Path) -> dict[str, Any]:
    """Write a vocabulary; what ``onnx.json`` says of it."""
    assert isinstance(reader, WordPieceReader | WordReader)
    common = {"max_length": reader.max_length, "pad_id": reader.pad_id}
    if isinstance(reader, WordPieceReader):
        load_tokenizer(reader.files, reader.max_length).save(str(staging / name / _TOKENIZER))
        return {"kind": "wordpiece", "files": [f"{name}/{_TOKENIZER}"], **common}
    write_json(staging / name / WORDS_FILE, list(reader.words))
    ids = {"unknown_id": UNKNOWN_ID, "first_word_id": FIRST_WORD_ID}
    return {"kind": reader.unit, "files": [f"{name}/{WORDS_FILE}"], **common, **ids}
