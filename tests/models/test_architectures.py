"""Encoders and decoders of several architectures, from a folder to a saved node; all tiny, with random weights."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.implementations.byte_level_bpe import ByteLevelBPETokenizer
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles, locate
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.features.wordpiece import load_tokenizer
from patent_hier.models.attention import attention_maps
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.blocks import blocks_of
from patent_hier.models.encoder import TextEncoder, build_encoder, load_encoder
from patent_hier.models.network_spec import encoder_spec
from patent_hier.models.saved import NodeClassifier, load_classifier
from patent_hier.settings import BertCnnSettings, EncoderSettings
from patent_hier.settings.checks import check_pooling
from patent_hier.taxonomy.tree import LabelTree

TEXTS = [
    "一种 LED 灯具",
    "本发明涉及一种数据处理方法及装置，包括处理器、存储器和网络接口。" * 2,
    "光",
    "开关柜的绝缘结构",
]
TREE = LabelTree.from_paths([("A01",), ("A23",), ("A61",)], ("class",), root="A")
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
COMMON = {**SIZES, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
OWN: dict[str, dict[str, Any]] = {  # what one architecture needs beside the common sizes
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8, "cls_token_id": 2, "sep_token_id": 3},
    "modernbert-decoder": {"cls_token_id": 2, "sep_token_id": 3},
    "gpt2": {"pad_token_id": None},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]], "window_size": 8},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "llama": {"num_key_value_heads": 2, "pad_token_id": None},
    "qwen2": {"num_key_value_heads": 2, "pad_token_id": None},
}
ENCODERS = ("bert", "roberta", "ernie", "modernbert")  # RoBERTa-wwm and MacBERT have BERT's architecture
DECODERS = ("gpt2", "gpt_neo", "opt", "llama", "qwen2", "modernbert-decoder")


@dataclass(frozen=True)
class Case:
    """An architecture with a tokenizer: ``wordpiece``, the same without [CLS] and [SEP] (``bare``), or ``bytes``."""

    kind: str
    tokenizer: str = "wordpiece"


CASES = [*map(Case, ENCODERS), Case("modernbert", "bare"), Case("gpt2"), Case("gpt2", "bare"), Case("gpt2", "bytes")]
CASES += [Case("gpt_neo", "bytes"), Case("opt", "bytes"), Case("qwen2", "bytes")]


def config_of(kind: str, **changes: Any) -> Any:
    return CONFIG_MAPPING[kind](**{**COMMON, "vocab_size": 9000, **OWN.get(kind, {}), **changes})


def save(network: PreTrainedModel, tokenizer: str, demo: Path, folder: Path) -> EncoderFiles:
    """Lay out a folder as a user would bring it, and find it."""
    network.save_pretrained(folder)
    if tokenizer == "bytes":
        pieces = ByteLevelBPETokenizer()
        pieces.train_from_iterator(iter(TEXTS), vocab_size=400, min_frequency=1, show_progress=False)
        pieces.save(str(folder / "tokenizer.json"))
    elif tokenizer == "bare":
        content = json.loads((demo / "tokenizer.json").read_text("utf-8"))
        (folder / "tokenizer.json").write_text(json.dumps({**content, "post_processor": None}), "utf-8")
    else:
        shutil.copyfile(demo / "vocab.txt", folder / "vocab.txt")
    return locate(EncoderSettings("x", str(folder), max_length=32), folder.parent)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case.kind}-{case.tokenizer}")
def files(request: pytest.FixtureRequest, demo_files: EncoderFiles, tmp_path_factory: Any) -> EncoderFiles:
    torch.manual_seed(3)
    network = AutoModel.from_config(config_of(request.param.kind))
    return save(network, request.param.tokenizer, demo_files.folder, tmp_path_factory.mktemp("folder") / "encoder")


def model_settings(files: EncoderFiles, **changes: Any) -> BertCnnSettings:
    pooling = "last" if files.is_causal else "cls"
    return BertCnnSettings(**{"num_last_layers": 2, "num_filters": 4, "dropout": 0.0, "pooling": pooling, **changes})


def classifier(files: EncoderFiles, **changes: Any) -> NodeClassifier:
    settings = model_settings(files, **changes)
    spec = encoder_spec(files, EncoderSettings("x", str(files.folder), max_length=32), settings)
    torch.manual_seed(5)
    return NodeClassifier("A", TREE, False, settings, spec.build(3), spec.reader)


def batch(made: NodeClassifier, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    store = made.encode(TEXTS)
    assert isinstance(store, TokenStore)
    assert made.reader is not None
    ids, mask = pad_batch(store, rows, getattr(made.reader, "pad_id"))  # noqa: B009  # readers of n-grams have none
    return torch.from_numpy(ids), torch.from_numpy(mask)


# --- each architecture from its folder to a saved node


def test_a_node_is_trained_scored_and_loaded(files: EncoderFiles, tmp_path: Path) -> None:
    made = classifier(files)
    network = made.model
    assert isinstance(network, BertCnn)
    assert (network.encoder.num_layers, files.num_layers, network.encoder.hidden_size) == (3, 3, 16)
    optimizer, target = torch.optim.SGD(network.parameters(), 1e-4), torch.tensor([0, 2, 1, 0])
    ids, mask = batch(made, [0, 1, 2, 3])
    before = torch.nn.functional.cross_entropy(network.eval()(ids, mask), target)  # without dropout
    before.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())
    assert network.encoder.network.get_input_embeddings().weight.grad[ids[0, 0]].abs().sum() > 0
    optimizer.step()
    assert torch.nn.functional.cross_entropy(network(ids, mask), target) < before
    store = made.encode(TEXTS)
    scores = made.log_prob(store, np.arange(4))
    np.testing.assert_allclose(np.exp(scores).sum(1), 1, atol=1e-5)
    made.save(tmp_path / "node")
    loaded = load_classifier(tmp_path / "node")
    assert np.array_equal(loaded.log_prob(loaded.encode(TEXTS), np.arange(4)), scores)
    assert isinstance(loaded.model, BertCnn)
    assert loaded.model.encoder.is_causal == files.is_causal


@pytest.mark.parametrize(("head", "pooling"), [("document_matrix", None), ("cls", "mean"), ("token", "mean")])
def test_padding_has_no_influence(files: EncoderFiles, head: str, pooling: str | None) -> None:
    made = classifier(files, head=head, **({"pooling": pooling} if pooling else {}))
    assert isinstance(made.model, BertCnn)
    made.model.eval()
    with torch.inference_mode():
        ids, mask = batch(made, [0, 1, 2, 3])
        together = made.model(ids, mask)
        alone = torch.cat([made.model(*batch(made, [row])) for row in range(4)])
        filled = made.model(torch.where(mask.bool(), ids, 7), mask)  # whatever stands in the padding
    assert (mask.sum(1) < mask.shape[1]).sum() == 3
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together, filled, atol=1e-5, rtol=1e-5)


def test_hidden_states_are_those_of_transformers(files: EncoderFiles) -> None:
    encoder = load_encoder(files, pretrained=True, frozen=False).eval()
    reference = AutoModel.from_pretrained(files.folder).eval()
    ids = torch.tensor([[5, 9, 11, 8, 6]])
    with torch.inference_mode():
        found = encoder(ids, torch.ones_like(ids))
        expected = reference(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    assert len(found) == 4
    for a, b in zip(found[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found[-1], expected.last_hidden_state, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found[-1].square().mean(-1), torch.ones(1, 5), atol=0.05, rtol=0)  # normalised


def test_no_token_of_a_decoder_reads_those_after_it(files: EncoderFiles) -> None:
    encoder = load_encoder(files, pretrained=True, frozen=True)
    one, other = torch.tensor([[5, 9, 11, 8, 6]]), torch.tensor([[5, 9, 11, 8, 7]])
    mask = torch.ones_like(one)
    first, second = encoder(one, mask)[-1][0], encoder(other, mask)[-1][0]
    read = [not torch.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True)]
    assert read == ([False] * 4 if encoder.is_causal else [True] * 4) + [True]


def test_attention_of_a_pair(files: EncoderFiles) -> None:
    maps = attention_maps(files, TEXTS[0], TEXTS[3], pretrained=True, max_length=64)
    n = len(maps.tokens)
    assert maps.weights.shape == (3, 2, n, n)
    np.testing.assert_allclose(maps.weights.sum(-1), 1, atol=1e-5)
    assert bool(np.triu(maps.weights, 1).any()) == (not files.is_causal)
    assert set(maps.segments.tolist()) == {0, 1}
    if files.is_causal:  # GPT-2 would add the vectors of words to its input if it were given types of tokens
        ids = torch.tensor([load_tokenizer(files, 64).encode(TEXTS[0], TEXTS[3]).ids])
        reference = AutoModel.from_pretrained(files.folder, attn_implementation="eager").eval()
        with torch.inference_mode():
            expected = reference(ids, output_attentions=True).attentions
        np.testing.assert_allclose(maps.weights, torch.cat(expected).numpy(), atol=1e-6)


# --- which networks are decoders


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_decoders_are_known_by_their_type(kind: str) -> None:
    torch.manual_seed(2)
    encoder = build_encoder(config_of(kind, vocab_size=20).to_dict(), frozen=True)
    assert encoder.is_causal == (kind in DECODERS)
    ids = torch.tensor([[5, 9, 11], [5, 9, 12]])
    one, other = encoder(ids, torch.ones_like(ids))[-1][:, 0]
    assert torch.allclose(one, other, atol=1e-6) == encoder.is_causal
    assert not getattr(encoder.network.config, "use_cache", False)


def test_a_bert_may_be_a_decoder() -> None:
    assert build_encoder({**config_of("bert", vocab_size=20).to_dict(), "is_decoder": True}).is_causal


@pytest.mark.parametrize("head", ["document_matrix", "cls", "token"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("is_causal", [False, True])
def test_the_first_token_of_a_decoder_is_refused(head: str, pooling: str, is_causal: bool) -> None:
    model = BertCnnSettings(head=head, pooling=pooling)
    if not is_causal or pooling != "cls" or head == "token":  # the token head reads all tokens
        check_pooling(model, "gpt2", is_causal)
        return
    with pytest.raises(ConfigError, match=r"model\.pooling=cls .*decoder \(gpt2\) .*pooling=last") as caught:
        check_pooling(model, "gpt2", is_causal)
    assert "\n" not in str(caught.value)


def test_networks_of_two_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match="encoder type bart has an encoder and a decoder"):
        build_encoder({"model_type": "bart", "d_model": 16})


# --- lower layers that stay as they are


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS, "electra", "distilbert"])
@pytest.mark.parametrize("frozen", [0, 2])
def test_the_backward_pass_ends_above_frozen_layers(kind: str, frozen: int) -> None:
    torch.manual_seed(2)
    encoder = build_encoder(config_of(kind, vocab_size=20).to_dict(), frozen=frozen).train()
    states = encoder(torch.tensor([[5, 9, 11]]), torch.ones(1, 3, dtype=torch.long))
    assert [state.requires_grad for state in states] == [layer > frozen for layer in range(4)]
    below, *layers = blocks_of(encoder.network, 3)
    for layer, block in enumerate((below, *layers)):
        modes = {module.training for own in block for module in own.modules()}  # without dropout where frozen
        assert modes == {layer > frozen}
    states[-1].square().sum().backward()
    learnt = {weight for weight in encoder.parameters() if weight.grad is not None}
    assert learnt == {weight for weight in encoder.parameters() if weight.requires_grad}
    assert learnt.isdisjoint(encoder.network.get_input_embeddings().parameters())
    assert learnt >= {weight for (layer,) in layers[frozen:] for weight in layer.parameters()}


def test_layers_that_cannot_be_frozen_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.freeze=3 .*encoder bert has 3 layers; .*to 2, or true"):
        build_encoder(config_of("bert", vocab_size=20).to_dict(), frozen=3)
    with pytest.raises(ConfigError, match=r"encoder\.freeze=1 .*albert share them"):
        build_encoder(config_of("albert", vocab_size=20, embedding_size=8).to_dict(), frozen=1)


# --- folders as others save them


@pytest.mark.parametrize("kind", ["bert", "modernbert", "gpt2"])
def test_folders_with_a_head_of_pre_training_in_half_precision(
    kind: str, demo_files: EncoderFiles, tmp_path: Path
) -> None:
    torch.manual_seed(4)
    whole = (AutoModelForCausalLM if kind == "gpt2" else AutoModelForMaskedLM).from_config(config_of(kind)).half()
    files = save(whole, "wordpiece", demo_files.folder, tmp_path / "encoder")
    assert ("num_hidden_layers" in files.config) == (kind != "gpt2")
    encoder = load_encoder(files, pretrained=True, frozen=False)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    stored = whole.get_input_embeddings().weight
    assert torch.equal(encoder.network.get_input_embeddings().weight, stored.float())


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neo", "modernbert"])
def test_a_document_without_tokens(kind: str, demo_files: EncoderFiles, tmp_path: Path) -> None:
    torch.manual_seed(4)
    files = save(AutoModel.from_config(config_of(kind)), "bytes", demo_files.folder, tmp_path / "encoder")
    made = classifier(files)
    store = made.encode(["", TEXTS[1], TEXTS[3]])
    assert isinstance(store, TokenStore)
    assert store.lengths.tolist()[0] == 0
    scores = made.log_prob(store, np.arange(3))
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores[1:], made.log_prob(store, np.array([1, 2])), atol=1e-5)
    np.testing.assert_allclose(scores[[0, 2]], made.log_prob(store, np.array([0, 2])), atol=1e-5)  # less padding


# --- the implementation of attention


@pytest.mark.parametrize(("kind", "usual"), [("bert", "sdpa"), ("gpt2", "sdpa"), ("gpt_neo", "eager")])
def test_bf16_on_a_cpu_takes_plain_attention(kind: str, usual: str) -> None:
    torch.manual_seed(1)
    encoder: TextEncoder = build_encoder(config_of(kind, vocab_size=20).to_dict()).eval()
    ids = torch.tensor([[5, 9, 11, 0], [5, 9, 12, 8]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    expected = encoder(ids, mask)[-1]
    assert encoder.network.config._attn_implementation == usual
    with torch.autocast("cpu", torch.bfloat16):
        rounded = encoder(ids, mask)[-1]
    assert encoder.network.config._attn_implementation == "eager"
    torch.testing.assert_close(rounded[mask.bool()].float(), expected[mask.bool()], atol=0.05, rtol=0.05)
    assert torch.equal(encoder(ids, mask)[-1], expected)
    assert encoder.network.config._attn_implementation == usual
