import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    BertConfig,
    ElectraConfig,
    ModernBertConfig,
    PretrainedConfig,
    RobertaConfig,
)

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.models.encoder import load_encoder
from patent_hier.models.masked_language import (
    MaskedLanguageModel,
    load_network,
    masked_loss,
    new_network,
    set_dropout,
)
from patent_hier.settings.pretraining import ArchitectureSettings

SIZES = ArchitectureSettings(16, 2, 2, 32, 32, 0.1)
SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TOKENS: dict[str, Any] = {"vocab_size": 60, "pad_token_id": 0, "max_position_embeddings": 34}
MODERN: dict[str, Any] = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
FAMILIES: list[PretrainedConfig] = [
    BertConfig(**SHAPE, **TOKENS),
    RobertaConfig(**SHAPE, **TOKENS),
    ElectraConfig(**SHAPE, **TOKENS, embedding_size=8),
    AlbertConfig(**SHAPE, **TOKENS, embedding_size=8),
    ModernBertConfig(**SHAPE, **TOKENS, **MODERN, attention_dropout=0.1),
]
IDS = torch.randint(5, 60, (3, 8), generator=torch.Generator().manual_seed(0))
POSITIONS = torch.tensor([1, 2, 9, 23])


def tiny(seed: int = 0) -> MaskedLanguageModel:
    torch.manual_seed(seed)
    return new_network(SIZES, 60, on_gpu=False)


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.model_type)
def test_logits_are_those_of_the_whole_network(config: PretrainedConfig, tmp_path: Path) -> None:
    torch.manual_seed(1)
    reference = AutoModelForMaskedLM.from_config(config).eval()
    reference.save_pretrained(tmp_path)
    model = load_network(tmp_path, on_gpu=False).eval()
    expected = reference(IDS).logits.flatten(0, 1)[POSITIONS]
    assert expected.shape == (4, 60)
    torch.testing.assert_close(model(IDS, POSITIONS), expected, atol=1e-5, rtol=1e-5)
    model(IDS, POSITIONS).sum().backward()
    assert model.network.get_input_embeddings().weight.grad is not None


def test_a_new_network_has_the_sizes_and_the_seed_of_its_settings() -> None:
    model = tiny()
    facts = model.network.config
    assert (facts.vocab_size, facts.hidden_size, facts.num_hidden_layers) == (60, 16, 2)
    assert (facts.num_attention_heads, facts.intermediate_size, facts.max_position_embeddings) == (2, 32, 32)
    assert facts.hidden_dropout_prob == facts.attention_probs_dropout_prob == 0.1
    assert model(IDS, POSITIONS).shape == (4, 60)
    networks: list[Any] = [model.network, tiny().network, tiny(1).network]
    embeddings = [network.get_input_embeddings().weight for network in networks]
    assert torch.equal(embeddings[0], embeddings[1])
    assert not torch.equal(embeddings[0], embeddings[2])
    assert networks[0].get_output_embeddings().weight is embeddings[0]  # tied


@pytest.mark.parametrize(("positions", "width"), [(512, 256), (128, 15)])
def test_positions_begin_as_sinusoids(positions: int, width: int) -> None:
    settings = ArchitectureSettings(width, 1, 1, 8, positions, 0.1)
    network: Any = new_network(settings, 60, on_gpu=False).network
    table = network.bert.embeddings.position_embeddings.weight.detach()
    assert table.shape == (positions, width)
    assert float(table.square().mean().sqrt()) == pytest.approx(network.config.initializer_range, rel=0.05)
    half = (width + 1) // 2
    amplitude = 0.02 * 2**0.5
    assert float(table[3, 1]) == pytest.approx(amplitude * torch.sin(torch.tensor(3 / 10_000 ** (1 / half))).item())
    assert float(table[3, half]) == pytest.approx(amplitude * torch.cos(torch.tensor(3.0)).item())
    similar = nn.functional.cosine_similarity(table[10], table[[11, 40]])
    assert similar[0] > similar[1]


def test_loss_is_the_mean_over_hidden_tokens_in_nats() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [10.0, 0.0, 0.0, 0.0]])
    expected = (torch.tensor(4.0).log() + (1 + 3 * torch.tensor(-10.0).exp()).log()) / 2
    assert float(masked_loss(logits, torch.tensor([2, 0]))) == pytest.approx(float(expected), rel=1e-5)
    assert masked_loss(logits.bfloat16(), torch.tensor([2, 0])).dtype == torch.float32


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.model_type)
def test_dropout_of_training_leaves_the_configuration_alone(config: PretrainedConfig, tmp_path: Path) -> None:
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
    before = json.loads((tmp_path / "config.json").read_text())
    model = load_network(tmp_path, on_gpu=False).train()
    set_dropout(model, 0.0)
    assert torch.equal(model(IDS, POSITIONS), model(IDS, POSITIONS))
    set_dropout(model, 0.5)
    assert not torch.equal(model(IDS, POSITIONS), model(IDS, POSITIONS))
    model.save(tmp_path / "again", half=False)
    after = json.loads((tmp_path / "again" / "config.json").read_text())
    assert {key: value for key, value in after.items() if "dropout" in key} == {
        key: value for key, value in before.items() if "dropout" in key
    }


@pytest.mark.parametrize("half", [True, False])
def test_a_saved_network_is_an_encoder_in_float32(
    tmp_path: Path, half: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny().eval()
    expected = model.network.base_model(IDS).last_hidden_state.detach().clone()
    model.save(tmp_path / "encoder", half)
    stored = load_file(tmp_path / "encoder" / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16 if half else torch.float32}
    config = json.loads((tmp_path / "encoder" / "config.json").read_text())
    assert "_attn_implementation" not in json.dumps(config)
    encoder = load_encoder(EncoderFiles(tmp_path / "encoder", config, True), pretrained=True, frozen=False).eval()
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    found = encoder(IDS, torch.ones_like(IDS))[-1]
    tolerance = 5e-3 if half else 1e-5
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    assert capfd.readouterr() == ("", "")  # no bar of "Writing model shards"


# --- an encoder that is trained further


def test_a_folder_without_a_head_gets_a_new_one(tiny_encoder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stored = load_file(tiny_encoder / "model.safetensors")
    networks: list[Any] = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        networks.append(load_network(tiny_encoder, on_gpu=False).network)
    for network in networks:
        weights = network.base_model.state_dict()
        assert all(torch.equal(stored[name], value) for name, value in weights.items())
    heads = [network.cls.predictions.transform.dense.weight for network in networks]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert capfd.readouterr() == ("", "")


def test_half_precision_is_trained_in_float32(tmp_path: Path) -> None:
    tiny().save(tmp_path, half=True)
    assert {weight.dtype for weight in load_network(tmp_path, on_gpu=False).parameters()} == {torch.float32}


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError, match=f"^start={folder} ") as caught:
        load_network(folder, on_gpu=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_that_cannot_be_trained_further(tiny_encoder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_encoder, tmp_path / "copy"))
    weights, config = copy / "model.safetensors", copy / "config.json"
    content, facts = weights.read_bytes(), json.loads(config.read_text())
    weights.write_bytes(content[:1000])
    assert "cannot be loaded" in refusal(copy)
    weights.write_bytes(content)
    tensors = load_file(weights)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, weights, {"format": "pt"})
    assert "lacks weights (1 in total), such as bert.encoder.layer.1.output.dense.weight" in refusal(copy)
    weights.write_bytes(content)
    config.write_text(json.dumps({**facts, "hidden_size": "wide"}))
    assert "cannot be loaded" in refusal(copy)
    config.write_text(json.dumps({**facts, "model_type": "made-up"}))
    assert "made-up" in refusal(copy)
