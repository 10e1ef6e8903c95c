"""``patent-hier prepare``: raw CSV -> clean corpus. ``--check`` looks at the file and writes nothing."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.cli.compose import compose_settings
from patent_hier.errors import DataError
from patent_hier.sanitize import one_line

_CHECK = "--check"
USAGE = """Clean a raw CSV into a corpus; every row is kept, counted as a duplicate, or rejected with its reason.

usage: patent-hier prepare [--check] [data=demo|cnipa|gazette] [data.path=FILE.csv] [data.key=value ...]

  --check   look at the file and say what would happen; write nothing (but the demo's own raw file)

Keys: data.text=[摘要] data.columns={title: 名称} data.encoding=gb18030|utf-8 data.min_symbol=group|subclass|class
data.edition=2017|latest data.max_reject_share=0.2 data.processes=2"""


def run(arguments: Sequence[str]) -> None:
    """Prepare, or with ``--check`` only report.

    Raises:
        DataError: If the file cannot be used.
    """
    settings = compose_settings([word for word in arguments if word != _CHECK])
    from patent_hier.data.corpus import check
    from patent_hier.pipeline.stages import cleaning_processes, ensure_corpus, raw_file, raw_format

    cache = Path(settings.cache_dir)
    if _CHECK in arguments:
        source = raw_file(settings.data, cache)
        report = check(source, raw_format(settings.data), processes=cleaning_processes(settings.data, source))
        print("\n".join(map(one_line, report.lines())))
        if report.problem:
            raise DataError(report.problem)
        return
    corpus = ensure_corpus(settings.data, cache)
    facts = corpus.manifest["accounting"]
    size = f"{corpus.size} documents in {len(corpus.classes)} classes, {facts['rows']} rows"
    print(one_line(f"corpus of {size}: {corpus.folder}"))
