import pytest
from prometheus_client import CollectorRegistry, generate_latest

from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.web.drifting import DriftCounts

TEXT = "一种激光测距装置"


def counted(service):
    lines = service.get("/metrics").body.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_what_is_asked_is_counted_as_drift_is_measured(service, classifier):
    before = counted(service)
    traditional = "一種鎖緊裝置"
    texts = [TEXT, TEXT, traditional]
    service.post("/batch", {"texts": texts})
    after = counted(service)

    def more(name):
        return after[name] - before.get(name, 0)

    assert more("patent_hier_letters_total") == sum(map(len, texts))
    assert 0 < more("patent_hier_unseen_letters_total") <= len(traditional)
    assert more("patent_hier_letter_pairs_total") == sum(len(text) - 1 for text in texts)
    assert more("patent_hier_unseen_letter_pairs_total") >= 4
    assert more("patent_hier_latin_letters_total") == 0
    assert more("patent_hier_text_characters_count") == 3
    assert more('patent_hier_strange_texts_total{reason="traditional"}') == 1
    answers = classifier.predict(texts)
    for level in classifier.system.tree.levels:
        assert more(f'patent_hier_confidence_count{{level="{level}"}}') == 3
        total = sum(one.levels[level][0].probability for one in answers)
        assert more(f'patent_hier_confidence_sum{{level="{level}"}}') == pytest.approx(total, rel=1e-4)
    labels = [one.levels["section"][0].label for one in answers]
    for label in set(labels):
        assert more(f'patent_hier_predicted_total{{label="{label}"}}') == labels.count(label)


def test_what_a_question_leaves_out_has_no_influence(service, classifier):
    (one,) = classifier.predict([TEXT])
    label = one.levels["section"][0].label
    before = counted(service)
    service.post("/predict", {"text": TEXT, "exclude": [label], "depth": "section"})
    after = counted(service)
    name = f'patent_hier_predicted_total{{label="{label}"}}'
    assert after[name] - before.get(name, 0) == 1
    deep = 'patent_hier_confidence_count{level="class"}'
    assert after[deep] - before.get(deep, 0) == 1


def test_the_calibration_documents_stand_beside_it(service, classifier):
    told, profile = counted(service), classifier.system.reference.profile
    assert told["patent_hier_calibration_documents"] == profile.documents
    share = profile.sums["unseen"] / profile.sums["letters"]
    assert told['patent_hier_calibration_share{of="unseen_letters"}'] == share
    mean = profile.sums["confidence.class"] / profile.documents
    assert told['patent_hier_calibration_confidence{level="class"}'] == mean
    shares = [value for name, value in told.items() if name.startswith("patent_hier_calibration_predicted_share")]
    assert sum(shares) == pytest.approx(1)


def test_no_text_and_no_deeper_label_is_told(deep_service):
    deep_service.post("/predict", {"text": TEXT})
    told = deep_service.get("/metrics").body.decode()
    assert "激光" not in told
    labels = [line for line in told.splitlines() if 'label="' in line]
    assert labels
    assert all(len(line.split('label="')[1].split('"')[0]) == 1 for line in labels)


def test_nothing_is_told_of_a_system_without_a_profile(made):
    system = HierarchicalClassifier.from_pretrained(made.result("linear", "hier")).system
    system.reference = None
    registry = CollectorRegistry()
    assert DriftCounts.find(system, registry) is None
    assert generate_latest(registry) == b""
