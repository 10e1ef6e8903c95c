"""Export of a whole system to one folder: everything needed to classify, as safetensors and JSON, with a model card."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

from patent_hier import __version__
from patent_hier.artifacts import MANIFEST, fingerprint, refuse_foreign, seal, verify
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json, write_yaml
from patent_hier.data.characters import CHARACTERS_FILE
from patent_hier.data.titles import LABELS_FILE, labels_json
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.evaluation.contract import PREDICTIONS_FILE, NetworkPredictions
from patent_hier.evaluation.reference import PROFILE_FILE
from patent_hier.evaluation.set_rule import SetRule
from patent_hier.features.pretrained import mirror_hint
from patent_hier.inference.blocked import BLOCKED_FILE, Blocked
from patent_hier.inference.calibration import SHOWN, Calibration, calibrate
from patent_hier.inference.nodes import CLASSIFIER_FILE, CONFIG_FILE, MODEL_FOLDER, NODE_KIND, Classifier, Ensemble
from patent_hier.inference.predictor import NODES, RESULT_KIND, SYSTEM_KIND, System
from patent_hier.plain_yaml import dump
from patent_hier.sanitize import reason, shown
from patent_hier.settings import FLAT, ROOT, SHARED
from patent_hier.taxonomy.names import is_ipc

FORMAT = 3
CONFIG = "config.json"
CARD = "README.md"
DATA_CARD = "DATA.md"
CALIBRATION_FILE = "calibration.json"
_RESULT_FILE = "result.json"
_NAMES_OF_RUNS = (
    "inputs",
    "data",
    "suite",
    "group",
)  # parts of a result that mean nothing elsewhere, or are stated already
_SCORES = {"accuracy": "{}", "top_1": "{}, likeliest path", "top_3": "{}, three likeliest"}
_KINDS = {
    FLAT: "flat classifier over all labels of the deepest level",
    SHARED: "network with one head for each parent label",
    ROOT: "{0} classifier and one classifier per {0} for the labels below it",
}
_HUB_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.yaml", "*.md", BLOCKED_FILE]


class Export(NamedTuple):
    """Content of an exported folder.

    Attributes:
        system: The classifiers.
        calibration: Scalings and thresholds; None without calibration documents.
        facts: Data, split and scores, as JSON-able values.
        license_name: The hub's identifier of the licence; None: unspecified.
        blocked: Places that are never given as an answer.
    """

    system: System
    calibration: Calibration | None
    facts: Mapping[str, Any]
    license_name: str | None
    blocked: Blocked


def located(source: str | Path, revision: str | None) -> Path:
    """Return a model's folder: the given folder, or a repository in the hub's cache or on the hub.

    Raises:
        ConfigError: If neither exists.
    """
    folder = Path(source)
    if folder.exists() or isinstance(source, Path) or source.count("/") != 1 or source.startswith((".", "~")):
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=_HUB_PATTERNS, etag_timeout=5))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{source} is not a folder, and the hub did not provide it ({reason}); check the name, {mirror_hint()}, or "
            f"run 'hf download {source} --local-dir FOLDER' on a connected machine and use that FOLDER"
        ) from error


def system_version(system: System) -> str:
    """Return the fingerprint of a system's weights, labels and readers; :func:`export_system` does not change it."""

    def content(folder: Path) -> Any:
        one = system.loaded[folder]
        if isinstance(one, Classifier):
            return sorted(one.files.items())
        members = [
            [list(member.weights), {node: content(path) for node, path in member.nodes.items()}]
            for member in one.members
        ]
        return [one.node, one.tree.as_dict(), members, one.unknown and list(one.unknown)]

    return fingerprint({node: content(folder) for node, folder in system.nodes.items()})


def load_calibration(folder: Path, system: System) -> Calibration | None:
    """Load the calibration of an exported system, or compute it from the predictions next to a result's models.

    Raises:
        ArtifactError: If one of the files is damaged.
    """
    if read_json(folder / MANIFEST).get("kind") == SYSTEM_KIND:
        verify(folder, only=(CALIBRATION_FILE,))
        file = folder / CALIBRATION_FILE
        return Calibration.from_dict(read_json(file), system.tree.levels) if file.is_file() else None
    if not all((path / PREDICTIONS_FILE).is_file() for path in system.nodes.values()):
        return None
    for path in system.nodes.values():
        verify(path, only=(PREDICTIONS_FILE,))
    found = calibrate({node: NetworkPredictions.read(path / PREDICTIONS_FILE) for node, path in system.nodes.items()})
    return found and replace(found, sets=_set_rule(folder, system))


def _set_rule(folder: Path, system: System) -> SetRule | None:
    """Return the thresholds for sets of labels stored in a result; None in a node's folder."""
    file = folder / _RESULT_FILE
    return SetRule.from_dict(read_json(file).get("set_rule"), system.tree.levels) if file.is_file() else None


def load_facts(folder: Path) -> dict[str, Any]:
    """Return data, split, seed and scores of a system from its result or export, and its data card."""
    manifest = read_json(folder / MANIFEST)
    card = {"data_card": _data_card(folder)} if (folder / DATA_CARD).exists() else {}
    if manifest.get("kind") == SYSTEM_KIND:
        return _checked_facts(folder / CONFIG) | card
    facts = card | {name: manifest.get(name) for name in ("model", "data", "seed")}
    if manifest.get("kind") == RESULT_KIND:
        result = read_json(folder / _RESULT_FILE)
        facts["result"] = {key: value for key, value in result.items() if key not in _NAMES_OF_RUNS}
    environment = manifest.get("environment") or {}
    facts["trained"] = {name: environment.get(name) for name in ("date", "patent_hier", "packages")}
    return facts


def _data_card(folder: Path) -> str:
    """Return the data card of a system.

    Raises:
        ArtifactError: If the file differs from the manifest or is not text.
    """
    verify(folder, only=(DATA_CARD,))
    try:
        return (folder / DATA_CARD).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{folder / DATA_CARD} cannot be read ({reason(error)}); export it again") from error


def _checked_facts(file: Path) -> dict[str, Any]:
    """Return the facts of an exported system, checked for the form that the service and the model card need."""
    verify(file.parent, only=(file.name,))
    content = read_json(file)
    facts = content.get("facts") if isinstance(content, dict) else None
    if not isinstance(facts, dict) or not all(isinstance(facts.get(name) or {}, dict) for name in ("data", "result")):
        raise ArtifactError(f"{file} lacks the facts about its model; export the model again")
    try:
        json.dumps(facts, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise ArtifactError(
            f"{file} cannot be written as JSON ({type(error).__name__}); export the model again"
        ) from error
    return facts


def export_system(export: Export, folder: Path) -> None:
    """Write a system's folder; see :meth:`patent_hier.inference.classifier.HierarchicalClassifier.save_pretrained`."""
    system = export.system
    refuse_foreign(folder, SYSTEM_KIND)
    if folder.resolve() in {path.parent.parent for path in system.nodes.values()}:
        raise ConfigError(f"{folder} is the folder that the model was loaded from; choose another")
    names = {
        path: f"{path.parent.name}-{path.name}" if path.parent.name != NODES else path.name for path in system.loaded
    }
    nodes = {node: f"{NODES}/{names[path]}" for node, path in system.nodes.items()}
    _refuse_other_list(folder, export.blocked)
    with exclusive(folder), atomic_folder(folder) as staging:
        for path, one in system.loaded.items():
            _export_node(path, one, staging / NODES / names[path], names)
        (staging / LABELS_FILE).write_text(labels_json(system.tree), "utf-8")
        if system.characters is not None:
            write_json(staging / CHARACTERS_FILE, system.characters.as_dict())
        if system.reference is not None:
            write_json(staging / PROFILE_FILE, system.reference.as_dict())
        if export.calibration is not None:
            write_json(staging / CALIBRATION_FILE, export.calibration.as_dict())
        version = system_version(system)
        config = {"format": FORMAT, "model_type": "patent_hier", "name": system.name, "version": version}
        text = {"fields": list(system.raw.text), "language": "zh"}
        own = dict(export.facts)
        if (card := own.pop("data_card", None)) is not None:
            (staging / DATA_CARD).write_text(card, "utf-8")
        facts = {"text": text, "nodes": nodes, "license": export.license_name, "facts": own}
        write_json(staging / CONFIG, {**config, **facts})
        (staging / CARD).write_text(model_card(export), "utf-8")
        seal(staging, {"kind": SYSTEM_KIND, **config, "nodes": nodes, "patent_hier": __version__})
        if export.blocked:  # written after sealing: people edit the list, and the manifest covers only what was trained
            export.blocked.write(staging / BLOCKED_FILE)


def _refuse_other_list(folder: Path, blocked: Blocked) -> None:
    """Raise an error if an export holds a different list of blocked places, which a person wrote."""
    there = Blocked.load(folder, blocked.tree)
    if there and there.written() != blocked.written():  # compared as written: formula-like cells are escaped
        raise ConfigError(
            f"{folder / BLOCKED_FILE} blocks other places than the model that would replace it; copy the list into "
            "that model's folder first, or delete it"
        )


def _scores(result: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name.format(level), own[key])
        for level, own in (result.get("levels") or {}).items()
        for key, name in _SCORES.items()
        if isinstance(own.get(key), dict)
    ]


def model_card(export: Export) -> str:
    """Return the model card of a system as Markdown with the hub's YAML header.

    Raises:
        ArtifactError: If the facts or the measured values lack the expected form.
    """
    head: dict[str, Any] = {"language": "zh", "pipeline_tag": "text-classification", "library_name": "patent_hier"}
    scheme = ["IPC"] if is_ipc(export.system.tree) else []
    head |= {"license": export.license_name or "other", "tags": ["patent", *scheme, "hierarchical-classification"]}
    if export.license_name is None:
        head["license_name"] = "unspecified"
    system, facts = export.system, export.facts
    data, levels = facts.get("data") or {}, system.tree.levels
    template = Environment(
        loader=PackageLoader("patent_hier", "resources"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown
    ).get_template("model_card.j2")
    try:
        return template.render(
            head=dump(head),
            system=system,
            labels="".join(f"{name} " for name in scheme) + "labels",
            kind=next(words for node, words in _KINDS.items() if node in system.nodes).format(levels[0]),
            version=system_version(system),
            data=data,
            facts=facts,
            scores=_scores(facts.get("result") or {}),
            calibration=export.calibration,
            deepest_first=levels[::-1],
            shown=SHOWN,
            percent=lambda share: f"{100 * share:.1f}",
        )
    except (TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:  # facts of a foreign export
        raise ArtifactError(
            f"facts of {system.name} are missing or have an unexpected form ({shown(error)}); export the model again"
        ) from error


def _export_node(source: Path, one: Classifier | Ensemble, target: Path, names: Mapping[Path, str]) -> None:
    """Write a node folder with all files needed to classify; an ensemble's members are written next to it."""
    target.mkdir(parents=True)
    data: dict[str, Any] = {}
    if isinstance(one, Ensemble):
        facts = read_json(source / MODEL_FOLDER / CLASSIFIER_FILE)
        for member, loaded in zip(facts["members"], one.members, strict=True):
            member["nodes"] = {node: f"../{names[path]}" for node, path in loaded.nodes.items()}
        (target / MODEL_FOLDER).mkdir()
        write_json(target / MODEL_FOLDER / CLASSIFIER_FILE, facts)
    else:
        for name in one.files:
            copy = target / MODEL_FOLDER / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / MODEL_FOLDER / name, copy)
        data = {"columns": dict(one.raw.columns), "text": list(one.raw.text)}
        data |= {name: getattr(one.raw, name) for name in ("min_symbol", "edition", "encoding")}
        data |= {"context": list(one.raw.context)} if one.raw.context else {}
    write_yaml(target / CONFIG_FILE, {"data": data})
    seal(target, {"kind": NODE_KIND, "node": one.node})


def upload(export: Export, repo_id: str, private: bool) -> str:
    """Export to a temporary folder, upload it, and return the URL of the commit.

    Raises:
        ArtifactError: If the hub rejects the upload.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    with tempfile.TemporaryDirectory(prefix="patent-hier-") as place:
        folder = Path(place) / "model"
        export_system(export, folder)
        api = HfApi()
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            message = f"Model {system_version(export.system)}"
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ArtifactError(
                f"{repo_id} could not be uploaded ({reason}); check the name, the token and the network"
            ) from error
