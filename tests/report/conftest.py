"""Seven systems of four models on one corpus, and the whole report of them, made once."""

from pathlib import Path

import pytest

from patent_hier.data.corpus import Corpus
from patent_hier.pipeline.collecting import collect
from patent_hier.report.content.context import Context
from patent_hier.report.content.context import contexts as in_all_languages
from tests.commands import command
from tests.report.worlds import World, csv_world


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> World:
    """Nothing may be changed in it."""
    own = csv_world(tmp_path_factory.mktemp("report"))
    own.run("linear", "level=hier")
    own.run("linear", "level=flat")
    own.run("linear", "level=shared")
    own.run("naive_bayes", "level=flat", "model.alpha=0.01")
    own.run("naive_bayes", "level=flat", "model.alpha=1.0")
    own.run("textcnn", "level=hier", "seed=1,2", "trainer.max_epochs=2", "--multirun")
    own.run("bertcnn", "level=hier", "encoder.max_length=64")
    own.run("bertcnn", "level=node", "node=D", "encoder.max_length=64", "model.num_last_layers=1")
    return own


@pytest.fixture(scope="session")
def report(trained) -> Path:
    """The report with everything in it: figures and attention are drawn."""
    done = command("report", *trained.words)
    assert (done.status, done.err) == (0, ""), done
    return trained.folder()


@pytest.fixture(scope="session")
def contexts(trained) -> dict[str, Context]:
    """The material of the report by language."""
    (corpus,) = (Corpus.open(path) for path in trained.cache.glob("corpora/gazette-*"))
    (split,) = trained.cache.glob("splits/random-*")
    evidence = collect(trained.runs, corpus, split)
    return in_all_languages(evidence, trained.cache, ("data=gazette", "data.path=a b.csv"))


@pytest.fixture(scope="session")
def context(contexts) -> Context:
    """In English."""
    return contexts["en"]
