import os
from pathlib import Path

import pytest

from patent_hier.artifacts import file_digest, fingerprint
from patent_hier.errors import ConfigError, DataError
from patent_hier.features import versions
from patent_hier.pipeline import inputs
from patent_hier.pipeline.plan import plan_node
from tests.pipeline.conftest import MODELS, change, make_settings

COMMON = {"run_version", "corpus", "split", "depth", "labels"}  # of every run's content


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """Settings whose corpus and split are made once, for tests that do not change them."""
    return make_settings(tmp_path_factory.mktemp("plans"))


def test_a_head_is_named_by_what_it_reads(common):
    def changed(group, **changes):
        return change(common, group, **changes)

    linear = plan_node(changed("model", name="bertcnn", head="cls"))
    for changes in ({"name": "bert"}, {"num_last_layers": 9}, {"num_filters": 7}, {"pool_size": None}):
        assert plan_node(changed("model", **{"head": "cls", **changes})).suite == linear.suite
    assert plan_node(changed("model", head="cls", pooling="cls")).suite != linear.suite
    token = plan_node(changed("model", head="token"))
    assert plan_node(changed("model", head="token", pooling="cls")).suite == token.suite
    assert plan_node(changed("model", head="token", num_filters=7)).suite != token.suite


def test_a_wrong_split_is_refused_before_the_corpus_is_read(changed, tmp_path):
    with pytest.raises(ConfigError, match="policy"):
        plan_node(changed("split", policy="aplicant"))
    assert not (tmp_path / "cache" / "corpora").exists()


def test_paths_do_not_matter(settings, changed, tmp_path):
    before = plan_node(settings)
    moved = plan_node(changed(runs_dir=str(tmp_path / "r2"), cache_dir=str(tmp_path / "c2")))
    assert (before.folder.name, before.suite) == (moved.folder.name, moved.suite)
    assert moved.folder.parent == tmp_path / "r2" / "bertcnn"


def test_name_and_date_of_the_raw_file_do_not_matter(settings, changed, tmp_path):
    before = plan_node(settings)
    renamed = Path(settings.data.path).rename(tmp_path / "other.csv")
    os.utime(renamed, (1, 1))
    assert plan_node(changed("data", path=str(renamed))).folder == before.folder


def test_content_of_the_raw_file_matters(settings):
    before = plan_node(settings)
    path = Path(settings.data.path)
    path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(b"\n", 0, -1) + 1])  # one row less
    assert plan_node(settings).suite != before.suite


def test_nodes_share_the_suite_only(common):
    root, a = plan_node(change(common, node="root")), plan_node(common)
    assert root.suite == a.suite
    assert root.folder != a.folder
    assert a.folder.name.startswith("A-")


def test_too_many_layers_are_refused_before_the_corpus_is_made(changed, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.num_last_layers=3 .* 2 layers, so use 1 to 2"):
        plan_node(changed("model", num_last_layers=3))
    assert not (tmp_path / "cache" / "corpora").exists()


def test_the_best_epoch_needs_validation_documents(changed, tmp_path):
    without = change(changed("split", val=0.0, calibration=0.0), "trainer")
    with pytest.raises(ConfigError, match=r"^trainer\.keep=best .*split\.val=0\.0; set trainer\.keep=last$"):
        plan_node(without)
    plan_node(change(without, "trainer", keep="last"))
    plan_node(change(without, model=MODELS["linear"]))


def test_missing_file(changed):
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        plan_node(changed("data", path="nowhere.csv"))


# --- by the kind of model


def plans(tmp_path, model, *changes):
    """The plan of a model, and those with one change each."""
    settings = make_settings(tmp_path, model)
    return [plan_node(settings), *(plan_node(change(settings, group, **values)) for group, values in changes)]


ENCODER = [("encoder", {"max_length": 16}), ("encoder", {"hidden_size": 32}), ("encoder", {"freeze": True})]
ENCODER += [
    ("encoder", {"freeze": 0}),
    ("encoder", {"freeze": 1}),
    ("encoder", {"num_hidden_layers": 3}),
    ("encoder", {"dropout": 0.2}),
]
HEAD = [
    ("model", {"pooling": "attention"}),
    ("optimizer", {"layer_decay": 0.9}),
    ("model", {"num_last_layers": 1}),
    ("model", {"pool_size": None}),
    ("model", {"head": "token"}),
]
DATA = [("data", {"text": ["专利名称"]}), ("data", {"text": ["专利名称", "摘要"]}), ("data", {"depth": "subclass"})]
DATA += [("data", {"labels": "all"}), ("split", {"policy": "applicant"}), ("split", {"test": 0.2})]
STEPS = [("optimizer", {"lr": 0.01}), ("optimizer", {"name": "adam"}), ("trainer", {"batch_size": 8})]
STEPS += [("trainer", {"level_weights": {"section": 0.5}})]
STEPS += [("trainer", {"max_epochs": 2}), ("trainer", {"class_weights": True}), ("trainer", {"precision": "32-true"})]
FEATURES = [("features", {name: value}) for name, value in (("max_length", 9), ("min_count", 1), ("vector_size", 5))]
FEATURES += [("features", {name: value}) for name, value in (("window", 2), ("epochs", 2), ("skip_gram", False))]
FEATURES += [("features", {"seed": 2}), ("features", {"name": "words"})]
TERMS = [("model", {"ngram_sizes": [1, 2]}), ("model", {"min_documents": 3}), ("model", {"max_terms": 50})]
OWN = {
    "bertcnn": [("model", {"num_filters": 7}), ("model", {"hidden_order": "shuffled"}), *HEAD, *ENCODER, *STEPS, *DATA],
    "textcnn": [("model", {"kernel_sizes": [2]}), ("model", {"tune_vectors": False}), *FEATURES, *STEPS],
    "rnn": [("model", {"cell": "gru"}), ("model", {"pooling": "attention"}), *FEATURES, *STEPS],
    "linear": [("model", {"c": 2.0}), ("model", {"classifier": "logistic"}), *TERMS],
    "naive_bayes": [("model", {"alpha": 0.5}), *TERMS],
    "knn": [("model", {"num_neighbours": 3}), *TERMS],
}
SEEDLESS = ("naive_bayes", "knn")  # the same documents give the same model, whatever the seed
OTHERS = {
    "bertcnn": FEATURES[:-1],
    "textcnn": ENCODER,
    "rnn": ENCODER,
    "linear": [*ENCODER, *FEATURES[:-1], *STEPS],
    "naive_bayes": [*ENCODER, *FEATURES[:-1], *STEPS],
    "knn": [*ENCODER, *FEATURES[:-1], *STEPS],
}


@pytest.mark.parametrize("model", OWN)
def test_what_decides_a_models_result_changes_its_name(model, tmp_path):
    seed = [] if model in SEEDLESS else [(None, {"seed": 2})]
    everything = [*OWN[model], *seed, ("split", {"seed": 1}), ("data", {"min_symbol": "class"})]
    first, *others = plans(tmp_path, model, *everything)
    names = [first.folder.name, *(plan.folder.name for plan in others)]
    assert len(set(names)) == len(names)
    assert len({first.suite, *(plan.suite for plan in others)}) == len(names)


@pytest.mark.parametrize("model", OTHERS)
def test_what_a_model_does_not_read_keeps_its_name(model, tmp_path):
    without = [
        ("model", {"suggested_lr": 0.5}),
        ("model", {"suggested_batch_size": 3}),
        ("model", {"suggested_max_epochs": 7}),
        ("trainer", {"progress": True}),
        ("trainer", {"num_threads": 2}),
        ("trainer", {"score_batch_size": 3}),
        ("trainer", {"accelerator": "cpu"}),
        ("trainer", {"devices": 4}),
        ("data", {"max_reject_share": 0.5}),
    ]
    if model in SEEDLESS:
        without.append((None, {"seed": 2}))
    first, *others = plans(tmp_path, model, *OTHERS[model], *without)
    for plan in others:
        assert (plan.folder, plan.suite, plan.group) == (first.folder, first.suite, first.group)


@pytest.mark.parametrize("model", [model for model in OWN if model not in SEEDLESS])
def test_seeds_share_the_group_and_nodes_the_suite(model, tmp_path):
    one, seed, node = plans(tmp_path, model, (None, {"seed": 2}), (None, {"node": "root"}))
    assert one.group == seed.group == node.group
    assert one.suite == node.suite != seed.suite
    assert len({one.folder, seed.folder, node.folder}) == 3
    other = plan_node(change(make_settings(tmp_path, model), "split", seed=4))
    assert other.group != one.group


def test_no_two_models_share_a_name(tmp_path):
    everything = [plans(tmp_path, model)[0] for model in MODELS]
    assert len({plan.group for plan in everything}) == len(MODELS)
    assert [plan.folder.parent.name for plan in everything] == list(MODELS)


@pytest.mark.parametrize("model", ["textcnn", "rnn"])
def test_given_vectors_count_by_content(model, tmp_path):
    texts = {"a.txt": "一 1 2\n", "b.txt": "一 1 2\n", "c.txt": "一 1 3\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    trained, a, b, c, other = plans(
        tmp_path,
        model,
        *(("features", {"vectors": str(tmp_path / name)}) for name in texts),
        ("features", {"vectors": str(tmp_path / "a.txt"), "epochs": 9, "window": 9, "vector_size": 9}),
    )
    assert a.group == b.group  # the same numbers in another place
    assert len({trained.group, a.group, c.group}) == 3
    assert other.group == a.group  # what trains vectors has no influence on given ones
    (tmp_path / "a.txt").write_text("一 1 9\n", "utf-8")
    changed = change(make_settings(tmp_path, model), "features", vectors=str(tmp_path / "a.txt"))
    assert plan_node(changed).group not in {a.group, c.group}


def test_content_is_what_the_group_names(tmp_path):
    first, second = plans(tmp_path, "linear")[0], plans(tmp_path, "textcnn")[0]
    assert set(first.content) == {*COMMON, "terms", "model"}
    assert set(second.content) == {*COMMON, "features", "model", "optimizer", "trainer"}
    assert first.group == fingerprint(first.content)
    assert first.suite == fingerprint({**first.content, "seed": 1})
    assert not {"num_threads", "accelerator", "progress", "score_batch_size"} & set(second.content["trainer"])


def test_a_missing_file_of_vectors_is_refused_before_the_corpus_is_made(tmp_path):
    with pytest.raises(ConfigError, match=r"features\.vectors=nowhere\.txt"):
        plan_node(change(make_settings(tmp_path, "rnn"), "features", vectors="nowhere.txt"))
    assert not (tmp_path / "cache" / "corpora").exists()


@pytest.mark.parametrize(
    ("model", "constant"),
    [("bertcnn", "TOKENS_VERSION"), ("linear", "NGRAMS_VERSION"), ("textcnn", "WORDS"), ("rnn", "VECTORS")],
)
def test_another_version_of_the_features_is_another_result(model, constant, tmp_path, monkeypatch):
    (before,) = plans(tmp_path, model)
    if constant.endswith("VERSION"):
        monkeypatch.setattr(inputs, constant, 99)
    else:
        monkeypatch.setattr(versions, f"{constant}_VERSION", 99)
    (after,) = plans(tmp_path, model)
    assert after.group != before.group


# --- label texts and the section's loss


def titles(folder, text="code,level,title\nA01,class,农业\n", name="titles.csv"):
    (folder / name).write_text(text, "utf-8")
    return str(folder / name)


def test_without_label_texts_and_the_sections_loss_names_are_as_before(tmp_path):
    """Settings that were added later and are not used do not affect the name."""
    first, *others = plans(
        tmp_path,
        "textcnn",
        ("data", {"label_levels": ["class"]}),
        ("data", {"label_weight": 0.5}),
        ("trainer", {"section_loss": 0.5}),  # of the flat node only
    )
    assert set(first.content) == {*COMMON, "features", "model", "optimizer", "trainer"}
    assert set(first.content["trainer"]) == {
        "max_epochs", "min_steps", "batch_size", "patience", "class_weights", "gradient_clip", "precision"
    }  # fmt: skip
    assert {plan.folder for plan in others} == {first.folder}
    assert {plan.suite for plan in others} == {first.suite}


def test_the_sections_loss_names_the_flat_node(tmp_path):
    settings = change(make_settings(tmp_path, "textcnn"), node="flat")
    plain, weighted, more = (plan_node(change(settings, "trainer", section_loss=value)) for value in (0.0, 0.5, 1.0))
    assert "section_loss" not in plain.content["trainer"]
    assert weighted.content["trainer"]["section_loss"] == 0.5
    assert len({plan.group for plan in (plain, weighted, more)}) == 3
    linear = change(make_settings(tmp_path, "linear"), node="flat")
    assert plan_node(linear).folder == plan_node(change(linear, "trainer", section_loss=0.5)).folder


def test_depth_and_symbols_name_the_result_and_neither_corpus_nor_split(tmp_path):
    base, *others = plans(tmp_path, "linear", ("data", {"depth": "subgroup"}), ("data", {"labels": "all"}))
    assert len({plan.group for plan in (base, *others)}) == 3
    assert {(plan.corpus.fingerprint, plan.split) for plan in others} == {(base.corpus.fingerprint, base.split)}


def test_weights_of_levels_name_networks_alone(tmp_path):
    plain, weighted, linear, same = (
        plan
        for model in ("textcnn", "linear")
        for plan in plans(tmp_path, model, ("trainer", {"level_weights": {"class": 2.0}}))
    )
    assert "level_weights" not in plain.content["trainer"]
    assert weighted.content["trainer"]["level_weights"] == {"class": 2.0}
    assert plain.group != weighted.group
    assert linear.folder == same.folder


@pytest.mark.parametrize("node", ["A01", "A01B", "A01B1/00", "shared", "flat"])
def test_any_node_has_a_folder_of_its_name(node, tmp_path):
    plan = plan_node(change(make_settings(tmp_path, "linear"), node=node))
    assert plan.folder.parent == tmp_path / "runs" / "linear"
    assert plan.folder.name.startswith(node.replace("/", "_") + "-")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("r_drop", 1.0), ("keep", "last"), ("ema", 0.9), ("label_smoothing", 0.1), ("text_turns", 2)],
)
def test_what_came_later_names_a_network_only_where_it_is_used(setting, value, tmp_path):
    first, second, linear, other = (
        plan for model in ("textcnn", "linear") for plan in plans(tmp_path, model, ("trainer", {setting: value}))
    )
    assert setting not in first.content["trainer"]
    assert second.content["trainer"][setting] == value
    assert first.folder != second.folder
    assert linear.folder == other.folder


def test_label_texts_name_the_result_and_neither_corpus_nor_split(tmp_path):
    path, same = titles(tmp_path), titles(tmp_path, name="copy.csv")
    other = titles(tmp_path, "code,level,title\nA01,class,林业\n", "other.csv")
    chosen = {"label_text": path, "label_levels": ["class", "subclass"], "label_weight": 0.3}
    base, first, *equal = plans(
        tmp_path,
        "textcnn",
        ("data", chosen),
        ("data", {**chosen, "label_text": same}),
        ("data", {**chosen, "label_levels": ["subclass", "class", "class"]}),
        ("data", {**chosen, "label_weight": None}),  # a network's own
    )
    assert {plan.folder for plan in equal} == {first.folder}
    _, *different = plans(
        tmp_path,
        "textcnn",
        ("data", {**chosen, "label_text": other}),
        ("data", {**chosen, "label_levels": ["class"]}),
        ("data", {**chosen, "label_weight": 1.0}),
    )
    assert len({plan.group for plan in (base, first, *different)}) == 5
    assert {(plan.corpus.fingerprint, plan.split) for plan in (base, first, *different)} == {
        (base.corpus.fingerprint, base.split)
    }
    assert {key: value for key, value in first.content.items() if key != "label_text"} == base.content
    assert first.content["label_text"] == {
        "levels": ["class", "subclass"], "weight": 0.3, "digest": file_digest(Path(path)), "version": 1
    }  # fmt: skip


def test_a_chosen_weight_is_named_by_its_candidates(tmp_path):
    (_, chosen, fixed) = plans(
        tmp_path,
        "linear",
        ("data", {"label_text": titles(tmp_path)}),
        ("data", {"label_text": titles(tmp_path), "label_weight": 0.3}),
    )
    assert chosen.content["label_text"]["weight"] == [0.1, 0.3, 1.0]
    assert chosen.group != fixed.group


@pytest.mark.parametrize("path", ["nowhere.csv", "."])
def test_a_missing_table_is_refused_before_the_corpus_is_made(path, changed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.label_text=.* is not a file; name a CSV") as caught:
        plan_node(changed("data", label_text=path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "corpora").exists()
