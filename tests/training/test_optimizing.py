from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from patent_hier.cli.compose import compose_settings
from patent_hier.errors import ConfigError
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import build_encoder
from patent_hier.settings import BertCnnSettings, OptimizerSettings
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.training.optimizing import Schedule, build_optimizer, clip_gradients, inverse_frequency_weights

BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def factors(total: int, **changes: object) -> list[float]:
    schedule = Schedule(OptimizerSettings(**changes), total)  # type: ignore[arg-type]  # values of many types
    return [schedule(step) for step in range(total + 2)]


def test_linear_schedule_warms_up_and_falls_to_zero() -> None:
    found = factors(10, warmup=0.2)
    assert found == pytest.approx([0.5, 1.0, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0.0, 0.0])


def test_constant_schedule() -> None:
    assert factors(4, warmup=0.0, schedule="constant") == [1.0] * 6
    assert factors(4, warmup=0.5, schedule="constant") == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_no_step_that_is_made_has_a_rate_of_zero(warmup: float) -> None:
    for total in (1, 2, 7):
        assert all(0 < factor <= 1 for factor in factors(total, warmup=warmup)[:total])


def test_no_decay_on_vectors_and_no_frozen_weights() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    network[2].requires_grad_(False)
    decayed, plain = build_optimizer(network, OptimizerSettings(lr=0.1, weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert [tuple(weight.shape) for weight in decayed["params"]] == [(4, 3)]
    assert [tuple(weight.shape) for weight in plain["params"]] == [(4,), (4,), (4,)]


def test_what_lies_above_the_encoder_has_a_rate_of_its_own() -> None:
    network = nn.ModuleDict({"encoder": nn.Linear(3, 4), "head": nn.Linear(4, 2)})
    settings = OptimizerSettings(lr=0.1, head_lr=0.5, weight_decay=0.3)
    groups = build_optimizer(network, settings).param_groups
    found = {(group["lr"], group["weight_decay"], tuple(group["params"][0].shape)) for group in groups}
    assert found == {(0.1, 0.3, (4, 3)), (0.1, 0.0, (4,)), (0.5, 0.3, (2, 4)), (0.5, 0.0, (2,))}


@pytest.mark.parametrize("head_lr", [None, 0.5])
def test_each_lower_layer_learns_more_slowly(head_lr: float | None) -> None:
    encoder = build_encoder({"model_type": "bert", "vocab_size": 9, **BERT}, frozen=False)
    network = BertCnn(encoder, 3, BertCnnSettings(num_last_layers=1, num_filters=2))
    optimizer = build_optimizer(network, OptimizerSettings(lr=0.1, head_lr=head_lr, layer_decay=0.5))
    rates = {weight: group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    expected = {"embeddings.": 0.025, "encoder.layer.0.": 0.05, "encoder.layer.1.": 0.1}
    for name, weight in encoder.network.named_parameters():
        assert rates[weight] == expected[next(start for start in expected if name.startswith(start))]
    assert {rates[weight] for weight in network.head.parameters()} == {head_lr or 0.1}
    assert len(rates) == len(list(network.parameters()))


def test_a_layer_decay_without_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^optimizer\.layer_decay=0\.5 requires an encoder whose layers"):
        build_optimizer(nn.Linear(2, 2), OptimizerSettings(lr=0.1, layer_decay=0.5))


def test_optimizer_by_name() -> None:
    network = nn.Linear(2, 2)
    assert type(build_optimizer(network, OptimizerSettings("adam", lr=0.1))) is torch.optim.Adam
    assert type(build_optimizer(network, OptimizerSettings("adamw", lr=0.1))) is torch.optim.AdamW


def test_the_papers_experiment_uses_plain_adam_at_a_constant_rate() -> None:
    settings = compose_settings(["experiment=paper"])
    optimizer = build_optimizer(nn.Linear(2, 2), settings.optimizer)
    assert type(optimizer) is torch.optim.Adam
    assert {group["lr"] for group in optimizer.param_groups} == {2e-5}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0}
    schedule = Schedule(settings.optimizer, 100)
    assert {schedule(step) for step in range(100)} == {1.0}


def test_inverse_frequency_weights_are_those_of_each_level() -> None:
    tree = LabelTree.from_paths([("A", "A01"), ("A", "A23"), ("B", "B60")], ("section", "class"))
    paths = np.array([[0, 2], [0, 2], [0, 2], [1, 4], [0, -1]], np.int32)
    weights = inverse_frequency_weights(tree, paths)
    assert weights.tolist() == pytest.approx([5 / 8, 5 / 2, 4 / 9, 4 / 3, 4 / 3])  # A23 as if it occurred once
    assert weights[paths[:, 0]].mean().item() == pytest.approx(1.0)


def test_other_ways_of_clipping_are_refused() -> None:
    network = nn.Linear(1, 1)
    clip_gradients(network, None, "norm")
    with pytest.raises(ConfigError, match=r"^gradients cannot be clipped by 'sign'; choose 'norm' or 'value'$"):
        clip_gradients(network, 1.0, "sign")


def _stack() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "encoder": nn.ModuleDict(
                {"words": nn.Embedding(5, 4), "layers": nn.ModuleList([nn.Linear(4, 4), nn.LayerNorm(4)])}
            )
        }
        | {"head": nn.Linear(4, 2)}
    )


def _train(network: nn.ModuleDict, optimizer: torch.optim.Optimizer, steps: range) -> None:
    encoder: Any = network["encoder"]
    for step in steps:
        hidden = encoder["words"](torch.tensor([step % 5, 1]))
        for layer in encoder["layers"]:
            hidden = layer(hidden)
        optimizer.zero_grad()
        network["head"](hidden).square().sum().backward()
        optimizer.step()


def test_muon_updates_the_matrices_of_layers_and_adamw_the_rest() -> None:
    network = _stack()
    settings = OptimizerSettings("muon", lr=0.1, head_lr=0.5, weight_decay=0.3)
    groups = build_optimizer(network, settings).param_groups
    found = {(group["muon"], group["lr"], tuple(group["params"][0].shape)) for group in groups}
    assert found == {
        (True, 0.1, (4, 4)),
        (False, 0.1, (5, 4)),
        (False, 0.1, (4,)),
        (False, 0.5, (2, 4)),
        (False, 0.5, (2,)),
    }
    encoder: Any = network["encoder"]
    before = encoder["layers"][0].weight.detach().clone()
    _train(network, build_optimizer(network, OptimizerSettings("muon", lr=0.1, weight_decay=0.0)), range(1))
    singular = torch.linalg.svdvals(encoder["layers"][0].weight.detach() - before)
    assert singular.max() < 2 * singular[1]  # nearly orthogonal; the gradient of two words has rank two


def test_muon_goes_on_from_a_state() -> None:
    whole, first, second = _stack(), _stack(), _stack()
    settings = OptimizerSettings("muon", lr=0.01)
    _train(whole, build_optimizer(whole, settings), range(6))
    optimizer = build_optimizer(first, settings)
    _train(first, optimizer, range(3))
    second.load_state_dict(first.state_dict())
    other = build_optimizer(second, settings)
    other.load_state_dict(optimizer.state_dict())
    _train(second, other, range(3, 6))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name


def test_muon_needs_stacked_layers() -> None:
    with pytest.raises(ConfigError, match="muon is for Transformer layers"):
        build_optimizer(nn.Linear(2, 2), OptimizerSettings("muon", lr=0.1))
