from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.token_store import TokenStore
from patent_hier.training.node_data import CorpusView
from tests.training.toys import Toy


@pytest.fixture
def steps() -> Iterator[list[Tensor]]:
    """The gradients with which each step of any optimizer was made, in one row."""
    found: list[Tensor] = []

    def note(optimizer: Optimizer, *_: object) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        found.append(torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None]).clone())

    handle = register_optimizer_step_post_hook(note)
    yield found
    handle.remove()


@pytest.fixture(autouse=True)
def _as_many_threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def toy(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> Toy:
    return Toy(toy_corpus, demo_files)
