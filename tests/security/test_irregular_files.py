"""Folders of others with pipes, devices and sockets where files should be, and YAML that grows: refused at once."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from patent_hier.artifacts import MANIFEST
from patent_hier.data.splits import SPLIT_FILE, load
from patent_hier.errors import PatentHierError
from patent_hier.features.foreign_code import refuse_code_in
from patent_hier.features.new_vocabulary import read_vocabulary
from patent_hier.features.passages import read_passages
from patent_hier.features.pretrained import PACKAGED_ENCODERS
from patent_hier.features.word2vec import _vector_lines
from patent_hier.inference.classifier import HierarchicalClassifier
from tests.security.traps import refusal, reseal
from tests.test_plain_yaml import LAUGHS
from tests.test_regular_files import IRREGULAR, device, pipe

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
FILES = ("config.yaml", "model/classifier.json", "model/terms.json", "model/model.safetensors", "model/tokenizer.json")
Put = Callable[[Path], None]


@pytest.fixture(scope="module")
def original(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    HierarchicalClassifier.from_pretrained(made.result("linear", "hier")).save_pretrained(folder)
    return folder


@pytest.fixture
def exported(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def root(exported: Path) -> Path:
    (folder,) = (exported / "nodes").glob("*-root-*")
    return folder


@pytest.mark.parametrize("name", [MANIFEST, "calibration.json", "labels.json", "more/of/it", *FILES])
@pytest.mark.parametrize("put", [pipe, device])
def test_a_model_folder(put: Put, name: str, exported: Path) -> None:
    folder = root(exported) if name in FILES else exported
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if name != MANIFEST:
        place.write_bytes(b"")  # so the manifest says that it has 0 bytes, as all these files seem to
        reseal(folder)
    place.unlink()
    put(place)
    start = time.perf_counter()
    with pytest.raises(PatentHierError, match=r"not a regular file|no finished result"):
        HierarchicalClassifier.from_pretrained(exported)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("put", [pipe, device])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors", "README.md"])
def test_an_encoders_folder(put: Put, name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PACKAGED_ENCODERS / "small", tmp_path / "encoder"))
    (folder / name).unlink(missing_ok=True)
    put(folder / name)
    assert "not a regular file" in refusal(lambda: refuse_code_in(folder))


@pytest.mark.parametrize("put", IRREGULAR)
def test_files_that_settings_name(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, (name, read) in enumerate(
        [
            (SPLIT_FILE, lambda file: load(file.parent)),
            ("vectors.txt", lambda file: list(_vector_lines(file))),
            ("vocab.txt", read_vocabulary),
            ("text.txt", lambda file: list(read_passages([file]))),
            ("text.parquet", lambda file: list(read_passages([file]))),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        put(folder / name)
        with pytest.raises(PatentHierError, match="not a regular file"):
            read(folder / name)


HUGE = "字" * 60_000
CONFIGS = [
    LAUGHS + "data: *i\n",
    f"data: {{columns: {{{HUGE}: x}}, text: [摘要], min_symbol: group, edition: latest, encoding: utf-8}}\n",
    f"data: {{columns: {{}}, text: [摘要], min_symbol: {HUGE}, edition: latest, encoding: utf-8}}\n",
    f"data: {{columns: {{}}, text: [{HUGE}], min_symbol: group, edition: latest, encoding: utf-8}}\n",
    f"data: {{columns: {{}}, text: [摘要], min_symbol: group, edition: latest, encoding: [{'a, ' * 10_000}]}}\n",
    f"{HUGE}: 1\n",
    "data: [" + "x" * (1 << 17) + "]\n",
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_configuration_that_grows_or_is_huge(config: str, exported: Path) -> None:
    (root(exported) / "config.yaml").write_text(config, "utf-8")
    reseal(root(exported), exported)
    start = time.perf_counter()
    line = refusal(lambda: HierarchicalClassifier.from_pretrained(exported))
    assert time.perf_counter() - start < 5
    assert "config.yaml does not describe" in line or ("cannot read" in line and "config.yaml as YAML" in line)
    assert len(line) - len(str(root(exported))) < 600


def test_a_message_has_no_endless_middle() -> None:
    assert str(PatentHierError("a" * 999)) == "a" * 999
    line = str(PatentHierError("first" + "x" * 1_000_000 + "last"))
    assert len(line) < 2100
    assert line.startswith("first")
    assert line.endswith("last")
