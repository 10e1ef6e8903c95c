"""Names of ensembles; the names of trained models are tested with the evidence."""

from pathlib import Path

from patent_hier.pipeline.evidence import NO_SEED, NodeRun
from patent_hier.pipeline.naming import name_configurations

NODE = {"kind": "node", "node": "root"}


def trained(model, group, **settings):
    content = {"corpus": "x", "model": {"name": model, **settings}}
    manifest = {**NODE, "model": model, "group": group, "seed": 1, "inputs": {}, "content": content}
    return NodeRun(Path(group), manifest)


def combined(group, *members, folder="combination"):
    facts = [
        {"model": model, "group": own, "level": level, "seed": 1, "suite": f"{own}{number}"}
        for number, (model, own, level) in enumerate(members)
    ]
    manifest = {"model": "combination", "group": group, "seed": None, "inputs": {"members": facts}}
    return NodeRun(Path(folder, group), {**NODE, **manifest, "content": {"corpus": "x", "members": facts}})


def named(*kinds):
    return name_configurations(*({run.group: [run] for run in runs} for runs in kinds))


def test_a_combination_is_named_by_its_members():
    own = combined("g", ("linear", "l", "hier"), ("knn", "k", "flat"))
    (names,) = named([own])
    assert names == {("combination", "g"): "combination (linear + knn flat)"}
    assert own.seed == NO_SEED


def test_it_has_the_name_of_its_folder():
    own = combined("g", ("linear", "l", "hier"), ("knn", "k", "flat"), folder="mine")
    (names,) = named([own])
    assert names == {("combination", "g"): "mine (linear + knn flat)"}


def test_where_models_do_not_tell_two_apart_members_have_their_names_in_the_report():
    mild, strong = trained("linear", "m", c=0.5), trained("linear", "s", c=1.0)
    own = combined("g", ("linear", "m", "hier"), ("linear", "s", "flat"), ("knn", "k", "hier"))
    local, flat = named([own, mild], [strong])
    assert local == {("combination", "g"): "combination (linear + linear flat + knn)", ("linear", "m"): "linear c=0.5"}
    assert list(local) == [("combination", "g"), ("linear", "m")]
    assert flat == {("linear", "s"): "linear c=1.0"}
    other = combined("h", ("linear", "s", "hier"), ("linear", "m", "flat"), ("knn", "k", "hier"))
    local, _ = named([own, other, mild], [strong])
    assert local["combination", "g"] == "combination (linear c=0.5 + linear c=1.0 flat + knn)"
    assert local["combination", "h"] == "combination (linear c=1.0 + linear c=0.5 flat + knn)"


def test_seeds_are_counted():
    own = combined("g", *[("rnn", "r", "hier")] * 3, ("rnn", "r", "flat"))
    (names,) = named([own])
    assert list(names.values()) == ["combination (rnn ×3 + rnn flat)"]


def test_equal_names_are_told_apart_by_the_fingerprint_and_are_the_same_in_all_kinds():
    one, other = (combined(group, ("rnn", "r", "hier"), ("knn", "k", "hier")) for group in ("1234567890", "abcdefghij"))
    for names in named([one, other], [other]):
        assert names[other.group] == "combination (rnn + knn) abcdef"


def test_combinations_change_no_other_name():
    runs = [trained("linear", "m", c=0.5), trained("knn", "k")]
    (alone,) = named(runs)
    (together,) = named([*runs, combined("g", ("linear", "m", "hier"), ("knn", "k", "hier"))])
    assert {group: together[group] for group in alone} == alone == {("linear", "m"): "linear", ("knn", "k"): "knn"}
