import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from patent_hier.artifacts import DigestCache
from patent_hier.errors import ConfigError
from patent_hier.features import pretrained
from patent_hier.features.pretrained import EncoderFiles, locate
from patent_hier.settings import EncoderSettings
from tests.conftest import tiny_encoder_settings


def folder_settings(folder: Path, **changes: Any) -> EncoderSettings:
    return EncoderSettings(**{"name": "folder", "path": str(folder), "max_length": 32, **changes})


@pytest.fixture
def copy(tiny_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder, tmp_path / "copy"))


def refusal(settings: EncoderSettings, cache: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        locate(settings, cache)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_demo_encoder_is_a_transformers_folder_made_once(tmp_path: Path) -> None:
    files = locate(tiny_encoder_settings(), tmp_path)
    assert {"config.json", "vocab.txt", "tokenizer.json", "manifest.json"} <= {x.name for x in files.folder.iterdir()}
    assert (files.num_layers, files.has_weights, files.config["hidden_size"]) == (2, False, 16)
    assert files.config["vocab_size"] == len((files.folder / "vocab.txt").read_text("utf-8").splitlines())
    stamp = (files.folder / "config.json").stat().st_mtime_ns
    assert locate(tiny_encoder_settings(), tmp_path).folder == files.folder
    assert (files.folder / "config.json").stat().st_mtime_ns == stamp
    assert locate(tiny_encoder_settings(hidden_size=32), tmp_path).folder != files.folder


def test_demo_heads_must_divide_the_width(tmp_path: Path) -> None:
    message = refusal(tiny_encoder_settings(num_attention_heads=3), tmp_path)
    assert "encoder.num_attention_heads=3" in message
    assert "encoder.hidden_size=16" in message


def test_local_folder(tiny_encoder: Path, tmp_path: Path) -> None:
    files = locate(folder_settings(tiny_encoder), tmp_path)
    assert (files.folder, files.num_layers, files.has_weights) == (tiny_encoder, 2, True)


# --- encoders in the package


@pytest.fixture
def packaged(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's folder of encoders, with the encoder ``small`` and a folder without an encoder."""
    folder = tmp_path / "resources" / "encoders"
    shutil.copytree(tiny_encoder, folder / "small")
    (folder / "notes").mkdir()
    monkeypatch.setattr(pretrained, "PACKAGED_ENCODERS", folder)
    return folder


def test_a_packaged_encoder(packaged: Path, tmp_path: Path) -> None:
    files = locate(EncoderSettings("small", "patent_hier/small", max_length=32), tmp_path)
    assert (files.folder, files.num_layers, files.has_weights) == (packaged / "small", 2, True)


def test_a_packaged_encoder_goes_before_a_folder_of_its_name(
    packaged: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_encoder, tmp_path / "patent_hier" / "small")
    shutil.copytree(tiny_encoder, tmp_path / "patent_hier" / "deeper" / "small")
    assert locate(EncoderSettings("x", "patent_hier/small", max_length=32), tmp_path).folder == packaged / "small"
    for own in ("./patent_hier/small", "patent_hier/deeper/small"):
        assert locate(EncoderSettings("x", own, max_length=32), tmp_path).folder == Path(own)


@pytest.mark.parametrize("name", ["large", "notes", "..", "", "."])
def test_an_encoder_that_the_package_does_not_hold(
    packaged: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "_from_hub", lambda *_: pytest.fail("the hub was asked"))
    message = refusal(EncoderSettings("small", f"patent_hier/{name}", max_length=32), tmp_path)
    assert f"encoder.path=patent_hier/{name} is not in this installation" in message
    assert "which has patent_hier/small;" in message


def test_a_package_without_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "PACKAGED_ENCODERS", tmp_path / "none")
    assert "which has none;" in refusal(EncoderSettings("small", "patent_hier/small"), tmp_path)


def test_the_packages_folder_is_inside_it() -> None:
    import patent_hier

    assert Path(patent_hier.__file__).parent / "resources" / "encoders" == pretrained.PACKAGED_ENCODERS


# --- folders of the user


def test_no_path(tmp_path: Path) -> None:
    assert "encoder.path=FOLDER" in refusal(EncoderSettings("folder"), tmp_path)


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        (["config.json"], "has no config.json"),
        (["vocab.txt", "tokenizer.json"], "neither tokenizer.json nor vocab.txt"),
        (["model.safetensors"], "has no model.safetensors"),
    ],
)
def test_missing_files(copy: Path, tmp_path: Path, removed: list[str], named: str) -> None:
    for name in removed:
        (copy / name).unlink()
    message = refusal(folder_settings(copy), tmp_path)
    assert named in message
    assert str(copy) in message


def test_pickled_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    message = refusal(folder_settings(copy), tmp_path)
    assert "pytorch_model.bin" in message
    assert f"patent-hier convert-encoder {copy} OUT" in message
    assert not locate(folder_settings(copy, pretrained=False), tmp_path).has_weights


def test_sharded_weights_count_as_weights(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").rename(copy / "model-00001-of-00001.safetensors")
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"x": "model-00001-of-00001.safetensors"}}')
    assert locate(folder_settings(copy), tmp_path).has_weights


@pytest.mark.parametrize(("length", "fits"), [(512, True), (513, False)])
def test_positions_bound_the_length(tiny_encoder: Path, tmp_path: Path, length: int, fits: bool) -> None:
    settings = folder_settings(tiny_encoder, max_length=length)
    if fits:
        assert locate(settings, tmp_path).config["max_position_embeddings"] == 512
    else:
        message = refusal(settings, tmp_path)
        assert "encoder.max_length=513" in message
        assert "512 positions" in message


def test_positions_of_roberta_start_after_the_padding(copy: Path, tmp_path: Path) -> None:
    config = {"model_type": "roberta", "num_hidden_layers": 2, "max_position_embeddings": 34, "pad_token_id": 1}
    (copy / "config.json").write_text(json.dumps(config))
    assert locate(folder_settings(copy, max_length=32), tmp_path).num_layers == 2
    assert "32 positions" in refusal(folder_settings(copy, max_length=33), tmp_path)


@pytest.mark.parametrize(
    ("layers", "positions"), [("n_layer", "n_positions"), ("num_layers", "max_position_embeddings"), ("n_layers", "?")]
)
def test_names_that_architectures_have_of_their_own(copy: Path, tmp_path: Path, layers: str, positions: str) -> None:
    config = {"model_type": "x", layers: 5, positions: 40, "num_hidden_layers": None}
    (copy / "config.json").write_text(json.dumps(config))
    assert locate(folder_settings(copy), tmp_path).num_layers == 5
    if positions != "?":
        assert "40 positions" in refusal(folder_settings(copy, max_length=41), tmp_path)


@pytest.mark.parametrize(
    ("config", "causal"),
    [
        ({"model_type": "gpt2"}, True),
        ({"model_type": "qwen2", "is_decoder": False}, True),
        ({"model_type": "bert"}, False),
        ({"model_type": "bert", "is_decoder": True}, True),
        ({"model_type": "modernbert"}, False),
        ({}, False),
    ],
)
def test_decoders(tmp_path: Path, config: dict[str, Any], causal: bool) -> None:
    assert EncoderFiles(tmp_path, config, True).is_causal == causal


def test_other_kinds_of_model_are_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    assert "num_hidden_layers" in refusal(folder_settings(copy), tmp_path)


def test_hub_name_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    start = time.perf_counter()
    message = refusal(EncoderSettings("bert-base-chinese", "google-bert/bert-base-chinese"), tmp_path)
    assert time.perf_counter() - start < 20
    assert "hf download google-bert/bert-base-chinese" in message
    assert "--local-dir FOLDER" in message
    assert "copy FOLDER here" in message
    assert "encoder.path=FOLDER" in message
    assert "HF_ENDPOINT=https://hf-mirror.com" in message
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    message = refusal(EncoderSettings("x", "some/encoder", revision="0" * 40), tmp_path)
    assert f"'hf download some/encoder --revision {'0' * 40} --local-dir FOLDER'" in message
    assert "check HF_ENDPOINT=https://mirror.example" in message


def test_hub_model_in_the_cache_needs_no_network(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    commit = "0" * 40
    repository = tmp_path / "hub" / "models--some--encoder"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(tiny_encoder, repository / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert locate(EncoderSettings("x", "some/encoder", max_length=32), tmp_path).num_layers == 2


def test_a_hub_page_without_safetensors_says_how_to_convert(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "model.safetensors").unlink()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(copy))
    message = refusal(EncoderSettings("x", "some/encoder"), tmp_path)
    assert "'hf download some/encoder --local-dir FOLDER' and 'patent-hier convert-encoder FOLDER OUT'" in message


@pytest.mark.parametrize(
    "path",
    [
        "no/such/folder",
        "/no/such/folder",
        "./nowhere",
        "../nowhere",
        "nowhere/",
        "~/nowhere",
        "C:\\nowhere",
        "my encoder",
    ],
)
def test_a_mistyped_folder_is_not_looked_up(tmp_path: Path, path: str) -> None:
    message = refusal(EncoderSettings("folder", path), tmp_path)
    assert message.startswith(f"encoder.path={path}: no such folder on this machine; check the path")
    assert "hub" not in message
    assert "hf download" not in message
    assert ("instead of ~" in message) == path.startswith("~")


def test_a_name_without_a_slash_may_be_a_folder_or_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    message = refusal(EncoderSettings("folder", "nowhere"), tmp_path)
    assert message.startswith("encoder.path=nowhere: no such folder on this machine, and the hub cannot be reached;")
    assert "check the path, or, if nowhere is a hub name, " in message
    assert "'hf download nowhere --local-dir FOLDER'" in message


def test_a_hub_without_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    class MissingError(RepositoryNotFoundError):
        def __init__(self) -> None:
            Exception.__init__(self, "404")  # without the response of an HTTP library

    def download(*_: object, local_files_only: bool = False, **__: object) -> str:
        raise LocalEntryNotFoundError("not in the cache") if local_files_only else MissingError

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    message = refusal(EncoderSettings("folder", "nowhere", revision="v2"), tmp_path)
    assert message.startswith("encoder.path=nowhere: no such folder on this machine, and the hub has no encoder ")
    assert "nowhere in revision v2; check" in message


def test_digests_follow_the_files_that_matter(copy: Path, tmp_path: Path) -> None:
    def state() -> tuple[str, str, str]:
        files = locate(folder_settings(copy), tmp_path)
        digests = DigestCache(tmp_path / "digests.json")
        return files.vocabulary_digest(digests), files.digest(digests, True), files.digest(digests, False)

    before = state()
    assert state() == before
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    other_weights = state()
    assert [a == b for a, b in zip(before, other_weights, strict=True)] == [True, False, True]
    (copy / "vocab.txt").write_text("[PAD]\n")
    assert all(a != b for a, b in zip(other_weights, state(), strict=True))
