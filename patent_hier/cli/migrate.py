"""``patent-hier migrate``: move a trained system, or a corpus, to a new edition of the IPC."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.cli.compose import compose_training
from patent_hier.cli.learn import cache_named, refuse_other_system
from patent_hier.cli.overrides import assigned, merged, parsed
from patent_hier.errors import ConfigError
from patent_hier.progress import say
from patent_hier.sanitize import one_line
from patent_hier.wording import quantity

if TYPE_CHECKING:
    import pyarrow as pa

    from patent_hier.data.corpus import Corpus
    from patent_hier.pipeline.members import Member
    from patent_hier.pipeline.revision import Revision
    from patent_hier.pipeline.suite import SuiteResult

MIGRATE = """Move a trained system, or a corpus, to a new edition of the IPC.

usage: patent-hier migrate MODEL CONCORDANCE.csv [options] [overrides of run]
       patent-hier migrate CORPUS CONCORDANCE.csv --output NEW.csv [options]

  MODEL             result folder: runs/<model>/result-...; a combination is migrated member by member
  CORPUS            a prepared corpus: cache/corpora/<name>-<fingerprint>
  CONCORDANCE.csv   table with the columns old and new, and optionally date (first day of the new edition), if editions
                    differ by row. A symbol in several rows was split, one without a new symbol was deleted. H01L51/* is
                    a whole main group; a class or a subclass includes everything below it
  --titles FILE     titles of the new symbols (CSV of code, level, title): a document of a split symbol goes to the new
                    symbol whose title it resembles most; without titles, only as deep as all new symbols agree
  --passes 3        networks: passes over the documents below the affected heads
  --output NEW.csv  file for a migrated corpus, to be used as data.path

Documents stay in their parts. The publication date, or else the application date, decides which edition a symbol
belongs to: with a date in the concordance, later documents keep their symbols. Documents without a successor are left
out and counted.

Nodes with no change below them are copied with identical scores. In the other nodes, only heads with a document whose
label changed are trained; models whose heads cannot be trained separately are retrained as a whole. Calibration,
thresholds and scores are recomputed. migrated-....json, next to the new result, records the fate of every symbol,
labels that no longer exist, new symbols without a document, and what was done to each node."""

_ROWS = 4096  # of a corpus, written at a time


def migrate(words: Sequence[str]) -> None:
    """Migrate a system and publish it, or write a migrated corpus.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    options = parsed(words, "model concordance overrides*", titles=Path, passes=3, output=Path)
    if options.passes < 1:
        raise ConfigError(f"--passes {options.passes} is out of range; use 1 or more")
    refuse_other_system("migrate", options.overrides)
    from patent_hier.data.corpus import CORPUS_FILE
    from patent_hier.pipeline.revision import Revision

    revision = Revision(options.concordance, options.titles)
    source = Path(options.model)
    if (source / CORPUS_FILE).is_file():
        _migrate_corpus(source, revision, options)
        return
    if options.output is not None:
        raise ConfigError(
            f"--output {options.output} is only for a corpus; a migrated system is written to its runs_dir"
        )
    _migrate_system(source, revision, options)


def _migrate_corpus(source: Path, revision: "Revision", options: argparse.Namespace) -> None:
    if options.output is None:
        raise ConfigError(f"the migrated corpus of {source} needs a file; use --output NEW.csv")
    if options.output.exists():
        raise ConfigError(f"{options.output} exists; choose another --output")
    from patent_hier.data.columns import SCHEMA
    from patent_hier.data.corpus import Corpus
    from patent_hier.data.migrating import migrate_table

    corpus = Corpus.open(source)
    table, moves = migrate_table(corpus.table(SCHEMA.names), revision.concordance, revision.chooser)
    _write_csv(table, options.output)
    told = ", ".join(f"{count} {fate}" for fate, count in moves.fates.items())
    print(one_line(f"{quantity(corpus.size, 'document')}: {told}; {len(table):,} written: {options.output}"))


def _write_csv(table: "pa.Table", output: Path) -> None:
    """Write a corpus as a raw file in the paper's columns; a text that is neither title nor abstract goes to 摘要."""
    from patent_hier.atomic import atomic_file
    from patent_hier.data.feedback_table import sanitize_cell
    from patent_hier.data.labels import LABEL_COLUMNS
    from patent_hier.data.raw import PAPER_COLUMNS

    names = ("publication_number", "application_number", "application_date", "publication_date", "title", "applicant")
    headers = [PAPER_COLUMNS[name] for name in (*names, "kind", "abstract", "symbols")]
    with atomic_file(output) as partial, partial.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(headers)
        for batch in table.to_batches(max_chunksize=_ROWS):
            for row in batch.to_pylist():
                main = next(row[name] for name in reversed(LABEL_COLUMNS) if row[name])
                abstract = row["abstract"] or (row["text"] if row["text"] != row["title"] else "")
                values = [*(row[name] or "" for name in (*names, "kind")), abstract]
                values[0] = values[0] or row["document_id"]
                symbols = ";".join([main, *row["further_symbols"]])
                writer.writerow([*(sanitize_cell(str(value)) for value in values), symbols])


def _migrate_system(source: Path, revision: "Revision", options: argparse.Namespace) -> None:
    from patent_hier.atomic import read_json, write_json
    from patent_hier.cli.collect import publish
    from patent_hier.inference.blocked import carry_blocked
    from patent_hier.pipeline.members import corpus_of, read_member
    from patent_hier.pipeline.migrated import record_of, what_changed
    from patent_hier.pipeline.revision import vanished

    before = read_member(source)
    old, _ = corpus_of(before, cache_named(options))
    after, new, done = _migrated(before, revision, options)
    publish(after)
    carry_blocked(before.result, after.folder)
    file = record_of(after.folder)
    known = read_json(file)["nodes"] if file.is_file() else {}  # nodes finished by an earlier command
    facts = {
        "before": before.result.name,
        "result": after.folder.name,
        "concordance": revision.path.name,
        "nodes": {**known, **done},
        **new.manifest["migrated"],
        **vanished(before, new, revision),
        "test": what_changed(before, after, old, new),
    }
    write_json(file, facts)
    for line in _lines(facts):
        print(one_line(line))
    print(one_line(f"saved in {file}"))


def _lines(facts: dict[str, Any]) -> list[str]:
    shown = 12
    lines = [f"{node}: {what}" for node, what in facts["nodes"].items()]
    for key, words in (
        ("gone", "labels that no longer exist"),
        ("without_documents", "new symbols without a document"),
    ):
        own = facts[key]
        more = f" and {len(own) - shown} more" if len(own) > shown else ""
        lines.append(f"{words}: {', '.join(own[:shown]) or 'none'}{more}")
    for where, levels in facts["test"].items():
        for level, own in levels.items():
            before = "" if own["before"] is None else f" after, {100 * own['before']:.1f} % before"
            lines.append(
                f"{where} test documents, {level}: {100 * own['after']:.1f} %{before}, {own['documents']} documents"
            )
    return lines


def _migrated(
    before: "Member", revision: "Revision", options: argparse.Namespace
) -> "tuple[SuiteResult, Corpus, dict[str, str]]":
    """Return the new system (not yet saved), its corpus, and what was done to each node."""
    from patent_hier.inference.nodes import COMBINATION

    if before.manifest["model"] != COMBINATION:
        return _migrated_system(before, revision, options)
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.combine import combine_again
    from patent_hier.pipeline.members import read_member
    from patent_hier.pipeline.relearnt import member_results

    results, corpus, done = [], None, dict[str, str]()
    for result in member_results(before):
        say(f"member {result}")
        suite, corpus, own = _migrated(read_member(result), revision, options)
        publish(suite)
        results.append(suite.folder)
        done |= {f"{result.name} {node}": what for node, what in own.items()}
    assert corpus is not None  # a combination has members
    return combine_again(before, results, cache_named(options)), corpus, done


def _migrated_system(
    before: "Member", revision: "Revision", options: argparse.Namespace
) -> "tuple[SuiteResult, Corpus, dict[str, str]]":
    from patent_hier.pipeline.heads import changed_by_corrections, changed_heads
    from patent_hier.pipeline.learning import found_corrections, known_words
    from patent_hier.pipeline.members import corpus_of
    from patent_hier.pipeline.migration import Migration, given_before, old_settings
    from patent_hier.pipeline.plan import Given
    from patent_hier.pipeline.revision import migrate_corrections, migrate_data
    from patent_hier.pipeline.suite import train_suite

    own = merged(merged(known_words(before.manifest["overrides"]), ["data.edition=latest"]), options.overrides)
    old, cache = corpus_of(before, cache_named(options))
    corpus, split = migrate_data(old, given_before(before, old), cache, revision)
    content = {"migrated": [before.manifest["suite"], options.passes, *revision.content(cache)]}
    given, config = Given(corpus, split, content), old_settings(before)
    settings, observers = compose_training(own)
    every_symbol = settings.data.labels == "all"
    heads = changed_heads(old, corpus, settings.data.depth, every_symbol=every_symbol)
    if (named := (config.get("learn") or {}).get("corrections")) is not None:
        known = found_corrections(named, cache)
        folder = migrate_corrections(known, given, cache, revision)
        n_levels = len(before.tree.levels)
        heads |= changed_by_corrections(known, folder, n_levels, every_symbol=every_symbol)
        own += [assigned("learn.corrections", folder), f"learn.weight={config['learn']['weight']}"]
        settings, observers = compose_training(own)
    migration = Migration(before, heads, options.passes, {})
    return train_suite(settings, own, observers, given, migration.make), corpus, migration.done
