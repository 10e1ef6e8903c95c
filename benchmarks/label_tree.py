"""Measure predictions and scores on a label tree as large as the whole IPC, without a corpus.

``python -m benchmarks.label_tree`` prints the rows as JSON; ``--size quick`` uses a fortieth of the amount. No network
is needed: the predictions are random numbers that compress no better than real ones.
"""

import json
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.processes import run_measured
from benchmarks.speed.rows import Row
from benchmarks.speed.tree import IPC_SIZES, make_tree
from patent_hier.atomic import read_json, write_json
from patent_hier.data.labels import DocumentLabels, node_targets
from patent_hier.evaluation.aggregate import aggregate
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import (
    DENSE_LABELS,
    KEPT,
    NO_TARGET,
    LevelScores,
    concatenate,
    find_targets,
    score_levels,
)
from patent_hier.evaluation.system import merge, with_truth
from patent_hier.settings import ROOT, SHARED
from patent_hier.taxonomy.arithmetic import joint_log_prob, log_softmax_siblings
from patent_hier.taxonomy.tree import NONE, LabelTree

LAYOUTS = {"hier": "nine networks", "shared": "one network"}
_CHUNK = 4096  # documents generated at a time


class Size(NamedTuple):
    """The amount of data, and upper limits for its cost."""

    labels: tuple[int, ...]  # number at each level
    documents: int
    disk: float  # GB for all predictions of a system
    seconds: float  # to read, merge and score them
    memory: float  # GB at the peak


SIZES = {
    "quick": Size((8, 40, 90, 300, 1_562), 5_000, 0.033, 15, 0.3),  # in proportion, plus what Python itself takes
    "full": Size(IPC_SIZES, 230_000, 1.5, 300, 4.0),
}


def make_labels(tree: LabelTree, documents: int, seed: int = 0) -> DocumentLabels:
    """Generate main paths, most of which end in few leaves, and as many further paths."""
    rng = np.random.default_rng(seed)
    n_leaves = tree.leaves.stop - tree.leaves.start
    places = (n_leaves * rng.random((2, documents)) ** 3).astype(np.int32)
    leaves = tree.leaves.start + rng.permutation(n_leaves).astype(np.int32)[places]
    return DocumentLabels(tree, tree.paths(leaves[0]), tree.paths(leaves[1]), np.arange(documents + 1))


def write_predictions(folder: Path, layout: str, tree: LabelTree, labels: DocumentLabels) -> None:
    """Write the predictions of a system's networks, one file per network."""
    first = tree.levels[0]
    nodes = {SHARED: tree}
    if layout == "hier":
        nodes = {ROOT: tree.to_depth(first)} | {code: tree.under(first, code)[0] for code in tree.labels(first)}
    ids = np.array([f"CN{number:09}A" for number in range(len(labels))], object)
    parts = np.full(len(labels), "test", object)
    for seed, (node, own) in enumerate(nodes.items()):
        levels = make_scores(own, node_targets(labels, node, own.levels), seed)
        NetworkPredictions(node, own, ids, parts, levels).write(folder / f"{layout}-{node.replace(':', '-')}.parquet")


def make_scores(tree: LabelTree, targets: list[NDArray[np.object_]], seed: int) -> tuple[LevelScores, ...]:
    """Generate log-probabilities of a network that is right for more than half of the documents at every level."""
    rng = np.random.default_rng(seed)
    dense = tree.to_depth([level for level in tree.levels if len(tree.labels(level)) <= DENSE_LABELS][-1])
    chunks = []
    for start in range(0, len(targets[0]), _CHUNK):
        own = [column[start : start + _CHUNK] for column in targets]
        logits = rng.normal(0, 3, (len(own[0]), len(dense))).astype(np.float32)
        for level, column in zip(dense.levels, own, strict=False):
            codes = dense.find(level, column)
            rows = np.flatnonzero((codes != NONE) & (rng.random(len(codes)) < 0.8))
            logits[rows, codes[rows]] += 10
        levels = score_levels(dense, joint_log_prob(dense, log_softmax_siblings(dense, logits)), own)
        sparse = zip(tree.levels[len(dense.levels) :], own[len(dense.levels) :], strict=True)
        chunks.append([*levels, *(_best_only(tree, level, column, rng) for level, column in sparse)])
    return concatenate(chunks)


def _best_only(tree: LabelTree, level: str, targets: NDArray[np.object_], rng: np.random.Generator) -> LevelScores:
    n, codes, size = len(targets), find_targets(tree, level, targets), len(tree.labels(level))
    labels = rng.integers(0, size, (n, KEPT), np.int32)
    log_prob = -np.sort(rng.gamma(4, 2, (n, KEPT)), axis=1).astype(np.float32)
    rank = np.where(codes >= 0, rng.geometric(0.5, n) - 1, size).astype(np.int32)
    rows = np.flatnonzero(rank < KEPT)
    labels[rows, rank[rows]] = codes[rows]
    known = codes >= 0
    own = np.where(known & (rank < KEPT), log_prob[np.arange(n), np.minimum(rank, KEPT - 1)], -20)
    return LevelScores(
        level,
        targets,
        codes,
        labels,
        log_prob,
        np.where(known, own, -np.inf).astype(np.float32),
        np.where(known, own / 2, -np.inf).astype(np.float32),
        rank,
        np.where(codes == NO_TARGET, NONE, np.minimum(rank, 3)).astype(np.int32),
        np.where(rank == 0, codes, rng.integers(0, size, n)).astype(np.int32),
    )


def score(folder: Path, layout: str) -> dict[str, Any]:
    """Read a system's predictions and score them at every level, as a finished run does."""
    start = perf_counter()
    files = sorted(folder.glob(f"{layout}-*.parquet"))
    networks = {own.node: own for own in map(NetworkPredictions.read, files)}
    read = perf_counter()
    system = merge(networks)
    del networks
    tree = LabelTree.from_dict(read_json(folder / "tree.json"))
    arrays = np.load(folder / "labels.npz")
    labels = DocumentLabels(tree, arrays["main"], arrays["further"], arrays["offsets"])
    system = with_truth(system, labels)
    merged = perf_counter()
    result = aggregate(system, labels)
    end = perf_counter()
    facts = {"read": read - start, "merge": merged - read, "aggregate": end - merged, "seconds": end - start}
    return {**facts, "scores": len(result.scores()), "accuracy": result.deepest.accuracy.value}


def system_rows(size: Size) -> Iterator[Row]:
    """Yield, for each layout, a row for disk space and a row for scoring."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = make_tree(size.labels)
        labels = make_labels(tree, size.documents)
        write_json(folder / "tree.json", tree.as_dict())
        np.savez(folder / "labels.npz", main=labels.main, further=labels.further, offsets=labels.offsets)
        what = f"{size.documents:,} documents, {len(tree):,} labels"
        for layout, networks in LAYOUTS.items():
            write_predictions(folder, layout, tree, labels)
            disk = sum(file.stat().st_size for file in folder.glob(f"{layout}-*")) / 1e9
            yield Row(f"predictions of {networks}, {what}", "GB", disk, size.disk, 1)
            facts = run_measured("benchmarks.label_tree", "score", name, layout)
            peak = facts["peak_own_bytes"] / 1e9
            yield Row(
                f"all scores of {networks} at every level, {what}",
                "s",
                facts["seconds"],
                size.seconds,
                1,
                agrees=peak <= size.memory,
                facts=facts | {"peak_gb": peak},
            )


def main(words: Sequence[str]) -> None:
    """Print the rows."""
    if words[:1] == ["score"]:
        print(json.dumps(score(Path(words[1]), words[2])))
        return
    parser = ArgumentParser("python -m benchmarks.label_tree", description=__doc__)
    parser.add_argument(
        "--size", choices=tuple(SIZES), default="full", help="full takes a few minutes and 1.2 GB of disk"
    )
    size = SIZES[parser.parse_args(words).size]
    for row in system_rows(size):
        print(json.dumps(row.as_dict()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
