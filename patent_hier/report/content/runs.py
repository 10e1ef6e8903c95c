"""The runs behind the numbers: missing results, computing cost, folders and settings."""

from typing import Any

from patent_hier.pipeline.evidence import Configuration, NodeRun
from patent_hier.plain_yaml import dump
from patent_hier.report.content.context import Context, joined, seeds_of
from patent_hier.report.tables import ABSENT


def runs(context: Context) -> dict[str, Any]:
    """Return cost and provenance; versions and machine are those of the first result."""
    configurations = [(context.name(item), item.configuration) for item in context.systems]
    variables = {
        "missing": context.evidence.missing,
        "first_command": context.command("model=bertcnn", "level=hier"),
        "cost_table": context.grid([{"system": name, **_cost(item)} for name, item in configurations]),
        "folders_table": context.grid(
            [{"folders_configuration": name, **_folders(item)} for name, item in configurations]
        ),
        "settings": [
            {
                "name": item.name,
                "folder": item.first.folder.name,
                "text": dump(item.first.config),
            }
            for _, item in configurations
        ],
    }
    if configurations:
        environment = configurations[0][1].first.manifest["environment"]
        packages = [f"{name} {version}" for name, version in environment["packages"].items() if version]
        variables["environment"] = {**environment, "packages": ", ".join(packages)}
    return variables


def _cost(configuration: Configuration) -> dict[str, str]:
    facts = [run.metrics["training"] for run in configuration.all_runs]
    fitted = [own for own in facts if own.get("seconds")]
    n_seeds = len(configuration.runs)
    memory = max(own["peak_memory_bytes"] for own in facts)
    seconds = sum(own["seconds"] for own in fitted)
    passes = sum(own["train_documents"] * own.get("epochs", 1) for own in fitted)
    scored, score_seconds = (sum(own[key] for own in fitted) for key in ("scored_documents", "score_seconds"))
    return {
        "cost_parameters": f"{sum(own.get('parameters', 0) for own in fitted) / n_seeds:,.0f}" if fitted else ABSENT,
        "cost_seconds": f"{seconds / n_seeds:,.1f}" if fitted else ABSENT,
        "cost_documents_s": f"{passes / seconds:,.0f}" if seconds else ABSENT,
        "cost_scored_s": f"{scored / score_seconds:,.0f}" if score_seconds else ABSENT,
        "cost_memory": f"{memory / 2**20:,.0f}" if memory else ABSENT,
        "cost_threads": joined(own.get("threads") for own in fitted),
        "cost_device": joined(map(_device, configuration.all_runs)),
    }


def _device(run: NodeRun) -> str:
    """Return the device used for training: the name of the GPU, or CPU."""
    if not str(run.metrics["training"].get("device", "cpu")).startswith("cuda"):
        return "CPU"
    return str(run.manifest["environment"].get("cuda_device") or "GPU")


def _folders(configuration: Configuration) -> dict[str, str]:
    environments = [run.manifest["environment"] for run in configuration.all_runs]
    dates = sorted(own["date"][:10] for own in environments)
    return {
        "folders_nodes": str(len(environments)),
        "folders_seeds": seeds_of(configuration.runs),
        "folders_group": str(configuration.first.manifest["group"]),
        "folders_date": ", ".join(dict.fromkeys((dates[0], dates[-1]))),
        "folders_commit": joined((own["git_commit"] or ABSENT)[:7] for own in environments),
        "folders_precision": joined(own["precision"] for own in environments),
    }
