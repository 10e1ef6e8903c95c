import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from patent_hier.errors import DataError
from patent_hier.evaluation.calibration_error import expected_calibration_error


def log(rows):
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows, dtype=np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from([2, 5, 40]))
def test_agrees_with_torchmetrics(seed, bins, n_labels):
    rng = np.random.default_rng(seed)
    # Never quite certain: torchmetrics 1.9 gives confidences of exactly 1 a bin of their own, beyond the last.
    log_prob = log(0.99 * rng.dirichlet(np.full(n_labels, 0.3), 200) + 0.01 / n_labels)
    codes = rng.integers(0, n_labels, 200)
    ours = expected_calibration_error(log_prob, codes, bins)
    arguments = torch.from_numpy(np.exp(log_prob)), torch.from_numpy(codes), n_labels, bins
    for norm, value in (("l1", ours.ece), ("max", ours.max)):
        assert value == pytest.approx(multiclass_calibration_error(*arguments, norm=norm).item(), abs=1e-5)


def test_by_hand():
    log_prob = log([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    result = expected_calibration_error(log_prob, np.array([0, 1, 1, 0]), bins=4)
    assert (result.count, result.n_documents) == ((0, 0, 2, 2), 4)
    assert result.confidence[:2] == result.accuracy[:2] == (None, None)
    assert result.confidence[2:] == pytest.approx((0.65, 0.85))
    assert result.accuracy[2:] == (0.5, 1.0)
    assert result.ece == pytest.approx(0.5 * 0.15 + 0.5 * 0.15)
    assert result.max == pytest.approx(0.15)
    json.dumps(asdict(result), allow_nan=False)


def test_the_upper_edge_belongs_to_a_bin_and_certainty_to_the_last():
    log_prob = log([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]]).astype(np.float64)
    log_prob[:2, 0] = np.log(0.5), 1e-7  # exactly on the edge; a rounding above certainty
    assert expected_calibration_error(log_prob, np.array([0, 0, 0]), bins=2).count == (1, 2)
    assert expected_calibration_error(log_prob, np.array([0, 0, 0]), bins=1).count == (3,)


def test_targets_that_are_no_label_are_wrong():
    log_prob = log([[0.75, 0.25], [0.75, 0.25]])
    assert expected_calibration_error(log_prob, np.array([-1, -2])).ece == pytest.approx(0.75)
    assert expected_calibration_error(log_prob, np.array([0, -1])).accuracy[11] == 0.5  # 0.75 * 15 = 11.25


def test_a_calibrated_model_has_almost_no_error_and_an_overconfident_one_has():
    rng = np.random.default_rng(0)
    prob = rng.dirichlet(np.ones(5), 20_000)
    codes = (prob.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert expected_calibration_error(log(prob), codes).ece < 0.015
    sharp = prob**4 / (prob**4).sum(axis=1, keepdims=True)
    assert expected_calibration_error(log(sharp), codes).ece > 0.2


def test_wrong_input_is_refused():
    log_prob = log([[0.5, 0.5]])
    for arguments in ((log_prob, np.array([0, 1])), (log_prob[:0], np.array([], dtype=int)), (log_prob, [0], 0)):
        with pytest.raises(DataError, match="cannot compute the calibration error"):
            expected_calibration_error(*arguments)
