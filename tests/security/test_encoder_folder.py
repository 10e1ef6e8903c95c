"""An encoder's folder of unknown origin: no code that it brings or names is run, and nothing is fetched for it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from patent_hier.features.pretrained import locate
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.models.encoder import build_encoder, load_encoder
from patent_hier.models.masked_language import load_network
from patent_hier.settings import EncoderSettings
from tests.security.traps import Trap, change_json, refusal

HUB_CODE = [
    {"auto_map": {"AutoModel": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Evil"}},
    {"auto_map": {"AutoModel": "someone/else--modeling_evil.Evil"}, "model_type": "evil"},
    {"trust_remote_code": True},
    {"text_config": {"auto_map": {"AutoModel": "modeling_evil.Evil"}}},
    {"layers": [{"trust_remote_code": True}]},
    {"_attn_implementation_internal": "someone/kernel"},  # CVE-2026-4372
    {"_attn_implementation": "someone/kernel"},
    {"attn_implementation": "someone/kernel"},
    {"experts_implementation": "someone/kernel"},
    {"use_kernels": True},
    {"quantization_config": {"quant_method": "torchao"}},
    {"backbone": "someone/else", "use_pretrained_backbone": True},
]


@pytest.fixture
def foreign(tiny_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder, tmp_path / "foreign"))


def load(folder: Path) -> None:
    """All that a run does with an encoder's folder."""
    files = locate(EncoderSettings("foreign", str(folder), max_length=32), folder.parent / "cache")
    load_tokenizer(files, 32)
    load_encoder(files, pretrained=True, frozen=False)


@pytest.mark.parametrize("change", HUB_CODE, ids=lambda change: next(iter(change)))
def test_configurations_that_name_code(foreign: Path, trap: Trap, change: dict[str, Any]) -> None:
    (foreign / "modeling_evil.py").write_text(trap.python, "utf-8")
    config = change_json(foreign / "config.json", **change)
    assert re.search(
        r"has (auto_map|trust_remote_code|_?\w+_implementation\w*|use_kernels|quanti\w+|backbone), which",
        refusal(lambda: load(foreign)),
    )
    # The configuration also travels inside a trained model's folder.
    assert "config.json" in refusal(lambda: build_encoder(config))
    assert "config.json" in refusal(lambda: load_network(foreign, on_gpu=False))


def test_remote_code_has_teeth(foreign: Path, trap: Trap) -> None:
    """The positive control of the test above: transformers does run such code for whoever trusts it."""
    from transformers import AutoModel

    (foreign / "modeling_evil.py").write_text(trap.python, "utf-8")
    change_json(foreign / "config.json", auto_map={"AutoConfig": "modeling_evil.Evil"}, model_type="evil")
    trap.closes(lambda: AutoModel.from_pretrained(foreign, trust_remote_code=True))


def test_tokenizers_with_code(foreign: Path, trap: Trap) -> None:
    """The tokenizer's JSON is read by the tokenizers library, which knows no code: what names some is ignored."""
    from transformers import AutoTokenizer

    (foreign / "tokenization_evil.py").write_text(trap.python, "utf-8")
    mapping = {"AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"]}
    change_json(foreign / "tokenizer_config.json", auto_map=mapping, tokenizer_class="EvilTokenizer")
    trap.closes(lambda: AutoTokenizer.from_pretrained(foreign, trust_remote_code=True))
    load(foreign)
    (foreign / "tokenizer.json").write_bytes(trap.pickled)
    assert "tokenizer" in refusal(lambda: load(foreign))


def test_encoders_that_are_no_text_network(foreign: Path) -> None:
    """Networks for images may fetch a backbone of their own."""
    change_json(foreign / "config.json", model_type="lightglue")  # CVE-2026-5241
    assert "lightglue" in refusal(lambda: load(foreign))


def test_pickled_weights_beside_safetensors_are_ignored_and_alone_refused(foreign: Path, trap: Trap) -> None:
    trap.save(foreign / "pytorch_model.bin")
    load(foreign)
    (foreign / "model.safetensors").unlink()
    assert "pytorch_model.bin" in refusal(lambda: load(foreign))


def test_pickle_in_place_of_safetensors(foreign: Path, trap: Trap) -> None:
    trap.pickle(foreign / "model.safetensors")
    assert "foreign" in refusal(lambda: load(foreign))
    assert "foreign" in refusal(lambda: load_network(foreign, on_gpu=False))


@pytest.mark.parametrize("shard", ["evil.bin", "../outside.safetensors", "folder/x.safetensors", "ABSOLUTE", 3])
def test_an_index_names_safetensors_of_its_folder(foreign: Path, trap: Trap, tmp_path: Path, shard: Any) -> None:
    """transformers would load a shard by its suffix, pickles too."""
    (foreign / "model.safetensors").rename(tmp_path / "outside.safetensors")
    trap.save(foreign / "evil.bin")
    shard = str(tmp_path / "outside.safetensors") if shard == "ABSOLUTE" else shard
    change_json(foreign / "model.safetensors.index.json", metadata={}, weight_map={"embeddings.weight": shard})
    assert "model.safetensors.index.json" in refusal(lambda: load(foreign))


def test_adapters_are_refused(foreign: Path) -> None:
    """With peft installed, transformers would load another network, which the adapter names."""
    change_json(foreign / "adapter_config.json", base_model_name_or_path="someone/else", peft_type="LORA")
    assert "adapter_config.json" in refusal(lambda: load(foreign))
