"""Export of one network to an ONNX file whose scores are verified against the network's own.

The export uses PyTorch's tracing exporter (``dynamo=False``). It turns decisions made in Python, such as a length that
was converted to a number, into constants, and warns about them among many harmless warnings. The warnings are therefore
ignored. Instead, the file is compared with the network on documents of many lengths, in batches of several sizes, and
rejected if it differs.

The newer exporter was tried with PyTorch 2.13 and onnxscript 0.7. It took 2 to 7 s instead of 0.1 s for a tiny network,
made the sequence length of the recurrent network with attention a constant in one run but not in the next, and
onnxruntime took 1.3 times as long for its file of a BERT-CNN of 4 layers.
"""

import copy
import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from patent_hier.errors import ConfigError, MissingExtraError
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.features.words import WordReader
from patent_hier.models.registry import TokenReader
from patent_hier.models.saved import NodeClassifier, num_outputs
from patent_hier.models.textcnn import TextCnn
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.sanitize import reason

OPSET = 17  # first version with LayerNormalization; onnxruntime supports it since 1.12
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"
MAX_DIFFERENCE = 1e-4  # of a log-probability; rounding causes about 1e-6
_MAX_BYTES = (1 << 31) - (1 << 20)  # Protocol Buffers limit a file to 2 GiB; 1 MiB is left for the graph
_SEED = 17
_INSTEAD = "nothing was exported; score with patent-hier predict"


@dataclass(frozen=True)
class Comparison:
    """Comparison of a file with its network.

    Attributes:
        documents: Number of documents scored by both.
        lengths: Lengths of the documents in tokens, ascending.
        batch_sizes: Sizes of the batches in which the file scored the documents, ascending.
        largest_difference: Largest difference of a log-probability; the first labels are all equal.
    """

    documents: int
    lengths: list[int]
    batch_sizes: list[int]
    largest_difference: float


def require_libraries() -> None:
    """Raise an error if ``onnx`` or ``onnxruntime`` is missing.

    Raises:
        ConfigError: If one of them cannot be imported.
    """
    for name in ("onnx", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtraError(f"{name}, which ONNX networks need ({reason(error)}),", "onnx") from error


def export_network(classifier: NodeClassifier, path: Path) -> Comparison:
    """Write a network as ONNX and compare the file with the network.

    The file maps :data:`INPUTS`, int64 ``(batch, seq_len)`` with padding at the end, to :data:`OUTPUT`, float32
    ``(batch, num_outputs)``; batch and seq_len are dynamic.

    Args:
        classifier: Classifier with a network and the reader of its texts; both are left unchanged.
        path: Output file.

    Raises:
        ConfigError: If the network cannot be exported, or the file's scores differ.
    """
    import onnx

    network, reader = classifier.model, classifier.reader
    assert isinstance(network, nn.Module)
    assert isinstance(reader, TokenReader)
    if next(network.parameters()).device.type != "cpu":
        network = copy.deepcopy(network).cpu()
    classifier = replace(classifier, model=network, stand_in=None)
    name = f"the network of node {classifier.node}"
    store, order = _probes(reader)
    example = _example(reader, store, order)
    try:
        _write(network, example, path)
        onnx.checker.check_model(str(path), full_check=True)
        session = open_session(path)
    except (
        Exception
    ) as error:  # three libraries with their own exceptions, and any error from the network's Python code
        raise ConfigError(f"{name} cannot be exported to ONNX ({reason(error)}); {_INSTEAD}") from error
    return _compare(session, classifier, reader.pad_id, store, order, name)


class _Logits(nn.Module):
    """The network in exported form, which returns logits ``(batch, num_outputs)`` for batches of any width from 1.

    :class:`TextCnn` pads a batch that is narrower than its longest filter, and computes the padding in Python. Here,
    every batch is padded by the length of that filter - 1 positions, so that no such decision remains. The padding
    changes no score: it is read as zeros, and windows outside the document do not count.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.padding = max(network.kernel_sizes) - 1 if isinstance(network, TextCnn) else 0

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        if self.padding:
            input_ids, attention_mask = (functional.pad(x, (0, self.padding)) for x in (input_ids, attention_mask))
        return self.network(input_ids, attention_mask).float()  # type: ignore[no-any-return]  # as torch


def _write(network: nn.Module, example: Sequence[NDArray[np.int64]], path: Path) -> None:
    """Export the network by tracing it on some documents."""
    size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if size > _MAX_BYTES:
        raise ConfigError(f"its weights take {size / 1e9:.1f} GB, but an ONNX file holds at most 2.1 GB")
    axes = {**{name: {0: "batch", 1: "seq_len"} for name in INPUTS}, OUTPUT: {0: "batch"}}
    was_training = network.training
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            _Logits(network).eval(),
            tuple(map(torch.from_numpy, example)),
            str(path),
            dynamo=False,
            input_names=INPUTS,
            output_names=(OUTPUT,),
            dynamic_axes=axes,
            opset_version=OPSET,
        )
    network.train(was_training)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings (see above), and the graph that torch prints on failure, which no argument prevents."""
    log = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch._C._jit_onnx_log = log


def open_session(model: Path | bytes) -> Any:
    """Open an ONNX file, or its content, in onnxruntime, on as many CPU threads as PyTorch uses."""
    runtime = importlib.import_module("onnxruntime")  # untyped

    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # fatal: every other failure is raised as well
    given = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def _compare(
    session: Any, classifier: NodeClassifier, pad_id: int, store: TokenStore, order: NDArray[np.intp], name: str
) -> Comparison:
    """Return the comparison over all batches; see :func:`export_network` for the error."""
    softmax, leaves = TreeSoftmax(classifier.tree, classifier.flat), classifier.tree.leaves
    width = num_outputs(classifier.tree, classifier.flat)
    expected = classifier.log_prob(store, order, batch_size=4)  # (n, n_labels)
    largest, sizes = 0.0, set()
    for rows in _batches(len(order)):
        arrays = dict(zip(INPUTS, pad_batch(store, order[rows], pad_id), strict=True))
        where = f"a batch of {len(rows)} with at most {arrays[INPUTS[0]].shape[1]} tokens per text"
        known = {one.name for one in session.get_inputs()}
        try:
            (found,) = session.run([OUTPUT], {key: value for key, value in arrays.items() if key in known})
        except Exception as error:  # onnxruntime has its own exceptions
            raise ConfigError(f"the ONNX file of {name} fails on {where} ({reason(error)}); {_INSTEAD}") from error
        if (found.shape, found.dtype) != ((len(rows), width), np.float32):
            raise ConfigError(f"the ONNX file of {name} returns {found.dtype} {found.shape} for {where}; {_INSTEAD}")
        found = softmax.joint(torch.from_numpy(found)).numpy()  # (rows, n_labels)
        difference = float(np.abs(found - expected[rows]).max())
        if not difference <= MAX_DIFFERENCE:  # also rejects NaN
            raise ConfigError(
                f"the ONNX file of {name} does not reproduce the network's scores for {where}: log-probabilities "
                f"differ by {difference:.2g}, more than {MAX_DIFFERENCE:g}; {_INSTEAD}"
            )
        if (found[:, leaves].argmax(1) != expected[rows, leaves].argmax(1)).any():
            raise ConfigError(f"the ONNX file of {name} gives a different first label for {where}; {_INSTEAD}")
        largest = max(largest, difference)
        sizes.add(len(rows))
    return Comparison(len(order), sorted(set(store.lengths[order].tolist())), sorted(sizes), largest)


def _batches(n: int) -> Iterator[list[int]]:
    """Yield batches of positions among ``n`` documents sorted by length: singles, short ones, shortest with longest."""
    yield from ([row] for row in range(n))
    yield list(range(n - 2)) or [0]
    yield [n - 1, 0]
    yield [n // 2, 0, n - 1, 1 % n, 0]


def example_of(reader: TokenReader) -> dict[str, NDArray[np.int64]]:
    """Return three texts of unequal lengths for a network, by :data:`INPUTS`: fixed, made of random words."""
    return dict(zip(INPUTS, _example(reader, *_probes(reader)), strict=True))


def _example(reader: TokenReader, store: TokenStore, order: NDArray[np.intp]) -> Sequence[NDArray[np.int64]]:
    return pad_batch(store, order[[len(order) // 2, 0, -1]], reader.pad_id)


def _probes(reader: TokenReader) -> tuple[TokenStore, NDArray[np.intp]]:
    """Return texts of every length, from empty to more than is read, and their positions from short to long.

    The texts are drawn from the reader's own vocabulary with a fixed seed, and read like any other text.
    """
    pieces, generator, most = _pieces(reader), np.random.default_rng(_SEED), reader.max_length
    sizes = sorted({size for size in (0, 1, 2, 3, 5, 9, 17, most // 2, most) if size <= most} | {2 * most})
    store = reader.encode([" ".join(generator.choice(pieces, size)) for size in sizes])
    order = np.argsort(store.lengths, kind="stable")
    return store, order[store.lengths[order] > 0]


def _pieces(reader: TokenReader) -> list[str]:
    """Return the sorted words of a vocabulary, without special ones such as ``[PAD]``."""
    if isinstance(reader, WordReader):
        return sorted(reader.words)
    words = load_tokenizer(reader.files, reader.max_length).get_vocab()
    return sorted({word.removeprefix("##") for word in words if not word.startswith(("[", "<"))})
