"""One network as a file in ONNX, which has been seen to give the network's own scores.

PyTorch's exporter by tracing is used (``dynamo=False``). It takes what Python decides on the way, such as a length that
became a number, for a constant, and says so in warnings among many harmless ones. So no warning is read: the file is
compared with the network on documents of many lengths, in batches of several sizes, and refused if it differs.

The newer exporter was tried with PyTorch 2.13 and onnxscript 0.7: it took 2 to 7 s for a tiny network instead of 0.1 s,
made the sequence length of the recurrent network with attention a constant in one run and not in the next, and
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

OPSET = 17  # the first with LayerNormalization; onnxruntime reads it from 1.12 on
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"
MAX_DIFFERENCE = 1e-4  # of a log-probability; rounding makes about 1e-6
_MAX_BYTES = (1 << 31) - (1 << 20)  # one file of Protocol Buffers ends at 2 GiB; the rest is for the graph
_SEED = 17
_INSTEAD = "nothing was exported; score with patent-hier predict"


@dataclass(frozen=True)
class Comparison:
    """A file beside its network.

    Attributes:
        documents: How many were scored by both.
        lengths: Their lengths in tokens, ascending.
        batch_sizes: Documents in the batches in which the file scored them, ascending.
        largest_difference: Of a log-probability; the first labels are all equal.
    """

    documents: int
    lengths: list[int]
    batch_sizes: list[int]
    largest_difference: float


def require_libraries() -> None:
    """Refuse to begin without ``onnx`` and ``onnxruntime``.

    Raises:
        ConfigError: If one cannot be imported.
    """
    for name in ("onnx", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtraError(f"{name}, which networks in ONNX need ({reason(error)}),", "onnx") from error


def export_network(classifier: NodeClassifier, path: Path) -> Comparison:
    """Write a network as ONNX and compare the file with it.

    The file maps :data:`INPUTS`, int64 ``(batch, seq_len)`` with padding at the end, to :data:`OUTPUT`, float32
    ``(batch, num_outputs)``; batch and seq_len are free.

    Args:
        classifier: With a network and the reader of its texts; both stay as they are.
        path: The file.

    Raises:
        ConfigError: If the network cannot be exported, or the file scores otherwise.
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
    except Exception as error:  # three libraries with classes of their own, and whatever a network's Python raises
        raise ConfigError(f"{name} cannot be exported to ONNX ({reason(error)}); {_INSTEAD}") from error
    return _compare(session, classifier, reader.pad_id, store, order, name)


class _Logits(nn.Module):
    """The network in exported form: returns logits ``(batch, num_outputs)``, for batches of every width from 1 on.

    :class:`TextCnn` fills a batch that is narrower than its longest filter, and Python decides by how much. Here every
    batch gets that filter's length - 1 positions of padding, so nothing is left to decide. They change no score:
    padding reads as zeros and windows outside the document do not count.
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
    """Export the network as it goes its way through some documents."""
    size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if size > _MAX_BYTES:
        raise ConfigError(f"its weights are {size / 1e9:.1f} GB and one file of ONNX has 2.1 GB at most")
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
    """No warnings, see above; and no graph on standard output when one fails, which no argument of torch prevents."""
    log = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch._C._jit_onnx_log = log


def open_session(model: Path | bytes) -> Any:
    """Open a file, or the content of one, in onnxruntime, on as many threads of the CPU as PyTorch has."""
    runtime = importlib.import_module("onnxruntime")  # without types

    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # fatal: every other failure is raised as well
    given = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def _compare(
    session: Any, classifier: NodeClassifier, pad_id: int, store: TokenStore, order: NDArray[np.intp], name: str
) -> Comparison:
    """The largest difference over all batches; see :func:`export_network` for the error."""
    softmax, leaves = TreeSoftmax(classifier.tree, classifier.flat), classifier.tree.leaves
    width = num_outputs(classifier.tree, classifier.flat)
    expected = classifier.log_prob(store, order, batch_size=4)  # (n, n_labels)
    largest, sizes = 0.0, set()
    for rows in _batches(len(order)):
        arrays = dict(zip(INPUTS, pad_batch(store, order[rows], pad_id), strict=True))
        where = f"{len(rows)} texts of at most {arrays[INPUTS[0]].shape[1]} tokens"
        known = {one.name for one in session.get_inputs()}
        try:
            (found,) = session.run([OUTPUT], {key: value for key, value in arrays.items() if key in known})
        except Exception as error:  # onnxruntime has classes of its own
            raise ConfigError(f"{name} fails as ONNX on {where} ({reason(error)}); {_INSTEAD}") from error
        if (found.shape, found.dtype) != ((len(rows), width), np.float32):
            raise ConfigError(f"{name} gives {found.dtype} {found.shape} as ONNX on {where}; {_INSTEAD}")
        found = softmax.joint(torch.from_numpy(found)).numpy()  # (rows, n_labels)
        difference = float(np.abs(found - expected[rows]).max())
        if not difference <= MAX_DIFFERENCE:  # a NaN is no agreement
            raise ConfigError(
                f"{name} scores otherwise as ONNX on {where}: log-probabilities differ by {difference:.2g}, more than "
                f"{MAX_DIFFERENCE:g}; {_INSTEAD}"
            )
        if (found[:, leaves].argmax(1) != expected[rows, leaves].argmax(1)).any():
            raise ConfigError(f"{name} has another first label as ONNX on {where}; {_INSTEAD}")
        largest = max(largest, difference)
        sizes.add(len(rows))
    return Comparison(len(order), sorted(set(store.lengths[order].tolist())), sorted(sizes), largest)


def _batches(n: int) -> Iterator[list[int]]:
    """Which of ``n`` documents, from short to long, are scored together: each alone, short ones, the extremes."""
    yield from ([row] for row in range(n))
    yield list(range(n - 2)) or [0]
    yield [n - 1, 0]
    yield [n // 2, 0, n - 1, 1 % n, 0]


def example_of(reader: TokenReader) -> dict[str, NDArray[np.int64]]:
    """Three texts of unequal lengths for a network, by :data:`INPUTS`: always the same, of random words."""
    return dict(zip(INPUTS, _example(reader, *_probes(reader)), strict=True))


def _example(reader: TokenReader, store: TokenStore, order: NDArray[np.intp]) -> Sequence[NDArray[np.int64]]:
    return pad_batch(store, order[[len(order) // 2, 0, -1]], reader.pad_id)


def _probes(reader: TokenReader) -> tuple[TokenStore, NDArray[np.intp]]:
    """Texts of every length from nothing to more than is read, and their positions from short to long.

    They are drawn from the reader's own vocabulary, always the same, and read as any text.
    """
    pieces, generator, most = _pieces(reader), np.random.default_rng(_SEED), reader.max_length
    sizes = sorted({size for size in (0, 1, 2, 3, 5, 9, 17, most // 2, most) if size <= most} | {2 * most})
    store = reader.encode([" ".join(generator.choice(pieces, size)) for size in sizes])
    order = np.argsort(store.lengths, kind="stable")
    return store, order[store.lengths[order] > 0]


def _pieces(reader: TokenReader) -> list[str]:
    """Words of a vocabulary, sorted; without those with a meaning of their own, such as ``[PAD]``."""
    if isinstance(reader, WordReader):
        return sorted(reader.words)
    words = load_tokenizer(reader.files, reader.max_length).get_vocab()
    return sorted({word.removeprefix("##") for word in words if not word.startswith(("[", "<"))})
