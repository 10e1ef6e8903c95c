"""The wheel and the source archive: built here, by the same backend as `make dist`, and their contents."""

import re
import tarfile
import tomllib
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import patent_hier

ROOT = Path(__file__).parents[2]
LARGEST = 20_000_000  # bytes of a wheel or an archive; the encoder `small` is nearly all of it
# No folder in an archive has such a name.
STRANGE = {"__pycache__", ".git", ".venv", "build", "cache", "dist", "local", "results", "runs"}
CONF, PUBLISHED = Path("conf"), Path("experiments/published")


def build(builder: type[SdistBuilder] | type[WheelBuilder], root: Path, folder: Path) -> Path:
    (made,) = builder(str(root)).build(directory=str(folder), versions=["standard"])
    return Path(made)


def files(folder: Path) -> set[str]:
    """Every file of a folder of the project, from the project's root; what Python has compiled is none."""
    found = (path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file())
    return {name for name in found if "__pycache__" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(WheelBuilder, ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(SdistBuilder, ROOT, tmp_path_factory.mktemp("archive"))


def contents(wheel: Path) -> dict[str, int]:
    with ZipFile(wheel) as opened:
        return {info.filename: info.CRC for info in opened.infolist()}


def test_the_wheel_has_the_package_its_settings_and_the_published_numbers(wheel: Path) -> None:
    names = {name for name in contents(wheel) if not name.split("/")[0].endswith(".dist-info")}
    settings = {f"patent_hier/{name}" for name in files(CONF)}
    published = {f"patent_hier/published/{PurePosixPath(name).name}" for name in files(PUBLISHED)}
    assert names == files(Path("patent_hier")) | settings | published
    assert {"patent_hier/conf/config.yaml", "patent_hier/published/table_2.json", "patent_hier/py.typed"} <= names


def test_the_wheel_names_its_command_licence_and_extras(wheel: Path) -> None:
    facts = f"patent_hier-{patent_hier.__version__}.dist-info/"
    with ZipFile(wheel) as opened:
        assert "patent-hier = patent_hier.cli.main:main" in opened.read(f"{facts}entry_points.txt").decode()
        assert opened.read(f"{facts}licenses/LICENSE").decode() == (ROOT / "LICENSE").read_text("utf-8")
        metadata = opened.read(f"{facts}METADATA").decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(re.findall(r"^Provides-Extra: (\S+)$", metadata, re.MULTILINE)) == set(project["optional-dependencies"])


def test_the_archive_has_what_a_wheel_is_built_from_and_no_results(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    paths = [PurePosixPath(name).relative_to(f"patent_hier-{patent_hier.__version__}") for name in names]
    assert {path.parts[0] for path in paths} == {
        ".gitignore", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", "README.md",
        "README.zh-CN.md", "SECURITY.md", "conf", "constraints.txt", "experiments", "patent_hier", "pyproject.toml",
    }  # fmt: skip
    assert not [path for path in paths if STRANGE & set(path.parts)]


def test_a_wheel_from_the_archive_is_the_wheel_from_the_repository(wheel: Path, archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert contents(build(WheelBuilder, unpacked, tmp_path)) == contents(wheel)


def test_both_are_small(wheel: Path, archive: Path) -> None:
    assert wheel.stat().st_size < LARGEST
    assert archive.stat().st_size < LARGEST


def test_every_place_names_the_same_version_and_date() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version, date = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)[0]
    assert project["version"] == patent_hier.__version__ == citation["version"] == version
    assert citation["date-released"] == date
