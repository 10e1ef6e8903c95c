import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from patent_hier.features.layer_vectors import LayerVectors, PositionStore
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import TextEncoder, load_encoder
from patent_hier.models.frozen import looking_up, write_layer_vectors
from patent_hier.models.heads import pool_tokens
from patent_hier.settings import BertCnnSettings

LENGTHS = (3, 9, 5, 9, 2)


@pytest.fixture(scope="module")
def encoder(tiny_encoder_files: EncoderFiles) -> TextEncoder:
    return load_encoder(tiny_encoder_files, pretrained=True, frozen=True)


@pytest.fixture(scope="module")
def store() -> TokenStore:
    rng = np.random.default_rng(1)
    return TokenStore.from_documents([[2, *rng.integers(100, 900, length - 2).tolist(), 3] for length in LENGTHS])


def written(encoder: TextEncoder, store: TokenStore, folder: Path, layers: int, pooling: str) -> LayerVectors:
    folder.mkdir()
    write_layer_vectors(
        encoder, store, folder, layers=layers, pooling=pooling, pad_id=0, batch_size=2, precision="32-true"
    )
    return LayerVectors.open(folder)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("layers", [1, 2])
def test_each_document_has_what_the_encoder_gives_for_it_alone(
    encoder: TextEncoder, store: TokenStore, tmp_path: Path, layers: int, pooling: str
) -> None:
    vectors = written(encoder, store, tmp_path / "vectors", layers, pooling)
    for position in range(len(store)):
        ids, mask = (torch.from_numpy(x) for x in pad_batch(store, [position], 0))
        with torch.no_grad():
            states = encoder(ids, mask)
        expected = [pool_tokens(states[-1 - layer], mask, pooling)[0].numpy() for layer in range(layers)]
        assert np.allclose(vectors.rows(np.array([position]))[0], expected, atol=2e-3)  # half precision


@pytest.mark.parametrize("head", ["document_matrix", "cls"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_network_that_looks_up_answers_like_one_that_reads(
    encoder: TextEncoder, store: TokenStore, tmp_path: Path, head: str, pooling: str
) -> None:
    settings = BertCnnSettings(head=head, pooling=pooling, num_last_layers=2, num_filters=4, pool_size=None)
    network = BertCnn(encoder, 5, settings).eval()
    vectors = written(encoder, store, tmp_path / "vectors", 2, pooling)
    rows = np.array([4, 1, 0])

    def logits(read: TokenStore) -> Tensor:
        ids, mask = (torch.from_numpy(x) for x in pad_batch(read, rows, 0))
        with torch.no_grad():
            return network(ids, mask)

    expected = logits(store)
    with looking_up(network, vectors):
        assert network.encoder is not encoder
        found = logits(PositionStore(store.lengths))
    assert network.encoder is encoder
    error, difference = (found - expected).abs().max(), (expected[0] - expected[1]).abs().max()
    assert error < 2e-3  # of half precision
    assert error < difference / 2  # small beside what tells documents apart


def test_a_copy_of_a_network_that_looks_up_reads_the_same_vectors(
    encoder: TextEncoder, store: TokenStore, tmp_path: Path
) -> None:
    network = BertCnn(encoder, 5, BertCnnSettings(head="cls"))
    with looking_up(network, vectors := written(encoder, store, tmp_path / "v", 1, "cls")):
        copied = copy.deepcopy(network)
    assert vars(copied.encoder)["_vectors"] is vectors  # they may be larger than memory
    assert torch.equal(copied.head.output.weight, network.head.output.weight)


def test_the_own_encoder_comes_back_after_an_error(encoder: TextEncoder, store: TokenStore, tmp_path: Path) -> None:
    network = BertCnn(encoder, 5, BertCnnSettings(head="cls"))
    with pytest.raises(KeyboardInterrupt), looking_up(network, written(encoder, store, tmp_path / "v", 1, "cls")):
        raise KeyboardInterrupt
    assert network.encoder is encoder
