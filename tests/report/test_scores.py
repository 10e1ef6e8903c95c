"""Scores of configurations against counting by hand; what does not belong together is refused."""

from dataclasses import replace

import numpy as np
import pytest

from patent_hier.errors import ArtifactError
from patent_hier.report.scores import class_hits, score_flat, score_hierarchical

WORDS = {"hierarchical": "nine", "flat_model": "flat"}


def name(configuration, kind):
    return f"{configuration.name}, {WORDS[kind]}"


def of(items, name):
    (found,) = [item for item in items if item.configuration.name == name]
    return found


def test_seeds_are_counted_together(context):
    item = of(context.hierarchical, "textcnn")
    assert list(item.hits) == list(item.results) == [1, 2]
    accuracies = [hits.section_hits.mean() for hits in item.hits.values()]
    assert item.section.values == pytest.approx(accuracies)
    assert item.section.mean == pytest.approx(np.mean(accuracies))
    assert item.section.sd == pytest.approx(np.std(accuracies, ddof=1))
    products = [hits.section_hits.mean() * hits.local_hits.mean() for hits in item.hits.values()]
    assert item.product.values == pytest.approx(products)
    assert item.top_3 == pytest.approx(np.mean([result.top_3.value for result in item.results.values()]))
    assert item.macro_f1 == pytest.approx(np.mean([result.macro_f1.value for result in item.results.values()]))


def test_spreads_and_results_say_the_same(context):
    for item in context.hierarchical:
        for place, result in enumerate(item.results.values()):
            assert item.section.values[place] == pytest.approx(result.section_accuracy.value)
            assert item.cascade.values[place] == pytest.approx(result.cascade_accuracy.value)
        assert item.routing_loss == pytest.approx(item.oracle.mean - item.cascade.mean)
        assert item.routing_loss >= 0
        documents = sum(spread.n_documents for spread in item.local.values())
        weighted = sum(spread.mean * spread.n_documents for spread in item.local.values()) / documents
        assert (documents, item.oracle.mean) == (100, pytest.approx(weighted))
        assert list(item.local) == ["A", "B", "D", "F"]


def test_flat(context):
    (item,) = context.flat
    (hits,) = item.hits.values()
    assert (item.flat.mean, item.section.mean) == (
        pytest.approx(hits.class_hits.mean()),
        pytest.approx(hits.section_hits.mean()),
    )
    assert (item.flat.n_classes, item.section.n_classes) == (9, 4)
    assert item.reliability.n_documents == 100


def test_hits_of_all_systems_in_one_order(context):
    hits = class_hits(context.hierarchical, context.flat, name)
    names = [f"{item.configuration.name}, nine" for item in context.hierarchical] + ["linear, flat"]
    assert list(hits) == names
    seeds = list(of(context.hierarchical, "textcnn").hits.values())
    assert hits["textcnn, nine"].shape == (len(seeds), 100)
    for own, seed in zip(hits["textcnn, nine"], seeds, strict=True):
        np.testing.assert_array_equal(own, seed.cascade_hits)


def test_systems_of_other_documents_cannot_be_compared(context):
    (item,) = context.flat
    (hits,) = item.hits.values()
    other = replace(item, hits={1: replace(hits, document_ids=hits.document_ids[::-1])})
    with pytest.raises(ArtifactError, match="linear, flat scored other documents than the rest"):
        class_hits(context.hierarchical, [other], name)


class Shuffled:
    """A node's run whose documents lie in another order."""

    def __init__(self, run):
        self._run = run

    def read_predictions(self):
        predictions = self._run.read_predictions()
        return predictions.take(np.arange(len(predictions))[::-1])


def test_seeds_of_other_documents_are_refused(context):
    item = of(context.hierarchical, "textcnn").configuration
    turned = {node: Shuffled(run) for node, run in item.runs[2].items()}
    with pytest.raises(ArtifactError, match="textcnn seed=2 scored other documents than the other seeds"):
        score_hierarchical(replace(item, runs={1: item.runs[1], 2: turned}), context.truth)
    flat = context.flat[0].configuration
    turned = {"flat": Shuffled(flat.runs[1]["flat"])}
    with pytest.raises(ArtifactError, match="linear seed=2 scored other documents"):
        score_flat(replace(flat, runs={1: flat.runs[1], 2: turned}), context.truth)
