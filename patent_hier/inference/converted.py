"""Networks converted to ONNX files for other engines, cached under a name derived from their content.

Each file is compared with its network when it is written (:mod:`patent_hier.inference.onnx_network`) and verified
whenever it is read. For int8, the weights are rounded after that comparison.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from patent_hier.artifacts import find_damage, fingerprint, seal
from patent_hier.atomic import atomic_folder, exclusive, is_denied
from patent_hier.features.versions import package_version
from patent_hier.inference.engines import INT8, ONNX, Engine
from patent_hier.inference.onnx_network import example_of, export_network
from patent_hier.inference.rounding import ROUNDERS, has_short_sums
from patent_hier.models.registry import TokenReader
from patent_hier.models.saved import NodeClassifier

CONVERTED_VERSION = 1  # increase when the same network is written differently
CONVERTED_KIND = "converted"  # kind in the manifest
_FILE = "network.onnx"
_PACKAGES = ("torch", "transformers", "onnx", "onnxruntime")


@contextmanager
def converted(
    classifier: NodeClassifier, engine: Engine, cache: Path | None, files: Mapping[str, str] | None
) -> Iterator[Path]:
    """Yield the file of a network for an engine; the file may be deleted when the context ends.

    Args:
        classifier: Classifier with a network.
        engine: Engine that reads the file; in precisions other than int8, all engines read the same file.
        cache: As in :func:`patent_hier.inference.moving.move`; a read-only cache is ignored.
        files: As in :func:`patent_hier.inference.moving.stand_in`.

    Raises:
        ConfigError: If the network cannot be exported, or the file's scores differ from the network's.
    """
    form = engine.name if engine.precision == INT8 else "any"
    facts = {
        "version": CONVERTED_VERSION,
        "for": form,
        "files": sorted((files or {}).items()),
        "packages": {name: package_version(name) for name in _PACKAGES},
    }
    if form == ONNX and has_short_sums():
        facts["weight_bits"] = 7
    if cache is not None and files is not None:
        folder = cache / "engines" / fingerprint(facts)
        try:
            with exclusive(folder):
                if not folder.is_dir() or find_damage(folder) is not None:
                    _make(classifier, form, folder, facts)
        except OSError as error:
            if not is_denied(error):
                raise
        else:
            yield folder / _FILE
            return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "network"
        _make(classifier, form, folder, facts)
        yield folder / _FILE


def _make(classifier: NodeClassifier, form: str, folder: Path, facts: Mapping[str, object]) -> None:
    with atomic_folder(folder) as staging:
        file = staging / _FILE
        comparison = export_network(classifier, file)
        if form in ROUNDERS:
            assert isinstance(classifier.reader, TokenReader)
            ROUNDERS[form](file, example_of(classifier.reader))
        seal(staging, {"kind": CONVERTED_KIND, **facts, "comparison": asdict(comparison)})
