import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from patent_hier.errors import ArtifactError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_states import STATES_FILE, TokenPositions, TokenStates
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.blocks import blocks_of
from patent_hier.models.encoder import TextEncoder, load_encoder
from patent_hier.models.lower_layers import StatesInput, beginning_above, write_token_states
from patent_hier.settings import BertCnnSettings

LENGTHS = (3, 9, 5, 9, 2)
SETTINGS = BertCnnSettings(pooling="mean", num_last_layers=2, num_filters=4, pool_size=None)


@pytest.fixture
def encoder(tiny_encoder_files: EncoderFiles) -> TextEncoder:
    """Of two layers, the lower one frozen."""
    return load_encoder(tiny_encoder_files, pretrained=True, frozen=1)


@pytest.fixture(scope="module")
def store() -> TokenStore:
    rng = np.random.default_rng(1)
    return TokenStore.from_documents([[2, *rng.integers(100, 900, length - 2).tolist(), 3] for length in LENGTHS])


@pytest.fixture
def states(tiny_encoder_files: EncoderFiles, store: TokenStore, tmp_path: Path) -> TokenStates:
    frozen, folder = load_encoder(tiny_encoder_files, pretrained=True, frozen=True), tmp_path / "states"
    folder.mkdir()
    write_token_states(frozen, store, folder, layers=1, pad_id=0, batch_size=2)
    assert len(blocks_of(frozen.network, 2)) == 3  # it has its embeddings and both layers again
    return TokenStates.open(folder)


def batch(store: TokenStore, rows: list[int]) -> tuple[Tensor, Tensor]:
    ids, mask = (torch.from_numpy(x) for x in pad_batch(store, rows, 0))
    return ids, mask


def test_each_token_has_what_the_layer_gives_in_its_document_alone(
    encoder: TextEncoder, store: TokenStore, states: TokenStates
) -> None:
    assert (len(states), states.layers) == (sum(LENGTHS), 1)
    positions = TokenPositions(store)
    for row in range(len(store)):
        with torch.no_grad():
            expected = encoder.eval()(*batch(store, [row]))[1][0].numpy()
        assert np.allclose(states.rows(positions[row].astype(np.int64)), expected, atol=2e-3)  # half precision


@pytest.mark.parametrize("head", ["document_matrix", "token"])
def test_a_network_that_begins_above_answers_and_learns_like_a_whole_one(
    encoder: TextEncoder, store: TokenStore, states: TokenStates, head: str
) -> None:
    network = BertCnn(encoder, 5, BertCnnSettings(**{**vars(SETTINGS), "head": head, "num_last_layers": 1})).eval()
    rows = [4, 1, 0]

    def gradient_of_the_upper_layer() -> Tensor:
        trained = {name: weight for name, weight in encoder.named_parameters() if weight.requires_grad}
        (gradient,) = (weight.grad for name, weight in trained.items() if name.endswith("intermediate.dense.weight"))
        assert gradient is not None
        return gradient.clone()

    def step(read: TokenStore) -> tuple[Tensor, Tensor]:
        logits = network(*batch(read, rows))
        network.zero_grad()
        logits.logsumexp(1).sum().backward()
        return logits.detach(), gradient_of_the_upper_layer()

    expected, gradient = step(store)
    with beginning_above(network, states):
        assert [name for name, _ in network.named_parameters() if "embeddings" in name] == []
        found, other = step(TokenPositions(store))
    assert torch.allclose(found, expected, atol=2e-3)
    assert (found - expected).abs().max() < (expected[0] - expected[1]).abs().max() / 2  # what tells documents apart
    assert torch.allclose(other, gradient, atol=5e-2 * float(gradient.abs().max()))


def test_all_hidden_states_are_there_again(encoder: TextEncoder, store: TokenStore, states: TokenStates) -> None:
    """transformers looks for the layers it watches in its first forward pass, which may be one of the upper ones."""
    network, batch_of_two = BertCnn(encoder, 5, SETTINGS), batch(store, [1, 3])
    with beginning_above(network, states), torch.no_grad():
        shapes = [state.shape for state in encoder(*batch(TokenPositions(store), [1, 3]))]
        assert shapes == [(0,), (2, 9, 16), (2, 9, 16)]
    with torch.no_grad():
        assert [state.shape for state in encoder(*batch_of_two)] == [(2, 9, 16)] * 3


def test_the_own_layers_come_back_after_an_error(encoder: TextEncoder, states: TokenStates) -> None:
    network = BertCnn(encoder, 5, SETTINGS)
    before = dict(network.named_parameters())
    with pytest.raises(KeyboardInterrupt), beginning_above(network, states):
        raise KeyboardInterrupt
    assert dict(network.named_parameters()).keys() == before.keys()


def test_a_copy_reads_the_same_file(encoder: TextEncoder, states: TokenStates) -> None:
    network = BertCnn(encoder, 5, SETTINGS)
    with beginning_above(network, states):
        copied = copy.deepcopy(network)
    embeddings = copied.encoder.network.embeddings
    assert isinstance(embeddings, StatesInput)
    assert vars(embeddings)["_states"] is states  # it may be larger than memory


@pytest.mark.parametrize("damage", ["shorter", "gone"])
def test_damaged_states_are_refused(states: TokenStates, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "states" / STATES_FILE
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(ArtifactError, match=r"token states in .* are damaged .*; delete the folder and run again"):
        TokenStates.open(tmp_path / "states")


def test_a_full_disk_is_found_before_anything_is_computed(
    encoder: TextEncoder, store: TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    monkeypatch.setattr(TextEncoder, "forward", lambda *_: pytest.fail("computed"))
    with pytest.raises(OSError, match="No space left"):
        write_token_states(encoder, store, tmp_path, layers=1, pad_id=0, batch_size=2)
