"""Traps: files that make a folder appear when they are loaded in the unsafe way, and only then."""

import io
import json
import marshal
import os
import pickle
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from patent_hier.artifacts import MANIFEST, seal
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, ConfigError
from tests.commands import Outcome


class _Payload:
    """Pickled, it makes a folder wherever it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = str(marker)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (self._marker,)


@dataclass(frozen=True)
class Trap:
    """What a hostile file would do: make ``marker``."""

    marker: Path

    @property
    def payload(self) -> object:
        """An object whose pickle is hostile."""
        return _Payload(self.marker)

    @property
    def pickled(self) -> bytes:
        """A hostile pickle."""
        return pickle.dumps(self.payload)

    @property
    def python(self) -> str:
        """Hostile source code; it does not mind to be run twice."""
        return f"import os\nos.makedirs({str(self.marker)!r}, exist_ok=True)\n"

    @property
    def marshalled(self) -> bytes:
        """Hostile code as ``marshal`` keeps it; loading alone runs nothing, whoever loads it gets a code object."""
        return marshal.dumps(compile(self.python, "dictionary", "exec"))

    @property
    def yaml(self) -> str:
        """Hostile YAML, of which the unsafe loaders make a call."""
        return f"!!python/object/apply:os.mkdir [{str(self.marker)!r}]"

    def pickle(self, file: Path) -> None:
        """Write a hostile pickle in the place of a file, and see that it would do harm."""
        file.write_bytes(self.pickled)
        self.closes(lambda: pickle.loads(file.read_bytes()))  # noqa: S301 - the trap's own payload

    def save(self, file: Path) -> None:
        """Write a hostile pickle as PyTorch saves one, and see that it would do harm."""
        torch.save(self.payload, file)
        self.closes(lambda: torch.load(io.BytesIO(file.read_bytes()), weights_only=False))  # whatever the file's name

    def closes(self, load: Callable[[], object]) -> None:
        """The positive control: loaded in the unsafe way, the file does what it is there for."""
        assert not self.marker.exists()
        try:
            load()
        except Exception as error:  # many loaders refuse what comes out, once it has run
            print(error)
        assert self.marker.is_dir(), "the payload has no teeth"
        self.marker.rmdir()


def run_marshalled(content: bytes) -> None:
    """What a program would do that trusts a code object from a file."""
    exec(marshal.loads(content), types.SimpleNamespace().__dict__)  # noqa: S102, S302 - the trap's own payload


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    """A trap that must stay open, whatever the test does."""
    made = Trap(tmp_path / "marker-of-executed-code")
    yield made
    assert not made.marker.exists(), "code from a file was executed"


def reseal(*folders: Path) -> None:
    """Manifests that fit the folders' files, as whoever changed them would write them."""
    for folder in folders:
        seal(folder, {key: value for key, value in read_json(folder / MANIFEST).items() if key != "files"})


def change_json(file: Path, **changes: object) -> dict[str, Any]:
    """Other values in a file of JSON, which need not be there."""
    content = {**(json.loads(file.read_text("utf-8")) if file.is_file() else {}), **changes}
    file.write_text(json.dumps(content), "utf-8")
    return content


def refused(outcome: Outcome) -> str:
    """The one line of a refusal."""
    assert outcome.status in (1, 2), outcome
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    assert not lines[0].startswith("error: unexpected"), lines[0]
    return lines[0]


def refusal(call: Callable[[], object]) -> str:
    """The one line of an error of settings or files."""
    with pytest.raises((ConfigError, ArtifactError)) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)
