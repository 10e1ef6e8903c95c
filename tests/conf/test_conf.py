import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from patent_hier import settings as s
from patent_hier.cli import schema
from patent_hier.cli.compose import compose_pretrain_settings, compose_settings
from patent_hier.cli.messages import describe
from patent_hier.cli.observers import GROUPS
from patent_hier.errors import ConfigError

CONF = Path(schema.config_folder())
EVERY_CHOICE = [(file.parent.name, file.stem) for file in sorted(CONF.glob("*/*.yaml"))]
CHOICES = [choice for choice in EVERY_CHOICE if choice[0] not in GROUPS]  # of settings; the others: test_observers.py
MODELS = [choice for group, choice in CHOICES if group == "model"]
FOR_MODEL = [file.stem.removeprefix("paper_") for file in sorted(CONF.glob("experiment/for_model/*.yaml"))]
NEEDS = {  # what a choice cannot do without, beside itself
    ("data", "cnipa"): ["data.path=FILE.csv"],
    ("data", "gazette"): ["data.path=FILE.csv"],
    ("encoder", "folder"): ["encoder.path=FOLDER"],
    ("features", "chars"): ["model=textcnn"],
    ("split", "file"): ["split.path=FILE.csv"],
}


def compose_raw(overrides, folder=CONF):
    schema.register()
    with initialize_config_dir(version_base="1.3", config_dir=str(folder)):
        return compose("config", overrides=[*overrides])


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(CONF, tmp_path / "conf")
    return tmp_path / "conf"


def test_groups_are_those_of_the_design():
    groups = {"data", "split", "encoder", "features", "model", "level", "optimizer", "trainer", "experiment"}
    assert {group for group, _ in CHOICES} == groups
    assert {group for group, _ in EVERY_CHOICE} == groups | {"logger", "callbacks"}


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_passes_check(group, choice):
    settings = compose_settings([f"{group}={choice}", *NEEDS.get((group, choice), [])] if group != "level" else [])
    assert isinstance(settings, s.Settings)
    for field, kind in (
        ("data", s.DataSettings),
        ("split", s.SplitSettings),
        ("encoder", s.EncoderSettings),
        ("features", s.FeatureSettings),
        ("model", s.ModelSettings),
        ("optimizer", s.OptimizerSettings),
        ("trainer", s.TrainerSettings),
    ):
        assert isinstance(getattr(settings, field), kind)
    if group not in ("level", "experiment", "trainer", "split"):
        assert getattr(settings, group).name.replace("-", "_") == choice
    if group == "split":
        assert settings.split.policy == {"deploy": "applicant"}.get(choice, choice)


@pytest.mark.parametrize(
    ("level", "node"),
    [("section", "root"), ("flat", "flat"), ("shared", "shared"), ("hier", "???"), ("class", "???"), ("node", "???")],
)
def test_levels_set_their_nodes(level, node):
    config = compose_raw([f"level={level}"])
    assert config.level.name == level
    assert OmegaConf.to_container(config)["node"] == node


@pytest.mark.parametrize("level", ["flat", "shared"])
def test_a_whole_level_is_its_node_alone(level):
    composed, alone = (
        schema.to_settings(compose_raw(words)) for words in ([f"level={level}"], ["level=node", f"node={level}"])
    )
    assert dataclasses.replace(composed, level=alone.level) == alone


def test_levels_and_symbols_to_learn_from():
    words = ["level=shared", "data.depth=subgroup", "data.labels=all", "+trainer.level_weights.subgroup=0.5"]
    composed = schema.to_settings(compose_raw(words))
    assert (composed.data.depth, composed.data.labels) == ("subgroup", "all")
    assert composed.trainer.level_weights == {"subgroup": 0.5}


def test_a_missing_node_is_asked_for():
    with pytest.raises(
        ConfigError, match=r"level=node needs a node; set node=root, flat or shared, or a label such as"
    ) as caught:
        schema.to_settings(compose_raw(["level=node"]))
    assert "\n" not in str(caught.value)


def test_sweeping_levels_sweep_their_nodes():
    schema.register()
    nodes = {}
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        for level in ("hier", "class"):
            config = compose("config", overrides=[f"level={level}"], return_hydra_config=True)
            assert config.hydra.mode.name == "MULTIRUN"
            nodes[level] = tuple(config.hydra.sweeper.params.node.split(","))
    assert nodes == {"hier": s.HIER_NODES, "class": s.HIER_NODES[1:]}


@pytest.mark.parametrize(
    "key",
    [
        "data.txt=[x]",
        "split.tests=0.1",
        "encoder.lenght=3",
        "features.max_lenght=3",
        "model.num_last_layer=4",
        "level.nme=x",
        "optimizer.rate=1",
        "trainer.epochs=3",
        "sed=1",
    ],
)
def test_misspelt_key_on_the_command_line(key):
    with pytest.raises(Exception, match=r"Could not override|not in struct") as caught:
        compose_settings([key])
    assert describe(caught.value).startswith(f"unknown setting {key.split('=')[0]};")


@pytest.mark.parametrize("key", ["+trainer.logger=x", "++foo.bar=1", "+encoder.lenght=3", "+sed=1", "++model.depth=2"])
def test_a_key_that_is_forced_in(key):
    name = key.lstrip("+").split("=")[0]
    with pytest.raises(ConfigError, match=f"unknown setting {name.removesuffix('.bar')};") as caught:
        compose_settings([key])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("textcnn", "model.kernel_size=3"),  # BERT-CNN has one filter length, TextCNN several
        ("rnn", "model.kernel_sizes=[3]"),
        ("linear", "model.alpha=1"),
        ("logistic", "model.C=1"),
        ("naive_bayes", "model.c=1"),
        ("knn", "model.num_neighbors=3"),
        ("bertcnn", "model.ngram_sizes=[1,2]"),
    ],
)
def test_a_setting_of_another_model(model, key):
    with pytest.raises(Exception, match=r"Could not override|not in struct") as caught:
        compose_settings([f"model={model}", key])
    assert describe(caught.value).startswith(f"unknown setting {key.split('=')[0]};")


@pytest.mark.parametrize(
    ("group", "choice"), [choice for choice in CHOICES if choice[0] not in ("level", "experiment")]
)
def test_misspelt_key_inside_a_group_file(group, choice, copied):
    file = copied / group / f"{choice}.yaml"
    file.write_text(file.read_text("utf-8") + "num_layrs: 3\n", "utf-8")
    with pytest.raises(Exception, match="num_layrs") as caught:
        compose_raw([f"{group}={choice}"], copied)
    line = describe(caught.value)
    assert line.startswith(f"{group}/{choice}.yaml: unknown setting {group}.num_layrs;")
    assert "\n" not in line


@pytest.mark.parametrize(("group", "choice"), [choice for choice in CHOICES if choice[0] in ("level", "experiment")])
def test_misspelt_key_inside_an_overlay(group, choice, copied):
    file = copied / group / f"{choice}.yaml"
    file.write_text(file.read_text("utf-8") + "sed: 3\n", "utf-8")
    with pytest.raises(Exception, match="sed") as caught:
        compose_raw([f"{group}={choice}"], copied)
    assert describe(caught.value).startswith(f"{group}/{choice}.yaml: unknown setting sed; did you mean seed?")


@pytest.mark.parametrize("model", FOR_MODEL)
@pytest.mark.parametrize("line", ["sed: 3", "split: {sed: 3}"])
def test_misspelt_key_inside_what_an_experiment_sets_for_a_model(model, line, copied):
    file = copied / "experiment" / "for_model" / f"paper_{model}.yaml"
    file.write_text(file.read_text("utf-8") + line + "\n", "utf-8")
    with pytest.raises(Exception, match="sed") as caught:
        compose_raw(["experiment=paper", f"model={model}"], copied)
    name = "split.sed" if "split" in line else "sed"
    said = f"experiment/for_model/paper_{model}.yaml: unknown setting {name}; did you mean seed?"
    assert describe(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], s.Settings()),
        (["node=D"], s.Settings(node="D")),
        (["data=cnipa", "data.path=x"], s.Settings(data=s.DataSettings(path="x"))),
        (["encoder=small"], s.Settings(encoder=s.small_encoder())),
        (["encoder=demo"], s.Settings(encoder=s.DemoEncoderSettings())),
        (["encoder=folder"], s.Settings(encoder=s.EncoderSettings())),
        (["model=textcnn"], s.Settings(model=s.TextCnnSettings())),
        (["model=rnn"], s.Settings(model=s.RnnSettings())),
        (["model=linear"], s.Settings(model=s.LinearSettings())),
        (["model=naive_bayes"], s.Settings(model=s.NaiveBayesSettings())),
        (["model=knn"], s.Settings(model=s.NeighboursSettings())),
        (["node=flat", "model=rnn"], s.Settings(node="flat", model=s.RnnSettings())),
        (["node=shared"], s.Settings(node="shared")),
        (["node=A01B1/00"], s.Settings(node="A01B1/00")),
    ],
)
def test_python_has_the_defaults_of_the_command_line(words, settings):
    given = ["level=node", *words]
    composed = schema.to_settings(compose_raw(given if "node=" in " ".join(words) else [*given, "node=root"]))
    assert composed == settings
    assert type(composed.data) is type(settings.data)
    s.check(settings)


def test_python_has_the_defaults_of_pretraining():
    assert compose_pretrain_settings(["max_steps=3"]) == s.PretrainSettings(max_steps=3)


@pytest.mark.parametrize(
    ("group", "choice"), [choice for choice in CHOICES if choice[0] not in ("level", "experiment")]
)
def test_a_group_file_says_only_what_it_changes(group, choice):
    """A value that the dataclass has anyway would be a second place to keep it."""
    file = CONF / group / f"{choice}.yaml"
    own = {key: value for key, value in (yaml.safe_load(file.read_text("utf-8")) or {}).items() if key != "defaults"}
    composed = compose_raw([f"{group}={choice}", *NEEDS.get((group, choice), [])])[group]
    default = OmegaConf.get_type(composed)()
    assert [key for key, value in own.items() if value == getattr(default, key)] == []


def test_paper_settings():
    settings = compose_settings(["experiment=paper", "encoder=bert_base_chinese"])
    assert (settings.optimizer.name, settings.optimizer.lr, settings.optimizer.schedule) == ("adam", 2e-5, "constant")
    assert settings.trainer.batch_size == 24
    assert settings.encoder.max_length == 200
    assert settings.trainer.max_epochs == 20
    assert settings.trainer.min_steps == 0  # and so for every model, whatever it suggests
    assert settings.trainer.patience is None
    assert (settings.split.val, settings.split.calibration, settings.trainer.keep) == (0, 0, "last")
    assert settings.model.num_last_layers == 4
    assert settings.model.dropout == 0
    assert settings.encoder.path == "google-bert/bert-base-chinese"


def test_what_an_experiment_sets_for_models_is_of_models_that_there_are():
    assert FOR_MODEL
    assert set(FOR_MODEL) <= set(MODELS)
    assert {file.stem.split("_")[0] for file in CONF.glob("experiment/for_model/*.yaml")} == {"paper"}


@pytest.mark.parametrize(("model", "batch_size"), [("bertcnn", 24), ("bert", 24), ("textcnn", 20), ("rnn", 20)])
def test_the_papers_batches_and_lengths(model, batch_size):
    assert model in FOR_MODEL
    settings = compose_settings(["experiment=paper", f"model={model}"])
    assert settings.trainer.batch_size == batch_size
    own = settings.features if batch_size == 20 else settings.encoder
    assert own.max_length == 200
    assert (settings.optimizer.lr, settings.trainer.max_epochs) == (2e-5, 20)
    if batch_size == 20:
        assert settings.features.vector_size == 300
        assert settings.encoder.max_length == 64  # the usual encoder's: what is BERT-CNN's own does not leak
    words = ["experiment=paper", f"model={model}", "trainer.batch_size=7"]
    assert compose_settings(words).trainer.batch_size == 7  # the command line has the last word


def test_the_papers_settings_leave_other_models_as_they_are():
    for model in ("linear", "logistic", "naive_bayes", "knn"):
        assert model not in FOR_MODEL
        paper = compose_settings(["experiment=paper", f"model={model}"])
        assert paper.model == compose_settings([f"model={model}"]).model
        assert paper.optimizer.name == "adam"


def test_the_small_encoder_is_the_packages():
    settings = compose_settings(["encoder=small"])
    assert (settings.encoder.path, settings.encoder.max_length) == ("patent_hier/small", 128)
    assert settings.encoder.pretrained
    assert settings.optimizer.lr == 2e-4


def test_poolings():
    for pooling in s.models.POOLINGS:
        assert compose_settings(["encoder=gpt2", f"model.pooling={pooling}"]).model.pooling == pooling
    suiting = {"gpt2": "last", "macbert": "cls", "small_half_frozen": "mean", "demo": "mean"}
    assert {name: compose_settings([f"encoder={name}"]).model.pooling for name in suiting} == suiting
    with pytest.raises(ConfigError, match=r"model\.pooling=first is unknown; choose one of cls, mean, last"):
        compose_settings(["model.pooling=first"])


def test_learning_rate_suits_the_model_or_its_encoder_unless_set():
    assert compose_settings([]).optimizer.lr == 2e-4
    assert compose_settings(["encoder=demo"]).optimizer.lr == 1e-3
    assert compose_settings(["encoder=macbert"]).optimizer.lr == 3e-5
    assert compose_settings(["encoder=macbert", "model=bert"]).optimizer.lr == 3e-5
    assert compose_settings(["encoder=macbert", "model=textcnn"]).optimizer.lr == 3e-3
    assert compose_settings(["model=rnn", "model.suggested_lr=0.25"]).optimizer.lr == 0.25
    assert compose_settings(["optimizer.lr=0.5"]).optimizer.lr == 0.5
    assert compose_settings(["model=textcnn", "optimizer.lr=0.5"]).optimizer.lr == 0.5


def test_batch_size_and_epochs_suit_the_model_unless_set():
    for model, size, epochs in (("bertcnn", 16, 5), ("textcnn", 32, 5), ("rnn", 32, 5)):
        settings = compose_settings([f"model={model}"])
        assert settings.trainer.batch_size == settings.model.suggested_batch_size == size
        assert settings.trainer.max_epochs == settings.model.suggested_max_epochs == epochs
    changed = compose_settings(["model=rnn", "trainer.batch_size=3", "trainer.max_epochs=4"]).trainer
    assert (changed.batch_size, changed.max_epochs) == (3, 4)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in ("textcnn", "rnn")])
def test_characters_go_with_models_on_words_only(model):
    with pytest.raises(ConfigError, match=rf"features=chars .*model=textcnn or model=rnn; model={model} reads"):
        compose_settings([f"model={model}", "features=chars"])


@pytest.mark.parametrize("model", ["textcnn", "rnn"])
def test_characters_of_longer_documents(model):
    features = compose_settings([f"model={model}", "features=chars"]).features
    assert (features.name, features.max_length, features.vector_size) == ("chars", 300, 300)


def test_logistic_is_linear_with_another_loss():
    logistic, svm = (compose_settings([f"model={model}"]).model for model in ("logistic", "linear"))
    assert (logistic.classifier, svm.classifier) == ("logistic", "svm")
    assert type(logistic) is type(svm) is s.LinearSettings


def test_bert_is_the_linear_control():
    assert compose_settings(["model=bert"]).model.head == "cls"
    with pytest.raises(ConfigError, match=r"model\.head=token"):
        compose_settings(["model=bert", "model.head=token"])


def test_columns_and_text_may_be_chinese():
    data = compose_settings(
        ["data=gazette", "data.path=公报.csv", "data.columns={title: 名称}", "data.text=[名称,摘要]"]
    ).data
    assert (data.path, data.columns, data.text) == ("公报.csv", {"title": "名称"}, ["名称", "摘要"])


def test_configuration_inside_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "patent_hier" / "conf").mkdir(parents=True)
    monkeypatch.setattr("patent_hier.__file__", str(tmp_path / "patent_hier" / "__init__.py"))
    assert schema.config_folder() == str(tmp_path / "patent_hier" / "conf")
    (tmp_path / "patent_hier" / "conf").rmdir()
    assert schema.config_folder() == str(tmp_path / "conf")


def test_configuration_travels_in_the_wheel():
    import tomllib

    project = tomllib.loads((CONF.parent / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "conf": "patent_hier/conf",
        "experiments/published": "patent_hier/published",
    }
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["patent_hier"]
    assert (CONF.parent / "patent_hier" / "py.typed").is_file()  # its types are for others too


@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_a_launchers_missing_plugin_is_named(launcher):
    """Its files choose from the plugin; without that nothing is found."""
    from hydra.errors import MissingConfigException

    missing = f"hydra/launcher/submitit_{launcher}"
    assert f"- submitit_{launcher}\n" in (CONF / "hydra" / "launcher" / f"{launcher}.yaml").read_text("utf-8")
    line = describe(MissingConfigException(f"Could not load {missing}", missing))
    assert "is not installed; install it: pip install -e " in line
    assert line.endswith('[cluster]"')
    assert "\n" not in line


def test_ddp_is_the_default_on_all_devices():
    one, several = (compose_settings([f"trainer={choice}"]).trainer for choice in ("default", "ddp"))
    assert (one.devices, several.devices) == (1, None)
    assert dataclasses.replace(several, devices=1) == one
    assert compose_settings(["trainer=ddp", "trainer.devices=4"]).trainer.devices == 4
