"""The public classes as a researcher uses them: with any Lightning Trainer, on the demo corpus."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from patent_hier import LabelTree, PatentClassifier, PatentDataModule
from patent_hier.data.raw import PAPER_COLUMNS
from patent_hier.errors import ConfigError
from patent_hier.settings import (
    BertCnnSettings,
    DemoDataSettings,
    EncoderSettings,
    FeatureSettings,
    LevelSettings,
    Settings,
    SplitSettings,
    TrainerSettings,
)
from patent_hier.training.optimizing import inverse_frequency_weights
from tests.commands import write_csv
from tests.conftest import tiny_encoder_settings

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on loader workers and the like

TINY = tiny_encoder_settings()
QUIET: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
ALONE: dict[str, Any] = {**QUIET, "logger": False, "enable_checkpointing": False}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("public") / "cache"


def make_data(cache: Path, **changes: Any) -> PatentDataModule:
    reads = {} if "features" in changes else {"encoder": TINY}
    return PatentDataModule(**{"rows": 300, "batch_size": 32, "cache_dir": cache, **reads, **changes})


@pytest.fixture
def data(cache: Path) -> PatentDataModule:
    return make_data(cache)


def make_model(data: PatentDataModule, **changes: Any) -> PatentClassifier:
    pl.seed_everything(1, verbose=False)
    tiny: dict[str, Any] = {"encoder": TINY, "num_last_layers": 2, "num_filters": 8}
    return PatentClassifier("bertcnn", data.tree, **{**tiny, **changes})


def script(folder: Path, accelerator: str) -> None:
    data = PatentDataModule(
        rows=300, depth="subclass", node="D", split="applicant", encoder="small", max_length=32, cache_dir=folder
    )
    model = PatentClassifier("bertcnn", tree=data.tree, encoder="small", num_last_layers=4, lr=2e-4)
    trainer = pl.Trainer(max_epochs=1, default_root_dir=folder, accelerator=accelerator, devices=1)
    trainer.fit(model, data)
    (scores,) = trainer.test(model, data)
    predictions = trainer.predict(model, data)

    assert all(0 <= scores[f"test/accuracy/{level}"] <= 1 for level in ("class", "subclass"))
    again = PatentClassifier.load_from_checkpoint(trainer.checkpoint_callback.best_model_path, weights_only=True)
    for one, two in zip(predictions, trainer.predict(again, data), strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)
    documents = data.document_ids[torch.cat([batch["document"] for batch in predictions]).numpy()]
    labels = data.tree.names(torch.cat([batch["label"] for batch in predictions]).numpy())
    assert len(set(documents)) == len(labels) == len(data.view.held_out)
    assert {str(label)[0] for label in labels[:, 0]} == {"D"}


def test_the_script_of_the_documentation(tmp_path: Path) -> None:
    script(tmp_path, "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_script_on_a_gpu(tmp_path: Path) -> None:
    script(tmp_path, "gpu")


def test_importing_the_package_brings_no_torch() -> None:
    import subprocess
    import sys

    program = (
        "import sys, patent_hier; print(sorted({'torch', 'pandas', 'pyarrow', 'transformers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert isinstance(LabelTree.from_paths([("A",)], ["section"]), LabelTree)


# --- the data module


@pytest.mark.parametrize(
    ("changes", "levels", "flat"),
    [
        ({}, ("section", "class"), False),
        ({"node": "root"}, ("section",), False),
        ({"node": "A", "depth": "subclass"}, ("class", "subclass"), False),
        ({"node": "flat"}, ("section", "class"), True),
    ],
)
def test_the_tree_is_there_at_once(cache: Path, changes: dict[str, Any], levels: tuple[str, ...], flat: bool) -> None:
    data = make_data(cache, **changes)
    assert (data.tree.levels, data.view.flat) == (levels, flat)
    assert data.tree is data.view.tree


def test_the_command_line_reads_the_same(data: PatentDataModule, cache: Path) -> None:
    """The same folders of the cache, the same documents in the same batches."""
    from patent_hier.pipeline.plan import plan_node
    from patent_hier.training.node_views import view_of

    plan = plan_node(
        Settings(
            data=DemoDataSettings(rows=300),
            encoder=TINY,
            model=BertCnnSettings(num_last_layers=2),
            node="shared",
            cache_dir=str(cache),
        )
    )
    before = {path for path in cache.rglob("*") if path.is_file()}
    view = view_of(plan.open(), "shared")
    assert view.tree == data.tree
    for name in ("train", "train_paths", "val", "val_paths", "test", "test_paths", "held_out"):
        assert np.array_equal(getattr(view, name), getattr(data.view, name))
    ids = [store[int(i)].tolist() for store in (view.store, data.view.store) for i in view.train[:20]]
    assert ids[:20] == ids[20:]
    assert {path for path in cache.rglob("*") if path.is_file()} == before


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "file.csv", {"A01B1/00": 30, "A01C3/00": 30, "B60C1/00": 30}, "utf-8")
    data = PatentDataModule(
        file,
        text=[PAPER_COLUMNS["title"]],
        encoding="utf-8",
        depth="subclass",
        encoder=TINY,
        split=SplitSettings(test=0.3),
        cache_dir=tmp_path / "cache",
    )
    assert data.tree.labels("subclass") == ("A01B", "A01C", "B60C")
    assert (len(data.view.test), len(data.document_ids)) == (27, 90)


def test_it_is_made_again_from_its_hyperparameters(cache: Path) -> None:
    """They are plain values."""
    data = make_data(
        cache, split=SplitSettings("applicant"), features=FeatureSettings("chars", vector_size=8, epochs=1)
    )
    again = PatentDataModule(**json.loads(json.dumps(data.hparams)))
    assert again.settings == data.settings
    assert (data.hparams["split"]["policy"], data.hparams["features"]["vector_size"]) == ("applicant", 8)


def test_parts_from_a_file(tmp_path: Path) -> None:
    """Given as Python code would; what the file does not name is neither trained on nor scored."""
    file = write_csv(tmp_path / "file.csv", {"A01B1/00": 30, "A01C3/00": 30, "B60C1/00": 30}, "utf-8")
    parts = tmp_path / "parts.csv"
    rows = [f"CN{number:09d}A,{'test' if number % 3 == 0 else 'train'}" for number in range(1, 81)]
    parts.write_text("\n".join(["公开号,part", *rows]), "utf-8")
    split = {"policy": "file", "path": parts, "unlisted": "drop"}
    kept: dict[str, Any] = {"text": [PAPER_COLUMNS["title"]], "encoding": "utf-8", "encoder": TINY}
    data = PatentDataModule(file, split=split, cache_dir=tmp_path / "cache", **kept)
    view = data.view
    assert (len(view.test), len(view.train) + len(view.held_out)) == (26, 80)
    assert max(view.train.max(), view.held_out.max()) == 79
    again = PatentDataModule(**json.loads(json.dumps(data.hparams)))
    assert again.settings == data.settings


@pytest.mark.parametrize("frozen", [{"freeze": 1, "lower_states": True}, {"freeze": True}])
def test_whatever_is_frozen_any_network_can_read_the_batches(
    cache: Path, tiny_encoder: Path, frozen: dict[str, Any]
) -> None:
    encoder = EncoderSettings("tiny", str(tiny_encoder), max_length=32)
    plain, other = (make_data(cache, encoder=replace(encoder, **own)) for own in ({}, frozen))
    for own in (plain, other):
        own.setup("fit")
    assert np.array_equal(plain.view.store[7], other.view.store[7])


def test_label_weights(data: PatentDataModule) -> None:
    found = data.inverse_frequency_weights()
    assert found == inverse_frequency_weights(data.tree, data.view.train_paths).tolist()
    assert make_model(data, label_weights=found).loss.label_weights.tolist() == pytest.approx(found)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split": "year"}, r"^split policy 'year' is unknown"),
        ({"depth": "family"}, r"^data\.depth=family is unknown"),
        ({"features": "letters"}, r"^features\.name=letters is unknown"),
        ({"features": "words", "encoder": "small"}, r"^features=words and encoder=small cannot be used together"),
        ({"path": "x.csv", "rows": 5}, r"^rows=5 applies only to the demo corpus, not to x\.csv"),
        ({"batch_size": 0}, r"^trainer\.batch_size=0 is out of range"),
        ({"max_length": 1}, r"^encoder\.max_length=1 is out of range"),
    ],
)
def test_unusable_arguments_are_refused_before_anything_is_made(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        PatentDataModule(**{"cache_dir": tmp_path / "cache", **changes})
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_other_labels_or_other_tokens_is_refused(data: PatentDataModule, cache: Path) -> None:
    trainer = pl.Trainer(**ALONE, fast_dev_run=True)
    with pytest.raises(ConfigError, match="labels differ from the data module's; create the model with tree="):
        trainer.fit(make_model(make_data(cache, node="A")), data)
    with pytest.raises(
        ConfigError, match=r"has \d+ distinct tokens, but the model has \d+; give both the same encoder"
    ):
        trainer.fit(make_model(data, encoder="small"), data)


# --- any Trainer


@pytest.mark.parametrize(
    "options",
    [
        {"fast_dev_run": True},
        {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1},
        {"max_epochs": 1, "limit_train_batches": 0.5, "num_sanity_val_steps": 2},
        {"max_epochs": 1, "accumulate_grad_batches": 2, "gradient_clip_val": 1.0, "limit_train_batches": 4},
        {"max_epochs": 1, "overfit_batches": 2},
        {"max_epochs": 1, "precision": "bf16-mixed", "limit_train_batches": 2},
    ],
    ids=lambda options: ", ".join(f"{name}={value}" for name, value in options.items()),
)
def test_options_of_the_trainer(data: PatentDataModule, options: dict[str, Any]) -> None:
    trainer = pl.Trainer(**{**ALONE, **options})
    model = make_model(data, lr=1e-2)
    before = [weight.clone() for weight in model.parameters()]
    trainer.fit(model, data)
    assert any(not torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True))
    assert {"train/loss", "val/loss", "val/accuracy", "val/accuracy/class"} <= set(trainer.callback_metrics)


def test_callbacks_and_loggers(data: PatentDataModule, tmp_path: Path) -> None:
    """The best epoch is kept, training stops when no epoch is better, and each logger has what was logged."""
    loggers = [CSVLogger(tmp_path, "csv"), TensorBoardLogger(tmp_path, "tensorboard")]
    best = ModelCheckpoint(tmp_path / "best", monitor="val/accuracy", mode="max", save_weights_only=False)
    stopping = EarlyStopping("val/accuracy", mode="max", patience=1)
    callbacks = [best, stopping, LearningRateMonitor("step")]
    trainer = pl.Trainer(**QUIET, max_epochs=9, logger=loggers, callbacks=callbacks, log_every_n_steps=1)
    trainer.fit(make_model(data, lr=1e-12, warmup=0.0), data)  # no epoch is better than the first
    assert trainer.current_epoch == 2
    (kept,) = (tmp_path / "best").iterdir()
    assert best.best_model_path == str(kept)

    content = torch.load(kept, weights_only=True)
    assert content["hyper_parameters"]["tree"] == data.tree.as_dict()
    assert json.loads(json.dumps(content["hyper_parameters"])) == content["hyper_parameters"]  # plain values
    header = (tmp_path / "csv" / "version_0" / "metrics.csv").read_text("utf-8").partition("\n")[0].split(",")
    assert {"lr-AdamW/pg1", "train/loss", "val/loss", "val/accuracy", "val/accuracy/section"} <= set(header)
    hparams = (tmp_path / "csv" / "version_0" / "hparams.yaml").read_text("utf-8")
    assert "num_last_layers: 2" in hparams
    assert "rows: 300" in hparams  # of the data module
    assert "codes:" not in hparams  # a tree may have 70,000 labels
    assert list((tmp_path / "tensorboard" / "version_0").glob("events*"))


def test_a_run_goes_on_from_a_checkpoint_of_lightning(data: PatentDataModule, tmp_path: Path) -> None:
    """It ends with the weights of an uninterrupted run."""
    usual = make_model(data, lr=1e-2, total_steps=20, dropout=0.0)
    pl.Trainer(**ALONE, max_epochs=2).fit(usual, data)
    first = make_model(data, lr=1e-2, total_steps=20, dropout=0.0)
    trainer = pl.Trainer(**ALONE, max_epochs=1)
    trainer.fit(first, data)
    trainer.save_checkpoint(tmp_path / "state.ckpt")
    resumed = make_model(data, lr=1e-2, total_steps=20, dropout=0.0)
    pl.Trainer(**ALONE, max_epochs=2).fit(resumed, data, ckpt_path=tmp_path / "state.ckpt", weights_only=True)
    for name, value in usual.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("model", ["bert", "textcnn", "rnn"])
def test_every_network_is_trained_saved_and_loaded(cache: Path, tmp_path: Path, model: str) -> None:
    on_words = model != "bert"
    features = FeatureSettings("chars", vector_size=8, epochs=1)
    data = make_data(cache, **({"features": features, "max_length": 20} if on_words else {"labels": "all"}))
    options: dict[str, Any] = {"features": data.vectors} if on_words else {"encoder": TINY, "freeze": True}
    network = PatentClassifier(model, data.tree, **options, dropout=0.3, r_drop=0.5, level_weights={"section": 0.5})
    trainer = pl.Trainer(**QUIET, max_epochs=1, limit_train_batches=2, default_root_dir=tmp_path, logger=False)
    trainer.fit(network, data)
    assert (data.vectors is not None) == on_words
    again = PatentClassifier.load_from_checkpoint(trainer.checkpoint_callback.best_model_path)
    assert again.hparams == network.hparams
    assert (again.hparams["model"], again.loss.level_weights) == (model, (0.5, 1.0))
    frozen = [name for name, weight in again.named_parameters() if not weight.requires_grad]
    assert frozen == [name for name, weight in network.named_parameters() if not weight.requires_grad]
    assert bool(frozen) != on_words
    for one, two in zip(trainer.predict(network, data), trainer.predict(again, data), strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)


# --- the command line's own training


def test_the_command_line_trains_and_scores_the_same(cache: Path, tmp_path: Path) -> None:
    """``run`` and a plain Trainer with the same seed: the same weights, and the accuracies of metrics.json."""
    from safetensors.torch import load_file

    from patent_hier.pipeline.node import run_node

    settings = Settings(
        data=DemoDataSettings(rows=300),
        encoder=TINY,
        model=BertCnnSettings(num_last_layers=2, num_filters=8),
        level=LevelSettings("shared"),
        trainer=TrainerSettings(
            max_epochs=2, min_steps=0, batch_size=32, patience=None, accelerator="cpu", num_threads=1, progress=False
        ),
        node="shared",
        runs_dir=str(tmp_path),
        cache_dir=str(cache),
    )
    threads = torch.get_num_threads()
    folder = run_node(settings).folder
    torch.set_num_threads(1)
    data = make_data(cache)
    model = make_model(data, lr=settings.optimizer.lr)
    best = ModelCheckpoint(tmp_path / "best", monitor="val/accuracy", mode="max")
    trainer = pl.Trainer(**QUIET, max_epochs=2, callbacks=[best], logger=False, gradient_clip_val=1.0)
    pl.seed_everything(1, verbose=False)
    model = PatentClassifier(
        "bertcnn", data.tree, encoder=TINY, num_last_layers=2, num_filters=8, lr=settings.optimizer.lr
    )
    trainer.fit(model, data)
    (scores,) = trainer.test(model, data, ckpt_path=best.best_model_path, verbose=False, weights_only=True)
    torch.set_num_threads(threads)
    for name, value in load_file(folder / "model" / "model.safetensors").items():
        assert torch.equal(value, model.network.state_dict()[name]), name
    levels = json.loads((folder / "metrics.json").read_text("utf-8"))["test"]["levels"]
    for level, own in levels.items():
        assert scores[f"test/accuracy/{level}"] == pytest.approx(own["accuracy"]["value"])
        assert scores[f"test/top_3_accuracy/{level}"] == pytest.approx(own["top_3_accuracy"]["value"])


def test_one_name_is_one_name() -> None:
    settings = PatentDataModule("x.csv", text="摘要", label_text="t.csv", label_levels="class").settings.data
    assert (settings.text, settings.label_levels) == (["摘要"], ["class"])
    assert PatentDataModule("x.csv", text=(name for name in ("名称", "摘要"))).settings.data.text == ["名称", "摘要"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": ["摘要", None]}, "text: item 1 is None"),
        ({"text": 3}, "item 0 is 3"),
        ({"columns": ["a"]}, "columns="),
    ],
)
def test_what_is_no_name_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PatentDataModule("x.csv", **given)
