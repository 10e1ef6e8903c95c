"""``patent-hier report``: all finished results of one corpus and split -> one page, its Markdown, its figures."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import OneLineParser
from patent_hier.sanitize import one_line

USAGE = """All finished results of one corpus and split -> one page (English and Chinese), its Markdown, its figures.

usage: patent-hier report [--output FOLDER] [data=... split=... runs_dir=...]

The corpus and the split are those of the overrides; every model that was run on them is in the report. Nothing is
trained; what is missing is named, with the command that trains it. The exit status is then not 0."""


def run(arguments: Sequence[str]) -> None:
    """Collect, score, write.

    Raises:
        IncompleteError: After writing, if results that were begun are not complete; the line names them.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args(list(arguments))
    settings = compose_settings(options.overrides)
    from rich.console import Console

    from patent_hier.errors import IncompleteError
    from patent_hier.pipeline.stages import ensure_corpus, ensure_split, split_plan
    from patent_hier.report.build import PAGE_FILE, build_report, read_table_2
    from patent_hier.report.tables import DEMO_NOTE, print_grid

    cache = Path(settings.cache_dir)
    plan = split_plan(settings.split)
    corpus = ensure_corpus(settings.data, cache)
    folder, evidence = build_report(
        settings, corpus, ensure_split(corpus, plan, cache), options.output, options.overrides
    )
    print_grid(Console(), read_table_2(folder))
    if settings.data.name == "demo":
        print(DEMO_NOTE)
    print(one_line(f"{folder / PAGE_FILE}: the whole report, to be opened in a browser"))
    if evidence.missing:
        lacks = "; ".join(f"{item.name} seed={item.seed}: {', '.join(item.nodes)}" for item in evidence.missing)
        commands = " && ".join(dict.fromkeys(item.command for item in evidence.missing))
        raise IncompleteError(f"the report {folder} lacks nodes of {lacks}; train them: {commands}")
