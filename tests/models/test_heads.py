import itertools
import math

import pytest
import torch
from torch import Tensor

from patent_hier.errors import ConfigError
from patent_hier.models.heads import HEADS, ClsHead, DocumentMatrixHead, TokenHead, pool_tokens, stack_last_layers
from patent_hier.settings import BertCnnSettings

LAYERS, HIDDEN, LABELS = 4, 10, 3


def states(batch: int = 2, length: int = 5, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, length, HIDDEN, generator=generator) for _ in range(LAYERS + 1))


def settings(**changes: object) -> BertCnnSettings:
    small = {"num_last_layers": 2, "num_filters": 3, "pool_size": 4, "dropout": 0.0}
    return BertCnnSettings(**{**small, **changes})  # type: ignore[arg-type]  # values of many types


def make(head: str, **changes: object) -> torch.nn.Module:
    torch.manual_seed(1)
    return HEADS[head](HIDDEN, LAYERS, LABELS, settings(head=head, **changes)).eval()


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


# --- the document vectors


def test_cls_pooling_takes_the_first_token() -> None:
    state = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert pool_tokens(state, torch.tensor([[1, 1]]), "cls").tolist() == [[1.0, 2.0]]


def test_mean_pooling_leaves_padding_out() -> None:
    state = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [90.0, 90.0]], [[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool_tokens(state, mask, "mean").tolist() == [[2.0, 3.0], [3.0, 1.0]]


def test_last_pooling_takes_the_token_before_the_padding() -> None:
    state = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [90.0, 90.0]], [[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool_tokens(state, mask, "last").tolist() == [[3.0, 4.0], [6.0, 3.0]]
    assert pool_tokens(state, mask.float(), "last").tolist() == [[3.0, 4.0], [6.0, 3.0]]


def test_attention_pooling_weighs_tokens_by_the_query_and_leaves_padding_out() -> None:
    state = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [90.0, 90.0]], [[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    torch.testing.assert_close(
        pool_tokens(state, mask, "attention", torch.zeros(2)), pool_tokens(state, mask, "mean"), rtol=1e-6, atol=0
    )
    found = pool_tokens(state, mask, "attention", torch.tensor([2**0.5 * math.log(3) / 2, 0.0]))
    torch.testing.assert_close(found[0], torch.tensor([0.25 * 1 + 0.75 * 3, 0.25 * 2 + 0.75 * 4]))  # e**(ln 3) apart
    assert pool_tokens(state, torch.zeros_like(mask), "attention", torch.ones(2)).tolist() == [[0.0, 0.0]] * 2


@pytest.mark.parametrize(("head", "n"), [("document_matrix", 2), ("cls", 1)])
def test_each_layer_that_a_head_reads_has_a_query_that_learns(head: str, n: int) -> None:
    plain, own = make(head, pooling="mean"), make(head, pooling="attention")
    assert dict(own.named_parameters())["queries"].shape == (n, HIDDEN)
    assert count(own) - count(plain) == n * HIDDEN
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    logits = own(states(), mask)
    torch.testing.assert_close(logits, plain(states(), mask))  # it begins as the mean
    logits.square().sum().backward()
    gradient = own.get_parameter("queries").grad
    assert gradient is not None
    assert (gradient.abs().sum(1) > 0).all()


@pytest.mark.parametrize(("pooling", "vector"), [("cls", [5.0, 6.0]), ("mean", [0.0, 0.0]), ("last", [5.0, 6.0])])
def test_a_document_without_tokens_has_a_vector(pooling: str, vector: list[float]) -> None:
    state = torch.tensor([[[5.0, 6.0], [7.0, 8.0]]])
    assert pool_tokens(state, torch.zeros(1, 2, dtype=torch.long), pooling).tolist() == [vector]


def test_the_last_layer_is_the_first_column() -> None:
    layers = tuple(torch.full((1, 2, HIDDEN), float(number)) for number in range(LAYERS + 1))
    matrix = stack_last_layers(layers, torch.ones(1, 2), 3, "cls")
    assert matrix.shape == (1, HIDDEN, 3)
    assert matrix[0, 0].tolist() == [4.0, 3.0, 2.0]


@pytest.mark.parametrize("n", [0, -1, LAYERS + 1])
def test_layers_out_of_range(n: int) -> None:
    with pytest.raises(ConfigError, match=rf"model\.num_last_layers={n} .*1 to {LAYERS}"):
        stack_last_layers(states(), torch.ones(2, 5), n, "cls")


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_all_layers_may_be_stacked_but_not_the_embeddings(layers: int) -> None:
    outputs = tuple(torch.zeros(1, 2, HIDDEN) for _ in range(layers + 1))
    assert stack_last_layers(outputs, torch.ones(1, 2), layers, "cls").shape == (1, HIDDEN, layers)
    with pytest.raises(ConfigError, match=f"1 to {layers}"):
        stack_last_layers(outputs, torch.ones(1, 2), layers + 1, "cls")


@pytest.mark.parametrize("head", ["document_matrix", "token"])
@pytest.mark.parametrize("n", [0, LAYERS + 1])
def test_no_head_reads_layers_that_are_not_there(head: str, n: int) -> None:
    with pytest.raises(ConfigError, match=rf"model\.num_last_layers={n} .*1 to {LAYERS}"):
        make(head, num_last_layers=n)


def test_linear_head_reads_the_last_layer_whatever_n_is() -> None:
    make("cls", num_last_layers=LAYERS + 1)


# --- the paper's CNN


def test_hand_computed_constants() -> None:
    head = DocumentMatrixHead(4, 2, 1, settings(num_filters=1, kernel_size=2, pool_size=1)).eval()
    with torch.no_grad():
        head.convolution.weight.copy_(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))  # last layer at i, other at i + 1
        head.convolution.bias.fill_(-1.0)
        head.output.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        head.output.bias.fill_(0.5)
    last, other = torch.tensor([1.0, 2.0, -5.0, 0.0]), torch.tensor([9.0, 3.0, -4.0, 7.0])
    layers = tuple(vector.reshape(1, 1, 4) for vector in (torch.full((4,), 50.0), other, last))
    # windows: 1 + 3 - 1 = 3; 2 - 4 - 1 = -3 -> 0; -5 + 7 - 1 = 1
    assert head(layers, torch.ones(1, 1)).item() == pytest.approx(3 * 1 + 0 * 10 + 1 * 100 + 0.5)


def reference(head: DocumentMatrixHead, matrix: Tensor, kernel_size: int, pool_size: int | None) -> Tensor:
    """The paper's text as loops over one document's H x N matrix."""
    height, n = matrix.shape
    positions = height - kernel_size + 1
    features = []
    for weight, bias in zip(head.convolution.weight, head.convolution.bias, strict=True):
        column = []
        for top in range(positions):
            total = bias.item()
            for row, layer in itertools.product(range(kernel_size), range(n)):
                total += weight[layer, row].item() * matrix[top + row, layer].item()
            column.append(max(0.0, total))
        window = pool_size or positions
        features += [max(column[i * window : (i + 1) * window]) for i in range(positions // window)]
    return head.output(torch.tensor(features))


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize(("kernel_size", "pool_size"), [(3, 4), (3, 3), (1, 1), (2, None), (10, 1), (3, 8)])
def test_document_matrix_equals_the_papers_loops(kernel_size: int, pool_size: int | None, pooling: str) -> None:
    head = make("document_matrix", num_last_layers=3, kernel_size=kernel_size, pool_size=pool_size, pooling=pooling)
    assert isinstance(head, DocumentMatrixHead)
    layers, mask = states(), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    logits = head(layers, mask)
    for row, length in enumerate((5, 2)):
        vectors = [layers[-1 - back][row, :length] for back in range(3)]
        pool = {
            "cls": lambda vector: vector[0],
            "mean": lambda vector: vector.mean(0),
            "last": lambda vector: vector[-1],
        }
        vectors = [pool[pooling](vector) for vector in vectors]
        expected = reference(head, torch.stack(vectors, 1), kernel_size, pool_size)
        torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=1e-5)


def test_no_pool_size_is_the_global_maximum() -> None:
    head = make("document_matrix", kernel_size=3, pool_size=None)
    assert isinstance(head, DocumentMatrixHead)
    layers, mask = states(), torch.ones(2, 5)
    matrix = stack_last_layers(layers, mask, 2, "cls")
    maxima = head.convolution(matrix.transpose(1, 2)).relu().amax(-1)
    assert maxima.shape == (2, 3)
    torch.testing.assert_close(head(layers, mask), head.output(maxima))


@pytest.mark.parametrize(
    ("kernel_size", "pool_size", "fits"),
    [(10, 1, True), (11, 1, False), (11, None, False), (3, 8, True), (3, 9, False), (10, 2, False), (10, None, True)],
)
def test_filter_and_window_must_fit(kernel_size: int, pool_size: int | None, fits: bool) -> None:
    if fits:
        assert make("document_matrix", kernel_size=kernel_size, pool_size=pool_size)(states(), torch.ones(2, 5)).numel()
        return
    with pytest.raises(ConfigError) as caught:
        make("document_matrix", kernel_size=kernel_size, pool_size=pool_size)
    message = str(caught.value)
    assert f"model.kernel_size={kernel_size}" in message
    assert f"model.pool_size={pool_size}" in message
    assert f"<= {HIDDEN + 1}" in message
    assert "\n" not in message


# --- the control with shuffled dimensions


def test_shuffled_dimensions_are_permuted_before_the_filters() -> None:
    shuffled = make("document_matrix", hidden_order="shuffled")
    natural = make("document_matrix")
    assert isinstance(shuffled, DocumentMatrixHead)
    assert isinstance(natural, DocumentMatrixHead)
    natural.load_state_dict({name: value for name, value in shuffled.state_dict().items() if name != "order"})
    order = shuffled.order
    assert order is not None
    assert sorted(order.tolist()) == list(range(HIDDEN))
    assert order.tolist() != list(range(HIDDEN))
    layers, mask = states(), torch.ones(2, 5)
    permuted = tuple(layer[..., order] for layer in layers)
    assert torch.equal(shuffled(layers, mask), natural(permuted, mask))
    assert not torch.equal(shuffled(layers, mask), natural(layers, mask))


def test_the_order_is_kept_with_the_weights_and_not_trained() -> None:
    shuffled, natural = make("document_matrix", hidden_order="shuffled"), make("document_matrix")
    assert set(shuffled.state_dict()) - set(natural.state_dict()) == {"order"}
    assert count(shuffled) == count(natural)
    torch.manual_seed(99)
    other = DocumentMatrixHead(HIDDEN, LAYERS, LABELS, settings(hidden_order="shuffled")).eval()
    layers, mask = states(), torch.ones(2, 5)
    assert not torch.equal(other(layers, mask), shuffled(layers, mask))
    other.load_state_dict(shuffled.state_dict())
    assert torch.equal(other(layers, mask), shuffled(layers, mask))


def test_the_order_follows_the_seed() -> None:
    first, again = (make("document_matrix", hidden_order="shuffled").state_dict()["order"] for _ in range(2))
    assert torch.equal(first, again)
    torch.manual_seed(2)
    other = DocumentMatrixHead(HIDDEN, LAYERS, LABELS, settings(hidden_order="shuffled"))
    assert not torch.equal(other.state_dict()["order"], first)


# --- which layers and tokens a head reads


@pytest.mark.parametrize(("head", "n"), [("document_matrix", 1), ("document_matrix", 3), ("token", 2), ("cls", 1)])
def test_a_head_reads_exactly_its_layers(head: str, n: int) -> None:
    network = make(head, num_last_layers=n)
    layers, mask = states(), torch.ones(2, 5)
    logits = network(layers, mask)
    for back in range(LAYERS + 1):  # 0 is the last layer, LAYERS the embedding output
        changed = [layer.clone() for layer in layers]
        changed[-1 - back] += 1.0 + states(seed=9)[0]
        same = torch.equal(network(tuple(changed), mask), logits)
        assert same == (back >= n), back


def pad(layers: tuple[Tensor, ...], extra: int) -> tuple[Tensor, ...]:
    noise = states(length=extra, seed=3)
    return tuple(torch.cat([layer, 100 * other], 1) for layer, other in zip(layers, noise, strict=True))


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_token_head_does_not_see_padding(kernel_size: int, length: int) -> None:
    network = make("token", kernel_size=kernel_size, num_filters=6)
    alone = states(length=length)
    expected = network(alone, torch.ones(2, length))
    for extra in (1, 6):
        mask = torch.cat([torch.ones(2, length), torch.zeros(2, extra)], 1)
        torch.testing.assert_close(network(pad(alone, extra), mask), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("head", ["document_matrix", "token", "cls"])
def test_a_longer_neighbour_changes_nothing(head: str, pooling: str) -> None:
    network = make(head, pooling=pooling)
    short, long = states(batch=1, length=3), states(batch=1, length=9, seed=2)
    padded = tuple(torch.cat([layer, torch.full((1, 6, HIDDEN), 50.0)], 1) for layer in short)
    batch = tuple(torch.cat(pair) for pair in zip(padded, long, strict=True))
    mask = torch.tensor([[1] * 3 + [0] * 6, [1] * 9])
    logits = network(batch, mask)
    torch.testing.assert_close(logits[:1], network(short, torch.ones(1, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits[1:], network(long, torch.ones(1, 9)), atol=1e-5, rtol=1e-5)


def test_token_head_is_a_maximum_over_windows_of_tokens() -> None:
    head = make("token", kernel_size=3)
    assert isinstance(head, TokenHead)
    layers = states(batch=1, length=4)
    tokens = torch.cat([layers[-1], layers[-2]], -1)[0]  # (4, 2 H)
    edge = torch.zeros(1, 2 * HIDDEN)
    tokens = torch.cat([edge, tokens, edge])
    windows = torch.stack([tokens[i : i + 3].T for i in range(4)])  # (windows, 2 H, 3)
    scores = torch.einsum("whk,fhk->wf", windows, head.convolution.weight) + head.convolution.bias
    expected = head.output(scores.relu().amax(0))
    torch.testing.assert_close(head(layers, torch.ones(1, 4))[0], expected, atol=1e-5, rtol=1e-5)


def test_cls_head_is_linear() -> None:
    head = make("cls")
    assert isinstance(head, ClsHead)
    layers = states()
    torch.testing.assert_close(head(layers, torch.ones(2, 5)), head.output(layers[-1][:, 0]))


# --- size


@pytest.mark.parametrize("n", [1, 4])
def test_numbers_of_parameters(n: int) -> None:
    k, f, pool = 3, 5, 2
    sizes = {"num_last_layers": n, "kernel_size": k, "num_filters": f, "pool_size": pool}
    windows = (HIDDEN - k + 1) // pool
    assert count(make("document_matrix", **sizes)) == f * (k * n + 1) + LABELS * (f * windows + 1)
    assert count(make("token", **sizes)) == f * (k * n * HIDDEN + 1) + LABELS * (f + 1)
    assert count(make("cls", **sizes)) == LABELS * (HIDDEN + 1)


def test_dropout_works_in_training_only() -> None:
    network = make("cls", dropout=0.5)
    layers, mask = states(), torch.ones(2, 5)
    assert torch.equal(network(layers, mask), network(layers, mask))
    network.train()
    assert not torch.equal(network(layers, mask), network(layers, mask))
