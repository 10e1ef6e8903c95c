import pytest
import torch
from torch import Tensor

from patent_hier.models.textcnn import TextCnn
from patent_hier.settings import TextCnnSettings

WORDS, SIZE, LABELS = 20, 5, 3
IDS = torch.tensor([[4, 9, 1, 7, 3, 2], [5, 6, 8, 0, 0, 0], [2, 0, 0, 0, 0, 0]])
MASK = (IDS > 0).long()


def settings(**changes: object) -> TextCnnSettings:
    small = {"kernel_sizes": [2, 3, 4], "num_filters": 3, "dropout": 0.0}
    return TextCnnSettings(**{**small, **changes})  # type: ignore[arg-type]  # values of many types


def word_vectors() -> Tensor:
    vectors = torch.randn(WORDS + 2, SIZE, generator=torch.Generator().manual_seed(3))
    vectors[0] = 0
    return vectors


def make(**changes: object) -> TextCnn:
    torch.manual_seed(1)
    return TextCnn(word_vectors(), LABELS, settings(**changes)).eval()


def reference(model: TextCnn, ids: list[int]) -> Tensor:
    """Kim's formula as loops over one document without padding; a short one is filled up with zeros."""
    vectors = [model.embedding.weight[i].tolist() for i in ids]
    features = []
    for size, convolution in zip(model.kernel_sizes, model.convolutions, strict=True):
        filled = vectors + [[0.0] * SIZE] * (size - len(vectors))
        for weight, bias in zip(*(x.tolist() for x in convolution.parameters()), strict=True):
            best = 0.0
            for start in range(len(filled) - size + 1):
                total = bias
                for offset in range(size):
                    total += sum(filled[start + offset][d] * weight[d][offset] for d in range(SIZE))
                best = max(best, total)
            features.append(best)
    logits: Tensor = model.output(torch.tensor(features))
    return logits


@pytest.mark.parametrize("kernel_sizes", [[2, 3, 4], [1], [5, 2], [7]])
def test_logits_equal_the_loops(kernel_sizes: list[int]) -> None:
    model = make(kernel_sizes=kernel_sizes)
    logits = model(IDS, MASK)
    assert logits.shape == (3, LABELS)
    for row in range(3):
        expected = reference(model, IDS[row][MASK[row] == 1].tolist())
        torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=1e-5)


def test_hand_computed_constants() -> None:
    vectors = torch.tensor([[0.0], [5.0], [1.0], [-2.0]])
    model = TextCnn(vectors, 1, settings(kernel_sizes=[2], num_filters=1)).eval()
    with torch.no_grad():
        model.convolutions[0].weight.copy_(torch.tensor([[[1.0, 10.0]]]))  # type: ignore[operator]  # a Conv1d
        model.convolutions[0].bias.fill_(4.0)  # type: ignore[operator]  # a Conv1d
        model.output.weight.fill_(2.0)
        model.output.bias.fill_(0.5)
    # 1 - 20 + 4 < 0 and -2 + 10 + 4 = 12: the maximum; a single -2 with a zero after it: -2 + 0 + 4 = 2
    logits = model(torch.tensor([[2, 3, 2], [3, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]]))
    assert logits.tolist() == [[24.5], [4.5]]


def test_padding_and_neighbours_do_not_matter() -> None:
    model = make(num_filters=16)
    with torch.no_grad():
        for convolution in model.convolutions:
            convolution.bias.fill_(1.0)  # type: ignore[operator]  # a window of padding alone would beat some words
    together = model(IDS, MASK)
    for row, length in enumerate((6, 3, 1)):
        alone = model(IDS[row : row + 1, :length], MASK[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=0)
    wide = torch.nn.functional.pad(IDS, (0, 30)), torch.nn.functional.pad(MASK, (0, 30))
    torch.testing.assert_close(model(*wide), together, atol=1e-6, rtol=0)
    torch.testing.assert_close(model(IDS.masked_fill(MASK == 0, 7), MASK), together, atol=0, rtol=0)
    torch.testing.assert_close(model(IDS.flip(0), MASK.flip(0)).flip(0), together, atol=1e-6, rtol=0)


@pytest.mark.parametrize("tune", [True, False])
def test_who_is_trained(tune: bool) -> None:
    vectors = word_vectors()
    model = TextCnn(vectors, LABELS, settings(tune_vectors=tune, dropout=0.5)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(model(IDS, MASK), torch.tensor([0, 1, 2])).backward()
    optimizer.step()
    assert torch.equal(vectors, word_vectors())  # the caller's are not touched
    assert torch.equal(model.embedding.weight, vectors) == (not tune)
    assert not model.embedding.weight[0].any()
    assert model.embedding.weight.requires_grad == tune
    assert all(weight.grad is not None for name, weight in model.named_parameters() if "embedding" not in name)


def test_zeros_are_filled_from_a_state() -> None:
    model = make()
    twin = TextCnn(torch.zeros(WORDS + 2, SIZE), LABELS, settings())
    assert not twin.embedding.weight.any()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.eval()(IDS, MASK), model(IDS, MASK))


def test_dropout_is_before_the_last_layer_and_only_in_training() -> None:
    model = make(dropout=0.5)
    assert torch.equal(model(IDS, MASK), make(dropout=0.0)(IDS, MASK))
    assert not torch.equal(model.train()(IDS, MASK), model(IDS, MASK))


def test_it_learns_a_pair_of_words() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, WORDS + 2, (48, 12), generator=generator)
    target = torch.arange(48) % 2
    for row in range(48):  # the label is the order of two words, wherever they stand
        place = int(torch.randint(0, 11, (1,), generator=generator))
        ids[row, place : place + 2] = torch.tensor([2, 3] if target[row] else [3, 2])
    torch.manual_seed(0)
    model = TextCnn(word_vectors(), 2, settings(num_filters=8)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(ids, torch.ones_like(ids)), target).backward()
        optimizer.step()
    assert (model.eval()(ids, torch.ones_like(ids)).argmax(1) == target).all()
