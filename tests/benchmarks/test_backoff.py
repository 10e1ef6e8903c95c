import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.backoff import ALL, ANY, Tally, applicants, draw, main, read_predictions, resample
from patent_hier.evaluation.contract import PREDICTIONS_FILE
from tests.trees import classes_of, network, random_joint

N = 900


@pytest.fixture(scope="module")
def predictions():
    """A network whose probabilities are right: the truth is drawn with them."""
    tree = classes_of(A="01 23", B="60 65")
    joint = random_joint(tree, N, seed=1, spread=3)
    rng = np.random.default_rng(2)
    leaves = [rng.choice(4, p=p / p.sum()) for p in np.exp(joint[:, 2:].astype(float))]
    paths = [(tree.codes[2 + leaf][0], str(tree.codes[2 + leaf])) for leaf in leaves]
    parts = np.repeat(["val", "calibration", "test"], N // 3)
    return {"shared": network("shared", tree, joint, paths, parts)}


@pytest.mark.slow
def test_what_is_counted(predictions):
    for bootstrap in (False, True):
        found = resample(predictions, [0.7, 0.8], 10, bootstrap=bootstrap)
        assert list(found) == [0.7, 0.8]
        for levels in found.values():
            assert list(levels) == ["class", "section", ALL, ANY]
            answered = levels["class"].as_dict()["coverage"] + levels["section"].as_dict()["coverage"]
            assert answered == pytest.approx(levels[ALL].as_dict()["coverage"])
            assert levels[ANY].below <= levels["class"].below + levels["section"].below
        assert found[0.7][ALL].as_dict()["coverage"] > 0.3
        assert found[0.7][ALL].below <= 2
        assert found[0.7][ALL].as_dict()["accuracy"] > 0.7
    again = resample(predictions, [0.8], 10, bootstrap=True)[0.8]
    assert again[ALL] == found[0.8][ALL]  # the draws do not depend on what is asked
    assert resample(predictions, [0.8], 10, bootstrap=True, refit=True)[0.8][ALL] != found[0.8][ALL]


def test_a_tally_by_hand():
    tally = Tally()
    assert [tally.add(*own, 100, 0.9) for own in ((9, 10), (8, 10), (0, 0))] == [False, True, False]
    assert tally.as_dict() == {
        "coverage": pytest.approx(0.2 / 3),
        "accuracy": pytest.approx(0.85),
        "below": pytest.approx(1 / 3),
    }


@pytest.mark.parametrize("replace", [False, True])
def test_groups_are_drawn_whole(replace):
    groups = np.random.default_rng(3).integers(0, 40, 300)
    groups = np.unique(groups, return_inverse=True)[1]
    rows = draw(np.random.default_rng(4), groups, 100, replace=replace)
    counts = np.bincount(groups[rows], minlength=groups.max() + 1)
    sizes = np.bincount(groups)
    assert 100 <= len(rows) < 100 + sizes.max()
    assert not (counts % sizes).any()
    assert replace or counts.max() == sizes[counts > 0].max()


def test_the_command(predictions, tmp_path, capsys):
    node = tmp_path / "shared-1"
    node.mkdir()
    predictions["shared"].write(node / PREDICTIONS_FILE)
    (node / "manifest.json").write_text('{"kind": "node"}', "utf-8")
    result = tmp_path / "result-shared-1"
    result.mkdir()
    (result / "manifest.json").write_text('{"nodes": {"shared": "/elsewhere/shared-1"}}', "utf-8")
    assert read_predictions([result]).keys() == read_predictions([node]).keys() == {"shared"}
    ids = predictions["shared"].document_ids
    names = [f"firm {n % 100}" if n % 7 else None for n in range(N)]
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.table({"document_id": ids, "applicant": names}), tmp_path / "corpus" / "corpus.parquet")
    groups = applicants(tmp_path / "corpus", ids)
    assert len(set(groups.tolist())) == len({name for name in names if name}) + names.count(None)
    assert (groups[1], groups[2]) == (groups[101], groups[102])
    main([str(result), "--splits", "3", "--target", "0.8", "--json", "--corpus", str(tmp_path / "corpus")])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["drawn"], line["level"]) for line in lines] == [
        (drawn, level) for drawn in ("split", "bootstrap") for level in ("class", "section", ALL, ANY)
    ]
    main([str(node), "--splits", "2", "--target", "0.8", "--calibration", "10"])
    table = capsys.readouterr().out
    assert "draws below" in table
    assert table.count(" 0.0 %       -        0.0 %") == 6  # ten documents show nothing
