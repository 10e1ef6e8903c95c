"""The console script ``patent-hier``, which passes its arguments to a command."""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.messages import INTERRUPTED, run_command
from patent_hier.cli.surroundings import Interruptions, refuse_odd_surroundings, restart_in_utf8, watch_output
from patent_hier.errors import ConfigError

_TORCHRUN = {"RANK", "LOCAL_RANK", "WORLD_SIZE"}  # set by torchrun for the processes that it starts
_TRAINING = ("run", "ensemble")  # commands that train nodes, possibly on several devices

_SAFE_PATH = "PYTHONSAFEPATH"  # keeps child processes from importing modules of the working folder
_HELP = ("-h", "--help")
# Command -> (module, one line of help). The module is imported only when its command is chosen. It has a function with
# the command's name (with _ for -) and, unless the function prints its own help, a constant in capitals with the text.
COMMANDS = {
    "demo": ("systems", "train a system on the demo corpus and open its web page"),
    "prepare": ("inputs", "clean raw patent tables into a corpus, or check them first (--check)"),
    "audit": ("results", "find related documents across the parts of a split; measure the leakage"),
    "run": ("run", "train and evaluate models; the same as python run.py"),
    "ensemble": ("systems", "train the recommended models and combine them: the most accurate system"),
    "tune": ("tune", "search for the best settings on the validation part"),
    "aggregate": ("systems", "aggregate nine trained nodes into one hierarchical result"),
    "combine": ("systems", "combine results of several models and seeds into one system"),
    "distill": ("distill", "train one network on the answers of a trained system"),
    "report": ("results", "write one page with tables and figures of all results of a corpus and split"),
    "confidence": ("results", "show how far to trust a trained system: coverage, accuracy, calibration"),
    "predict": ("predict", "classify new documents with a trained system"),
    "triage": ("triage", "order new documents for review, likely errors first"),
    "drift": ("drift", "check whether new documents differ from those of calibration"),
    "serve": ("serve", "serve a trained system: a web page for examiners and an HTTP API"),
    "feedback": ("feedback", "list, export or delete the judgements made on that page"),
    "learn": ("learn", "retrain a system with corrections of its answers"),
    "migrate": ("migrate", "move a trained system, or a corpus, to a new edition of the IPC"),
    "export": ("systems", "write a trained system into one folder to keep or publish, or as ONNX"),
    "attention": ("results", "show an encoder's attention between two texts: page and figure"),
    "pretrain": ("inputs", "pre-train an encoder on any text by masked language modelling"),
    "convert-encoder": ("inputs", "convert an encoder's pytorch_model.bin to safetensors"),
    "trim-encoder": ("inputs", "cut an encoder's vocabulary to the pieces that your texts need"),
    "text-digests": ("inputs", "record in an encoder's folder which texts it was trained on"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``patent-hier COMMAND [overrides]``.

    Args:
        arguments: Words after the program's name. ``None`` takes ``sys.argv`` and sets up the process for the command:
            locale, signals and standard output.

    Returns:
        The exit status.
    """
    if arguments is not None:
        return run_command(_begin, arguments)
    restart_in_utf8()
    with contextlib.ExitStack() as stack:
        interruptions = Interruptions()
        if not os.environ.keys() >= _TORCHRUN:  # torchrun ends its processes itself, at once
            stack.enter_context(interruptions)
        status = run_command(_begin_process, sys.argv[1:])
    return 128 + interruptions.number if interruptions.number and status == INTERRUPTED else status


def _begin_process(words: Sequence[str]) -> int | None:
    watch_output()
    if os.environ.get("COLUMNS") == "0":  # a terminal of unknown width; Rich would print nothing
        del os.environ["COLUMNS"]
    refuse_odd_surroundings()
    return _begin(words)


def _begin(words: Sequence[str]) -> int | None:
    if (
        Path.cwd() != Path(__file__).resolve().parents[2]
    ):  # a checkout need not be installed, so its modules must stay importable
        os.environ.setdefault(_SAFE_PATH, "1")
    return (_together if os.environ.keys() >= _TORCHRUN else _dispatch)(words)


def _together(words: Sequence[str]) -> int | None:
    """Run the command on rank 0 of torchrun; the other ranks take part in its training."""
    from patent_hier.training.ranks import Ranks

    ranks = Ranks.of_torchrun(os.environ)
    if ranks is None or not words or words[0] not in _TRAINING:
        if ranks is None or ranks.rank == 0:
            return _dispatch(words)
        return None
    from patent_hier.pipeline.torchrun import follow, open_session

    if ranks.rank:
        follow(ranks)
        return None
    session = open_session(ranks)
    try:
        return _dispatch(words)
    finally:
        session.end()


def _dispatch(words: Sequence[str]) -> int | None:
    """Run a command; return the exit status that it sets for an outcome that is not an error, else None."""
    if not words or words[0] in (*_HELP, "help"):
        print(_help())
        return None
    if words[0] == "--version":
        from patent_hier import __version__

        print(f"patent_hier {__version__}")
        return None
    if words[0] not in COMMANDS:
        moved = f"; in a checkout, use make {words[0]}" if words[0] in ("bench", "plan", "gpu-check") else ""
        raise ConfigError(f"unknown command {words[0]}; choose one of {', '.join(COMMANDS)}, or see --help{moved}")
    name, *rest = words
    module = importlib.import_module(f"patent_hier.cli.{COMMANDS[name][0]}")
    name = name.replace("-", "_")
    usage = getattr(module, name.upper(), None)
    if usage is not None and any(word in _HELP for word in rest):
        print(usage)
        return None
    status: int | None = getattr(module, name)(rest)
    return status


def _help() -> str:
    lines = [f"  {name:<16} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        (
            "Hierarchical classification of Chinese patents into the IPC.",
            "",
            "usage: patent-hier COMMAND [options] [group=choice ...] [group.key=value ...]",
            "",
            *lines,
            "",
            "Start with patent-hier demo. patent-hier COMMAND --help explains a command, and\n"
            "patent-hier run --help lists all groups, choices and settings.",
        )
    )
