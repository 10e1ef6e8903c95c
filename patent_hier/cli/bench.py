"""``patent-hier bench``: our speed beside what a user would pick instead, in one interleaved run."""

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import OneLineParser

USAGE = """Measure our speed beside what a user would pick instead, in turn on this machine: a table and JSON.

usage: patent-hier bench [options] [data=cnipa|gazette data.path=FILE.csv]

  --rows NAMES     prepare,tokens,segmentation,training,overhead,scoring,ablation,startup;
                   the default is all
  --size SIZE      quick (some minutes) or full
  --output FOLDER  where to write; the default is runs/bench

The texts are those of the corpus, the demo corpus unless told otherwise. Leave the machine alone while it measures.
The peer of training needs the extra bench: pip install -e ".[bench]"."""


def run(arguments: Sequence[str]) -> None:
    """Measure, print the table, record it.

    Raises:
        ConfigError: If an option is unknown.
        DataError: If the corpus cannot be used.
    """
    options = _parser().parse_intermixed_args(list(arguments))
    settings = compose_settings(options.overrides)
    from patent_hier.bench.suite import AMOUNTS, WORKS, cells, check_request, print_table, run_bench, write_bench
    from patent_hier.pipeline.progress import say
    from patent_hier.pipeline.stages import ensure_corpus

    works = options.rows.split(",") if options.rows else list(WORKS)
    check_request(works, options.size)
    corpus = ensure_corpus(settings.data, Path(settings.cache_dir))
    most = AMOUNTS[options.size].texts
    texts = list(islice(chain.from_iterable(corpus.iter_texts()), most))
    titles = [title or "" for title in corpus.column("title").slice(0, most).to_pylist()]
    rows = []
    for row in run_bench(texts, titles, works, options.size):
        rows.append(row)
        say("  ".join(cells(row)))
    print_table(rows)
    folder = options.output or Path(settings.runs_dir) / "bench"
    data = {"name": settings.data.name, "corpus": corpus.fingerprint, "documents": corpus.size}
    write_bench(rows, folder, {"size": options.size, "rows": works, "data": data})


def _parser() -> OneLineParser:
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--rows")
    parser.add_argument("--size", default="quick")
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*")
    return parser
