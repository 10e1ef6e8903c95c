import dataclasses
from dataclasses import replace

import pytest

from patent_hier.errors import ConfigError
from patent_hier.settings import (
    FLAT,
    HIER_NODES,
    SHARED,
    WHOLE,
    BertCnnSettings,
    DataSettings,
    EncoderSettings,
    FeatureSettings,
    LevelSettings,
    LinearSettings,
    NaiveBayesSettings,
    NeighboursSettings,
    OptimizerSettings,
    RnnSettings,
    Settings,
    SplitSettings,
    TextCnnSettings,
    TrainerSettings,
    as_dict,
    check,
)


@pytest.fixture
def settings():
    return Settings(optimizer=OptimizerSettings(lr=1e-3))  # whatever the model


def test_what_depends_on_other_settings_is_filled_in():
    usual = Settings()
    assert (usual.encoder.path, usual.encoder.freeze, usual.model.pooling) == ("patent_hier/small", 3, "mean")
    assert (usual.optimizer.lr, usual.optimizer.head_lr, usual.trainer.min_steps) == (2e-4, 2e-3, 200)
    assert Settings(optimizer=OptimizerSettings(lr=0.1)).optimizer.head_lr is None  # a chosen rate is that of all
    assert Settings(model=LinearSettings()).optimizer.head_lr is None
    other = Settings(encoder=EncoderSettings(path="x"))
    assert (other.model.pooling, other.trainer.min_steps) == ("cls", 600)
    assert Settings(encoder=EncoderSettings(path="x"), model=BertCnnSettings(pooling="mean")).model.pooling == "mean"
    rnn = Settings(data=DataSettings(path="x.csv"), model=RnnSettings())
    assert (rnn.optimizer.lr, rnn.trainer.batch_size, rnn.trainer.max_epochs) == (3e-3, 32, 5)
    for whole in (Settings(node="flat"), Settings(node="shared"), Settings(level=LevelSettings("shared"))):
        assert whole.trainer.max_epochs == 6
    assert Settings(node="flat", model=RnnSettings()).trainer.max_epochs == 10
    chosen = Settings(optimizer=OptimizerSettings(lr=0.5), trainer=TrainerSettings(batch_size=3, max_epochs=4))
    assert (chosen.optimizer.lr, chosen.trainer.batch_size, chosen.trainer.max_epochs) == (0.5, 3, 4)


def test_nodes():
    assert list(HIER_NODES) == ["root", *"ABCDEFGH"]
    assert WHOLE == (FLAT, SHARED) == ("flat", "shared")


@pytest.mark.parametrize("node", [*HIER_NODES, *WHOLE, "A01", "A01B", "A01B1/00", "H01L21/027", "other.scheme-1_2"])
def test_every_node_passes(settings, node):
    check(replace(settings, node=node))


@pytest.mark.parametrize("node", ["", " ", "?", "../A", "/etc", ".A", "A B", "A\n01", "A01;", "国"])
def test_what_can_name_no_label_is_no_node(settings, node):
    with pytest.raises(ConfigError, match="use root, flat, shared or a label such as A, A01 or A01B") as caught:
        check(replace(settings, node=node))
    assert "\n" not in str(caught.value).replace(node, "")


@pytest.mark.parametrize("depth", ["class", "subclass", "main_group", "subgroup"])
@pytest.mark.parametrize("labels", ["first", "all"])
def test_depth_and_labels(settings, depth, labels):
    check(replace(settings, data=replace(settings.data, depth=depth, labels=labels)))


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("depth", "section", "class, subclass, main_group, subgroup"),  # root alone would be left
        ("depth", "maingroup", "class, subclass, main_group, subgroup"),
        ("labels", "main", "first, all"),
    ],
)
def test_other_depths_and_labels(settings, name, value, allowed):
    with pytest.raises(ConfigError, match=rf"data\.{name}={value} is unknown; choose one of {allowed}$"):
        check(replace(settings, data=replace(settings.data, **{name: value})))


def test_weights_of_levels(settings):
    def weighted(**weights):
        return replace(settings, trainer=replace(settings.trainer, level_weights=weights))

    check(weighted(section=0.0, subgroup=0.5))
    with pytest.raises(ConfigError, match=r"trainer\.level_weights=classes is unknown; choose one of section, class"):
        check(weighted(classes=1.0))
    for wrong in (-0.1, float("nan"), 1e7):
        with pytest.raises(ConfigError, match=r"trainer\.level_weights\.class=.* is out of range"):
            check(weighted(**{"class": wrong}))


REFUSED: dict[str, list[tuple[str, object]]] = {
    "data": [("label_levels", []), ("label_weight", 0.0), ("label_weight", -1.0), ("rows", 0)],
    "model": [
        *(("head", "x"), ("pooling", "max"), ("num_last_layers", 0), ("num_filters", 0), ("kernel_size", -1)),
        *(("pool_size", 0), ("dropout", 1.0), ("hidden_order", "sorted")),
    ],
    "features": [
        *(("max_length", 0), ("min_count", 0), ("vector_size", 0), ("window", 0), ("epochs", -1), ("seed", -1)),
    ],
    "encoder": [("max_length", 2)],
    "trainer": [
        *(("max_epochs", 0), ("min_steps", -1), ("batch_size", 0), ("score_batch_size", 0), ("section_loss", -0.5)),
        *(("r_drop", -1.0), ("patience", 0), ("num_threads", 0), ("devices", 0), ("accelerator", "tpu")),
        ("precision", "8"),
    ],
    "optimizer": [("name", "sgd"), ("schedule", "cosine"), ("lr", 0.0), ("weight_decay", -1.0), ("warmup", 2.0)],
}


@pytest.mark.parametrize(
    ("group", "name", "value"), [(group, *change) for group, changes in REFUSED.items() for change in changes]
)
def test_refusal_names_the_setting(settings, group, name, value):
    check(settings)
    broken = replace(settings, **{group: replace(getattr(settings, group), **{name: value})})
    with pytest.raises(ConfigError) as caught:
        check(broken)
    assert f"{group}.{name}" in str(caught.value)
    assert str(value) in str(caught.value)


def test_refusals_of_settings_that_do_not_go_together(settings):
    with pytest.raises(ConfigError, match=r"data\.path.*x\.csv"):
        check(replace(settings, data=replace(settings.data, path="x.csv")))
    with pytest.raises(ConfigError, match=r"model\.head.*token"):
        check(replace(settings, model=replace(settings.model, name="bert", head="token")))
    with pytest.raises(ConfigError, match="seed=-1"):
        check(replace(settings, seed=-1))


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (TextCnnSettings(kernel_sizes=[]), "kernel_sizes", "[]"),
        (TextCnnSettings(kernel_sizes=[2, 0]), "kernel_sizes", "0"),
        (TextCnnSettings(num_filters=0), "num_filters", "0"),
        (TextCnnSettings(dropout=-0.1), "dropout", "-0.1"),
        (RnnSettings(cell="elman"), "cell", "elman"),
        (RnnSettings(pooling="cls"), "pooling", "cls"),
        (RnnSettings(hidden_size=0), "hidden_size", "0"),
        (RnnSettings(num_layers=0), "num_layers", "0"),
        (RnnSettings(dropout=1.0), "dropout", "1.0"),
        (LinearSettings(ngram_sizes=[1]), "ngram_sizes", "[1]"),
        (LinearSettings(ngram_sizes=[3, 1]), "ngram_sizes", "[3, 1]"),
        (LinearSettings(ngram_sizes=[0, 2]), "ngram_sizes", "[0, 2]"),
        (LinearSettings(min_documents=0), "min_documents", "0"),
        (LinearSettings(max_terms=0), "max_terms", "0"),
        (LinearSettings(classifier="tree"), "classifier", "tree"),
        (LinearSettings(c=0.0), "c", "0.0"),
        (NaiveBayesSettings(alpha=0.0), "alpha", "0.0"),
        (NaiveBayesSettings(ngram_sizes=[1, 21]), "ngram_sizes", "[1, 21]"),
        (NeighboursSettings(num_neighbours=0), "num_neighbours", "0"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_refusal_of_a_models_setting(settings, model, name, value):
    check(replace(settings, model=type(model)()))
    with pytest.raises(ConfigError) as caught:
        check(replace(settings, model=model))
    assert f"model.{name}={value}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [TextCnnSettings(), RnnSettings()])
def test_characters_go_with_models_on_words(settings, model):
    chars = replace(settings, features=FeatureSettings(name="chars"))
    check(replace(chars, model=model))
    for other in (settings.model, LinearSettings()):
        with pytest.raises(ConfigError, match=rf"features=chars .* model={other.name} reads {other.inputs}"):
            check(replace(chars, model=other))


def test_unknown_features(settings):
    with pytest.raises(ConfigError, match=r"features\.name=letters is unknown; choose one of words, chars"):
        check(replace(settings, model=RnnSettings(), features=FeatureSettings(name="letters")))


def test_all_terms_may_be_kept(settings):
    check(replace(settings, model=LinearSettings(max_terms=None)))


@pytest.mark.parametrize(
    "model", [TextCnnSettings, RnnSettings, LinearSettings, NaiveBayesSettings, NeighboursSettings]
)
def test_name_and_suggestions_have_no_influence(model):
    suggestions = {f"suggested_{key}": 7 for key in ("lr", "batch_size", "max_epochs", "whole_epochs", "min_steps")}
    assert model(name="other", **suggestions).influence() == model().influence()
    fields = {field.name for field in dataclasses.fields(model)}
    assert set(model().influence()) == fields - {"name", "context_weight", *suggestions}


def test_only_what_a_head_reads_has_influence():
    assert set(BertCnnSettings(head="cls").influence()) == {"head", "dropout", "pooling"}
    assert BertCnnSettings(hidden_order="shuffled").influence()["hidden_order"] == "shuffled"
    assert "hidden_order" not in BertCnnSettings(head="token").influence()


def test_bounds_read_well(settings):
    for trainer, words in (({"batch_size": 0}, "use 1 or more"), ({"num_threads": 5000}, "a value from 1 to 4096")):
        with pytest.raises(ConfigError, match=words):
            check(replace(settings, trainer=TrainerSettings(**trainer)))


def test_null_means_none(settings):
    free = TrainerSettings(patience=None, num_threads=None, gradient_clip=None, devices=None)
    check(replace(settings, trainer=free, model=BertCnnSettings(pool_size=None)))


def test_raw_file_needs_a_path(settings):
    with pytest.raises(ConfigError, match=r"data=gazette needs its file: data\.path"):
        check(replace(settings, data=DataSettings("gazette")))
    check(replace(settings, data=DataSettings("gazette", path="x.csv")))


def test_as_dict_is_plain(settings):
    content = as_dict(settings)
    assert content["model"]["num_last_layers"] == 4
    assert content["optimizer"] == dataclasses.asdict(OptimizerSettings(lr=1e-3))
    assert content["trainer"]["level_weights"] == {}
    assert all(isinstance(value, dict | str | int) for value in content.values())


@pytest.mark.parametrize("name", ["a/b", "<b>", "..", "", "a b"])
def test_a_models_name_is_a_folders(settings, name):
    with pytest.raises(ConfigError, match="names a folder"):
        check(replace(settings, model=replace(settings.model, name=name)))


def test_unknown_label_level(settings):
    with pytest.raises(ConfigError, match=r"data\.label_levels=group is unknown; choose one of section, class, sub"):
        check(replace(settings, data=replace(settings.data, label_levels=["subclass", "group"])))


def test_label_text_goes_with_models_that_weigh_documents(settings):
    titled = replace(settings, data=replace(settings.data, label_text="titles.csv"))
    for model in (BertCnnSettings(), TextCnnSettings(), RnnSettings(), LinearSettings(), NaiveBayesSettings()):
        check(replace(titled, model=model))
    check(replace(settings, model=NeighboursSettings(name="knn")))
    with pytest.raises(ConfigError, match=r"data\.label_text=titles\.csv goes with .*; model=knn does not") as caught:
        check(replace(titled, model=NeighboursSettings(name="knn")))
    assert "\n" not in str(caught.value)


def test_weights_of_label_texts():
    data = DataSettings("gazette")
    assert data.label_weights("ngrams") == (0.1, 0.3, 1.0)
    assert data.label_weights("words") == data.label_weights("wordpiece") == (0.3,)
    assert {replace(data, label_weight=0.5).label_weights(inputs) for inputs in ("ngrams", "words")} == {(0.5,)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context": ["address"]}, "data.context=address is unknown; choose one of applicant, kind, title, abstract"),
        ({"model": BertCnnSettings()}, r"data.context=\[applicant\] goes with models on character n-grams"),
        (
            {"policy": "applicant"},
            r"does not go with split=applicant .*: the split hides applicants",
        ),
        (
            {"together": "applicant", "policy": "file", "column": "kind"},
            "does not go with split.together=applicant",
        ),
    ],
)
def test_context_that_nothing_reads_or_the_split_hides_is_refused(changes, said):
    data = DataSettings(path="x.csv", context=changes.pop("context", ["applicant"]))
    model = changes.pop("model", LinearSettings())
    with pytest.raises(ConfigError, match=said):
        check(Settings(data=data, model=model, split=SplitSettings(**changes)))
    check(
        Settings(data=replace(data, context=["kind"]), model=LinearSettings(), split=SplitSettings(policy="applicant"))
    )
