import numpy as np
import pytest
import torch

from patent_hier.errors import ConfigError
from patent_hier.inference.precision import (
    BF16,
    COMPARED,
    FP32,
    Agreement,
    compare_precisions,
    scoring_in,
)
from patent_hier.inference.predictor import load_system

TEXTS = [f"一种激光测距装置{number}" for number in range(40)]


def test_networks_score_in_half_precision_only_where_asked(made):
    system = load_system(made.result("textcnn", "flat"))
    plain = system.log_prob(TEXTS)["flat"].log_prob
    with scoring_in(FP32):
        assert np.array_equal(system.log_prob(TEXTS)["flat"].log_prob, plain)
    with scoring_in(BF16):
        half = system.log_prob(TEXTS)["flat"].log_prob
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")
    assert 0 < np.abs(half - plain).max() < 0.1
    assert np.array_equal(system.log_prob(TEXTS)["flat"].log_prob, plain)


def test_n_grams_have_one_precision(made):
    agreement = compare_precisions(load_system(made.result("linear", "hier")), TEXTS)
    assert agreement == Agreement("class", len(TEXTS), len(TEXTS), 0.0)


def deepest(system, log_prob, texts, precision):
    with scoring_in(precision):
        return system.whole(log_prob(texts)).at(system.tree.depth)


@pytest.mark.parametrize(("depth", "level"), [("class", "flat"), ("subgroup", "shared")])
def test_what_is_compared(made, depth, level, monkeypatch):
    system = load_system(made._replace(depth=depth).result("textcnn", level))
    read: list[list[str]] = []
    log_prob = system.log_prob
    monkeypatch.setattr(system, "log_prob", lambda texts, **words: read.append(texts) or log_prob(texts, **words))
    many = [str(number) for number in range(3 * COMPARED)]
    agreement = compare_precisions(system, many)
    assert agreement.level == depth
    assert agreement.documents == len(set(read[0])) == COMPARED
    assert read[0] == read[1]
    assert {many[0], many[-1]} <= set(read[0])
    full, half = (deepest(system, log_prob, read[0], precision) for precision in (FP32, BF16))
    assert agreement.same == (full.argmax(1) == half.argmax(1)).sum()
    assert agreement.difference == pytest.approx(np.abs(np.exp(full) - np.exp(half)).max())


@pytest.mark.parametrize(("same", "is_enough"), [(512, True), (507, True), (506, False), (0, False)])
def test_too_much_change_is_refused(same, is_enough):
    agreement = Agreement("class", 512, same, 0.3)
    if is_enough:
        agreement.require()
        return
    with pytest.raises(ConfigError, match=rf"--precision bf16-mixed: the first class of {same} of 512 .* than 99%"):
        agreement.require()
