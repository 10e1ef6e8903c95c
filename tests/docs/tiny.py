"""``patent-hier`` for the commands of the documentation: the same program, with settings that train in seconds.

``python -m tests.docs.tiny WORDS`` appends them where the words train, or look for what such words have trained.
"""

import re
import sys
from collections.abc import Iterator

from patent_hier.cli.main import main
from tests.commands import TINY

_TRAINING = ("run", "aggregate", "ensemble", "tune", "distill", "pretrain")
_FEW_ROWS = (*_TRAINING, "report", "audit", "prepare")
_STEPS = ("trainer.max_epochs=1", "trainer.min_steps=0", "trainer.progress=false")
_WORDS = ("features.vector_size=8", "features.epochs=1", "features.max_length=32")
_ENCODER = tuple(word for word in TINY if word.startswith("encoder"))


def with_tiny_settings(words: list[str]) -> list[str]:
    """The words, and what makes them quick; settings that the words name themselves stay."""
    if not words or "--help" in words or "--cfg" in words:
        return words
    named = {re.split(r"[=@]", word.lstrip("+"), maxsplit=1)[0] for word in words[1:] if "=" in word}
    return [*words, *(word for word in _further(words, named) if word.split("=")[0] not in named)]


def _further(words: list[str], named: set[str]) -> Iterator[str]:
    if words[0] in _FEW_ROWS and "data" not in named:
        yield "data.rows=400"
    if words[0] == "pretrain":
        yield from ("architecture.num_hidden_layers=4", "architecture.hidden_size=32", "steps_per_round=5")
    elif words[0] in _TRAINING:
        models = next((word.removeprefix("model=") for word in words if word.startswith("model=")), "bertcnn")
        yield from _STEPS
        if words[0] == "ensemble":
            yield "encoder.max_length=16"
            return
        if {"textcnn", "rnn"} & set(models.split(",")):
            yield from _WORDS
        if {"bertcnn", "bert"} & set(models.split(",")):
            yield from (() if "encoder" in named or "experiment" in named else _ENCODER)
            yield from () if "experiment" in named else ("model.num_last_layers=2",)


if __name__ == "__main__":
    sys.exit(main(with_tiny_settings(sys.argv[1:])))
