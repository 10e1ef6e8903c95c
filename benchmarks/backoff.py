"""Check how often back-off reaches a target accuracy, by resampling the documents of a finished system.

``python -m benchmarks.backoff runs/linear/result-hier-... --splits 200 --target 0.8 0.9 0.95`` reads only predictions.
It pools the calibration and test documents, draws as many for calibration as the run had (or ``--calibration N``),
chooses the thresholds, and counts, in two ways:

- *split*: draws without replacement; the other documents are the test part. An accuracy below the target on that part
  may also be chance, because the part is a sample: with a guarantee of exactly 95 %, more than 5 % of splits are below.
- *bootstrap*: draws with replacement; the whole pool is scored. This counts only broken guarantees.

Documents are drawn one by one; with ``--corpus FOLDER``, all documents of an applicant are drawn together, and these
are more alike than a guarantee assumes. The scalings are those of the run, or with ``--refit`` fitted for each draw.
The thresholds are planned on ``val``, as in the run.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.cli.messages import run_command
from patent_hier.data.corpus import CORPUS_FILE
from patent_hier.evaluation.contract import PREDICTIONS_FILE, NetworkPredictions
from patent_hier.evaluation.guarantee import choose_thresholds
from patent_hier.evaluation.recalibration import choose_scalings
from patent_hier.evaluation.scaling import Scalings
from patent_hier.evaluation.selective import Answers, decided
from patent_hier.evaluation.system import aligned, merge, scaled

ALL = "all answers"
ANY = "any level"
Predictions = Mapping[str, NetworkPredictions]
Rows = NDArray[np.intp]


@dataclass
class Tally:
    """Answers at one level, or at all levels, over all draws.

    Attributes:
        coverage: Share of the scored documents that were answered at the level, for each draw.
        accuracy: Share of right answers, for each draw with answers.
        below: Number of draws with an accuracy below the target.
    """

    coverage: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    below: int = 0

    def add(self, right: int, n: int, documents: int, target: float) -> bool:
        """Add a draw, and return whether its accuracy is below the target."""
        self.coverage.append(n / documents)
        if n:
            self.accuracy.append(right / n)
        is_below = right < target * n - 1e-9
        self.below += is_below
        return is_below

    def as_dict(self) -> dict[str, float | None]:
        """Return the means over the draws, and the share of draws below the target."""
        accuracy = float(np.mean(self.accuracy)) if self.accuracy else None
        return {
            "coverage": float(np.mean(self.coverage)),
            "accuracy": accuracy,
            "below": self.below / len(self.coverage),
        }


def read_predictions(folders: Sequence[Path]) -> dict[str, NetworkPredictions]:
    """Read predictions from node folders, or from the nodes next to a result, all in one order of documents."""
    nodes: list[Path] = []
    for folder in folders:
        named = read_json(folder / MANIFEST).get("nodes")
        nodes += [folder.parent / Path(path).name for path in named.values()] if named else [folder]
    read = [NetworkPredictions.read(node / PREDICTIONS_FILE) for node in nodes]
    return {own.node: aligned(own, read[0].document_ids) for own in read}


def applicants(corpus: Path, document_ids: NDArray[Any]) -> NDArray[np.intp]:
    """Return the number of each document's applicant; a document without an applicant has a number of its own."""
    table = pq.read_table(corpus / CORPUS_FILE, columns=["document_id", "applicant"])
    known = dict(zip(table["document_id"].to_pylist(), table["applicant"].to_pylist(), strict=True))
    names = [known[document] or f"\0{document}" for document in document_ids.tolist()]
    return np.unique(names, return_inverse=True)[1]


def draw(rng: np.random.Generator, groups: NDArray[np.intp], size: int, *, replace: bool) -> Rows:
    """Draw whole groups at random until they have ``size`` rows or more, and return the rows."""
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    chosen: list[Rows] = []
    order = rng.integers(0, len(members), size) if replace else rng.permutation(len(members))
    for place in order.tolist():
        chosen.append(members[place])
        size -= len(members[place])
        if size <= 0:
            break
    return np.concatenate(chosen)


def answers_of(predictions: Predictions, scalings: Mapping[str, Scalings]) -> Answers:
    """Return the answers of a system with recalibrated probabilities."""
    return Answers.of(merge({node: scaled(own, scalings.get(node, {})) for node, own in predictions.items()}))


def _rows(own: NetworkPredictions, *parts: str) -> Rows:
    return np.flatnonzero(np.isin(own.parts, parts))


def _drawn_answers(
    predictions: Predictions, draws: Iterator[Rows], groups: NDArray[np.intp], *, refit: bool
) -> Iterator[tuple[Rows, Answers, Answers]]:
    """Yield the rows of each draw, the answers for the pool, and the answers for the planning documents."""
    first = next(iter(predictions.values()))
    pool = {node: own.take(_rows(first, "calibration", "test")) for node, own in predictions.items()}
    planning = {node: own.take(_rows(first, "val")) for node, own in predictions.items()}

    def at(fitted: Predictions) -> tuple[Answers, Answers]:
        scalings, _ = choose_scalings(fitted)
        return answers_of(pool, scalings), answers_of(planning, scalings)

    def drawn(own: NetworkPredictions, rows: Rows) -> NetworkPredictions:
        return replace(own.take(rows), groups=groups[rows].astype(np.int32))

    fixed = None if refit else at({node: own.select("calibration") for node, own in predictions.items()})
    for rows in draws:
        yield rows, *(fixed or at({node: drawn(own, rows) for node, own in pool.items()}))


def resample(
    predictions: Predictions,
    targets: Sequence[float],
    splits: int,
    *,
    bootstrap: bool = False,
    groups: NDArray[np.intp] | None = None,
    refit: bool = False,
    size: int | None = None,
    seed: int = 0,
) -> dict[float, dict[str, Tally]]:
    """Return tallies by target and by level, including all answers together and any level.

    Args:
        predictions: Predictions by node, of the same documents in the same order.
        targets: Target accuracies.
        splits: Number of draws.
        bootstrap: Whether to draw with replacement and score the whole pool.
        groups: Group of each document, ``(n_pool,)``; groups are drawn as a whole. None to draw single documents.
        refit: Whether to fit the scalings for each draw.
        size: Number of documents drawn for calibration; None for as many as the run had.
        seed: Seed of the draws.
    """
    first = next(iter(predictions.values()))
    n_pool, size = len(_rows(first, "calibration", "test")), size or len(_rows(first, "calibration"))
    groups = np.arange(n_pool) if groups is None else groups
    rng = np.random.default_rng(seed)
    draws = (draw(rng, groups, size, replace=bootstrap) for _ in range(splits))
    tallies: dict[float, dict[str, Tally]] = {target: {} for target in targets}
    for rows, pool, planning in _drawn_answers(predictions, draws, groups, refit=refit):
        scored = pool if bootstrap else pool.take(np.setdiff1d(np.arange(n_pool), rows))
        chosen = choose_thresholds(pool.take(rows), planning)
        for one in chosen:
            if one.target in tallies:
                _add(tallies[one.target], scored, np.array(list(one.levels.values())), one.target)
    return tallies


def _add(tallies: dict[str, Tally], scored: Answers, thresholds: NDArray[np.float64], target: float) -> None:
    named = decided(scored.confidence, thresholds)[:, None] == np.arange(len(scored.levels))
    n, right = (named & scored.known).sum(axis=0), (named & scored.hits).sum(axis=0)
    counts = {level: (int(right[place]), int(n[place])) for place, level in reversed(list(enumerate(scored.levels)))}
    below = [tallies.setdefault(level, Tally()).add(*own, len(scored), target) for level, own in counts.items()]
    tallies.setdefault(ALL, Tally()).add(int(right.sum()), int(n.sum()), len(scored), target)
    tallies.setdefault(ANY, Tally()).below += any(below)


def main(words: Sequence[str]) -> None:
    """Print a table for each way of drawing, or JSON lines with ``--json``."""
    parser = ArgumentParser("python -m benchmarks.backoff", description=__doc__.splitlines()[0])
    parser.add_argument(
        "folders", nargs="+", type=Path, help="a result folder next to its node folders, or node folders"
    )
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--target", nargs="+", type=float, default=[0.8, 0.9, 0.95], help="0.50 to 0.99, two decimals")
    parser.add_argument("--corpus", type=Path, help="corpus folder (cache/corpora/...), to draw whole applicants")
    parser.add_argument("--calibration", type=int, help="documents drawn for calibration (default: as in the run)")
    parser.add_argument("--refit", action="store_true", help="fit the scalings for each draw; takes seconds per draw")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of tables")
    options = parser.parse_args(words)
    predictions = read_predictions(options.folders)
    first = next(iter(predictions.values()))
    pool = first.document_ids[_rows(first, "calibration", "test")]
    groups = applicants(options.corpus, pool) if options.corpus else None
    for bootstrap in (False, True):
        how = {"groups": groups, "refit": options.refit, "size": options.calibration}
        tallies = resample(predictions, options.target, options.splits, bootstrap=bootstrap, **how)
        print_tallies(tallies, "bootstrap" if bootstrap else "split", options.splits, as_json=options.json)


def print_tallies(tallies: Mapping[float, Mapping[str, Tally]], drawn: str, splits: int, *, as_json: bool) -> None:
    """Print the means over the draws, and the share of draws below the target."""
    if not as_json:
        print(f"\n{drawn}, {splits} draws\n{'target':>6} {'level':<12}{'answered':>10}{'right':>8}{'draws below':>13}")
    for target, levels in tallies.items():
        for level, tally in levels.items():
            own = {"below": tally.below / splits} if level == ANY else tally.as_dict()
            if as_json:
                print(json.dumps({"drawn": drawn, "asked": target, "level": level} | own))
                continue
            cells = [f"{100 * value:.1f} %" if value is not None else "-" for value in own.values()]
            cells = ["", "", *cells] if level == ANY else cells
            print(f"{100 * target:>4.0f}%  {level:<12}{cells[0]:>10}{cells[1]:>8}{cells[2]:>13}")


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
