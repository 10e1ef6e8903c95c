"""A file that does not score as its network is refused, whatever the reason."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from patent_hier import settings as s
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.inference import onnx_network
from patent_hier.inference.onnx_export import export_onnx
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import build_encoder
from patent_hier.models.saved import NodeClassifier
from tests.inference.random_systems import LABELS, MAX_LENGTH, Maker
from tests.models.test_architectures import config_of

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def make(tiny_encoder_files: EncoderFiles, demo_texts: list[str]) -> Maker:
    return Maker(tiny_encoder_files, demo_texts)


class Altered(nn.Module):
    """A network whose logits are changed by Python; what it decides is a constant in a traced file."""

    def __init__(self, network: nn.Module, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.change = change

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.change(self.network(input_ids, attention_mask), attention_mask)


def by_length(logits: Tensor, mask: Tensor) -> Tensor:
    return logits * (1 + int(mask.shape[1]) / 100)


def by_batch(logits: Tensor, mask: Tensor) -> Tensor:
    return logits + torch.zeros(len(logits), 1)


def by_longest(logits: Tensor, mask: Tensor) -> Tensor:
    return logits.flip(1) if int(mask.sum(1).max()) > 20 else logits


def by_first(logits: Tensor, mask: Tensor) -> Tensor:
    """Reorders documents by their lengths, as packed sequences do."""
    return logits[mask.sum(1).argsort().tolist()] if len(mask) > 1 else logits


def is_exported() -> bool:
    return torch.onnx.is_in_onnx_export()


def wrong_everywhere(logits: Tensor, mask: Tensor) -> Tensor:
    return logits * (1.5 if is_exported() else 1.0)


def not_a_number(logits: Tensor, mask: Tensor) -> Tensor:
    return logits * (torch.nan if is_exported() else 1.0)


def narrow(logits: Tensor, mask: Tensor) -> Tensor:
    return logits[:, :2] if is_exported() else logits


def nearly_tied(logits: Tensor, mask: Tensor) -> Tensor:
    tied = torch.zeros_like(logits)
    tied[:, int(is_exported())] = 3e-5
    return tied


def unknown_to_onnx(logits: Tensor, mask: Tensor) -> Tensor:
    values: Tensor = torch.linalg.eigvals(torch.eye(3) * logits.sum())
    return logits + values.real


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (by_length, "does not reproduce the network.s scores for .* differ by .*, more than 0.0001"),
        (by_batch, r"returns float32 \(3, 3\) for a batch of 1 "),
        (by_longest, "does not reproduce the network.s scores for "),
        (by_first, "fails on a batch of 1 "),
        (wrong_everywhere, "does not reproduce the network.s scores for "),
        (not_a_number, "differ by nan"),
        (narrow, r"returns float32 \(1, 2\) for "),
        (nearly_tied, "gives a different first label for "),
        (unknown_to_onnx, "cannot be exported to ONNX"),
    ],
)
def test_a_file_that_scores_otherwise_is_refused(
    make: Maker,
    change: Callable[[Tensor, Tensor], Tensor],
    message: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    classifier = make.classifier("lstm")
    assert isinstance(classifier.model, nn.Module)
    classifier.model = Altered(classifier.model, change)
    with pytest.raises(ConfigError, match=message) as caught:
        export_onnx(make.system(make.classifier("textcnn", "B"), classifier), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert "the network of node A" in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {".locks"}
    assert capfd.readouterr() == ("", "")


def test_short_batches_need_the_padding_of_the_export(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the comparison catches TextCNN's own decision in Python."""
    monkeypatch.setattr(onnx_network, "TextCnn", int)
    with pytest.raises(ConfigError, match="fails on a batch of 1 with at most 1 tokens per text"):
        export_onnx(make.system(make.classifier("textcnn")), tmp_path / "out")


def test_weights_beyond_one_file(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_network, "_MAX_BYTES", 100)
    with pytest.raises(ConfigError, match=r"an ONNX file holds at most 2\.1 GB"):
        export_onnx(make.system(make.classifier("textcnn")), tmp_path / "out")


@pytest.mark.parametrize("kind", ["roberta", "modernbert", "gpt2", "gpt_neo", "qwen2"])
def test_other_architectures(kind: str, demo_files: EncoderFiles, tmp_path: Path) -> None:
    """Local attention, rotary positions, and the last token of decoders, in batches of every size and width."""
    torch.manual_seed(3)
    config = config_of(kind).to_dict()
    files = EncoderFiles(demo_files.folder, config, has_weights=False)
    pooling = "last" if files.is_causal else "cls"
    settings = s.BertCnnSettings(num_last_layers=2, num_filters=4, pooling=pooling)
    network = BertCnn(build_encoder(config), 3, settings).eval()
    comparison = onnx_network.export_network(
        NodeClassifier("A", LABELS, False, settings, network, WordPieceReader(files, MAX_LENGTH)), tmp_path / "A.onnx"
    )
    assert comparison.largest_difference < 1e-5
    assert len(comparison.lengths) >= 6
