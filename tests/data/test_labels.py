from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.label_text import LabelTexts
from patent_hier.data.labels import corpus_labels, document_labels, ipc_path, node_targets, with_titled
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import NONE
from tests.trees import FIVE, tree_of

PATHS = st.sampled_from(FIVE)
DOCUMENTS = st.lists(st.tuples(PATHS, st.lists(PATHS, max_size=4)), min_size=1, max_size=8)


def labels_of(documents):
    main, further = zip(*documents, strict=True)
    return document_labels([np.array(c, object) for c in zip(*main, strict=True)], further, IPC_LEVELS)


def codes(labels, paths, n_levels=5):
    """Paths of codes; a tree need not reach the depth that was asked for."""
    missing = n_levels - len(labels.tree.levels)
    return [(*row, *[None] * missing) for row in labels.tree.names(paths).tolist()]


@pytest.mark.parametrize(
    ("symbol", "path"),
    [
        ("A01B1/02", ("A", "A01", "A01B", "A01B1/00", "A01B1/02")),
        ("A01B 1/00", ("A", "A01", "A01B", "A01B1/00", "A01B1/00")),  # stops here: a leaf of its own
        ("H01L21/027", ("H", "H01", "H01L", "H01L21/00", "H01L21/027")),
        ("A01B", ("A", "A01", "A01B", None, None)),
        ("A01", ("A", "A01", None, None, None)),
    ],
)
def test_the_path_of_a_symbol(symbol, path):
    for n_levels in range(1, 6):
        assert ipc_path(symbol, n_levels) == path[:n_levels]


@given(DOCUMENTS)
def test_each_document_has_its_paths_once(documents):
    labels = labels_of(documents)
    assert codes(labels, labels.main) == [main for main, _ in documents]
    assert labels.tree == tree_of([path for main, further in documents for path in (main, *further)])
    for row, (main, further) in enumerate(documents):
        own = codes(labels, labels.further[labels.offsets[row] : labels.offsets[row + 1]])
        assert own == [path for path in dict.fromkeys(further) if path != main]
    assert labels.owners.tolist() == [row for row, n in enumerate(np.diff(labels.offsets)) for _ in range(n)]


@given(DOCUMENTS, st.data())
def test_taking_documents_keeps_their_paths(documents, data):
    rows = data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=10))
    whole, taken = labels_of(documents), labels_of(documents).take(np.array(rows, np.intp))
    assert taken.tree == whole.tree
    assert codes(whole, taken.main) == [documents[row][0] for row in rows]
    for place, row in enumerate(rows):
        own = taken.further[taken.offsets[place] : taken.offsets[place + 1]]
        assert np.array_equal(own, whole.further[whole.offsets[row] : whole.offsets[row + 1]])


def test_what_a_node_has_to_find():
    labels = labels_of([(path, []) for path in FIVE])
    sections = [path[0] for path in FIVE]
    for node in ("root", "flat", "shared"):
        found = node_targets(labels, node, IPC_LEVELS)
        assert list(zip(*(own.tolist() for own in found), strict=True)) == list(FIVE)
    (first,) = node_targets(labels, "root", IPC_LEVELS[:1])
    assert first.tolist() == sections
    below = node_targets(labels, "A", IPC_LEVELS[1:])
    assert list(zip(*below, strict=True)) == [p[1:] if p[0] == "A" else (None,) * 4 for p in FIVE]
    (group,) = node_targets(labels, "A01B1/00", ("subgroup",))
    assert group.tolist() == [None, None, None, None, "A01B1/02", "A01B1/00", None]
    assert [own.tolist() for own in node_targets(labels, "Z", ("class",))] == [[None] * 7]


# --- of a corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Main symbols to a subgroup, to a main group, to a subclass and to a class; further ones in all forms."""
    symbols = [
        "A01B1/02;A01B1/00;A01B1/02;B60K",
        "A01B1/00",
        "A01B;A01C1/00",
        "A61;A61;A61K8/02",
        "H01L21/02;H01L21/02",
    ]
    folder = tmp_path_factory.mktemp("corpus")
    lines = [",".join(PAPER_COLUMNS.values())]
    for number, own in enumerate(symbols, 1):
        facts = {
            "application_number": f"CN2017{number:08d}.1",
            "publication_number": f"CN{number:09d}A",
            "symbols": own,
        }
        facts |= {"title": "一种装置", "abstract": f"本发明公开了第{number}种装置。"}
        lines.append(",".join(facts.get(name, "") for name in PAPER_COLUMNS))
    (folder / "raw.csv").write_text("\n".join(lines) + "\n", "gb18030")
    (folder / "corpus").mkdir()
    prepare(folder / "raw.csv", folder / "corpus", RawFormat(min_symbol="class"))
    return Corpus.open(folder / "corpus")


def test_a_corpus_has_one_tree_at_each_depth(corpus):
    main = [
        ("A", "A01", "A01B", "A01B1/00", "A01B1/02"),
        ("A", "A01", "A01B", "A01B1/00", "A01B1/00"),
        ("A", "A01", "A01B", None, None),
        ("A", "A61", None, None, None),
        ("H", "H01", "H01L", "H01L21/00", "H01L21/02"),
    ]
    further = [
        [main[1], ("B", "B60", "B60K", None, None)],
        [],
        [("A", "A01", "A01C", "A01C1/00", "A01C1/00")],
        [("A", "A61", "A61K", "A61K8/00", "A61K8/02")],
        [],
    ]
    for n_levels, depth in enumerate(IPC_LEVELS[1:], 2):
        labels = corpus_labels(corpus, depth)
        assert labels.tree.levels == IPC_LEVELS[:n_levels]
        assert codes(labels, labels.main, n_levels) == [path[:n_levels] for path in main]
        for row, own in enumerate(further):
            short = dict.fromkeys(path[:n_levels] for path in own if path[:n_levels] != main[row][:n_levels])
            found = labels.further[labels.offsets[row] : labels.offsets[row + 1]]
            assert codes(labels, found, n_levels) == list(short)
        assert corpus_labels(corpus, depth) is labels  # read once
    assert corpus_labels(corpus, "class").tree.codes.tolist() == ["A", "B", "H", "A01", "A61", "B60", "H01"]
    assert (corpus_labels(corpus, "subgroup").main[2:4, -1] == NONE).all()


def test_titles_above_or_below_the_deepest_level_add_no_label():
    """As at the depth of classes, where the titles that are read are those of subclasses and groups."""
    labels = labels_of([(FIVE[0], [])])
    texts = LabelTexts(("一种",), np.array(["subclass"], object), np.array([("A", "A01", "A01B", None, None)]), {})
    same, titled = with_titled(replace(labels, tree=labels.tree.to_depth("class")), texts)
    assert same.tree == labels.tree.to_depth("class")
    assert not titled.any()
