"""The files that the documentation names, and a small trained system: a folder in which its commands run."""

import contextlib
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.feedback import FeedbackStore
from patent_hier.data.raw import RawFormat
from tests.data.judging import judgement
from tests.docs.blocks import ROOT

_SHIM = '#!/bin/sh\nexec "{python}" -m tests.docs.tiny "$@"\n'
# `python run.py WORDS` is `patent-hier run WORDS`; anything else is Python.
_PYTHON = """#!/bin/sh
if [ "$1" = run.py ]; then shift; exec "{python}" -m tests.docs.tiny run "$@"; fi
exec "{python}" "$@"
"""


def environment(world: Path) -> dict[str, str]:
    """For commands in the folder: our ``patent-hier`` and ``python`` before all others, no more than one thread."""
    path = f"{world.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **quiet, "PATH": path}


def bash(script: str, world: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script; it ends at its first failing command."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=world, env={**environment(world), **variables}, capture_output=True, text=True, timeout=1500,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def install_commands(folder: Path) -> None:
    """Write programs ``patent-hier`` and ``python`` that train in seconds; see :mod:`tests.docs.tiny`."""
    folder.mkdir(parents=True)
    for name, text in (("patent-hier", _SHIM), ("python", _PYTHON)):
        (folder / name).write_text(text.format(python=sys.executable), "utf-8")
        (folder / name).chmod(0o755)


def make_world(folder: Path) -> Path:
    """Write the files, train the linear model of ``$MODEL`` and the encoder of ``$ENCODER``."""
    install_commands(folder / "bin")
    world = folder / "world"
    world.mkdir()
    write_demo_csv(world / "cnipa.csv", rows=700)
    shutil.copy(world / "cnipa.csv", world / "gazette.csv")
    prepare(world / "cnipa.csv", folder / "corpus", RawFormat())
    corpus = Corpus.open(folder / "corpus")
    rows = corpus.table(["document_id", "title", "abstract", "ipc_class", "main_group"]).to_pylist()
    _write(world / "mine.csv", ("名称", "摘要", "IPC"), [(r["title"], r["abstract"], r["main_group"]) for r in rows])
    _write(world / "new.csv", ("专利名称", "摘要"), [(r["title"], r["abstract"]) for r in rows[:250]])
    parts = [(r["document_id"], "test" if n % 5 == 0 else "train") for n, r in enumerate(rows)]
    _write(world / "parts.csv", ("id", "part"), list(dict(parts).items()))
    (world / "patents.txt").write_text("".join(f"{r['abstract']}\n" for r in rows), "utf-8")
    (world / "token.txt").write_text("a-token-of-the-office-0123456789\n", "utf-8")
    _write(world / "titles.csv", ("code", "level", "title"), _titles(corpus))
    with contextlib.closing(FeedbackStore.open(world / "judgements.sqlite", create=True)) as store:
        for row in rows[:12]:
            store.add(judgement(text=row["abstract"], label=row["ipc_class"], level="class"))
    trained = bash(
        "patent-hier run model=linear level=hier\npatent-hier pretrain 'text=[patents.txt]' max_steps=5 name=given\n",
        world,
    )
    assert trained.returncode == 0, trained.stderr
    (folder,) = (world / "cache" / "corpora").glob("demo-*")
    symbols = Corpus.open(folder).column("subgroup").drop_null().to_pylist()
    moved = next(symbol for symbol in symbols if symbol.startswith("D03"))
    _write(world / "concordance.csv", ("old", "new"), [(moved, "D05B1/00")])
    return world


def variables(world: Path) -> dict[str, str]:
    """``$MODEL`` and ``$ENCODER``, relative to the folder as a reader would write them."""
    (model,) = (world / "runs/linear").glob("result-hier-*")
    (encoder,) = (world / "runs/encoders").glob("given-*")
    return {"MODEL": str(model.relative_to(world)), "ENCODER": str(encoder.relative_to(world))}


def _write(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _titles(corpus: Corpus) -> list[tuple[str, ...]]:
    """Invented titles of all labels in the corpus."""
    levels = {"section": "section", "class": "ipc_class", "subclass": "subclass"}
    levels |= {"main_group": "main_group", "subgroup": "subgroup"}
    columns = {level: sorted(set(corpus.column(name).drop_null().to_pylist())) for level, name in levels.items()}
    return [(code, level, f"{code}类装置") for level, codes in columns.items() for code in codes]
