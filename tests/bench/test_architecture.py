import numpy as np
import pytest

from patent_hier.bench.architecture import SIZES, Architecture
from patent_hier.bench.subjects import Subject
from patent_hier.errors import ConfigError
from patent_hier.models.encoder import build_encoder
from patent_hier.settings import BertCnnSettings

ENGLISH_BASE = Architecture(768, 12, 12, 3072, 30522)
DOCUMENTS = 2_085_931  # nine tenths of the paper's 2,317,701
H200 = 989e12


def test_a_forward_pass_by_hand():
    size = Architecture(hidden_size=4, layers=2, heads=2, intermediate_size=8, vocabulary=10)
    # A layer: 4 matrices of 4 x 4 and two of 4 x 8 = 128 weights; two layers 256. Three tokens: 2 x 256 x 3 = 1536.
    # Attention of a layer: 3 x 3 scores of 4 products, twice: 2 x 2 x 36 = 144; two layers 288.
    assert size.matrix_weights == 256
    assert size.forward_flops(3, 9) == 1536 + 288


def test_weights_are_those_of_a_built_network():
    size = SIZES["demo"]
    encoder = build_encoder(Subject("demo", ("一",), BertCnnSettings()).config, frozen=False)
    assert sum(weight.numel() for weight in encoder.parameters()) == size.parameters
    assert ENGLISH_BASE.parameters == 109_482_240 - 768 * 769  # the published number, less the pooler


def test_operations_agree_with_those_that_the_rows_count():
    subject = Subject("base", ("一种新型装置", "一"), BertCnnSettings())
    lengths = subject.store.lengths.astype(float)
    assert len(set(lengths)) == 2
    assert subject.flops() == SIZES["base"].forward_flops(lengths.sum(), np.square(lengths).sum())


def test_the_floor_of_the_whole_paper_on_one_h200():
    """20 epochs of two levels at length 200 and 100 % of the peak."""
    documents = 20 * 2 * DOCUMENTS
    attention = 4 * ENGLISH_BASE.layers * ENGLISH_BASE.hidden_size * 200**2
    # The known floor takes six operations for every weight, embeddings and pooler too.
    with_embeddings = (6 * 109_482_240 * 200 + 3 * attention) * documents / H200 / 3600
    assert with_embeddings == pytest.approx(3.18, abs=0.005)
    # Embeddings are looked up: what is multiplied takes less, and does not depend on the vocabulary.
    ours = 3 * ENGLISH_BASE.forward_flops(200, 200**2) * documents / H200 / 3600
    assert ours == pytest.approx(2.49, abs=0.005)
    not_multiplied = 6 * (109_482_240 - ENGLISH_BASE.matrix_weights) * 200 * documents / H200 / 3600
    assert with_embeddings - ours == pytest.approx(not_multiplied)


@pytest.mark.parametrize(
    ("config", "word"), [({"model_type": "gpt2"}, "gpt2"), ({"model_type": "bert", "hidden_size": 8}, "num_hidden")]
)
def test_other_encoders_are_refused(config, word):
    with pytest.raises(ConfigError, match=word):
        Architecture.of(config, "mine")
