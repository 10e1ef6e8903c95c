import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    ElectraConfig,
    ErnieConfig,
    PretrainedConfig,
    RobertaConfig,
)

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles, locate
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.models.encoder import build_encoder, load_encoder
from patent_hier.settings import EncoderSettings

FAMILIES: list[type[PretrainedConfig]] = [BertConfig, RobertaConfig, ErnieConfig, ElectraConfig, AlbertConfig]
IDS = torch.tensor([[2, 1000, 1001, 3], [2, 1002, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


def open_folder(folder: Path, **changes: Any) -> EncoderFiles:
    return locate(EncoderSettings(**{"name": "x", "path": str(folder), "max_length": 32, **changes}), folder.parent)


@pytest.fixture
def copy(tiny_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder, tmp_path / "copy"))


def refusal(files: EncoderFiles, pretrained: bool = True) -> str:
    with pytest.raises(ConfigError) as caught:
        load_encoder(files, pretrained=pretrained, frozen=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
@pytest.mark.parametrize("tokenizer", ["vocab.txt", "tokenizer.json"])
def test_folders_of_several_families(
    family: type[PretrainedConfig], tokenizer: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(3)
    reference = AutoModel.from_config(
        family(**sizes, vocab_size=9000, max_position_embeddings=64, embedding_size=8, pad_token_id=0)
    )
    reference.save_pretrained(tmp_path / "encoder")
    shutil.copyfile(tiny_encoder / tokenizer, tmp_path / "encoder" / tokenizer)
    files = open_folder(tmp_path / "encoder")
    encoder = load_encoder(files, pretrained=True, frozen=False).eval()
    assert (encoder.hidden_size, encoder.num_layers, files.num_layers) == (16, 3, 3)
    input_ids = torch.tensor([load_tokenizer(files, 32).encode("一种 LED 灯具").ids])
    assert input_ids[0, 0] == 2
    assert 1 not in input_ids  # no [UNK]
    with torch.inference_mode():
        found = encoder(input_ids, torch.ones_like(input_ids))
        expected = reference.eval()(input_ids, output_hidden_states=True).hidden_states
    assert len(found) == 4
    for a, b in zip(found, expected, strict=True):
        assert a.shape == (1, input_ids.shape[1], 16)
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_pretrained_takes_the_weights_and_its_control_does_not(tiny_encoder_files: EncoderFiles) -> None:
    stored = load_file(tiny_encoder_files.folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    for pretrained in (True, False):
        encoder = load_encoder(tiny_encoder_files, pretrained=pretrained, frozen=False)
        assert torch.equal(encoder.network.state_dict()[name], stored[name]) == pretrained
        assert not any("pooler" in key for key in encoder.state_dict())


def test_random_weights_follow_the_seed(demo_files: EncoderFiles) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        encoder = load_encoder(demo_files, pretrained=False, frozen=False)
        return torch.cat([weight.flatten() for weight in encoder.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def halve(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({name: value.half() for name, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))


@pytest.mark.parametrize("pretrained", [True, False])
def test_half_precision_folders_become_fp32(copy: Path, pretrained: bool) -> None:
    halve(copy)
    encoder = load_encoder(open_folder(copy), pretrained=pretrained, frozen=False)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    assert encoder(IDS, MASK)[-1].dtype == torch.float32


def test_padding_does_not_change_a_document(tiny_encoder_files: EncoderFiles) -> None:
    encoder = load_encoder(tiny_encoder_files, pretrained=True, frozen=False).eval()
    with torch.inference_mode():
        together, alone = encoder(IDS, MASK), encoder(IDS[1:, :3], MASK[1:, :3])
    torch.testing.assert_close(together[-1][1:, :3], alone[-1], atol=1e-5, rtol=1e-5)


def test_the_last_states_are_those_after_the_last_normalisation(demo_files: EncoderFiles) -> None:
    torch.manual_seed(0)
    config = {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": 2000}
    encoders = [build_encoder({**config, "tie_last_hidden_states": tied}).eval() for tied in (True, False)]
    encoders[1].load_state_dict(encoders[0].state_dict())
    tied, untied = (encoder(IDS, MASK)[-1] for encoder in encoders)
    assert torch.equal(tied, untied)
    torch.testing.assert_close(untied.mean(-1), torch.zeros(2, 4), atol=1e-5, rtol=0)


# --- frozen or not


def test_a_frozen_encoder_stays_as_it_is(tiny_encoder_files: EncoderFiles) -> None:
    encoder = load_encoder(tiny_encoder_files, pretrained=True, frozen=True)
    encoder.network.config.hidden_dropout_prob = 0.5
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    head = torch.nn.Linear(16, 2)
    parent = torch.nn.ModuleList([encoder, head]).train()
    assert parent.training
    assert not any(module.training for module in encoder.network.modules())
    states = encoder(IDS, MASK)
    assert torch.equal(states[-1], encoder(IDS, MASK)[-1])  # no dropout
    assert not states[-1].requires_grad
    head(states[-1]).sum().backward()
    assert head.weight.grad is not None
    assert all(weight.grad is None and not weight.requires_grad for weight in encoder.parameters())


def test_an_encoder_trains_unless_it_is_frozen(tiny_encoder_files: EncoderFiles) -> None:
    encoder = load_encoder(tiny_encoder_files, pretrained=True, frozen=False).train()
    assert all(module.training for module in encoder.network.modules())
    encoder(IDS, MASK)[-1].square().sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())
    assert encoder.network.get_input_embeddings().weight.grad[1000].abs().sum() > 0


@pytest.mark.parametrize("frozen", [True, False])
def test_no_gradients_where_none_are_wanted(tiny_encoder_files: EncoderFiles, frozen: bool) -> None:
    encoder = load_encoder(tiny_encoder_files, pretrained=True, frozen=frozen)
    with torch.no_grad():
        assert not any(states.requires_grad for states in encoder(IDS, MASK))


# --- what cannot be loaded


def test_unknown_kind_of_encoder() -> None:
    with pytest.raises(ConfigError, match=r"encoder type made-up .* unknown") as caught:
        build_encoder({"model_type": "made-up"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changed", [{"hidden_size": 15}, {"hidden_size": "wide"}])
def test_impossible_sizes(copy: Path, changed: dict[str, Any]) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **changed}))
    files = open_folder(copy)
    for pretrained in (True, False):
        assert "hidden" in refusal(files, pretrained)


def test_damaged_weights(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert str(copy) in refusal(open_folder(copy))


def test_weights_of_other_sizes(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    assert str(copy) in refusal(open_folder(copy))


def test_weights_that_are_not_there_are_not_made_up(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    assert "lacks weights (1 in total), such as encoder.layer.1.output.dense.weight" in refusal(open_folder(copy))
