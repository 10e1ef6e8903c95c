import pytest

from benchmarks.architecture import SIZES, Architecture
from benchmarks.speed.subjects import Subject
from patent_hier.errors import ConfigError
from patent_hier.models.encoder import build_encoder

ENGLISH_BASE = Architecture(768, 12, 12, 3072, 30522)


def test_a_forward_pass_by_hand():
    size = Architecture(hidden_size=4, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=10)
    # A layer: 4 matrices of 4 x 4 and two of 4 x 8 = 128 weights; two layers 256. Three tokens: 2 x 256 x 3 = 1536.
    # Attention of a layer: 3 x 3 scores of 4 products, twice: 2 x 2 x 36 = 144; two layers 288.
    assert size.matrix_weights == 256
    assert size.forward_flops(3, 9) == 1536 + 288


def test_weights_are_those_of_a_built_network():
    encoder = build_encoder(Subject("demo", ("一",)).config, frozen=False)
    assert sum(weight.numel() for weight in encoder.parameters()) == SIZES["demo"].parameters


def test_the_floor_of_the_whole_paper_on_one_h200():
    """20 epochs of two levels at length 200 and 100 % of the peak, on nine tenths of the paper's documents."""
    per_hour = 20 * 2 * 2_085_931 / 989e12 / 3600
    attention = 4 * 12 * 768 * 200**2
    # The known floor takes six operations for every weight, embeddings and pooler too; embeddings are looked up.
    assert (6 * 109_482_240 * 200 + 3 * attention) * per_hour == pytest.approx(3.18, abs=0.005)
    assert 3 * ENGLISH_BASE.forward_flops(200, 200**2) * per_hour == pytest.approx(2.49, abs=0.005)


@pytest.mark.parametrize(
    ("config", "word"), [({"model_type": "gpt2"}, "gpt2"), ({"model_type": "bert", "hidden_size": 8}, "num_hidden")]
)
def test_other_encoders_are_refused(config, word):
    with pytest.raises(ConfigError, match=word):
        Architecture.of(config, "mine")
