"""Where the numbers come from: data, versions, machine, settings, folders."""

import yaml

from patent_hier.pipeline.evidence import Configuration
from patent_hier.report.blocks import Block, Details, Facts, Heading, Listing, TableBlock
from patent_hier.report.content.context import Context, seeds_of
from patent_hier.report.tables import Grid


def provenance(context: Context) -> list[Block]:
    """The part that lets a reader repeat it."""
    say, evidence = context.say, context.evidence
    manifest = evidence.corpus.manifest
    configurations = (*evidence.hierarchical, *evidence.flat)
    pairs = [
        (say("fact_corpus"), f"{manifest['name']}, {evidence.corpus.fingerprint}"),
        (say("fact_source"), str(manifest["source_sha256"])),
        (say("fact_split"), evidence.split.name),
    ]
    if configurations:
        environment = configurations[0].first.manifest["environment"]
        packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
        pairs += [
            (say("fact_python"), f"{environment['python']}; {packages}"),
            (say("fact_machine"), f"{environment['platform']}, {environment['cpus']} CPU"),
            (say("fact_code"), f"patent_hier {environment['patent_hier']}, {environment['git_commit'] or '–'}"),
        ]
    blocks: list[Block] = [Heading(2, say("provenance_title"), "provenance"), Facts(tuple(pairs))]
    if configurations:
        blocks.append(TableBlock(_folders(context), say("folders_table"), say("folders_note")))
        blocks += [_settings(context, configuration) for configuration in configurations]
    return blocks


def _folders(context: Context) -> Grid:
    say = context.say
    rows = []
    for item, kind in context.configurations:
        runs = item.all_runs
        dates = sorted(run.manifest["environment"]["date"][:10] for run in runs)
        commits = sorted({(run.manifest["environment"]["git_commit"] or "–")[:7] for run in runs})
        precisions = sorted({str(run.manifest["environment"]["precision"] or "–") for run in runs} - {"–"})
        rows.append(
            (
                context.name(item, kind),
                str(len(runs)),
                seeds_of(item.runs),
                str(item.first.manifest["group"]),
                ", ".join(dict.fromkeys((dates[0], dates[-1]))),
                ", ".join(commits),
                ", ".join(precisions) or "–",
            )
        )
    columns = ("configuration", "nodes", "seeds", "group", "date", "commit", "precision")
    return Grid("", tuple(say(f"folders_{column}") for column in columns), tuple(rows))


def _settings(context: Context, configuration: Configuration) -> Details:
    run = configuration.first
    text = yaml.safe_dump(run.config, allow_unicode=True, sort_keys=False)
    summary = context.say("settings_of", name=configuration.name, folder=run.folder.name)
    return Details(summary, (Listing(text),))
