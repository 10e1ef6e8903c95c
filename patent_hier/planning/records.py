"""The bench's records, and the figures in them that a plan is made of."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import patent_hier
from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.bench.architecture import SIZES, TRAINING_PASSES, Architecture
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.planning.machines import GPUS, Gpu
from patent_hier.settings import FP32

RECORD = "bench.json"
_Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A recorded run of the bench.

    Attributes:
        folder: Where it lies.
        manifest: When and where it was made.
        rows: What it measured.
    """

    folder: Path
    manifest: dict[str, Any]
    rows: list[_Row]

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read ``bench.json``, or the folder that holds it.

        Raises:
            ArtifactError: If it is missing or no record of the bench.
        """
        folder = path.parent if path.name == RECORD else path
        manifest, rows = read_json(folder / MANIFEST), read_json(folder / RECORD)
        is_record = isinstance(manifest, dict) and manifest.get("kind") == "bench" and isinstance(rows, list)
        if not is_record or not isinstance(manifest.get("environment", {}).get("date"), str):
            raise ArtifactError(f"{folder} holds no record of the bench; patent-hier bench makes one")
        return cls(folder, manifest, rows)

    @property
    def date(self) -> str:
        """When it was made, so that dates sort."""
        return str(self.manifest["environment"]["date"])

    def line(self) -> str:
        """Where and when, for a reader."""
        machine = self.manifest["environment"]
        commit = str(machine.get("git_commit"))[:7]
        folder, here = self.folder.resolve(), Path.cwd()
        shown = folder.relative_to(here) if folder.is_relative_to(here) else self.folder
        return f"{shown} ({self.date[:10]}, {machine.get('cpus')} cores, commit {commit})"


def find_records(given: Sequence[Path], runs: Path) -> list[Record]:
    """The records to read, the newest first.

    Args:
        given: As the user named them; if empty, those of ``runs/bench`` and of the checkout's ``experiments``.
        runs: The folder of results.

    Raises:
        ArtifactError: If a given one is none.
        ConfigError: If there is none at all.
    """
    recorded = Path(patent_hier.__file__).resolve().parent.parent / "experiments" / "results" / "bench"
    places = given or [file.parent for root in (runs / "bench", recorded) for file in sorted(root.rglob(RECORD))]
    if not places:
        raise ConfigError("there is no record of the bench; make one: patent-hier bench --size full")
    return sorted(map(Record.read, places), key=lambda record: record.date, reverse=True)


@dataclass(frozen=True)
class Stage:
    """A stage before training, at the largest measured size.

    Attributes:
        rows: Of the raw file.
        items: What it went through: rows, or documents.
        rate: Items per second.
        own: Peak of its own memory, in bytes.
        facts: What else was measured.
    """

    rows: int
    items: int
    rate: float
    own: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class Speed:
    """Measured arithmetic.

    Attributes:
        flops: Floating-point operations per second.
        device: ``cpu``, or the card's name.
        precision: ``32-true`` or ``bf16-mixed``.
        tokens: Mean of a document.
    """

    flops: float
    device: str
    precision: str
    tokens: float


@dataclass(frozen=True)
class Figures:
    """All that a plan takes from the bench.

    Attributes:
        stages: ``prepare``, ``split``, ``encode`` and ``loader``.
        training: Of training steps.
        scoring: Of scoring.
        utilisation: Share of the published peak that training steps reached on a card, and that card; None if no
            record is of a card in :data:`GPUS`.
        sources: The records, in words.
    """

    stages: dict[str, Stage]
    training: Speed
    scoring: Speed
    utilisation: tuple[float, Gpu] | None
    sources: tuple[str, ...]


def read_figures(records: Sequence[Record], encoder: Architecture) -> Figures:
    """Take each figure from the newest record that has it.

    Args:
        records: The newest first.
        encoder: The figures of training and scoring are those of the bench's network that is closest in size.

    Raises:
        ConfigError: If none has one of them; it names the command that measures it.
    """
    size = _closest(encoder)
    stages, used = {}, []
    for stage in ("prepare", "split", "encode", "loader"):
        record, row = _newest(records, _is_stage(stage), f"the stage {stage}", "scale --size full")
        stages[stage] = _stage(row)
        used.append(record)
    training, step = _newest(records, _named(f"training step, {size} size"), f"training at {size} size", "training")
    scoring, score = _newest(records, _named(f"scoring abstracts, {size} size"), f"scoring at {size} size", "scoring")
    on_card = next(
        (speed for row in _rows(records, f"training step, {size} size") if (speed := _card(row, size))), None
    )
    lines = dict.fromkeys(record.line() for record in (*used, training, scoring))
    return Figures(stages, _speed(step, size, TRAINING_PASSES), _speed(score, size, 1), on_card, tuple(lines))


def _closest(encoder: Architecture) -> str:
    return min(SIZES, key=lambda name: abs(math.log(SIZES[name].matrix_weights / encoder.matrix_weights)))


def _named(beginning: str) -> Callable[[_Row], bool]:
    return lambda row: str(row.get("work")).startswith(beginning)


def _is_stage(stage: str) -> Callable[[_Row], bool]:
    return lambda row: bool(row.get("facts", {}).get("stage") == stage)


def _newest(records: Sequence[Record], wanted: Callable[[_Row], bool], what: str, rows: str) -> tuple[Record, _Row]:
    for record in records:
        for row in record.rows:
            if wanted(row):
                return record, row
    raise ConfigError(f"no record of the bench has {what}; measure it: patent-hier bench --rows {rows}")


def _rows(records: Sequence[Record], beginning: str) -> Iterable[_Row]:
    return (row for record in records for row in record.rows if _named(beginning)(row))


def _stage(row: _Row) -> Stage:
    largest = row["facts"]["sizes"][-1]
    return Stage(largest["rows"], largest["items"], largest["per_second"], largest["peak_own_bytes"], largest)


def _speed(row: _Row, size: str, passes: int) -> Speed:
    """Arithmetic of a row: documents a second times the operations of a document of mean length."""
    facts = row["facts"]
    tokens = facts["tokens"] / facts["documents"]
    flops = passes * SIZES[size].forward_flops(tokens, tokens**2)
    device = facts.get("device_name", facts.get("device", "cpu"))
    return Speed(row["ours"] * flops, device, facts.get("precision", FP32), tokens)


def _card(row: _Row, size: str) -> tuple[float, Gpu] | None:
    speed = _speed(row, size, TRAINING_PASSES)
    gpu = next((gpu for name, gpu in GPUS.items() if name in speed.device), None)
    return None if gpu is None else (speed.flops / gpu.peak(speed.precision), gpu)
