"""``patent-hier audit``: what lies on two sides of a split, and what that is worth."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import OneLineParser

USAGE = """Look for relatives on two sides of a split: equal and similar texts, families, applicants, days.

usage: patent-hier audit [--output FOLDER] [data=... split=... runs_dir=...]

Prints tables and writes them to runs/audit-<data>-<split>/, as Markdown and JSON. Finished results of the corpus and
split are scored again without leaked documents, and equal systems under several splits stand side by side. Nothing is
trained. A split that breaks the promise of its policy ends the command with status 1, after writing."""

_KINDS = {"flat_model": " (flat)", "shared_network": " (shared)"}  # of systems, for their names


def run(arguments: Sequence[str]) -> None:
    """Audit, print, write.

    Raises:
        DataError: After writing, if the split breaks its policy's promise.
        ArtifactError: If a result is damaged.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args(list(arguments))
    settings = compose_settings(options.overrides)
    from rich.console import Console

    from patent_hier.pipeline.collecting import collect
    from patent_hier.pipeline.relations import audit, load_relations, refuse_broken
    from patent_hier.pipeline.stages import ensure_corpus, ensure_split, load_parts, split_plan
    from patent_hier.report.auditing import TABLE_FILE, AuditReport, scores_by_policy
    from patent_hier.report.scores import leakage, leaked_ids, score_all
    from patent_hier.report.tables import DEMO_NOTE, print_grid

    cache, runs = Path(settings.cache_dir), Path(settings.runs_dir)
    plan = split_plan(settings.split)
    corpus = ensure_corpus(settings.data, cache)
    split = ensure_split(corpus, plan, cache)
    relations = load_relations(corpus, cache)
    found = audit(corpus, split, plan.policy, relations)
    evidence = collect(runs, corpus, split)
    ids = leaked_ids(corpus, relations, load_parts(corpus, split))
    leakages = {item.configuration.name + _KINDS.get(item.kind, ""): leakage(item, ids) for item in score_all(evidence)}
    report = AuditReport(split.name, found, leakages, scores_by_policy(runs, corpus))
    for grid in report.grids:
        print_grid(Console(), grid)
    print("\n".join(report.notes))
    if settings.data.name == "demo":
        print(DEMO_NOTE)
    folder = options.output or runs / f"audit-{corpus.manifest['name']}-{split.name}"
    facts = {"data": corpus.manifest["name"], "corpus": corpus.fingerprint, "split": split.name}
    report.write(folder, {**facts, "overrides": list(options.overrides)})
    print(f"audit: {folder / TABLE_FILE}")
    refuse_broken(found, split)
