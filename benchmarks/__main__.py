"""Benchmarks of a checkout: python -m benchmarks {speed,plan,gpu} [options] [group.key=value ...]; each has --help."""

import json
import os
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from time import monotonic

from patent_hier.cli.compose import compose_settings
from patent_hier.cli.messages import run_command
from patent_hier.cli.overrides import OneLineParser
from patent_hier.errors import ConfigError

_SPEED = """Compare the speed of the suite with what users would pick instead, in turn on this machine.

The command prints a table and writes it with JSON. The texts come from the demo corpus, or from another one with
data=cnipa data.path=FILE.csv. Do not use the machine for anything else meanwhile. The row scale uses generated files of
up to 30,000 rows (quick) or 2,770,000 rows (full; 4 GB of disk in TMPDIR). The peer of training needs the extra bench
and the row engines the extra openvino: pip install -e ".[bench,openvino]"."""
_PLAN = """Estimate what training on a corpus needs: disk, memory, and hours on several machines.

With data=cnipa data.path=FILE.csv, the plan is for the corpus of that file, which is prepared first if necessary.
Without overrides, the plan is for the training in the paper: encoder=bert_base_chinese experiment=paper
trainer.precision=bf16-mixed level=hier. Nothing is downloaded and nothing is trained. Hours on graphics cards are
published peaks times a utilisation: measured if a record of such a card exists, otherwise assumed and marked so."""
_GPU = """Check everything that needs a GPU within a few minutes, on one H100 or H200, and record the results.

The check covers the tests, resumption, losses in bf16 and fp32, training steps compared with Hugging Face's Trainer,
scoring, pre-training, level=hier, and the estimated hours of the paper's experiment.

The check runs without questions. It skips a step if too little time is left, continues after a failed step, and writes
the record after each step. The settings, such as data=gazette data.path=FILE.csv, apply to level=hier; the other steps
read generated texts. --size tiny rehearses the whole check on a CPU. The peer of training needs the extra bench."""
# Default of the plan: the encoder and training of the paper, in the usual precision on graphics cards.
_PAPER = {"encoder": "bert_base_chinese", "experiment": "paper", "trainer.precision": "bf16-mixed"}


def speed(words: Sequence[str]) -> None:
    """Measure the rows, print the table and record it.

    Raises:
        ConfigError: If an option or a row is unknown.
    """
    parser = _parser("speed", _SPEED)
    parser.add_argument("--rows", help="names of rows, separated by commas (default: all); an unknown name lists them")
    parser.add_argument("--size", choices=("quick", "full"), default="quick", help="quick takes a few minutes")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder of the record (default: runs/bench)")
    options = parser.parse_intermixed_args(words)
    settings = compose_settings(options.overrides)
    from benchmarks.speed.record import cells, tables, write_record
    from benchmarks.speed.suite import AMOUNTS, ROWS, Bench
    from patent_hier.pipeline.stages import ensure_corpus
    from patent_hier.progress import say

    names, amounts = options.rows.split(",") if options.rows else list(ROWS), AMOUNTS[options.size]
    if unknown := [name for name in names if name not in ROWS]:
        raise ConfigError(f"--rows {unknown[0]} is unknown; choose from {','.join(ROWS)}")
    corpus = ensure_corpus(settings.data, Path(settings.cache_dir))
    texts = islice(chain.from_iterable(corpus.iter_texts()), amounts.texts)
    titles = corpus.column("title").slice(0, amounts.texts).to_pylist()
    bench = Bench(tuple(texts), tuple(title or "" for title in titles), amounts)
    rows = []
    for row in chain.from_iterable(ROWS[name](bench) for name in names):
        rows.append(row)
        say("  ".join(cells(row)))
    say(tables(rows))
    folder = options.output or Path(settings.runs_dir) / "bench"
    facts = {"name": settings.data.name, "corpus": corpus.fingerprint, "documents": corpus.size}
    write_record(rows, folder, {"size": options.size, "rows": names, "data": facts})
    say(f"bench: {folder}")


def plan(words: Sequence[str]) -> None:
    """Print the plan.

    Raises:
        ConfigError: If an option is unknown or out of range, or no record has a necessary figure.
    """
    parser = _parser("plan", _PLAN)
    parser.add_argument("--rows", type=int, help="rows of the raw file, with the paper's shares (default: 2,770,000)")
    parser.add_argument(
        "--bench", type=Path, action="append", default=[], metavar="FOLDER",
        help="a record of speed; may be repeated (default: the newest figures in runs/ and experiments/)",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, help="number of times that all nodes are trained (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    options = parser.parse_intermixed_args(words)
    given = {word.lstrip("+~").split("=", 1)[0] for word in options.overrides}
    if "node" in given:
        raise ConfigError(
            "node=... cannot be planned; choose a whole level: level=hier, section, class, flat or shared"
        )
    paper = [f"{key}={value}" for key, value in _PAPER.items() if key not in given]
    settings = compose_settings([*paper, *options.overrides])
    if options.rows is not None and settings.data.path is not None:
        raise ConfigError(f"--rows {options.rows} and data.path={settings.data.path} exclude each other; use only one")
    if options.rows is not None and options.rows < 1:
        raise ConfigError(f"--rows {options.rows} is out of range; use 1 or more")
    from benchmarks.plan.plan import make_plan
    from benchmarks.plan.records import find_records, read_figures
    from benchmarks.plan.text import plan_text
    from benchmarks.plan.work import PAPER_ROWS, corpus_documents, encoder_size, make_work, paper_documents
    from patent_hier.progress import say

    figures = read_figures(find_records(options.bench, Path(settings.runs_dir)), encoder_size(settings))
    documents = corpus_documents(settings) if settings.data.path else paper_documents(options.rows or PAPER_ROWS)
    made = make_plan(make_work(settings, documents, options.seeds, figures.training.tokens), figures, settings)
    say(json.dumps(made, ensure_ascii=False, indent=2) if options.json else plan_text(made))


def gpu(words: Sequence[str]) -> None:
    """Run the check step by step and record it.

    Raises:
        ConfigError: If an option is out of range, the size needs a GPU and there is none, or the folder has other
            content.
        ProcessError: At the end, if a step has failed.
    """
    start, parser = monotonic(), _parser("gpu", _GPU)
    parser.add_argument("--size", choices=("base", "tiny"), default="base", help="tiny is a rehearsal on a CPU")
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit of the whole check (default: 9)")
    parser.add_argument("--data", metavar="FILE", help="short for data=gazette data.path=FILE")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="folder of the record (default: a new one in runs/gpu-check; with --size tiny, runs/gpu-rehearsal)",
    )
    options = parser.parse_intermixed_args(words)
    if not options.minutes > 0:
        raise ConfigError(f"--minutes {options.minutes:g} is out of range; use a number above 0")
    own = list(options.overrides)
    if options.data is not None:
        own[:0] = ["data=gazette", "data.path='{}'".format(options.data.replace("'", r"\'"))]
    settings = compose_settings(own)
    paper = {**_PAPER, **({"encoder": "demo"} if options.size == "tiny" else {})}
    levels = {
        level: compose_settings([*(f"{key}={value}" for key, value in paper.items()), f"level={level}"])
        for level in ("hier", "shared")
    }
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # use one card; set before PyTorch looks for cards
    from benchmarks.gpu.run import run_check
    from benchmarks.gpu.steps import Clock

    clock = Clock(60 * options.minutes, start)
    run_check(options.size, clock, options.output, (settings, own), levels)


def _parser(name: str, description: str) -> OneLineParser:
    parser = OneLineParser(
        f"python -m benchmarks {name}", description=description, allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("overrides", nargs="*", metavar="group.key=value", help="settings, as in patent-hier run")
    return parser


def main(words: Sequence[str]) -> int:
    """Run a benchmark and return the exit status; an error is printed in one line."""
    command = {"speed": speed, "plan": plan, "gpu": gpu}.get(words[0] if words else "")
    if command is None:
        print(__doc__, file=sys.stderr)
        return ConfigError.exit_status
    return run_command(command, words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
