"""A model folder of unknown origin: whatever lies in it, its manifest fitting, no code of it is run."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import patent_hier
from patent_hier.artifacts import MANIFEST, find_damage, verify, write_manifest
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.models.saved import load_classifier
from tests.commands import command
from tests.inference.worlds import World, raw_row, write_raw
from tests.security.traps import Trap, change_json, refused, reseal


@pytest.fixture
def foreign(made: World, tmp_path: Path) -> World:
    """A copy of the results of another, to be changed."""
    copy = World(tmp_path / "world")
    shutil.copytree(made.runs, copy.runs)
    return copy


@pytest.fixture
def predict(foreign: World, tmp_path: Path) -> Callable[[str, str], str]:
    """Classify with a system of the foreign folder; the line of its refusal."""
    source = write_raw(tmp_path / "new.csv", raw_row(abstract="一种喷气织机的引纬装置"))

    def predict(model: str, level: str) -> str:
        return refused(command("predict", foreign.result(model, level), source, "--output", tmp_path / "out.csv"))

    return predict


@pytest.mark.parametrize(("model", "level", "node"), [("linear", "hier", "root"), ("textcnn", "flat", "flat")])
def test_pickle_in_place_of_weights(foreign, predict, trap: Trap, model: str, level: str, node: str) -> None:
    folder = foreign.node(model, node)
    weights = folder / "model" / "model.safetensors"
    for plant in (trap.save, trap.pickle):
        plant(weights)
        reseal(folder)
        assert "model.safetensors" in predict(model, level)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "os.system"},
        {"kind": "patent_hier.cli.main.main"},
        {"kind": {"_target_": "os.mkdir"}},
        {"_target_": "os.mkdir", "kind": None},
        {"model": {"_target_": "os.mkdir", "path": "MARKER"}},
        {"model": {"name": "linear", "__class__": "os.mkdir"}},
    ],
)
def test_kinds_are_looked_up_in_a_fixed_table(foreign, predict, trap: Trap, change: dict[str, object]) -> None:
    folder = foreign.node("linear", "root")
    change = json.loads(json.dumps(change).replace("MARKER", str(trap.marker)))
    change_json(folder / "model" / "classifier.json", **change)
    reseal(folder)
    assert "classifier.json" in predict("linear", "hier")


def test_python_objects_in_yaml(foreign, predict, trap: Trap) -> None:
    folder = foreign.node("linear", "root")
    file = folder / "config.yaml"
    file.write_text(f"data: {trap.yaml}\n", "utf-8")
    trap.closes(lambda: yaml.unsafe_load(file.read_text("utf-8")))
    reseal(folder)
    assert "config.yaml" in predict("linear", "hier")


def test_python_objects_in_yaml_of_a_member(foreign, made: World, trap: Trap, tmp_path: Path) -> None:
    """``combine`` reads the members' settings too, without ``--cache-dir``."""
    for file in foreign.runs.glob("*/*/config.yaml"):
        file.write_text(f"cache_dir: {trap.yaml}\n", "utf-8")
        reseal(file.parent)
    members = [foreign.result("linear", "hier"), foreign.result("textcnn", "flat")]
    trap.closes(lambda: yaml.unsafe_load((foreign.node("linear", "root") / "config.yaml").read_text("utf-8")))
    assert "config.yaml" in refused(command("combine", *members, "--runs-dir", tmp_path / "other"))


@pytest.mark.parametrize("name", ["../outside.txt", "model/../../outside.txt", "ABSOLUTE", "model/..", "."])
def test_manifest_names_stay_inside(foreign, predict, tmp_path: Path, name: str) -> None:
    folder = foreign.node("linear", "root")
    outside = folder.parent / "outside.txt"
    outside.write_text("x", "utf-8")
    manifest = read_json(folder / MANIFEST)
    name = name.replace("ABSOLUTE", str(outside))
    facts = {"bytes": 1, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
    write_manifest(folder, {**manifest, "files": {**manifest["files"], name: facts}})
    assert find_damage(folder) is not None
    with pytest.raises(ArtifactError, match="outside"):
        verify(folder)
    assert "outside" in predict("linear", "hier")


def test_planted_code_is_never_imported(made: World, trap: Trap, tmp_path: Path) -> None:
    """A whole program, started inside the foreign folder: its first import path would be that folder."""
    runs = Path(shutil.copytree(made.runs, tmp_path / "world" / "runs"))
    here = runs / "linear"
    nodes = [folder for folder in here.glob("*-*") if (folder / "model").is_dir()]
    for place in (here, *nodes, *(node / "model" for node in nodes)):
        for name in ("conftest", "sitecustomize", "usercustomize", "torch", "numpy", "yaml", "modeling_evil", "hydra"):
            (place / f"{name}.py").write_text(trap.python, "utf-8")
        (place / "evil.pth").write_text(trap.python.replace("\n", "; "), "utf-8")
        (place / "__init__.py").write_text(trap.python, "utf-8")
    reseal(*nodes)
    source = write_raw(tmp_path / "new.csv", raw_row(abstract="一种喷气织机的引纬装置"))
    (result,) = here.glob("result-hier-*")
    words = ["predict", result, source, "--output", tmp_path / "out.csv"]
    trap.closes(lambda: subprocess.run([sys.executable, "-c", "import numpy"], cwd=here, check=True))
    environment = {**os.environ, "PYTHONPATH": str(Path(patent_hier.__file__).parents[1])}
    program = [sys.executable, "-m", "patent_hier", *map(str, words)]
    done = subprocess.run(program, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert (tmp_path / "out.csv").is_file()


def test_pickled_extension_types_in_parquet(made: World, trap: Trap, tmp_path: Path) -> None:
    """pyarrow below 14.0.1 unpickled these when it read the schema (CVE-2023-47248)."""
    source = made.node("linear", "root") / "predictions.parquet"
    table = pq.read_table(source)
    metadata = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": trap.pickled}
    fields = [field.with_metadata(metadata) for field in table.schema]
    pandas = {b"pandas": b'{"index_columns": [], "columns": [{"metadata": {"pickle": true}}]}'}
    schema = pa.schema(fields, metadata={**(table.schema.metadata or {}), **pandas})
    file = tmp_path / "predictions.parquet"
    pq.write_table(table.cast(schema), file)
    stored = pq.ParquetFile(file).schema_arrow.field("document_id").metadata or {}
    assert stored[b"ARROW:extension:metadata"] == trap.pickled
    trap.closes(lambda: pickle.loads(stored[b"ARROW:extension:metadata"]))  # noqa: S301 - the trap's own payload
    assert NetworkPredictions.read(file).tree == NetworkPredictions.read(source).tree


def test_pickles_beside_the_weights_are_ignored(made: World, trap: Trap, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made.node("textcnn", "flat") / "model", tmp_path / "model"))
    for name in ("pytorch_model.bin", "model.pt", "model.pkl", "model.joblib", "vectors.kv", "optimizer.pt"):
        trap.save(folder / name)
    assert load_classifier(folder).tree == load_classifier(made.node("textcnn", "flat") / "model").tree
