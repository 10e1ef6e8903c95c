"""``patent-hier plan``: what a corpus needs before it is trained on: disk, memory, hours."""

import json
from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.overrides import OneLineParser
from patent_hier.errors import ConfigError

# What is planned for unless the user says otherwise: the paper's encoder and training, in the precision of cards.
_PAPER = {"encoder": "bert_base_chinese", "experiment": "paper", "trainer.precision": "bf16-mixed"}
USAGE = """Say what a corpus needs before it is trained on: disk, memory, and hours on several machines.

usage: patent-hier plan [options] [group=choice ...] [group.key=value ...]

  --rows N      rows of the raw file; the default is 2,770,000, the paper's, with its shares of documents and sections
  --bench FILE  a record of the bench (bench.json or its folder), several times for several; without it the newest
                figures of runs/bench and of the checkout's experiments/results/bench
  --seeds N     how many times all nodes are trained; the default is 1
  --json        the plan as JSON

With data=cnipa data.path=FILE.csv the corpus of that file is planned for; it is prepared if it is not yet. Without
overrides the plan is for the paper's training: encoder=bert_base_chinese experiment=paper trainer.precision=bf16-mixed
level=hier. Others: encoder=small, encoder.max_length=128, trainer.max_epochs=3, trainer.batch_size=32, level=flat.
Nothing is downloaded and nothing is trained. Hours on cards are published peaks times a utilisation: measured where a
record of the bench is of such a card, else assumed, and said to be."""


def run(arguments: Sequence[str]) -> None:
    """Print the plan.

    Raises:
        ConfigError: If an option is unknown, or no record of the bench has a figure that is needed.
        DataError: If the corpus cannot be used.
    """
    options = _parser().parse_intermixed_args(list(arguments))
    settings = compose_settings(_with_paper(options.overrides))
    if options.rows is not None and settings.data.path is not None:
        raise ConfigError(f"--rows {options.rows} and data.path={settings.data.path}: the file has its own; name one")
    if options.rows is not None and options.rows < 1:
        raise ConfigError(f"--rows {options.rows} is out of range; it must be 1 or more")
    from patent_hier.planning.plan import make_plan
    from patent_hier.planning.records import find_records, read_figures
    from patent_hier.planning.tables import WIDTH, print_plan
    from patent_hier.planning.work import (
        PAPER_ROWS,
        corpus_documents,
        encoder_size,
        make_work,
        mean_tokens,
        paper_documents,
    )

    figures = read_figures(find_records(options.bench, Path(settings.runs_dir)), encoder_size(settings))
    has_file = settings.data.path is not None
    documents = corpus_documents(settings) if has_file else paper_documents(options.rows or PAPER_ROWS)
    tokens, source = mean_tokens(documents, figures.training.tokens, settings.encoder.max_length)
    plan = make_plan(make_work(settings, documents, options.seeds, tokens), figures, settings, source)
    if options.json:
        print(json.dumps(plan.as_dict(), ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    print_plan(plan, Console(width=WIDTH))


def _with_paper(words: Sequence[str]) -> list[str]:
    """The user's overrides behind the paper's, of which those are left out that the user sets."""
    given = {word.lstrip("+~").split("=", 1)[0] for word in words}
    if "node" in given:
        raise ConfigError(
            "node=... is not planned for; a plan is for a whole level: level=hier, section, class or flat"
        )
    return [*(f"{key}={value}" for key, value in _PAPER.items() if key not in given), *words]


def _parser() -> OneLineParser:
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--bench", type=Path, action="append", default=[])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("overrides", nargs="*")
    return parser
