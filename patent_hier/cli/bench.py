"""``patent-hier bench``: our speed beside what a user would pick instead, in one interleaved run."""

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import OneLineParser

if TYPE_CHECKING:
    from patent_hier.bench.rows import Row

USAGE = """Measure our speed beside what a user would pick instead, in turn on this machine: a table and JSON.

usage: patent-hier bench [options] [data=cnipa|gazette data.path=FILE.csv]

  --rows NAMES     prepare,tokens,segmentation,training,overhead,scoring,ablation,startup,scale,serving;
                   the default is all
  --size SIZE      quick (some minutes) or full
  --output FOLDER  where to write; the default is runs/bench

The texts are those of the corpus, the demo corpus unless told otherwise. Leave the machine alone while it measures.
The row scale takes generated files instead, of 10,000 and 30,000 rows (quick) or up to 2,770,000 (full; 4 GB of disk,
in the folder of TMPDIR): time and peak memory by size, with a figure.
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
    from patent_hier.pipeline.stages import ensure_corpus
    from patent_hier.progress import say

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
    write_bench(rows, folder, {"size": options.size, "rows": works, "data": data}, _figures)


def _figures(rows: Sequence["Row"]) -> dict[str, bytes]:
    """The figure of the rows that were measured at several sizes; none without such rows."""
    curves = {row.facts["stage"]: row.facts["sizes"] for row in rows if "sizes" in row.facts}
    if not curves:
        return {}
    from patent_hier.report.figures import scale_curves

    limit = max(row.facts["memory_limit_bytes"] for row in rows if "sizes" in row.facts)
    figure = scale_curves(curves, limit)
    return {f"{figure.name}.svg": figure.svg, f"{figure.name}.png": figure.png}


def _parser() -> OneLineParser:
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--rows")
    parser.add_argument("--size", default="quick")
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*")
    return parser
