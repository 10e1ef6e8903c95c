import numpy as np
import pytest

from patent_hier.errors import ConfigError
from patent_hier.inference.engines import INT8, ONNX, TORCH, Engine
from patent_hier.inference.moving import move
from patent_hier.inference.precision import COMPARED, MAX_DIFFERENCE, Agreement, compare
from patent_hier.inference.predictor import load_system
from patent_hier.settings import BF16

TEXTS = [f"一种激光测距装置{number}" for number in range(40)]
HALF = Engine(TORCH, BF16)


def test_networks_score_in_half_precision_only_where_asked(made):
    system = load_system(made.result("textcnn", "flat"))
    plain = system.log_prob(TEXTS)["flat"].log_prob
    assert move(system, Engine()) is system
    half = move(system, HALF).log_prob(TEXTS)["flat"].log_prob
    assert 0 < np.abs(half - plain).max() < 0.1
    assert np.array_equal(system.log_prob(TEXTS)["flat"].log_prob, plain)


def test_n_grams_have_one_precision(made):
    system = load_system(made.result("linear", "hier"))
    agreement = compare(system, move(system, HALF), HALF, TEXTS)
    assert agreement == Agreement(HALF, "class", len(TEXTS), len(TEXTS), 0.0)


@pytest.mark.parametrize(("depth", "level"), [("class", "flat"), ("subgroup", "shared")])
def test_what_is_compared(made, depth, level, monkeypatch):
    system = load_system(made._replace(depth=depth).result("textcnn", level))
    moved, read = move(system, HALF), []
    for one in (system, moved):
        log_prob = one.log_prob
        monkeypatch.setattr(
            one, "log_prob", lambda texts, log_prob=log_prob, **words: read.append(texts) or log_prob(texts, **words)
        )
    many = [str(number) for number in range(3 * COMPARED)]
    agreement = compare(system, moved, HALF, many)
    assert agreement.level == depth
    assert agreement.documents == len(set(read[0])) == COMPARED
    assert read[0] == read[1]
    assert {many[0], many[-1]} <= set(read[0])
    full, half = (one.whole(one.log_prob(read[0])).at(one.tree.depth) for one in (system, moved))
    assert agreement.same == (full.argmax(1) == half.argmax(1)).sum()
    assert agreement.difference == pytest.approx(np.abs(np.exp(full) - np.exp(half)).max())


@pytest.mark.parametrize(
    ("engine", "same", "difference", "refusal"),
    [
        (HALF, 512, 0.3, None),
        (HALF, 507, 0.3, None),
        (
            HALF,
            506,
            0.3,
            "^--precision bf16-mixed: 506 of 512 .* the same first class as in fp32; .* at least 99 % must agree",
        ),
        (
            Engine(ONNX, INT8),
            0,
            0.3,
            "^--engine onnx --precision int8: .* as in torch in fp32; .* at least 99 % must agree",
        ),
        (Engine(ONNX), 512, MAX_DIFFERENCE, None),
        (Engine(ONNX), 511, 1e-5, "^--engine onnx: 511 of 512 .* in fp32 all first labels must be the same"),
        (Engine(ONNX), 512, 2e-3, "probabilities must agree within 0.001; omit --engine$"),
        (Engine(ONNX), 512, float("nan"), "differ by at most nan"),
    ],
)
def test_too_much_change_is_refused(engine, same, difference, refusal):
    agreement = Agreement(engine, "class", 512, same, difference)
    if refusal is None:
        agreement.require()
        return
    with pytest.raises(ConfigError, match=refusal):
        agreement.require()
