"""A frozen encoder: its document vectors are computed once, and the results are those of reading every document."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from patent_hier.features.token_store import TokenStore
from patent_hier.models.saved import load_classifier
from tests.commands import command
from tests.integration.conftest import predictions, read

STEPS = ("trainer.max_epochs=3", "trainer.min_steps=0", "trainer.num_threads=1", "trainer.progress=false")


class World:
    def __init__(self, folder: Path, encoder: Path) -> None:
        self.runs, self.cache = folder / "runs", folder / "cache"
        self.words = (
            *("data.rows=400", "encoder=folder", f"encoder.path={encoder}", "encoder.freeze=true"),
            *("encoder.max_length=32", "model.pooling=mean", "optimizer.lr=0.01", *STEPS),
            *(f"runs_dir={self.runs}", f"cache_dir={self.cache}"),
        )

    def node(self, *words: str) -> Path:
        before = set(self.runs.glob("bertcnn/B-*"))
        done = command("run", "level=node", "node=B", *self.words, *words)
        assert (done.status, done.err) == (0, ""), done
        (folder,) = set(self.runs.glob("bertcnn/B-*")) - before
        return folder

    def vectors(self) -> list[Path]:
        return sorted((self.cache / "layer_vectors").glob("[!.]*"))


@pytest.fixture(scope="module")
def world(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("frozen"), tiny_encoder)


def losses(folder: Path) -> list[float]:
    return [epoch["train/loss"] for epoch in read(folder, "history.json")]


def log_prob(folder: Path) -> np.ndarray:
    return predictions(folder).scores().log_prob


def test_looking_up_gives_the_results_of_reading(world: World) -> None:
    looked_up = world.node("model.num_last_layers=2")
    read = world.node("model.num_last_layers=2", "encoder.vector_layers=0")
    assert losses(looked_up) == pytest.approx(losses(read), abs=2e-3)
    difference = np.abs(log_prob(looked_up) - log_prob(read)).max()
    assert difference < 5e-3  # of half precision
    assert difference < np.ptp(log_prob(read), axis=0).max() / 10  # small beside what tells documents apart


def test_one_computation_serves_every_number_of_layers(world: World) -> None:
    first = world.node("model.num_last_layers=1")
    (folder,) = world.vectors()
    made = folder.stat().st_mtime_ns
    assert losses(first) != losses(world.node("model.num_last_layers=1", "model.head=cls"))
    assert world.vectors() == [folder]
    assert folder.stat().st_mtime_ns == made


def test_the_saved_model_reads_texts_by_itself(world: World) -> None:
    folder = world.node("model.num_last_layers=2", "seed=2")
    shutil.rmtree(world.cache / "layer_vectors")
    classifier = load_classifier(folder / "model")
    (tokens,) = (world.cache / "tokens").glob("[!.]*")
    store = TokenStore.open(tokens)
    everything = classifier.log_prob(store, np.arange(len(store)))
    known = {row.tobytes() for row in np.round(log_prob(folder), 1)}
    found = [np.round(row, 1).tobytes() in known for row in everything]
    assert np.mean(found) > len(known) / len(store) * 0.5
    facts = read(folder, "metrics.json")["training"]
    assert facts["parameters"] == sum(weight.numel() for weight in classifier.model.parameters())
    assert facts["trainable_parameters"] < facts["parameters"]


def test_beginning_above_frozen_layers_gives_the_results_of_going_through_them(world: World) -> None:
    words = ("encoder.freeze=1", "model.num_last_layers=1")
    through = world.node(*words)
    above = world.node(*words, "encoder.lower_states=true")
    assert losses(above) == pytest.approx(losses(through), abs=5e-3)
    assert np.abs(log_prob(above) - log_prob(through)).max() < np.ptp(log_prob(through), axis=0).max() / 10
    (states,) = (world.cache / "token_states").glob("[!.]*")
    facts = [read(folder, "metrics.json")["training"] for folder in (through, above)]
    assert facts[0]["parameters"] == facts[1]["parameters"]
    shutil.rmtree(states)
    (tokens,) = (world.cache / "tokens").glob("[!.]*")
    answers = load_classifier(above / "model").log_prob(TokenStore.open(tokens), np.arange(5))  # by itself, from ids
    assert np.isfinite(answers).all()
    world.node("encoder.freeze=1", "encoder.lower_states=true", "model.num_last_layers=2", "seed=3")
    assert states.is_dir()  # the head reads layers 1 and 2, and the layer 1 is what was computed


def test_where_all_layers_must_be_there_tokens_are_read(world: World) -> None:
    before = sorted(world.cache.glob("token_states/[!.]*"))
    world.node("encoder.freeze=1", "encoder.lower_states=true", "model.num_last_layers=2", "optimizer.layer_decay=0.9")
    assert sorted(world.cache.glob("token_states/[!.]*")) == before


def test_too_few_layers_are_refused(world: World) -> None:
    done = command("run", "level=node", "node=B", *world.words, "model.num_last_layers=2", "encoder.vector_layers=1")
    assert done.status != 0
    assert "encoder.vector_layers=1" in done.err
    assert len(done.err.splitlines()) == 1


def test_label_texts_have_no_vectors_so_that_tokens_are_read(world: World, tmp_path: Path) -> None:
    titles = tmp_path / "titles.csv"
    titles.write_text("code,level,title\nB01D,subclass,分离\nB60K,subclass,车辆动力装置\n", "utf-8")
    before = world.vectors()
    world.node(f"data.label_text={titles}", "model.num_last_layers=1")
    assert world.vectors() == before
