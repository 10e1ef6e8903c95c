import json
from dataclasses import replace

import pytest

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.recalibration import Choice
from patent_hier.evaluation.scaling import Scaling
from patent_hier.evaluation.selective import NEVER, Thresholds
from patent_hier.inference.calibration import CALIBRATION_VERSION, Calibration, calibrate
from tests.inference.worlds import world

LEVELS = ("section", "class")
NOTHING = Thresholds(0.95, {"section": NEVER, "class": NEVER})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory)


def test_it_comes_back_as_it_was():
    choice = Choice("temperature, shape", 1416, 807, {"none": 0.9, "temperature, shape": 0.8})
    own = Calibration(1416, 0.95, {"root": {"section": Scaling(1.1, -0.3)}}, {"section": choice}, [NOTHING], {})
    content = json.loads(json.dumps(own.as_dict()))
    assert content["version"] == CALIBRATION_VERSION
    assert content["scalings"]["root"]["section"] == {"temperature": 1.1, "shape": -0.3}
    assert Calibration.from_dict(content, LEVELS) == own


def test_one_with_temperatures_alone_is_read():
    content = Calibration(1416, 0.95, {}, {}, [NOTHING], {}).as_dict()
    del content["scalings"], content["choices"]
    own = Calibration.from_dict(content | {"version": 2, "temperatures": {"root": {"section": 1.1}}}, LEVELS)
    assert own.scalings == {"root": {"section": Scaling(1.1, 0.0)}}
    assert own.choices == {}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("version", 1, "version 1, not 3"),
        ("version", None, "version None, not 3"),
        (
            "scalings",
            {"root": {"section": {"temperature": 1.0, "shape": -1.0}}},
            "a temperature or shape is out of range",
        ),
        ("choices", {"class": {"method": "magic", "nll": {}}}, "the choice of level class is unknown"),
        ("confidence", 1.0, "the confidence is not between 0 and 1"),
        ("confidence", float("nan"), "the confidence is not between 0 and 1"),
    ],
)
def test_another_form_is_refused_in_one_line(key, value, said):
    content = Calibration(1416, 0.95, {}, {}, [NOTHING], {}).as_dict() | {key: value}
    with pytest.raises(ArtifactError, match=rf"cannot be read \({said}\); export the model again"):
        Calibration.from_dict(content, LEVELS)


def test_one_without_version_is_the_first():
    content = Calibration(1416, 0.95, {}, {}, [NOTHING], {}).as_dict()
    del content["version"]
    with pytest.raises(ArtifactError, match="version 1, not 3"):
        Calibration.from_dict(content, LEVELS)


def test_why_nothing_is_answered():
    few = Calibration(58, 0.95, {}, {}, [NOTHING], {})
    assert few.shortfall(NOTHING) == (
        "95 % cannot be guaranteed with 95 % confidence, so nothing is answered: this takes 59 calibration documents "
        "answered without an error, and the calibration part has only 58; raise split.calibration or lower the target "
        "accuracy"
    )
    assert "too many of the most confident answers to the 59 calibration documents are wrong" in replace(
        few, documents=59
    ).shortfall(NOTHING)
    assert few.shortfall(Thresholds(0.95, {"section": 0.9, "class": NEVER})) is None


def test_a_system_without_val_cannot_be_planned(made):
    own = NetworkPredictions.read(made.node("textcnn", "flat") / "predictions.parquet")
    assert calibrate({"flat": own}).confidence == 0.95
    assert calibrate({"flat": own}, error=0.1).confidence == 0.9
    without = own.take((own.parts != "val").nonzero()[0])
    with pytest.raises(ArtifactError, match="no predictions for part 'val'"):
        calibrate({"flat": without})
    assert calibrate({"flat": own.take((own.parts != "calibration").nonzero()[0])}) is None
