import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from patent_hier.models.rnn import Rnn
from patent_hier.settings import RnnSettings

WORDS, SIZE, LABELS, HIDDEN = 20, 5, 3, 4
IDS = torch.tensor([[4, 9, 1, 7, 3, 2], [5, 6, 8, 0, 0, 0], [2, 0, 0, 0, 0, 0], [3, 3, 4, 5, 9, 0]])
MASK = (IDS > 0).long()
LENGTHS = MASK.sum(1)

each_cell = pytest.mark.parametrize("cell", ["lstm", "gru"])
each_pooling = pytest.mark.parametrize("pooling", ["last", "attention"])
each_depth = pytest.mark.parametrize("num_layers", [1, 2])


def settings(**changes: object) -> RnnSettings:
    small = {"hidden_size": HIDDEN, "dropout": 0.0}
    return RnnSettings(**{**small, **changes})  # type: ignore[arg-type]  # values of many types


def word_vectors() -> Tensor:
    vectors = torch.randn(WORDS + 2, SIZE, generator=torch.Generator().manual_seed(3))
    vectors[0] = 0
    return vectors


def make(**changes: object) -> Rnn:
    torch.manual_seed(1)
    return Rnn(word_vectors(), LABELS, settings(**changes)).eval()


def bidirectional(model: Rnn, cell: str) -> nn.LSTM | nn.GRU:
    """PyTorch's own bidirectional network with the same weights."""
    layers = len(model.forwards)
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    twin = kind(SIZE, HIDDEN, layers, batch_first=True, bidirectional=True)
    state: dict[str, Tensor] = {}
    for networks, suffix in ((model.forwards, ""), (model.backwards, "_reverse")):
        for layer, network in enumerate(networks):
            state |= {name.replace("_l0", f"_l{layer}{suffix}"): x for name, x in network.state_dict().items()}
    twin.load_state_dict(state)
    return twin


@each_cell
@each_depth
def test_last_states_equal_those_of_packed_sequences(cell: str, num_layers: int) -> None:
    model = make(cell=cell, num_layers=num_layers)
    twin = bidirectional(model, cell)
    packed = pack_padded_sequence(model.embedding(IDS), LENGTHS, batch_first=True, enforce_sorted=False)
    last = twin(packed)[1]
    last = last[0] if cell == "lstm" else last  # (layers * 2, batch, hidden)
    expected = model.output(torch.cat([last[-2], last[-1]], 1))
    torch.testing.assert_close(model(IDS, MASK), expected, atol=1e-6, rtol=1e-5)


@each_cell
@each_depth
def test_attention_equals_loops_over_packed_states(cell: str, num_layers: int) -> None:
    model = make(cell=cell, num_layers=num_layers, pooling="attention")
    assert model.query is not None
    twin = bidirectional(model, cell)
    packed = pack_padded_sequence(model.embedding(IDS), LENGTHS, batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(twin(packed)[0], batch_first=True)
    logits = model(IDS, MASK)
    for row, length in enumerate(LENGTHS.tolist()):
        own = states[row, :length]
        weights = torch.exp(torch.stack([torch.tanh(state) @ model.query.weight[0] for state in own]))
        mean = sum((w * state for w, state in zip(weights / weights.sum(), own, strict=True)), torch.zeros(2 * HIDDEN))
        torch.testing.assert_close(logits[row], model.output(mean), atol=1e-6, rtol=1e-5)


@each_cell
@each_depth
@each_pooling
def test_padding_and_neighbours_do_not_matter(cell: str, num_layers: int, pooling: str) -> None:
    model = make(cell=cell, num_layers=num_layers, pooling=pooling)
    together = model(IDS, MASK)
    assert together.shape == (4, LABELS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(IDS[row : row + 1, :length], MASK[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=0)
    wide = nn.functional.pad(IDS, (0, 30)), nn.functional.pad(MASK, (0, 30))
    torch.testing.assert_close(model(*wide), together, atol=1e-6, rtol=0)
    torch.testing.assert_close(model(IDS.masked_fill(MASK == 0, 7), MASK), together, atol=1e-6, rtol=0)


@each_pooling
def test_gradients_do_not_depend_on_padding(pooling: str) -> None:
    gradients = []
    for extra in (0, 20):
        model = make(pooling=pooling, num_layers=2)
        ids, mask = nn.functional.pad(IDS, (0, extra)), nn.functional.pad(MASK, (0, extra))
        nn.functional.cross_entropy(model(ids, mask), torch.tensor([0, 1, 2, 0])).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4)


@each_pooling
@pytest.mark.parametrize("tune", [True, False])
def test_who_is_trained(pooling: str, tune: bool) -> None:
    vectors = word_vectors()
    model = Rnn(vectors, LABELS, settings(tune_vectors=tune, pooling=pooling)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    nn.functional.cross_entropy(model(IDS, MASK), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    assert torch.equal(vectors, word_vectors())  # the caller's are not touched
    assert torch.equal(model.embedding.weight, vectors) == (not tune)
    assert not model.embedding.weight[0].any()
    trained = [(name, weight.grad) for name, weight in model.named_parameters() if "embedding" not in name]
    assert all(gradient is not None and gradient.any() for _, gradient in trained)
    assert any(name.startswith("query") for name, _ in trained) == (pooling == "attention")


@each_cell
@each_pooling
def test_zeros_are_filled_from_a_state(cell: str, pooling: str) -> None:
    model = make(cell=cell, pooling=pooling, num_layers=2)
    twin = Rnn(torch.zeros(WORDS + 2, SIZE), LABELS, settings(cell=cell, pooling=pooling, num_layers=2))
    assert not twin.embedding.weight.any()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.eval()(IDS, MASK), model(IDS, MASK))


def test_dropout_is_only_in_training() -> None:
    model = make(dropout=0.5, num_layers=2)
    assert torch.equal(model(IDS, MASK), make(dropout=0.0, num_layers=2)(IDS, MASK))
    assert not torch.equal(model.train()(IDS, MASK), model(IDS, MASK))


@each_cell
def test_dropout_is_between_layers_not_before_the_first(cell: str) -> None:
    model = make(cell=cell, dropout=0.5, num_layers=2).train()
    seen: list[tuple[Tensor, Tensor]] = []
    for layer in model.forwards:
        layer.register_forward_hook(lambda _, inputs, outputs: seen.append((inputs[0], outputs[0])))
    model(IDS, MASK)
    (words, states), (second, _) = seen
    assert torch.equal(words, model.embedding(IDS))
    ahead = second[..., :HIDDEN]
    kept = ahead != 0
    assert 0.2 < kept.float().mean() < 0.8
    assert torch.equal(ahead[kept], 2 * states[kept])


@each_cell
@each_pooling
def test_it_learns_the_order_of_words(cell: str, pooling: str) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, WORDS + 2, (48, 8), generator=generator)
    target = torch.arange(48) % 2
    for row in range(48):
        place = int(torch.randint(0, 7, (1,), generator=generator))
        ids[row, place : place + 2] = torch.tensor([2, 3] if target[row] else [3, 2])
    torch.manual_seed(0)
    model = Rnn(word_vectors(), 2, settings(cell=cell, pooling=pooling, hidden_size=16)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(ids, torch.ones_like(ids)), target).backward()
        optimizer.step()
    assert (model.eval()(ids, torch.ones_like(ids)).argmax(1) == target).all()
