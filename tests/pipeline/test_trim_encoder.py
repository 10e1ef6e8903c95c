import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from patent_hier.artifacts import verify
from patent_hier.atomic import read_json
from patent_hier.errors import ConfigError, DataError
from patent_hier.features.pretrained import EncoderFiles, locate
from patent_hier.features.text_digests import TextDigests
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.models.encoder import load_encoder
from patent_hier.pipeline.trim_encoder import OtherText, trim_encoder
from patent_hier.settings import EncoderSettings
from tests.pieces import sentencepiece_encoder

LINES = [f"一种发光电路，LED电压{number % 7}.5V" for number in range(300)]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("\n".join(LINES), "utf-8")
    return tmp_path / "text.txt"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return sentencepiece_encoder(tmp_path / "source")


def card(folder: Path, manifest: dict[str, Any]) -> None:
    assert (folder / "model.safetensors").is_file()
    (folder / "README.md").write_text(manifest["name"], "utf-8")


def trim(source: Path, text: Path, min_count: int = 1, half: bool = False) -> Path:
    target = text.with_name("trimmed")
    trim_encoder(str(source), [text], target, min_count, half, card)
    return target


def read(folder: Path, texts: list[str]) -> tuple[list[list[int]], list[torch.Tensor]]:
    """Token ids, and the encoder's last hidden states."""
    files: EncoderFiles = locate(EncoderSettings("x", str(folder), max_length=32), folder)
    tokenizer = load_tokenizer(files, 32)
    encoder = load_encoder(files, pretrained=True, frozen=True)
    ids = [tokenizer.encode(text).ids for text in texts]
    return ids, [encoder(torch.tensor([one]), torch.ones(1, len(one)))[-1] for one in ids]


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta"])
def test_a_smaller_encoder_reads_the_texts_alike(text: Path, tmp_path: Path, model_type: str) -> None:
    source = sentencepiece_encoder(tmp_path / "source", model_type)
    folder = trim(source, text)
    verify(folder)
    before, after = read(source, LINES[:9]), read(folder, LINES[:9])
    assert [len(ids) for ids in before[0]] == [len(ids) for ids in after[0]]
    for old, new in zip(before[1], after[1], strict=True):
        torch.testing.assert_close(new, old)
    manifest, config = read_json(folder / "manifest.json"), read_json(folder / "config.json")
    pieces = manifest["trimmed"]["pieces"]
    assert config["vocab_size"] == pieces["after"] == load_tokenizer(EncoderFiles(folder, {}, True), 8).get_vocab_size()
    assert pieces["after"] < pieces["before"]
    assert config["pad_token_id"] == 1
    assert manifest["trimmed"]["lines"] == {"all": 300, "changed": 0}
    assert str(tmp_path) not in (folder / "manifest.json").read_text("utf-8")
    assert read_json(folder / "tokenizer_config.json")["mask_token"] == "<mask>"


def test_transformers_reads_the_folder(source: Path, text: Path) -> None:
    from transformers import AutoTokenizer

    folder = trim(source, text)
    own = load_tokenizer(EncoderFiles(folder, {}, True), 64)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert theirs(LINES[:3])["input_ids"] == [one.ids for one in own.encode_batch(LINES[:3])]
    assert theirs.mask_token_id == own.token_to_id("<mask>")


def test_the_head_of_hidden_tokens_follows(source: Path, text: Path) -> None:
    from transformers import AutoModelForMaskedLM

    AutoModelForMaskedLM.from_pretrained(source).save_pretrained(source)
    before, after = load_file(source / "model.safetensors"), load_file(trim(source, text) / "model.safetensors")
    kept = read_json(text.with_name("trimmed") / "config.json")["vocab_size"]
    rows = {name for name in before if before[name].shape != after[name].shape}
    assert rows == {"bert.embeddings.word_embeddings.weight", "cls.predictions.bias"}
    assert {len(after[name]) for name in rows} == {kept}


def test_half_precision_and_rare_pieces(source: Path, text: Path) -> None:
    text.write_text(text.read_text("utf-8") + "\n发光二极管 abc", "utf-8")
    folder = trim(source, text, min_count=2, half=True)
    weights = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert read_json(folder / "config.json")["torch_dtype"] == "float16"
    assert read_json(folder / "manifest.json")["trimmed"]["lines"] == {"all": 301, "changed": 1}
    large = load_file(source / "model.safetensors")
    large["embeddings.LayerNorm.bias"] = torch.full((16,), 1e6)
    save_file(large, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"embeddings.LayerNorm.bias are too large for half precision"):
        trim(source, text, half=True)
    assert load_file(folder / "model.safetensors").keys() == weights.keys()  # the earlier folder stays


def test_what_comes_along(source: Path, text: Path) -> None:
    (source / "README.md").write_text("---\nlanguage:\n- zh\nlicense: mit\n---\n# Encoder\n")
    (source / "LICENSE").write_text("MIT")
    (source / "pytorch_model.py").write_text("raise SystemExit")
    TextDigests.of([LINES]).save(source)
    (source / "manifest.json").write_text(json.dumps({"text_digests": {"count": 7, "complete": False}}))
    folder = trim(source, text)
    manifest = read_json(folder / "manifest.json")
    assert (manifest["trimmed"]["source"], manifest["trimmed"]["licence"]) == ("source", "mit")
    assert manifest["text_digests"] == {"count": 7, "complete": False}
    assert (folder / "LICENSE").read_text() == "MIT"
    assert TextDigests.open(folder) is not None
    assert not list(folder.glob("*.py"))


def test_what_cannot_be_used(source: Path, text: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match=r"empty\.txt has no lines"):
        trim(source, tmp_path / "empty.txt")
    (tmp_path / "trimmed").mkdir()
    (tmp_path / "trimmed" / "mine.txt").touch()
    with pytest.raises(ConfigError, match="is not of kind encoder"):
        trim(source, text)
    (tmp_path / "trimmed" / "mine.txt").unlink()
    facts = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**facts, "auto_map": {"AutoModel": "code.Model"}}))
    with pytest.raises(ConfigError, match="requests code"):
        trim(source, text)
    (source / "config.json").write_text(json.dumps({**facts, "vocab_size": 20}))
    with pytest.raises(ConfigError, match=r"config\.json has 20"):
        trim(source, text)
    with pytest.raises(ConfigError, match=r"has no config\.json; point FOLDER at"):
        trim(tmp_path / "trimmed", text)


def test_what_is_lost_is_told() -> None:
    assert OtherText(12, 1000, 1025, 1, 41).in_words() == (
        "On 12 held-out lines, with the pieces of the other lines: 4.000% of the tokens are unknown (before: 0.100%), "
        "and there are 2.50% more tokens."
    )
    assert "unknown" in OtherText(0, 0, 0, 0, 0).in_words()


def test_lines_held_out_are_read_with_the_pieces_of_the_others(
    source: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from patent_hier.pipeline import trim_encoder as module

    text.write_text("一种LED\n发光电路", "utf-8")
    monkeypatch.setattr(module, "is_held_out", lambda line, share: line == "发光电路")
    found = trim_encoder(str(source), [text], text.with_name("trimmed"), 1, False, card)
    # ▁ 发光 电路, and ▁ 发 光 电 路
    assert found == OtherText(1, 3, 5, 0, 0)
