"""The notebooks of the site run from top to bottom, and both languages have the same code."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.blocks import ROOT
from tests.docs.world import install_commands

FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(path for path in FOLDER.glob("*.ipynb") if ".zh." not in path.name)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_both_languages_have_the_same_code(path: Path) -> None:
    english, chinese = (nbformat.read(own, 4).cells for own in (path, path.with_suffix(".zh.ipynb")))
    assert [cell.cell_type for cell in english] == [cell.cell_type for cell in chinese]
    codes = [[cell.source for cell in cells if cell.cell_type == "code"] for cells in (english, chinese)]
    assert codes[0] == codes[1]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a reader runs it, but on fewer rows and for one epoch."""
    install_commands(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("rows=3000", "rows=800").replace("max_epochs=5", "max_epochs=1")
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable  # whatever kernels the machine has
    client.execute()
    for cell in notebook.cells:  # a shell command that fails stops no notebook
        for output in cell.get("outputs", ()):
            assert "error:" not in str(output.get("text", "")), output["text"]
