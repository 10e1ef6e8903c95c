"""Run a command in this process, as a shell would: words in, exit status and both outputs out."""

import contextlib
import io
import resource
from dataclasses import dataclass
from pathlib import Path

from patent_hier.cli.main import main
from patent_hier.data.raw import PAPER_COLUMNS

_DATA = ("data.rows=400",)
_STEPS = ("trainer.max_epochs=1", "trainer.min_steps=0", "trainer.num_threads=1", "trainer.progress=false")
_WORDS = ("features.vector_size=8", "features.epochs=1", "features.max_length=32")
# The smallest settings with which a model still does all that it does; for BERT-CNN, and by model.
TINY = (
    *_DATA,
    "encoder=demo",
    "encoder.hidden_size=16",
    "encoder.intermediate_size=32",
    "encoder.num_hidden_layers=2",
    "encoder.max_length=32",
    "model.num_last_layers=2",
    *_STEPS,
)
TINY_OF = {
    "bertcnn": TINY,
    "textcnn": (*_DATA, *_WORDS, "model.num_filters=8", *_STEPS),
    "rnn": (*_DATA, *_WORDS, "model.hidden_size=8", *_STEPS),
    "linear": (*_DATA, "model.ngram_sizes=[1,2]", "trainer.progress=false"),
    "logistic": (*_DATA, "model.ngram_sizes=[1,2]", "trainer.progress=false"),
    "naive_bayes": (*_DATA, "model.ngram_sizes=[1,2]", "trainer.progress=false"),
    "knn": (*_DATA, "model.ngram_sizes=[1,2]", "trainer.progress=false"),
}


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


def command(*words: object) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return Outcome(status, out.getvalue(), err.getvalue())


def processor_seconds_of_children() -> float:
    """Of all processes that this one started and that have ended; the load of the machine changes it little."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_csv(path: Path, symbols: dict[str, int], encoding: str = "gb18030") -> Path:
    """A raw file of so many documents of each symbol, in the paper's 16 columns."""
    lines = [",".join(PAPER_COLUMNS.values())]
    number = 0
    for symbol, count in symbols.items():
        for _ in range(count):
            number += 1
            facts = {
                "application_number": f"CN2017{number:08d}.1",
                "publication_number": f"CN{number:09d}A",
                "title": f"一种装置{symbol[:3]}",
                "symbols": symbol,
                "abstract": f"本发明公开了一种{symbol[:3]}装置，编号{number}。",
                "applicant": f"公司{number % 9}",
            }
            lines.append(",".join(facts.get(name, "") for name in PAPER_COLUMNS))
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path
