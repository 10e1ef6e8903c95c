"""The commands and Python blocks of README and site do what they are shown to do, page by page, on tiny data."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, Block, blocks
from tests.docs.tiny import with_tiny_settings
from tests.docs.world import bash, environment, make_world, variables

pytestmark = pytest.mark.slow
RUNNING = [page for page in PAGES if any(block.is_run for block in blocks(page))]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("documentation"))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", RUNNING)
def test_everything_on_the_page_runs(page: str, made: Path) -> None:
    """In the order of the page; each in a copy of the files, so that no page needs another."""
    world = made.parent / page.replace("/", "-")
    shutil.copytree(made, world)
    given, python = variables(world), list[str]()
    for block in blocks(page):
        if not block.is_run:
            continue
        if block.language == "python":
            python.append(block.code)
            done = subprocess.run(
                [sys.executable, "-c", _plain_trainer("\n".join(python))],
                cwd=world, env={**environment(world), **given}, capture_output=True, text=True, timeout=900,
            )  # fmt: skip
        else:
            done = bash(_script(block), world, **given)
        assert done.returncode == 0, (block.code, done.stdout[-2000:], done.stderr[-2000:])


def _script(block: Block) -> str:
    """The block; a fingerprint that a reader would fill in stands for the newest such folder."""
    return re.sub(r"([\w./-]+)<fingerprint>", r"$(ls -td \1* | head -n 1)", block.code)


def _plain_trainer(code: str) -> str:
    """One epoch of few steps is enough; everything else is as the page has it."""
    return re.sub(r"max_epochs=\d+", "max_epochs=1, limit_train_batches=4", code)


def test_tiny_settings_leave_what_is_named() -> None:
    words = ["run", "model=bertcnn", "encoder=small", "trainer.max_epochs=3", "data=cnipa"]
    assert with_tiny_settings(words)[len(words) :] == [
        "trainer.min_steps=0",
        "trainer.progress=false",
        "model.num_last_layers=2",
    ]
    assert with_tiny_settings(["predict", "FOLDER"]) == ["predict", "FOLDER"]
    assert with_tiny_settings(["run", "--cfg", "job"]) == ["run", "--cfg", "job"]
