"""Search for settings: prints the outcome and writes it into the folder of the search."""

import csv
import io
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from patent_hier.atomic import atomic_file, write_json
from patent_hier.pipeline.search_space import Choice
from patent_hier.pipeline.study import COMPLETE, FAILED, PRUNED, RUNNING, Record, SettingsStudy
from patent_hier.report.figures import search_history
from patent_hier.report.rendering import render, table_markdown
from patent_hier.report.tables import Grid, print_grid
from patent_hier.sanitize import one_line

_SHOWN = 10  # trials in the printed table; the files list all
_FACTS = ("epochs", "seconds", "repeats", "by_seed", "error")  # columns of trials.csv after the settings
_NOTE = (
    "The best score on val is optimistic: it is the highest of many scores on the same documents, which also served to "
    "choose epochs or temperatures. Use the score on test to judge the settings."
)


@dataclass(frozen=True)
class Search:
    """A study and the facts that its trials share.

    Attributes:
        shared: Overrides of all trials.
        study: Study with the trials.
        objective: Score that the search maximises.
        seeds: Number of seeds per trial.
        folder: Folder to write.
        words: Arguments of the command.
    """

    shared: Sequence[str]
    study: SettingsStudy
    objective: str
    seeds: int
    folder: Path
    words: Sequence[str]


def publish_search(search: Search) -> None:
    """Print the best trials and the command that trains with the best settings; write ``README.md`` and the data."""
    records, best, importance = search.study.records(), search.study.best(), search.study.importance()
    assert best is not None  # otherwise the command has already stopped with an error
    ranked = sorted((own for own in records if own.state == COMPLETE), key=lambda own: (-(own.value or 0), own.number))
    tables = [_ranking(ranked[:_SHOWN], search.objective), *([_importances(importance)] if importance else [])]
    chosen = [f"{name}={value}" for name, value in best.settings.items()]
    command = shlex.join(["patent-hier", "run", *search.shared, *chosen])
    counts = _counted(records)
    _write(search, records, best, {"importance": importance, "tables": tables, "command": command, "counts": counts})
    for table in tables:
        print_grid(Console(), table)
    print(one_line(f"{counts} {_NOTE}"))
    print(one_line(f"all trials: {search.folder / 'README.md'}"))
    print(one_line(f"train and test with the best settings: {command}"))


def _write(search: Search, records: Sequence[Record], best: Record, facts: dict[str, Any]) -> None:
    folder = search.folder
    defaults = next((own for own in records if own.facts.get("defaults") and own.value is not None), None)
    figure = search_history(
        [(own.number, own.value, own.settings) for own in records if own.state == COMPLETE and own.value is not None],
        [(own.number, own.value) for own in records if own.state == PRUNED and own.value is not None],
        {name: axis.values if isinstance(axis, Choice) else () for name, axis in search.study.space.items()},
    )
    content = {
        "objective": search.objective,
        "seeds": search.seeds,
        "shared": list(search.shared),
        "space": {name: {"kind": type(axis).__name__, **asdict(axis)} for name, axis in search.study.space.items()},
        "best": asdict(best),
        "command": facts["command"],
        "note": _NOTE,
        "importance": facts["importance"],
        "trials": [asdict(record) for record in records],
    }
    page = render(
        "search.md.j2",
        **content,
        counts=facts["counts"],
        defaults=defaults,
        figure=figure,
        name=folder.name,
        tables=[table_markdown(table) for table in facts["tables"]],
        fence="```",
        again=shlex.join(["patent-hier", "tune", *search.words]),
    )
    write_json(folder / "search.json", content)
    texts = {"README.md": page.encode(), "trials.csv": _csv(records).encode(), f"{figure.name}.svg": figure.svg}
    for name, text in texts.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_bytes(text)


def _ranking(records: Sequence[Record], objective: str) -> Grid:
    names = list(records[0].settings)
    rows = [
        {
            "trial": str(record.number),
            **{name: record.settings[name] for name in names},
            "val %": f"{100 * (record.value or 0):.2f}",
            "s": f"{record.facts.get('seconds', 0):.0f}",
        }
        for record in records
    ]
    return Grid.of(f"The best trials by {objective} on val", rows, n_names=1 + len(names))


def _importances(importance: dict[str, float]) -> Grid:
    rows = [{"setting": name, "share of the variance %": f"{100 * share:.0f}"} for name, share in importance.items()]
    return Grid.of("Importance of settings", rows)


def _counted(records: Sequence[Record]) -> str:
    states = Counter(record.state for record in records)
    repeated = sum("repeats" in record.facts for record in records)
    told = {
        "completed": states[COMPLETE],
        "stopped early": states[PRUNED],
        "failed": states[FAILED],
        "still running in another process": states[RUNNING],
        "repeating the settings of an earlier trial": repeated,
    }
    named = ", ".join(f"{count} {name}" for name, count in told.items() if count)
    return f"{len(records)} trials: {named}."


def _csv(records: Sequence[Record]) -> str:
    """Return all trials as CSV, one per line, with scores at full precision."""
    text = io.StringIO()
    names = list(records[0].settings)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "score", *names, *_FACTS])
    for record in records:
        facts = [record.facts.get(name, "") for name in _FACTS]
        score = "" if record.value is None else record.value
        writer.writerow([record.number, record.state, score, *(record.settings[name] for name in names), *facts])
    return text.getvalue()
