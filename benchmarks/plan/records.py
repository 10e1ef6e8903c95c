"""Read recorded runs of ``speed`` and the figures that a plan needs from them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.architecture import SIZES, TRAINING_PASSES, Architecture
from benchmarks.plan.machines import GPUS, Gpu
from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.settings import FP32

_FILE = "bench.json"
GPU_CHECK = "gpu-check"  # folder in runs_dir with the records of the GPU check
_RECORDED = Path(__file__).parents[2] / "experiments" / "results" / "bench"
LINEAR = ("count", "linear")  # stages of model=linear only; older records lack them
_SCALE = "SIZE=full ARGS='--rows scale'"
_Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A recorded run."""

    folder: Path
    machine: dict[str, Any]  # machine and date, from the manifest
    rows: list[_Row]

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read a record from ``bench.json`` or from its folder.

        Raises:
            ArtifactError: If the file is missing or is not a record.
        """
        folder = path.parent if path.name == _FILE else path
        manifest, rows = read_json(folder / MANIFEST), read_json(folder / _FILE)
        machine = manifest.get("environment") if isinstance(manifest, dict) else None
        if not isinstance(machine, dict) or not isinstance(machine.get("date"), str) or not isinstance(rows, list):
            raise ArtifactError(f"{folder} has no bench record; create one with make bench")
        return cls(folder, machine, rows)

    def line(self) -> str:
        """Return the folder, date and machine of the record as text."""
        folder, here = self.folder.resolve(), Path.cwd()
        shown = folder.relative_to(here) if folder.is_relative_to(here) else self.folder
        date, commit = self.machine["date"][:10], str(self.machine.get("git_commit"))[:7]
        return f"{shown} ({date}, {self.machine.get('cpus')} cores, commit {commit})"


def find_records(given: Sequence[Path], runs: Path) -> list[Record]:
    """Return the given records, or else those in ``runs/bench``, ``runs/gpu-check`` and ``experiments``, newest first.

    Raises:
        ArtifactError: If a given path is not a record.
    """
    roots = (runs / "bench", runs / GPU_CHECK, _RECORDED)
    places = given or [file for root in roots for file in sorted(root.rglob(_FILE))]
    return sorted(map(Record.read, places), key=lambda record: str(record.machine["date"]), reverse=True)


@dataclass(frozen=True)
class Speed:
    """Measured speed of arithmetic."""

    flops: float  # floating-point operations per second
    device: str  # cpu, or the card's name
    precision: str
    tokens: float  # mean per document

    @classmethod
    def of(cls, row: _Row, size: str, passes: int) -> "Speed":
        """Compute the speed from a row's documents per second and the operations of ``passes`` over a mean document."""
        facts = row["facts"]
        tokens, device = facts["tokens"] / facts["documents"], facts.get("device_name", facts.get("device", "cpu"))
        flops = row["ours"] * passes * SIZES[size].forward_flops(tokens, tokens**2)
        return cls(flops, device, facts.get("precision", FP32), tokens)


@dataclass(frozen=True)
class Figures:
    """All figures that a plan takes from the records."""

    stages: dict[str, dict[str, Any]]  # figures of each stage before training, at the largest size
    training: Speed
    scoring: Speed
    utilisation: tuple[float, Gpu] | None  # share of a card's peak reached in training; None: no known card
    sources: tuple[str, ...]


def read_figures(records: Sequence[Record], encoder: Architecture) -> Figures:
    """Take each figure from the newest record that has it.

    Args:
        records: The records, newest first.
        encoder: Encoder to plan for; training and scoring figures come from the measured network closest in size.

    Raises:
        ConfigError: If no record has a necessary figure; the message names the command that measures it.
    """
    used: dict[str, None] = {}

    def rows(wanted: Callable[[_Row], bool]) -> Iterator[tuple[Record, _Row]]:
        return ((record, row) for record in records for row in record.rows if wanted(row))

    def newest(wanted: Callable[[_Row], bool], what: str, words: str) -> _Row:
        if (found := next(rows(wanted), None)) is None:
            raise ConfigError(f"no bench record has {what}; measure it with make bench {words}")
        used[found[0].line()] = None
        return found[1]

    def begins(work: str) -> Callable[[_Row], bool]:
        return lambda row: str(row["work"]).startswith(f"{work}, {size} size")

    def speed(work: str, passes: int) -> Speed:
        name = work.split()[0]
        return Speed.of(newest(begins(work), f"{name} at {size} size", f"ARGS='--rows {name}'"), size, passes)

    def stage(name: str) -> dict[str, Any]:
        return dict(
            newest(lambda row: row["facts"].get("stage") == name, f"the stage {name}", _SCALE)["facts"]["sizes"][-1]
        )

    size = min(SIZES, key=lambda name: abs(math.log(SIZES[name].matrix_weights / encoder.matrix_weights)))
    known = {row["facts"].get("stage") for record in records for row in record.rows}
    linear = [name for name in LINEAR if name in known]
    stages = {name: stage(name) for name in ("prepare", "split", "encode", "loader", *linear)}
    training, scoring = speed("training step", TRAINING_PASSES), speed("scoring abstracts", 1)
    steps = (Speed.of(row, size, TRAINING_PASSES) for _, row in rows(begins("training step")))
    shares = ((one.flops / gpu.peak(one.precision), gpu) for one in steps for gpu in GPUS if gpu.name in one.device)
    return Figures(stages, training, scoring, next(shares, None), tuple(used))
