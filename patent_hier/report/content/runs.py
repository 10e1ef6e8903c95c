"""The runs behind the numbers: what is missing, what they cost, which folders and settings they have."""

from typing import Any

import yaml

from patent_hier.pipeline.evidence import Configuration, NodeRun
from patent_hier.report.content.context import ABSENT, Context, joined, seeds_of

_COST = ("parameters", "seconds", "documents_s", "scored_s", "memory", "threads", "device")
_FOLDERS = ("configuration", "nodes", "seeds", "group", "date", "commit", "precision")


def runs(context: Context) -> dict[str, Any]:
    """Cost and provenance."""
    evidence = context.evidence
    configurations = [(context.name(item), item.configuration) for item in context.systems]
    costs = [(name, *_cost(item)) for name, item in configurations]
    folders = [(name, *_folders(item)) for name, item in configurations]
    return {
        "missing": [
            {"name": item.name, "seed": item.seed, "nodes": ", ".join(item.nodes), "command": item.command}
            for item in evidence.missing
        ],
        "first_command": context.command("model=bertcnn", "level=hier"),
        "cost_table": context.grid(("system", *(f"cost_{column}" for column in _COST)), costs),
        "provenance": _provenance(context),
        "folders_table": context.grid((f"folders_{column}" for column in _FOLDERS), folders),
        "settings": [
            {
                "name": item.name,
                "folder": item.first.folder.name,
                "text": yaml.safe_dump(item.first.config, allow_unicode=True, sort_keys=False),
            }
            for _, item in configurations
        ],
    }


def _cost(configuration: Configuration) -> tuple[str, ...]:
    facts = [run.metrics["training"] for run in configuration.all_runs]
    fitted = [own for own in facts if own.get("seconds")]
    n_seeds = len(configuration.runs)
    seconds = sum(own["seconds"] for own in fitted)
    return (
        f"{sum(own.get('parameters', 0) for own in fitted) / n_seeds:,.0f}" if fitted else ABSENT,
        f"{seconds / n_seeds:,.1f}" if fitted else ABSENT,
        _rate(sum(own["train_documents"] * own.get("epochs", 1) for own in fitted), seconds),
        _rate(sum(own["scored_documents"] for own in fitted), sum(own["score_seconds"] for own in fitted)),
        f"{max(own['peak_memory_bytes'] for own in facts) / 2**20:,.0f}",
        joined(own.get("threads") for own in fitted),
        joined(_device(run) for run in configuration.all_runs),
    )


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if seconds > 0 else ABSENT


def _device(run: NodeRun) -> str:
    """Where it was trained: the GPU's name, or CPU."""
    if not str(run.metrics["training"].get("device", "cpu")).startswith("cuda"):
        return "CPU"
    return str(run.manifest["environment"].get("cuda_device") or "GPU")


def _provenance(context: Context) -> list[tuple[str, str]]:
    """Names and facts that let a reader repeat it; of the first result, versions and machine."""
    corpus, word = context.evidence.corpus, context.word
    facts = {
        "fact_corpus": f"{corpus.manifest['name']}, {corpus.fingerprint}",
        "fact_source": str(corpus.manifest["source_sha256"]),
        "fact_split": context.evidence.split.name,
    }
    if context.systems:
        environment = context.systems[0].configuration.first.manifest["environment"]
        packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
        facts["fact_python"] = f"{environment['python']}; {packages}"
        facts["fact_machine"] = f"{environment['platform']}, {environment['cpus']} CPU"
        facts["fact_code"] = f"patent_hier {environment['patent_hier']}, {environment['git_commit'] or ABSENT}"
    return [(word(key), fact) for key, fact in facts.items()]


def _folders(configuration: Configuration) -> tuple[str, ...]:
    environments = [run.manifest["environment"] for run in configuration.all_runs]
    dates = sorted(own["date"][:10] for own in environments)
    return (
        str(len(environments)),
        seeds_of(configuration.runs),
        str(configuration.first.manifest["group"]),
        ", ".join(dict.fromkeys((dates[0], dates[-1]))),
        joined((own["git_commit"] or ABSENT)[:7] for own in environments),
        joined(own["precision"] for own in environments),
    )
