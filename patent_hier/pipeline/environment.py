"""Facts about machine, code and command for a manifest: what would make two runs differ."""

import datetime
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import patent_hier
from patent_hier.features.versions import package_version
from patent_hier.models.allocation import give_freed_memory_back

_PACKAGES = (
    "torch",
    "pytorch-lightning",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "scikit-learn",
    "jieba",
    "gensim",
    "pyarrow",
    "hydra-core",
)
_PROC = Path("/proc/self")


def describe_environment() -> dict[str, Any]:
    """Date, command, versions, machine and code; the torch facts are added by whoever has imported it."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],  # where the program lies is of no use elsewhere
        "python": platform.python_version(),
        "packages": dict(_versions()),
        "patent_hier": patent_hier.__version__,
        "git_commit": _git_commit(Path(patent_hier.__file__).resolve().parent),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
    }


class PeakMemory:
    """The most main memory that this process held since the object was made.

    On Linux freed memory goes back to the system and the kernel's mark is set back first, so that earlier nodes of the
    same process do not count.
    """

    def __init__(self) -> None:
        give_freed_memory_back()
        try:
            (_PROC / "clear_refs").write_text("5")  # 5: set VmHWM back to the memory held now
            self._since_start = False
        except OSError:  # not Linux, or not allowed: the mark of the whole process is what there is
            self._since_start = True

    def bytes(self) -> int:
        """Bytes, the memory of a GPU not included; 0 on Windows, which counts none for Python."""
        if self._since_start:
            try:
                import resource
            except ImportError:
                return 0
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes
        line = next(line for line in (_PROC / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@cache
def _versions() -> dict[str, str | None]:
    return {name: package_version(name) for name in _PACKAGES}


@cache
def _git_commit(folder: Path) -> str | None:
    """The checkout's commit, ``+`` appended when files differ from it; None outside a checkout.

    Asked once in a process: what is committed later is not the code that this process has loaded.
    """
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel")).resolve() != folder.parent:
            return None  # installed somewhere below another project's checkout
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed words, in the checkout that this code is from
        ("git", *arguments),  # noqa: S607 - git, wherever the user has it
        cwd=folder, capture_output=True, text=True, check=True, timeout=10,
    )  # fmt: skip
    return done.stdout.strip()
