from dataclasses import replace

import pytest

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.pipeline.node import run_node
from patent_hier.pipeline.suite import aggregate_nodes, find_nodes
from patent_hier.settings import LevelSettings


@pytest.fixture
def hier(settings):
    return replace(settings, level=LevelSettings("hier"))


def test_missing_nodes_are_named(hier):
    run_node(replace(hier, node="C"))
    with pytest.raises(IncompleteError, match=r"3 of 4 nodes are missing in .*: root, A, B;") as caught:
        find_nodes(hier)
    assert "level=hier" in str(caught.value)


def test_missing_flat_node(hier):
    with pytest.raises(IncompleteError, match=r"1 of 1 nodes are missing .*: flat;"):
        find_nodes(replace(hier, level=LevelSettings("flat")))


def test_nodes_are_found_and_aggregated(hier):
    done = {node: run_node(replace(hier, node=node)) for node in ("root", "A", "B", "C")}
    folders, corpus = find_nodes(hier)
    assert folders == {node: one.folder for node, one in done.items()}
    suite = aggregate_nodes(folders, corpus)
    assert suite.folder == done["root"].folder.parent / f"result-hier-{done['root'].suite}"
    assert not suite.demo
    assert suite.result.absent_labels == tuple("DEFGH")
    assert suite.result.constant_labels == ("C",)
    assert suite.facts["seed"] == 1

    foreign = run_node(replace(hier, node="A", split=replace(hier.split, seed=5)))
    with pytest.raises(ArtifactError, match="2 configurations"):
        aggregate_nodes({**folders, "A": foreign.folder}, corpus)
