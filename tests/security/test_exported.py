"""An exported system whose author means harm: sealed as ours are, and wrong in one place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patent_hier.artifacts import MANIFEST, seal
from patent_hier.atomic import read_json, write_json
from tests.commands import command
from tests.inference.worlds import world


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    assert command("export", world(tmp_path_factory).result("linear", "hier"), folder).status == 0
    return folder


@pytest.fixture
def spoil(exported: Path, tmp_path: Path) -> Callable[[str, Callable[[Any], Any]], Path]:
    """A copy with one JSON file changed, and vouched for again."""

    def changed(name: str, change: Callable[[Any], Any]) -> Path:
        folder = tmp_path / "model"
        shutil.copytree(exported, folder)
        manifest = read_json(folder / MANIFEST)
        kept = {key: value for key, value in manifest.items() if key not in ("files", "sha256")}
        if name == MANIFEST:
            kept = change(kept)
        else:
            write_json(folder / name, change(read_json(folder / name)))
        seal(folder, kept)
        return folder

    return changed


def put(*places: Any) -> Callable[[Any], Any]:
    """Replaces the value at the end of a way through JSON by the last argument."""
    *way, last, value = places

    def change(content: Any) -> Any:
        inner = content
        for place in way:
            inner = inner[place]
        inner[last] = value
        return content

    return change


CHANGES = {
    "nodes elsewhere": (MANIFEST, put("nodes", "A", "../../../etc"), "missing"),
    "nodes by number": (MANIFEST, put("nodes", "A", 5), "names no nodes"),
    "nodes in a list": (MANIFEST, put("nodes", ["A"]), "names no nodes"),
    "another node": (
        MANIFEST,
        lambda content: put("nodes", "A", content["nodes"]["B"])(content),
        "is of node B, not A",
    ),
    "no facts": ("config.json", lambda _: [], "does not say what the model is of"),
    "facts of text": ("config.json", put("facts", "data", "demo"), "does not say what the model is of"),
    "cold": ("calibration.json", put("temperatures", "root", 0.0), "calibration cannot be read"),
    "below": ("calibration.json", put("temperatures", "root", -1.0), "calibration cannot be read"),
    "words": ("calibration.json", put("temperatures", "root", "hot"), "calibration cannot be read"),
    "no temperatures": ("calibration.json", put("temperatures", []), "calibration cannot be read"),
    "no thresholds": ("calibration.json", put("thresholds", []), "calibration cannot be read"),
    "thresholds of text": ("calibration.json", put("thresholds", 0, "section", "high"), "calibration cannot be read"),
    "nothing": ("calibration.json", lambda _: None, "calibration cannot be read"),
    "nothing measured": ("calibration.json", put("measured", 5), "calibration cannot be read"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_is_refused_in_one_line(spoil: Callable[..., Path], name: str) -> None:
    file, change, message = CHANGES[name]
    outcome = command("predict", spoil(file, change), "--abstract", "一种装置")
    assert outcome.status in (1, 2)
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert "unexpected" not in outcome.err


def test_a_link_out_of_the_folder_shows_nothing_of_what_it_leads_to(exported: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"password": "7f3a"}), "utf-8")
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    (folder / "calibration.json").unlink()
    (folder / "calibration.json").symlink_to(secret)
    outcome = command("predict", folder, "--abstract", "一种装置")
    assert outcome.status == 1
    assert "calibration.json is damaged" in outcome.err
    assert "7f3a" not in outcome.err + outcome.out


def test_a_planted_beginning_is_not_taken_for_ours(exported: Path, tmp_path: Path) -> None:
    """Somebody who may write into the folder of the output prepared a beginning and notes for it."""
    (tmp_path / "new.txt").write_text("一种装置\n一种方法\n", "utf-8")
    (tmp_path / ".partial-out.csv").write_text("row,=HYPERLINK(1)\n", "utf-8")
    notes = {"work": "0" * 12, "rows": 1, "bytes": 10, "state": {}}
    (tmp_path / ".partial-out.csv.json").write_text(json.dumps(notes), "utf-8")
    outcome = command("predict", exported, tmp_path / "new.txt", "--output", tmp_path / "out.csv")
    assert (outcome.status, outcome.err) == (0, "")
    content = (tmp_path / "out.csv").read_text("utf-8")
    assert "HYPERLINK" not in content
    assert len(content.splitlines()) == 3


def test_a_beginning_that_is_a_link_is_not_followed(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("一种装置\n", "utf-8")
    victim = tmp_path / "thesis.txt"
    victim.write_text("years of work", "utf-8")
    (tmp_path / ".partial-out.csv").symlink_to(victim)
    outcome = command("predict", exported, tmp_path / "new.txt", "--output", tmp_path / "out.csv")
    assert victim.read_text("utf-8") == "years of work"
    assert outcome.status == 2
    assert "is a link or another user" in outcome.err
    assert outcome.err.count("\n") == 1
