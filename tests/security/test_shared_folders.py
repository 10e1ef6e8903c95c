"""Folders that others may write to: what they planted there is neither followed nor gone on with."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from patent_hier.artifacts import file_digest
from patent_hier.atomic import exclusive, read_json, write_json
from patent_hier.data.incoming import IncomingFiles
from patent_hier.errors import ConfigError
from patent_hier.inference import files, resuming
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.files import Options, predict_to_file
from patent_hier.inference.resuming import ResumableOutput
from tests.commands import Outcome, command
from tests.inference.worlds import World
from tests.security.traps import refused

_KEPT = "what somebody else wants to keep\n"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    file = tmp_path / "kept.txt"
    file.write_text(_KEPT, "utf-8")
    return file


@pytest.fixture
def predict(made: World, tmp_path: Path) -> Callable[[], Outcome]:
    (tmp_path / "shared").mkdir()
    (tmp_path / "new.txt").write_text("一种喷气织机的引纬装置\n", "utf-8")
    words = (made.result("linear", "hier"), tmp_path / "new.txt", "--output", tmp_path / "shared" / "out.csv")
    return lambda: command("predict", *words, "--overwrite")


PLANTS: dict[str, Callable[[Path, Path], None]] = {
    "symlink": lambda planted, kept: planted.symlink_to(kept),
    "dangling": lambda planted, kept: planted.symlink_to(kept.with_name("made-by-others")),
    "hard link": lambda planted, kept: os.link(kept, planted),
    "pipe": lambda planted, kept: os.mkfifo(planted),
    "folder": lambda planted, kept: planted.mkdir(),
}


@pytest.mark.parametrize("name", [".partial-out.csv", ".partial-out.csv.json"])
@pytest.mark.parametrize("kind", PLANTS)
def test_planted_beginnings_are_refused(
    predict: Callable[[], Outcome], kept: Path, tmp_path: Path, name: str, kind: str
) -> None:
    PLANTS[kind](tmp_path / "shared" / name, kept)
    assert name in refused(predict())
    assert kept.read_text("utf-8") == _KEPT
    assert not (tmp_path / "made-by-others").exists()
    assert [file.name for file in (tmp_path / "shared").iterdir()] == [name]


@pytest.mark.parametrize("name", [".partial-out.csv", ".partial-out.csv.json"])
def test_files_of_other_users_are_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_text("{}", "utf-8")
    monkeypatch.setattr(resuming.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match="belongs to another user"), ResumableOutput(tmp_path / "out.csv", "work"):
        pass
    assert (tmp_path / name).read_text("utf-8") == "{}"


def test_an_output_that_is_a_link_is_replaced_itself(
    predict: Callable[[], Outcome], kept: Path, tmp_path: Path
) -> None:
    output = tmp_path / "shared" / "out.csv"
    for target in (kept, tmp_path / "nowhere"):
        output.unlink(missing_ok=True)
        output.symlink_to(target)
        assert predict().status == 0
        assert not output.is_symlink()
        assert kept.read_text("utf-8") == _KEPT
        assert not (tmp_path / "nowhere").exists()


CHANGES: dict[str, list[object]] = {
    "rows": [-3, 4, True, 10**30, "1e400"],
    "bytes": [-1, 10**30],
    "state": [None, [], {"decided": 3}, {"unknown": 1}, {"decided": {"class": "x"}}],
    "work": [None],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, own in CHANGES.items() for value in own])
def test_notes_with_other_values_cost_the_beginning_only(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: object
) -> None:
    monkeypatch.setattr(files, "BATCH", 2)
    source = tmp_path / "new.txt"
    source.write_text("".join(f"一种激光测距装置{number}\n" for number in range(5)), "utf-8")
    classifier = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"))

    def write(output: Path) -> int:
        documents = IncomingFiles(source, classifier.system.raw)
        given = {"source": file_digest(source)}
        return predict_to_file(classifier, documents, Options(), "csv", output, given)[1]

    def stop(self: ResumableOutput, *arguments: object) -> None:
        keep(self, *arguments)
        raise KeyboardInterrupt

    keep: Callable[..., None] = ResumableOutput.keep
    write(tmp_path / "whole.csv")
    with monkeypatch.context() as patch:
        patch.setattr(ResumableOutput, "keep", stop)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "out.csv")
    notes = tmp_path / ".partial-out.csv.json"
    assert read_json(notes)["rows"] == 2
    write_json(notes, {**read_json(notes), key: value})
    assert write(tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_lock_follows_no_link(kept: Path, tmp_path: Path) -> None:
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "model").symlink_to(kept)
    with pytest.raises(OSError, match="symbolic links"), exclusive(tmp_path / "model"):
        pass
    assert kept.read_text("utf-8") == _KEPT
    (tmp_path / ".locks" / "model").unlink()
    os.link(kept, tmp_path / ".locks" / "model")
    with exclusive(tmp_path / "model"):
        assert kept.read_text("utf-8") == _KEPT


def test_an_export_into_a_shared_folder(made: World, kept: Path, tmp_path: Path) -> None:
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "model").symlink_to(kept)
    assert ".locks" in refused(command("export", made.result("linear", "hier"), tmp_path / "model"))
    assert kept.read_text("utf-8") == _KEPT
