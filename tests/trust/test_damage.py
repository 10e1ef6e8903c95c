"""Damage at every stage: caches are made again, results are refused, and what was good stays as it was."""

import shutil
from pathlib import Path

import pytest

from tests.commands import command
from tests.damage import DAMAGES
from tests.trust.faults import Told, digests, flat_run
from tests.trust.killing import results

pytestmark = [pytest.mark.trust, pytest.mark.timeout(900)]

MODELS = ("bertcnn", "textcnn", "linear")


def _files(folder: Path) -> dict[str, str]:
    """Digests by name, without the file of digests that a command may write again."""
    return {name: digest for name, digest in digests(folder).items() if not name.endswith("digests.json")}


@pytest.mark.parametrize("model", MODELS)
def test_caches_are_made_again(model: str, tmp_path: Path, told: Told) -> None:
    good = tmp_path / "good"
    assert command(*flat_run(model, good)).status == 0
    usual = results(good / "runs")
    tried = different = 0
    for file in [Path("cache", name) for name in _files(good / "cache")]:
        for name, damage in DAMAGES.items():
            place = tmp_path / "place"
            shutil.copytree(good / "cache", place / "cache")
            damage(place / file)
            done = command(*flat_run(model, place))
            assert (done.status, done.err) == (0, ""), (file, name)
            gone = name == "removed" and file.parts[1] == "demo"  # a raw file that is absent is not damaged
            assert gone or "is damaged" in done.out, (file, name)
            different += results(place / "runs") != usual
            tried += 1
            shutil.rmtree(place)
    told(f"{tried} damaged caches of {model}, each made again", different)


def test_a_cache_of_another_vocabulary_or_split_is_made_again(tmp_path: Path, told: Told) -> None:
    good, other, place = tmp_path / "good", tmp_path / "other", tmp_path / "place"
    tried = 0
    for model, change in (("bertcnn", "encoder.max_length=24"), ("textcnn", "features.vector_size=12")):
        for change_of_all in (change, "split.seed=5", "data.seed=1"):
            for made in (good, other, place):
                shutil.rmtree(made, ignore_errors=True)
            assert command(*flat_run(model, good)).status == 0
            assert command(*flat_run(model, other, change_of_all)).status == 0
            shutil.copytree(good / "cache", place / "cache")
            for kind in ("corpora", "splits", "tokens", "words", "vectors"):
                ours = [path.name for path in (good / "cache" / kind).glob("[!.]*")]
                theirs = [path for path in (other / "cache" / kind).glob("[!.]*") if path.name not in ours]
                if theirs:
                    shutil.rmtree(place / "cache" / kind / ours[0])
                    shutil.copytree(theirs[0], place / "cache" / kind / ours[0])
                    tried += 1
            done = command(*flat_run(model, place))
            assert (done.status, done.err) == (0, "")
            assert "it is rebuilt" in done.out
            assert results(place / "runs") == results(good / "runs")
    told(f"{tried} caches of another vocabulary, split or corpus in the place of the right one")
    assert tried >= 8


@pytest.mark.parametrize("model", MODELS)
def test_results_are_refused(model: str, tmp_path: Path, told: Told) -> None:
    assert command(*flat_run(model, tmp_path)).status == 0
    (node,) = (tmp_path / "runs").glob("*/flat-*")
    good = tmp_path / "good"
    shutil.copytree(node, good)
    tried = 0
    for file in _files(good):
        for name, damage in DAMAGES.items():
            damage(node / file)
            damaged = _files(tmp_path / "runs")
            done = command(*flat_run(model, tmp_path))
            aggregated = command("aggregate", *flat_run(model, tmp_path)[1:])
            assert done.status == aggregated.status == 1, (file, name)
            for err in (done.err, aggregated.err):
                assert len(err.splitlines()) == 1
                assert str(node) in err
                assert "delete it" in err or "delete" in err
            assert _files(tmp_path / "runs") == damaged  # nothing was written over
            tried += 1
            shutil.rmtree(node)
            shutil.copytree(good, node)
    assert command(*flat_run(model, tmp_path)).status == 0
    told(f"{tried} damaged results of {model}, each refused in one line by two commands")


def test_a_result_of_another_split_is_refused(tmp_path: Path, told: Told) -> None:
    """Whole folders, and the predictions of one in the other, with the manifest that belongs to them."""
    assert command(*flat_run("linear", tmp_path)).status == 0
    (node,) = (tmp_path / "runs").glob("*/flat-*")
    assert command(*flat_run("linear", tmp_path, "split.seed=5")).status == 0
    (other,) = set((tmp_path / "runs").glob("*/flat-*")) - {node}
    shutil.copy(other / "predictions.parquet", node / "predictions.parquet")
    done = command(*flat_run("linear", tmp_path))
    assert done.status == 1
    assert "predictions.parquet does not match its manifest" in done.err
    shutil.rmtree(node)
    shutil.copytree(other, node)
    done = command(*flat_run("linear", tmp_path))
    assert done.status == 1
    assert "holds the result of another configuration" in done.err
    told("predictions and a whole result of another split in the place of the right ones")
