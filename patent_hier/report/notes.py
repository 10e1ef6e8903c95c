"""Notes below the tables of a result."""

from patent_hier.evaluation.result import Result, Score, SetScores
from patent_hier.report.tables import DEMO_NOTE, PAPER_NOTE, percent
from patent_hier.wording import quantity

ABSENT = "-"  # ASCII, like all other cells, because a pipe may accept nothing else
_MANY = 100  # documents per label; macro-F1's 95 % interval covered 93 % of simulations with 83, 82 % with 10
_MOST_NAMED = 10  # labels listed in a note; the result lists all


def sets_of(result: Result) -> dict[str, SetScores]:
    """Return the scores over all symbols by level, for levels that have them."""
    return {name: level.sets for name, level in result.levels.items() if level.sets}


def is_table_2(result: Result) -> bool:
    """Return whether a result has the columns of the paper's Table 2."""
    return result.kind == "hier" and "class" in result.levels


def notes_of(result: Result, demo: bool) -> list[str]:
    """Return the notes that explain the columns of a result's tables and their limits."""
    notes = [
        "Right: share right if decided level by level (cascade; flat: most probable). Top k: by joint probability.",
        "Oracle: given the true parent. Product: of the oracles, equation (1). Documents: with a label at the level.",
        "Top 1, top 3, any: WIPO's top prediction, three guesses, all categories (any of the document's symbols).",
    ]
    if any(level.by_training_documents for level in result.levels.values()):
        notes.append("Training documents of a label: those whose main symbol is the label or lies below it.")
    notes += _notes_on_applicants(result)
    if result.kind != "flat":
        shares = ", ".join(f"{percent(level.first_errors.value)} % at {name}" for name, level in result.levels.items())
        right = percent(result.all_right.value)
        notes.append(f"Level of the first error: {shares}; {right} % are right throughout.")
    if scarce := [(name, one) for name, one in result.levels.items() if _per_label(one.macro_f1) < _MANY]:
        counts = ", ".join(f"{name} {_per_label(one.macro_f1):.0f}" for name, one in scarce)
        notes += [
            f"Macro F1 covers only labels with {result.part} documents, all with equal weight.",
            f"Its interval (BCa) is too narrow if labels have few documents; documents per label: {counts}.",
        ]
    notes += _notes_on_sets(result)
    notes += _notes_on_table_2(result)
    for name, level in result.levels.items():
        if level.unseen_documents:
            shown, rest = ", ".join(level.unseen_labels[:_MOST_NAMED]), len(level.unseen_labels) - _MOST_NAMED
            notes.append(
                f"Counted as errors: {quantity(level.unseen_documents, 'document')} of a {name} that training lacks: "
                f"{shown}{f' and {rest} more' if rest > 0 else ''}."
            )
    if demo:
        return [*notes, DEMO_NOTE]
    return [*notes, PAPER_NOTE] if is_table_2(result) else notes


def _notes_on_applicants(result: Result) -> list[str]:
    if not result.by_applicant:
        return []
    notes = ["Applicant: known if it occurs in training; none if a document names no applicant or a natural person."]
    if any(own.without is None for groups in result.by_applicant.values() for own in groups.values()):
        notes.append(
            "Gain: train the same model with data.context=[] first, then run patent-hier aggregate for this one again."
        )
    return notes


def _notes_on_table_2(result: Result) -> list[str]:
    if not is_table_2(result):
        return []
    notes = ["The paper's last two columns: as printed / recomputed from its own cells and the counts in Table 1."]
    if result.absent_labels:
        notes.append(f"No {result.part} documents in section {', '.join(result.absent_labels)}: weight 0.")
    if result.constant_labels:
        notes.append(f"Only one class, so a constant classifier: section {', '.join(result.constant_labels)}.")
    return notes


def _per_label(score: Score) -> float:
    return score.n_documents / score.n_classes_with_support


def _notes_on_sets(result: Result) -> list[str]:
    sets = sets_of(result)
    if not sets:
        return []
    notes = [
        'All symbols: main and further symbols count equally. Other scores except "any" use the main (first) symbol.',
        "If the order of symbols has no meaning, use the scores of all symbols.",
        "P@k: share of the k most probable labels that are right. R@k: share of a document's labels among these k.",
    ]
    if result.set_rule is None:
        return [*notes, f"Exact and F1 ({ABSENT}) need calibration documents; set split.calibration above 0."]
    thresholds = ", ".join(f"{level} {value:.3f}" for level, value in result.set_rule.thresholds.items())
    counts = ", ".join(f"{level} {own.named_labels:.2f} / {own.true_labels:.2f}" for level, own in sets.items())
    return [
        *notes,
        "Exact and F1 score the assigned labels: the most probable one and all that reach the level's threshold.",
        f"Thresholds: highest micro-F1 on the {result.set_rule.documents:,} calibration documents; {thresholds}.",
        f"Labels per document, assigned / true: {counts}.",
    ]
