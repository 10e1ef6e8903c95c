from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AutoModel, BertConfig, ElectraConfig, ErnieConfig, RobertaConfig

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.models.attention import AttentionMaps, attention_maps, attention_shares, crossing_head, equal_shares
from patent_hier.models.encoder import load_encoder

A, B = "本实用新型公开了一种固体绝缘开关柜结构。", "它包括隔离开关单元、接地装置和隔离插座装置。"


def maps_of(files: EncoderFiles, a: str = A, b: str = B, **changes: object) -> AttentionMaps:
    return attention_maps(files, a, b, **{"pretrained": False, "max_length": 64, **changes})  # type: ignore[arg-type]


def test_a_pair_of_texts(demo_files: EncoderFiles) -> None:
    maps = maps_of(demo_files)
    n = 1 + len(A) + 1 + len(B) + 1
    assert maps.tokens == ("[CLS]", *A, "[SEP]", *B, "[SEP]")
    assert maps.segments.tolist() == [0] * (len(A) + 2) + [1] * (len(B) + 1)
    assert np.flatnonzero(maps.special).tolist() == [0, len(A) + 1, n - 1]
    assert (maps.weights.shape, maps.weights.dtype) == ((2, 2, n, n), np.float32)
    assert (maps.num_layers, maps.num_heads) == (2, 2)
    assert (maps.weights >= 0).all()
    np.testing.assert_allclose(maps.weights.sum(-1), 1, atol=1e-5)


def test_the_weights_are_those_of_transformers(tiny_encoder_files: EncoderFiles) -> None:
    maps = maps_of(tiny_encoder_files, pretrained=True)
    reference = AutoModel.from_pretrained(tiny_encoder_files.folder, attn_implementation="eager").eval()
    vocabulary = (tiny_encoder_files.folder / "vocab.txt").read_text("utf-8").splitlines()
    ids = torch.tensor([[vocabulary.index(token) for token in maps.tokens]])
    with torch.inference_mode():
        expected = reference(
            ids, token_type_ids=torch.tensor(maps.segments.astype(int))[None], output_attentions=True
        ).attentions
    np.testing.assert_allclose(maps.weights, torch.cat(expected).numpy(), atol=1e-6)
    with torch.inference_mode():  # the type ids matter, so the comparison above would notice their absence
        blind = reference(ids, output_attentions=True).attentions
    assert np.abs(maps.weights - torch.cat(blind).numpy()).max() > 1e-4


@pytest.mark.parametrize("family", [BertConfig, RobertaConfig, ErnieConfig, ElectraConfig, AlbertConfig])
@pytest.mark.parametrize("types", [1, 2])
def test_families(family: type[BertConfig], types: int, demo_files: EncoderFiles) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(3)
    config = family(**sizes, vocab_size=9000, max_position_embeddings=80, embedding_size=8, type_vocab_size=types)
    network = AutoModel.from_config(config).train()
    maps = maps_of(demo_files, network=network)
    assert maps.weights.shape[:2] == (3, 2)
    np.testing.assert_allclose(maps.weights.sum(-1), 1, atol=1e-5)
    assert network.training
    assert network.config._attn_implementation == "sdpa"  # as it was


def test_random_weights_follow_the_seed_and_leave_the_generator_alone(demo_files: EncoderFiles) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first, again, other = (maps_of(demo_files, seed=seed).weights for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("a", "b", "name"), [("", B, "A"), (A, "  \n", "B"), ("", "", "A")])
def test_texts_without_tokens(a: str, b: str, name: str, demo_files: EncoderFiles) -> None:
    with pytest.raises(ConfigError, match=rf"^text {name} is .* no tokens") as caught:
        maps_of(demo_files, a, b)
    assert "\n" not in str(caught.value)


def test_nothing_is_cut(demo_files: EncoderFiles) -> None:
    n = len(A) + len(B) + 3
    assert len(maps_of(demo_files, max_length=n).tokens) == n
    with pytest.raises(ConfigError, match=f"have {n} tokens .* limit is {n - 1}"):
        maps_of(demo_files, max_length=n - 1)


def test_an_encoder_without_attention_is_refused(demo_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_encoder(demo_files, pretrained=False, frozen=True).network
    monkeypatch.setattr(network, "set_attn_implementation", lambda name: None)  # stays with sdpa, which tells nothing
    with pytest.raises(ConfigError, match="encoder type bert does not return attention weights"):
        maps_of(demo_files, network=network)


# --- where attention goes


def by_hand(weights: list[list[float]]) -> AttentionMaps:
    """[CLS] a b [SEP] c [SEP], one layer, one head."""
    return AttentionMaps(
        ("[CLS]", "a", "b", "[SEP]", "c", "[SEP]"),
        np.array([0, 0, 0, 0, 1, 1], np.int8),
        np.array([1, 0, 0, 1, 0, 1], bool),
        np.array(weights, np.float32)[None, None],
    )


def test_shares_by_hand() -> None:
    maps = by_hand(
        [
            [0, 1, 0, 0, 0, 0],  # [CLS] does not count
            [0.1, 0.2, 0.4, 0.1, 0.2, 0.0],  # a: next 0.4, crossing 0.2, special 0.2
            [0.0, 0.0, 0.2, 0.3, 0.4, 0.1],  # b: no next in its text, crossing 0.4, special 0.4
            [0, 0, 0, 0, 1, 0],
            [0.2, 0.3, 0.3, 0.0, 0.1, 0.1],  # c: no next, crossing 0.6, special 0.3
            [0, 0, 0, 0, 1, 0],
        ]
    )
    (shares,) = attention_shares(maps)
    assert shares.next_token == pytest.approx(0.4)
    assert shares.crossing == pytest.approx((0.2 + 0.4 + 0.6) / 3)
    assert shares.special == pytest.approx((0.2 + 0.4 + 0.3) / 3)
    equal = equal_shares(maps)
    assert (equal.next_token, equal.special) == pytest.approx((1 / 6, 3 / 6))
    assert equal.crossing == pytest.approx((1 / 6 + 1 / 6 + 2 / 6) / 3)


def test_shares_are_means_over_heads(demo_files: EncoderFiles) -> None:
    maps = maps_of(demo_files)
    single = [replace(maps, weights=maps.weights[:, [head]]) for head in range(2)]
    for layer in range(2):
        mean = np.mean([attention_shares(one)[layer].crossing for one in single])
        assert attention_shares(maps)[layer].crossing == pytest.approx(mean, rel=1e-5)
        crossings = [attention_shares(one)[layer].crossing for one in single]
        assert crossing_head(maps, layer + 1) == int(np.argmax(crossings))


def test_texts_of_one_token_have_no_next(demo_files: EncoderFiles) -> None:
    assert {shares.next_token for shares in attention_shares(maps_of(demo_files, "一", "二"))} == {0.0}
