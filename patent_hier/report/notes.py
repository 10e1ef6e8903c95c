"""The notes below the tables of a result."""

from patent_hier.evaluation.result import Result, Score, SetScores
from patent_hier.report.tables import DEMO_NOTE, percent

ABSENT = "-"  # ASCII, as all of the tables: a pipe may not take more
_MANY = 100  # documents for each label: with 83, macro-F1's 95 % interval held in 93 % of simulations, with 10 in 82 %
_MOST_NAMED = 10  # labels in a note; the result has all


def sets_of(result: Result) -> dict[str, SetScores]:
    """Scores of all symbols, by level, where there are any."""
    return {name: level.sets for name, level in result.levels.items() if level.sets}


def is_table_2(result: Result) -> bool:
    """Whether a result has the columns of the paper's Table 2."""
    return result.kind == "hier" and "class" in result.levels


def notes_of(result: Result, demo: bool) -> list[str]:
    """What a reader needs beside the tables of a result: what its columns mean, and what they do not show."""
    notes = [
        "Right: what a user gets, level by level (flat: the most probable label). Oracle: given the true parent.",
        "Product: of the oracles so far, the paper's equation (1). Documents: with a label at the level.",
        "Top 1, top 3, any: WIPO's top prediction, three guesses, all categories (any of the document's symbols).",
    ]
    if any(level.by_training_documents for level in result.levels.values()):
        notes.append("Training documents of a label: those whose main symbol it is, or lies below it.")
    notes += _notes_on_applicants(result)
    if result.kind != "flat":
        shares = ", ".join(f"{percent(level.first_errors.value)} % at {name}" for name, level in result.levels.items())
        right = percent(result.all_right.value)
        notes.append(f"Where the answered path first goes wrong: {shares}; {right} % are right throughout.")
    if scarce := [(name, one) for name, one in result.levels.items() if _per_label(one.macro_f1) < _MANY]:
        counts = ", ".join(f"{name} {_per_label(one.macro_f1):.0f}" for name, one in scarce)
        notes += [
            f"Macro F1 counts labels with {result.part} documents only, each as much as any other.",
            f"Its interval (BCa) is too narrow where labels have few; documents for each label: {counts}.",
        ]
    notes += _notes_on_sets(result)
    notes += _notes_on_table_2(result)
    for name, level in result.levels.items():
        if level.unseen_documents:
            shown, rest = ", ".join(level.unseen_labels[:_MOST_NAMED]), len(level.unseen_labels) - _MOST_NAMED
            notes.append(
                f"{level.unseen_documents} documents have a {name} that training never saw, and count as errors: "
                f"{shown}{f' and {rest} more' if rest > 0 else ''}."
            )
    return [*notes, DEMO_NOTE] if demo else notes


def _notes_on_applicants(result: Result) -> list[str]:
    if not result.by_applicant:
        return []
    notes = ["Applicant: known if training has shown it, none where a document names none, as of natural persons."]
    if any(own.without is None for groups in result.by_applicant.values() for own in groups.values()):
        notes.append("Gain: train the same with data.context=[] first, then patent-hier aggregate this one again.")
    return notes


def _notes_on_table_2(result: Result) -> list[str]:
    if not is_table_2(result):
        return []
    notes = ["The paper's last two columns: as printed / recomputed from its own cells and Table 1's counts."]
    if result.absent_labels:
        notes.append(f"No {result.part} documents in section {', '.join(result.absent_labels)}: weight 0.")
    if result.constant_labels:
        notes.append(f"One class only, so a constant classifier: section {', '.join(result.constant_labels)}.")
    return notes


def _per_label(score: Score) -> float:
    return score.n_documents / score.n_classes_with_support


def _notes_on_sets(result: Result) -> list[str]:
    sets = sets_of(result)
    if not sets:
        return []
    notes = [
        'All symbols: main and further ones count alike. Other scores but "any" are of the main symbol, the first one.',
        "Where the order of symbols means nothing, go by the scores of all symbols.",
        "P@k: the share of the k likeliest labels that is right. R@k: the share of a document's labels among them.",
    ]
    if result.set_rule is None:
        return [*notes, f"Exact and F1 ({ABSENT}) need calibration documents; set split.calibration above 0."]
    thresholds = ", ".join(f"{level} {value:.3f}" for level, value in result.set_rule.thresholds.items())
    counts = ", ".join(f"{level} {own.named_labels:.2f} / {own.true_labels:.2f}" for level, own in sets.items())
    return [
        *notes,
        "Exact and F1: of the labels named, the likeliest one and every other one that reaches the level's threshold.",
        f"Thresholds: highest micro-F1 on the {result.set_rule.documents:,} calibration documents; {thresholds}.",
        f"Labels per document, named / true: {counts}.",
    ]
