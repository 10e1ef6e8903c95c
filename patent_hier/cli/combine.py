"""``patent-hier combine``: finished results of one corpus and split -> one system, its nodes and its results."""

import re
from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.overrides import OneLineParser
from patent_hier.errors import ConfigError

USAGE = """Combine finished results of one corpus and split into one system; nothing is trained.

usage: patent-hier combine RESULT RESULT ... [options]

  RESULT             result folder: runs/<model>/result-<level>-<fingerprint>, of level hier, shared or flat, of any
                     model and seed; a combination may be a member too
  --name NAME        folder of the combination in the folder of results; the default is combination
  --runs-dir FOLDER  folder of results; the default is runs
  --cache-dir FOLDER where the corpus is; the default is the folder that the members were made with

For each node the members' probabilities are multiplied, each to the power of its weight. The weights are fitted to the
part val, so scores on val are no estimate."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def run(arguments: Sequence[str]) -> None:
    """Combine, or find it finished; then aggregate, print and save both results.

    Raises:
        ConfigError: If an option or a member cannot be used.
        IncompleteError: If a member lacks a node.
    """
    options = _parser().parse_intermixed_args(list(arguments))
    if not _NAME.fullmatch(options.name):
        raise ConfigError(f"--name {options.name} is no folder's name; use letters, digits and any of _ . + -")
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.combine import combine
    from patent_hier.pipeline.suite import aggregate_nodes

    made = combine(options.results, options.runs_dir, options.name, options.cache_dir, arguments)
    publish(aggregate_nodes(made.hier, made.corpus))
    publish(aggregate_nodes(made.flat, made.corpus))


def _parser() -> OneLineParser:
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--name", default="combination")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--cache-dir", type=Path)
    return parser
