"""``patent-hier demo``: a model of the demo corpus, trained if it is not there, and its page."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.overrides import OneLineParser
from patent_hier.cli.serve import add_options, serve

_MODEL = ("model=linear", "level=hier")  # the quickest that is good on the demo corpus
USAGE = """Train a system on the generated demo corpus, unless it is finished already, and open its page.

usage: patent-hier demo [options of patent-hier serve] [group=choice ...] [group.key=value ...]

The model is linear in nine nodes, trained in seconds; model=bertcnn is the paper's, trained in minutes. Its answers
mean nothing for real patents. data=cnipa data.path=FILE.csv makes it a real one."""


def run(arguments: Sequence[str]) -> None:
    """Train what is missing, then serve it until it is interrupted; errors as of ``run`` and ``serve``."""
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    add_options(parser)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args(list(arguments))
    given = {word.split("=", 1)[0] for word in options.overrides}
    words = [*(word for word in _MODEL if word.split("=", 1)[0] not in given), *options.overrides]
    from patent_hier.cli.compose import compose_training

    settings, observers = compose_training(words)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.train_suite import train_suite

    suite = train_suite(settings, words, observers)
    publish(suite)
    options.cache_dir = Path(settings.cache_dir)
    serve(suite.folder, options)
