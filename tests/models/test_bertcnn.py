import pytest
import torch

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import build_encoder, load_encoder
from patent_hier.settings import BertCnnSettings

IDS = torch.tensor([[2, 1000, 1001, 3], [2, 1002, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


def network(files: EncoderFiles, frozen: bool = False, **changes: object) -> BertCnn:
    torch.manual_seed(0)
    settings = BertCnnSettings(**{"num_last_layers": 2, "num_filters": 4, **changes})  # type: ignore[arg-type]
    return BertCnn(load_encoder(files, pretrained=True, frozen=frozen), 3, settings)


@pytest.mark.parametrize("head", ["document_matrix", "token", "cls"])
def test_logits_do_not_depend_on_padding(tiny_encoder_files: EncoderFiles, head: str) -> None:
    model = network(tiny_encoder_files, head=head, pooling="mean").eval()
    logits = model(IDS, MASK)
    assert logits.shape == (2, 3)
    torch.testing.assert_close(logits[1:], model(IDS[1:, :3], MASK[1:, :3]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("head", ["document_matrix", "token", "cls"])
@pytest.mark.parametrize("frozen", [False, True])
def test_who_gets_a_gradient(tiny_encoder_files: EncoderFiles, head: str, frozen: bool) -> None:
    model = network(tiny_encoder_files, frozen, head=head).train()
    torch.nn.functional.cross_entropy(model(IDS, MASK), torch.tensor([0, 2])).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.head.output.parameters())
    with_gradient = [weight.grad is not None for weight in model.encoder.parameters()]
    assert any(with_gradient) == (not frozen)
    assert sum(with_gradient) == (0 if frozen else len(with_gradient))


def test_random_weights_are_filled_from_a_state(tiny_encoder_files: EncoderFiles) -> None:
    model = network(tiny_encoder_files)
    settings = BertCnnSettings(num_last_layers=2, num_filters=4)
    twin = BertCnn(build_encoder(tiny_encoder_files.config), 3, settings)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.eval()(IDS, MASK), model.eval()(IDS, MASK))


def test_more_layers_than_the_encoder_has(tiny_encoder_files: EncoderFiles) -> None:
    with pytest.raises(ConfigError, match=r"model\.num_last_layers=3 .*1 to 2"):
        network(tiny_encoder_files, num_last_layers=3)
