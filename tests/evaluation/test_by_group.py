import numpy as np
import pytest

from patent_hier.evaluation.aggregate import level_hits
from patent_hier.evaluation.by_group import scores_by_group
from tests.evaluation.systems import system


def test_each_group_is_scored_by_itself_and_beside_another_system():
    one, other = (system(200, seed=seed, flat=True).merged for seed in (1, 2))
    other = type(other)(other.node, other.tree, one.document_ids, one.parts, one.levels, other.flat)
    groups = np.where(np.arange(200) % 3 == 0, "known", "new").astype(object)
    alone = scores_by_group(one, groups, None)
    assert list(alone) == ["section", "class"]
    for level, hits in level_hits(one).items():
        for group, own in alone[level].items():
            rows = groups == group
            assert (own.accuracy.value, own.accuracy.n_documents) == (hits[rows].mean(), rows.sum())
            assert own.without is own.gain is own.gain_interval is None
    same = scores_by_group(one, groups, other)["class"]["known"]
    assert same.without is not None
    assert (same.gain, same.gain_interval, same.without.value) == (0.0, (0.0, 0.0), same.accuracy.value)


def test_the_gain_is_that_of_the_same_documents():
    made = system(200, seed=1, flat=True).merged
    worse = [own.take(np.roll(np.arange(200), 1)) for own in made.levels]
    levels = [type(own)(**{**vars(wrong), **_truth(own)}) for own, wrong in zip(made.levels, worse, strict=True)]
    other = type(made)(made.node, made.tree, made.document_ids, made.parts, levels, made.flat)
    groups = np.full(200, "known", object)
    found = scores_by_group(made, groups, other)["section"]["known"]
    expected = level_hits(made)["section"].mean() - level_hits(other)["section"].mean()
    assert found.gain == pytest.approx(expected)
    assert expected > 0
    low, high = found.gain_interval
    assert low < expected < high


def _truth(own):
    return {"targets": own.targets, "target_codes": own.target_codes}
