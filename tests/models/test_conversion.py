"""Encoders with pickled weights: what is converted says the same as before, to the last bit."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AlbertConfig, AutoModelForMaskedLM, BertConfig, PretrainedConfig, RobertaConfig

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import locate
from patent_hier.models.conversion import convert_encoder
from patent_hier.models.encoder import load_encoder
from patent_hier.settings import EncoderSettings

SIZES: dict[str, Any] = {
    "vocab_size": 9000, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
IDS, MASK = torch.tensor([[2, 1000, 1001, 3], [2, 1002, 3, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.fixture
def source(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A folder as ModelScope has it: BERT with the head of its pre-training."""
    return write(tmp_path / "source", BertConfig(**SIZES), tiny_encoder)[0]


def write(folder: Path, config: PretrainedConfig, tokenizer: Path) -> tuple[Path, Any]:
    """A folder with pickled weights, and the network that it was made of."""
    torch.manual_seed(4)
    network = AutoModelForMaskedLM.from_config(config).eval()
    folder.mkdir()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({**config.to_dict(), "model_type": config.model_type}))
    shutil.copyfile(tokenizer / "vocab.txt", folder / "vocab.txt")
    return folder, network


def weights_of(source: Path) -> dict[str, Tensor]:
    return dict(torch.load(source / "pytorch_model.bin", weights_only=True))


def states(folder: Path) -> tuple[Tensor, ...]:
    files = locate(EncoderSettings("x", str(folder), max_length=32), folder.parent)
    with torch.no_grad():
        return tuple(load_encoder(files, pretrained=True, frozen=False).eval()(IDS, MASK))


def refusal(source: Path, target: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        convert_encoder(source, target)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


@pytest.mark.parametrize("family", [BertConfig, RobertaConfig, AlbertConfig], ids=lambda family: family.model_type)
def test_hidden_states_are_the_same(family: Any, tiny_encoder: Path, tmp_path: Path) -> None:
    source, network = write(tmp_path / "source", family(**SIZES, embedding_size=8), tiny_encoder)
    done = convert_encoder(source, tmp_path / "out")
    with torch.no_grad():
        expected = network.base_model(IDS, MASK, output_hidden_states=True).hidden_states
    assert all(map(torch.equal, states(tmp_path / "out"), expected))
    assert done.kept + sum(done.dropped.values()) == len(weights_of(source))
    assert set(done.dropped) <= {"cls", "lm_head", "predictions", "pooler"}
    names = {"config.json", "manifest.json", "model.safetensors", "vocab.txt"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names


def test_heads_are_counted(source: Path, tmp_path: Path) -> None:
    done = convert_encoder(source, tmp_path / "out")
    assert done.dropped == {"cls": 7}
    assert done.in_words() == f"{done.kept} tensors, without 7 that no encoder needs (cls 7)"


def old_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in weights.items()
    }


def shared(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """All weights as views of one storage, as some exporters write them."""
    whole = torch.cat([tensor.flatten() for tensor in weights.values()])
    parts = whole.split([tensor.numel() for tensor in weights.values()])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(weights.items(), parts, strict=True)}


@pytest.mark.parametrize(
    "change",
    [
        old_names,
        shared,
        lambda weights: {"epoch": 3, "state_dict": weights},
        lambda weights: {f"module.{name}": tensor for name, tensor in weights.items()},
        lambda weights: {name.removeprefix("bert."): tensor for name, tensor in weights.items()},
        lambda weights: {**weights, "bert.embeddings.position_ids": torch.arange(64)[None]},
    ],
    ids=["old names", "shared", "checkpoint", "parallel", "bare", "positions"],
)
def test_the_same_weights_in_other_forms(source: Path, tmp_path: Path, change: Any) -> None:
    convert_encoder(source, tmp_path / "usual")
    torch.save(change(weights_of(source)), source / "pytorch_model.bin")
    convert_encoder(source, tmp_path / "other")
    usual, other = (load_file(tmp_path / name / "model.safetensors") for name in ("usual", "other"))
    assert usual.keys() == other.keys()
    assert all(torch.equal(usual[name], other[name]) for name in usual)


def test_half_precision_stays(source: Path, tmp_path: Path) -> None:
    torch.save({name: tensor.half() for name, tensor in weights_of(source).items()}, source / "pytorch_model.bin")
    convert_encoder(source, tmp_path / "out")
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.float16}


def test_weights_in_parts(source: Path, tmp_path: Path) -> None:
    convert_encoder(source, tmp_path / "usual")
    weights = weights_of(source)
    (source / "pytorch_model.bin").unlink()
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for number, name in enumerate(names):
        torch.save(dict(list(weights.items())[number::2]), source / name)
    index = source / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {name: names[place % 2] for place, name in enumerate(weights)}}))
    convert_encoder(source, tmp_path / "parts")
    assert (tmp_path / "parts/model.safetensors").read_bytes() == (tmp_path / "usual/model.safetensors").read_bytes()
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.bin"}}))
    assert "index.json lists files that are not in its folder" in refusal(source, tmp_path / "out")


def test_the_first_berts_had_another_configuration(source: Path, tmp_path: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    del config["model_type"]
    (source / "config.json").write_text(json.dumps(config))
    assert 'add "model_type": "bert"' in refusal(source, tmp_path / "out")
    (source / "config.json").rename(source / "bert_config.json")
    convert_encoder(source, tmp_path / "out")
    assert len(states(tmp_path / "out")) == 3


class Trap:
    def __reduce__(self) -> Any:
        return Path.mkdir, (Path("sprung"),)


@pytest.mark.parametrize("content", [{"a": Trap()}, Trap()])
def test_a_pickle_that_calls_something_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for save in (torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))):
        save(content, source / "pytorch_model.bin")
        assert "is damaged or holds more than tensors" in refusal(source, tmp_path / "out")
    assert not (tmp_path / "sprung").exists()


def change_config(source: Path, **changes: Any) -> None:
    content = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda source: (source / "pytorch_model.bin").rename(source / "tf_model.h5"),
            "only weights of another framework (tf_",
        ),
        (lambda source: (source / "pytorch_model.bin").rename(source / "flax_model.msgpack"), "(flax_model.msgpack)"),
        (lambda source: (source / "pytorch_model.bin").unlink(), "has no pytorch_model.bin"),
        (lambda source: (source / "pytorch_model.bin").write_bytes(b"PK\x03\x04 cut"), "cannot be read"),
        (lambda source: torch.save([1], source / "pytorch_model.bin"), "holds no named weights"),
        (lambda source: torch.save({}, source / "pytorch_model.bin"), "lacks 37 of 37 weights"),
        (lambda source: (source / "vocab.txt").unlink(), "neither tokenizer.json nor vocab.txt"),
        (lambda source: (source / "config.json").unlink(), "has no config.json"),
        (lambda source: (source / "model.safetensors").touch(), "encoder.path="),
        (lambda source: change_config(source, auto_map={"AutoModel": "x.py"}), "auto_map"),
        (lambda source: change_config(source, num_hidden_layers=3), "lacks 16 of 53 weights"),
        (
            lambda source: change_config(source, vocab_size=8999),
            "[9000, 16], but its configuration requires [8999, 16]",
        ),
        (shutil.rmtree, "is not a folder"),
    ],
)
def test_what_cannot_be_converted(source: Path, tmp_path: Path, damage: Any, message: str) -> None:
    damage(source)
    assert message in refusal(source, tmp_path / "out")


def test_two_encoders_in_one_file_are_not_guessed_at(source: Path, tmp_path: Path) -> None:
    weights = weights_of(source)
    both = {f"{side}.{name}": tensor for side in ("query", "key") for name, tensor in weights.items()}
    torch.save(both, source / "pytorch_model.bin")
    assert "several encoders (key.bert., query.bert.)" in refusal(source, tmp_path / "out")


def test_only_an_encoder_of_ours_is_replaced(source: Path, tmp_path: Path) -> None:
    for _ in range(2):
        convert_encoder(source, tmp_path / "out")
    with pytest.raises(ConfigError, match="is not of kind encoder, so it is not replaced"):
        convert_encoder(source, source)
