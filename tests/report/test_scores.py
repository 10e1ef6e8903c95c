"""Scores of configurations against counting by hand; what does not belong together is refused."""

from dataclasses import replace

import numpy as np
import pytest

from patent_hier.data.labels import corpus_labels
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.aggregate import aggregate
from patent_hier.evaluation.frequency import training_counts
from patent_hier.pipeline import suite
from patent_hier.pipeline.stages import load_parts
from patent_hier.pipeline.suite import read_system
from patent_hier.report.scores import FLAT_MODEL, HIERARCHICAL, LEVELS, SHARED_NETWORK, hits_of_all, score_system


def name(system):
    return f"{system.configuration.name}, {system.kind}"


def of(context, wanted):
    (found,) = [item for item in context.systems if name(item) == wanted]
    return found


def test_spreads_and_results_say_the_same(context):
    for item in [*context.hierarchical, of(context, "linear, shared_network")]:
        corpus = context.evidence.corpus
        counts = training_counts(corpus_labels(corpus, "class"), load_parts(corpus, context.evidence.split) == TRAIN)
        results = [
            aggregate(*read_system({node: run.folder for node, run in nodes.items()}, corpus), train_counts=counts)
            for nodes in item.configuration.runs.values()
        ]
        assert [own.result for own in item.answers.values()] == results
        for place, result in enumerate(results):
            for level in LEVELS:
                assert item.levels[level].values[place] == pytest.approx(result.levels[level].accuracy.value)
            assert item.table_2["L2"].values[place] == pytest.approx(result.levels["class"].oracle.value)
            assert item.table_2["overall"].values[place] == pytest.approx(result.levels["class"].product.value)
        assert item.mean("top_3") == pytest.approx(np.mean([result.levels["class"].top_3.value for result in results]))
        assert item.mean("macro_f1") == pytest.approx(
            np.mean([result.levels["class"].macro_f1.value for result in results])
        )
        assert item.routing_loss == pytest.approx(item.table_2["L2"].mean - item.best_guess.mean)
        assert item.routing_loss >= 0
        assert list(item.table_2) == ["L1", "A", "B", "D", "F", "L2", "overall"]
        local = [item.table_2[section] for section in "ABDF"]
        weighted = sum(spread.mean * spread.n_documents for spread in local) / 100
        assert (sum(spread.n_documents for spread in local), item.table_2["L2"].mean) == (100, pytest.approx(weighted))


def test_flat(context):
    item = of(context, "linear, flat_model")
    (own,) = item.answers.values()
    for level in LEVELS:
        assert item.levels[level].mean == pytest.approx((own.predicted[level] == own.true[level]).mean())
    assert [item.levels[level].n_classes for level in LEVELS] == [4, 9]
    assert (item.first.reliability.n_documents, item.table_2, item.routing_loss) == (100, {}, None)


def test_the_best_of_each_kind_come_first(context):
    kinds = [item.kind for item in context.systems]
    assert kinds == [HIERARCHICAL] * 3 + [SHARED_NETWORK] + [FLAT_MODEL] * 3
    means = [item.best_guess.mean for item in context.hierarchical]
    assert means == sorted(means, reverse=True)


def test_hits_of_all_systems_in_one_order(context):
    hits = hits_of_all(context.systems, name)
    assert list(hits) == [name(item) for item in context.systems]
    seeds = list(of(context, "textcnn, hierarchical").answers.values())
    for own, seed in zip(hits["textcnn, hierarchical"], seeds, strict=True):
        np.testing.assert_array_equal(own, seed.hits["class"])
    with pytest.raises(ArtifactError, match="two systems have the same name"):
        hits_of_all(context.systems, lambda _: "x")


def test_systems_of_other_documents_cannot_be_compared(context):
    *others, item = context.systems
    (own,) = item.answers.values()
    other = replace(item, answers={1: replace(own, document_ids=own.document_ids[::-1])})
    with pytest.raises(ArtifactError, match=f"{name(item)} scored different documents from the other systems"):
        hits_of_all([*others, other], name)


@pytest.mark.parametrize(("model", "kind"), [("textcnn", HIERARCHICAL), ("linear", FLAT_MODEL)])
def test_seeds_of_other_documents_are_refused(context, model, kind, monkeypatch):
    configuration = of(context, f"{model}, {kind}").configuration
    first = next(iter(configuration.runs.values()))
    readings = []

    def read_and_turn(*arguments):
        system, labels = read_system(*arguments)
        readings.append(system)
        order = np.arange(len(system))[:: -1 if len(readings) > 1 else 1]  # the second seed's, the other way round
        return system.take(order), labels.take(order)

    monkeypatch.setattr(suite, "read_system", read_and_turn)
    with pytest.raises(ArtifactError, match=f"{model} seed=2 scored different documents from the other seeds"):
        score_system(
            replace(configuration, runs={1: first, 2: first}), context.evidence.corpus, context.evidence.split, kind
        )
