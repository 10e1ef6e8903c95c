import csv
import shutil
from collections import defaultdict

import pytest

from patent_hier.artifacts import find_damage
from patent_hier.errors import BlockedLabelError, ConfigError, DataError
from patent_hier.inference.blocked import BLOCKED_FILE, Blocked, carry_blocked
from patent_hier.inference.classifier import HierarchicalClassifier
from tests.trees import FIVE, tree_of

TEXTS = ["一种激光测距装置，包括壳体和光电探测器。", "一种用于治疗糖尿病的中药组合物及其制备方法", "LED"]
TREE = tree_of(FIVE)


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(params=[("class", "linear", "hier"), ("class", "combination", "flat"), ("subgroup", "linear", "hier")])
def folder(request, made):
    depth, *system = request.param
    return made._replace(depth=depth).result(*system)


def likeliest(folder):
    """Labels that the system would name for the first text: one of the last level, another section."""
    (first,) = HierarchicalClassifier.from_pretrained(folder).predict(TEXTS[0])
    sections = (one.label for one in first.levels["section"])
    return [first.paths[0].label, next(label for label in sections if label != first.paths[0].labels[0])]


def named(prediction):
    paths = {label for path in prediction.paths for label in path.labels}
    return paths | {one.label for own in prediction.levels.values() for one in own}


def test_blocked_places_are_what_a_question_excludes(folder, tmp_path):
    """To the last digit, alone and beside what the question itself excludes or forces."""
    labels = likeliest(folder)
    path = write(tmp_path / "list.csv", "code,reason", *(f"{label},not ours" for label in labels))
    plain = HierarchicalClassifier.from_pretrained(folder)
    own = HierarchicalClassifier.from_pretrained(folder, blocked=path)
    other = next(label for label in plain.system.tree.codes.tolist() if label not in (labels[1], labels[0][0]))
    for question in ({}, {"exclude": [other]}, {"force": [labels[0][0]]}, {"target_accuracy": 0.6, "beam": 1}):
        asked = {**question, "exclude": [*question.get("exclude", []), *labels]}
        for got, expected in zip(own.predict(TEXTS, 5, **question), plain.predict(TEXTS, 5, **asked), strict=True):
            assert (got.paths, got.levels) == (expected.paths, expected.levels)
            assert got.decision.confidence == expected.decision.confidence
            assert got.decision.reason.endswith(", 2 places are blocked")
            assert not set(labels) & named(got)


def test_probabilities_of_the_rest_sum_to_1_at_each_level(folder, tmp_path):
    labels = likeliest(folder)
    path = write(tmp_path / "list.csv", "code,reason", *(f"{label},not ours" for label in labels))
    own = HierarchicalClassifier.from_pretrained(folder, blocked=path)
    tree = own.system.tree
    for prediction in own.predict(TEXTS, len(tree.ends)):
        assert sum(path.probability for path in prediction.paths) == pytest.approx(1, abs=1e-4)
        ends = defaultdict(float)  # by level: of symbols that end above it
        for path in prediction.paths:
            for level in tree.levels[len(path.steps) :]:
                ends[level] += path.probability
        for level, scores in prediction.levels.items():
            assert sum(one.probability for one in scores) + ends[level] == pytest.approx(1, abs=1e-4)
            assert len(scores) == (~own.blocked.lost[tree.span(level)]).sum()


def test_a_forced_or_explained_label_that_is_blocked_is_refused_with_the_reason(folder, tmp_path):
    label, section = likeliest(folder)
    path = write(tmp_path / "list.csv", "reason,code", f"归别处审查,{label}", f"closed,{section}")
    own = HierarchicalClassifier.from_pretrained(folder, blocked=path)
    with pytest.raises(BlockedLabelError, match=rf"^label {label} is blocked \(归别处审查\); choose another"):
        own.predict(TEXTS, force=[label])
    below = str(own.system.tree.codes[own.system.tree.children(own.lookup.find(section)).start])
    with pytest.raises(BlockedLabelError, match=rf"label {below} is blocked \({section}: closed\)"):
        own.predict(TEXTS, force=below)
    with pytest.raises(BlockedLabelError):
        own.explain(TEXTS[0], label)
    assert own.predict(TEXTS[0], explain=True)[0].explanation.label != label


def test_an_export_keeps_the_list_and_lets_it_be_edited(made, tmp_path):
    result = tmp_path / "runs" / "linear" / made.result("linear", "hier").name
    shutil.copytree(made.runs / "linear", result.parent)
    write(result / BLOCKED_FILE, "code,reason", 'a01,"no, not here"', "G,=1+1")
    own = HierarchicalClassifier.from_pretrained(result)
    own.save_pretrained(tmp_path / "model")
    saved = tmp_path / "model" / BLOCKED_FILE
    rows = list(csv.reader(saved.read_text("utf-8-sig").splitlines()))
    assert rows == [["code", "level", "reason"], ["A01", "class", "no, not here"], ["G", "section", "'=1+1"]]
    again = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert again.blocked.positions == own.blocked.positions
    assert [one.paths for one in again.predict(TEXTS)] == [one.paths for one in own.predict(TEXTS)]
    own.save_pretrained(tmp_path / "model")  # the same list, which is read with the apostrophe
    again.save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / BLOCKED_FILE).read_bytes() == saved.read_bytes()
    write(saved, "code,reason", "B,another")
    assert find_damage(tmp_path / "model") is None
    edited = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert [place.label for place in edited.blocked.places] == ["B"]
    with pytest.raises(ConfigError, match="blocks other places"):  # what somebody wrote is not lost
        own.save_pretrained(tmp_path / "model")
    saved.unlink()
    own.save_pretrained(tmp_path / "model")
    write(tmp_path / "none.csv", "code,reason")
    assert not HierarchicalClassifier.from_pretrained(tmp_path / "model", blocked=tmp_path / "none.csv").blocked


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "has no column code"),
        (("code,why", "A,x"), "has no column reason"),
        (("code,reason", "A01X,x"), r"has code 'A01X' in line 2, which is unknown to the model; similar codes are A01"),
        (("code,reason", "", "A,x", ",y"), "has no code in line 4"),
        (("code,reason", "A,"), "has no reason in line 2"),
        (("code,reason", "A,x,y"), "more values than columns in line 2; put a reason that contains commas in quotes"),
        (("code,reason", '"A","x', 'y"', "A01,x", "a,z"), "blocks A in line 5 and in line 3"),
        (("code,level,reason", "A,group,x"), "has level 'group' in line 2; the model has section, class"),
        (("code,reason", f"A,{'x' * 501}"), "a reason of 501 characters in line 2"),
        (("code,reason", "A,x", "B,x", "H,x"), "blocks all labels of the model"),
        (("code,reason", '"A,x'), "is damaged"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, lines, said):
    path = write(tmp_path / "blocked.csv", *lines)
    with pytest.raises(DataError, match=said) as caught:
        Blocked.read(path, TREE)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_one_code_at_two_levels(tmp_path):
    both = write(tmp_path / "both.csv", "code,reason", "A01B 1/00,x")
    lower = write(tmp_path / "lower.csv", "Code,Level,Reason", "A01B1/00,subgroup,x")
    names = Blocked.read(both, TREE).names
    assert names == {("main_group", "A01B1/00"), ("subgroup", "A01B1/00"), ("subgroup", "A01B1/02")}
    assert Blocked.read(lower, TREE).names == {("subgroup", "A01B1/00")}


def test_a_label_with_nothing_left_below_it_is_lost_too(tmp_path):
    blocked = Blocked.read(write(tmp_path / "list.csv", "code,reason", "H01L21/02,x"), TREE)
    assert ("section", "H") in blocked.names
    with pytest.raises(BlockedLabelError, match=r"H01 is blocked \(everything below it is blocked\)"):
        blocked.refuse([TREE.codes.tolist().index("H01")])


def test_a_link_to_nothing_is_no_empty_list(tmp_path):
    (tmp_path / BLOCKED_FILE).symlink_to(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="cannot read"):
        Blocked.load(tmp_path, TREE)


def test_a_list_goes_along_as_it_was_written(tmp_path):
    before, after, linked = (tmp_path / name for name in ("before", "after", "linked"))
    for folder in (before, after, linked):
        folder.mkdir()
    assert not carry_blocked(before, after)
    assert not list(after.iterdir())
    write(before / BLOCKED_FILE, "code;no list at all", "\ufeffÄ")
    assert carry_blocked(before, after)
    assert (after / BLOCKED_FILE).read_bytes() == (before / BLOCKED_FILE).read_bytes()
    write(after / BLOCKED_FILE, "code,reason", "B,its own")
    assert not carry_blocked(before, after)
    assert "its own" in (after / BLOCKED_FILE).read_text("utf-8")
    (before / BLOCKED_FILE).unlink()
    (before / BLOCKED_FILE).symlink_to("../office.csv")  # one list of an office for all its models
    assert carry_blocked(before, linked)
    assert (linked / BLOCKED_FILE).readlink() == (before / BLOCKED_FILE).readlink()
