"""What Windows lacks is taken away, in a process of its own: the commands of a first day work without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import patent_hier

_MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
_SIGNALS = ("SIGHUP", "SIGKILL", "SIGTSTP", "pthread_sigmask")
_CALLS = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "fork", "geteuid", "getuid", "mkfifo", "sched_getaffinity")
_FIRST_DAY = f"""
import os, signal, sys
sys.modules.update(dict.fromkeys({_MODULES}))
for module, names in ((signal, {_SIGNALS}), (os, {_CALLS})):
    for name in names:
        delattr(module, name)
from pathlib import Path
from patent_hier.cli.main import main

DATA = ("data=demo", "data.rows=300")
Path("new.txt").write_text("一种激光测距装置\\n", "utf-8")
states = [main(["prepare", *DATA]), main(["run", "model=linear", "level=flat", *DATA])]
(result,) = Path("runs/linear").glob("result-flat-*")
states += [main(["predict", str(result), *words]) for words in (("new.txt",), ("--abstract", "一种激光测距装置"))]
print(states, "transformers" in sys.modules)
"""


@pytest.mark.slow
def test_a_first_day_without_posix(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(patent_hier.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_DAY], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1:] == ["[0, 0, 0, 0] False"], done.stderr
    assert (tmp_path / "new.predicted.csv").read_text("utf-8-sig").count("\n") == 2
    assert not list(tmp_path.rglob(".partial-*"))
