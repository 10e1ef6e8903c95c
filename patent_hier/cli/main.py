"""The console script: choose a command, hand it its arguments."""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.messages import INTERRUPTED, run_command
from patent_hier.cli.surroundings import Interruptions, refuse_odd_surroundings, restart_in_utf8, watch_output
from patent_hier.errors import ConfigError

_TORCHRUN = {"RANK", "LOCAL_RANK", "WORLD_SIZE"}  # torchrun sets them, for the processes that it starts
_TRAINING = ("run", "ensemble")  # commands that train nodes, on several devices too

_SAFE_PATH = "PYTHONSAFEPATH"  # processes that this one starts look for no module in the working folder
_HELP = ("-h", "--help")
# command -> (module, one line of help). The module is imported only when its command is chosen: it has a function of
# that name (with _ for -) and, unless the function explains itself, the text of its --help in a constant of that name.
COMMANDS = {
    "run": ("run", "train and evaluate; the same as python run.py"),
    "tune": ("tune", "search settings on the validation part"),
    "pretrain": ("inputs", "masked language modelling on any text -> an encoder"),
    "convert-encoder": ("inputs", "pytorch_model.bin -> safetensors, for encoder.path"),
    "trim-encoder": ("inputs", "an encoder with the pieces that your texts need only"),
    "text-digests": ("inputs", "what an encoder has read -> digests in its folder"),
    "prepare": ("inputs", "raw CSV -> clean corpus; --check only looks at the file"),
    "aggregate": ("systems", "nine finished nodes -> one hierarchical result"),
    "ensemble": ("systems", "train the recommended models and combine them: most accurate"),
    "combine": ("systems", "results of several models and seeds -> one system"),
    "learn": ("learn", "a finished system and corrections of its answers -> a new system"),
    "migrate": ("migrate", "a finished system, or a corpus, in a new edition of the IPC"),
    "distill": ("distill", "a finished system as the teacher of one network"),
    "predict": ("predict", "a finished system and new documents -> their classes"),
    "drift": ("drift", "do new documents still look like those of calibration?"),
    "triage": ("triage", "a finished system and new documents -> the order in which to check them"),
    "confidence": ("results", "coverage and accuracy of a finished system that may say nothing"),
    "serve": ("serve", "a finished system over HTTP, with a page for examiners"),
    "feedback": ("feedback", "judgements that examiners made on the page: list, export, delete"),
    "demo": ("systems", "train a system on the demo corpus, and open its page"),
    "export": ("systems", "a finished system -> one folder to keep or publish, or ONNX"),
    "audit": ("results", "relatives on two sides of a split, and what that leakage is worth"),
    "report": ("results", "all results of a corpus and split -> one page with tables and figures"),
    "attention": ("results", "attention between two texts: page, figure, where it goes"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``patent-hier COMMAND [overrides]``.

    Args:
        arguments: Words after the program's name. ``None`` takes ``sys.argv``, and the process is the command's own:
            its locale, signals and standard output are seen to.

    Returns:
        The exit status.
    """
    if arguments is not None:
        return run_command(_begin, arguments)
    restart_in_utf8()
    with contextlib.ExitStack() as stack:
        interruptions = Interruptions()
        if not os.environ.keys() >= _TORCHRUN:  # which ends its processes itself, and at once
            stack.enter_context(interruptions)
        status = run_command(_begin_process, sys.argv[1:])
    return 128 + interruptions.number if interruptions.number and status == INTERRUPTED else status


def _begin_process(words: Sequence[str]) -> int | None:
    watch_output()
    if os.environ.get("COLUMNS") == "0":  # of a terminal that does not know its width; Rich would show nothing
        del os.environ["COLUMNS"]
    refuse_odd_surroundings()
    return _begin(words)


def _begin(words: Sequence[str]) -> int | None:
    if Path.cwd() != Path(__file__).resolve().parents[2]:  # else a checkout, which need not be installed
        os.environ.setdefault(_SAFE_PATH, "1")
    return (_together if os.environ.keys() >= _TORCHRUN else _dispatch)(words)


def _together(words: Sequence[str]) -> int | None:
    """Under torchrun, rank 0 runs the command; the other ranks train with it."""
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
    """Run a command; its exit status, where it has one of its own that is no error."""
    if not words or words[0] in (*_HELP, "help"):
        print(_help())
        return None
    if words[0] == "--version":
        from patent_hier import __version__

        print(f"patent_hier {__version__}")
        return None
    if words[0] not in COMMANDS:
        moved = f"; in a checkout: make {words[0]}" if words[0] in ("bench", "plan", "gpu-check") else ""
        raise ConfigError(f"unknown command {words[0]}; choose one of {', '.join(COMMANDS)}, or --help{moved}")
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
            "usage: patent-hier COMMAND [group=choice ...] [group.key=value ...]",
            "",
            *lines,
            "",
            "patent-hier COMMAND --help explains one; patent-hier run --help shows all settings.",
        )
    )
