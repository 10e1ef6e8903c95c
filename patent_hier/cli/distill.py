"""``patent-hier distill``: a finished system is the teacher, one network its student."""

from collections.abc import Sequence
from pathlib import Path

from patent_hier.atomic import write_json
from patent_hier.cli.compose import compose_training
from patent_hier.cli.overrides import key_of, parsed
from patent_hier.errors import ConfigError
from patent_hier.progress import say
from patent_hier.sanitize import one_line
from patent_hier.settings import WHOLE
from patent_hier.settings.distillation import ANSWERED, TRAINING, UNLABELLED

DISTILL = """Train one network on the answers of a finished system, and tell what it loses against it.

usage: patent-hier distill TEACHER [options] [overrides of run]

  patent-hier distill runs/ensemble/result-flat-<fingerprint> --text abstracts.txt.xz \\
    model=bertcnn level=flat data=gazette data.path=gazette.csv split=applicant

  TEACHER             result folder of a system, such as that of patent-hier ensemble; the student's own result folder
                      for self-training
  --text FILE         texts without labels, as pretrain reads them: .txt, .xz, .gz of one passage a line, .parquet;
                      may be repeated
  --unlabelled FILE   the same from documents as predict reads them: a table, a folder, JSON lines; may be repeated
  --on WHICH          what the teacher answers: unlabelled (those files; the default where one is named), train (the
                      training documents; the default otherwise) or both

  model=... level=flat|shared encoder=...   the student; any network, with data=... and split=... of the teacher
  distill.weight=0.5        share of the teacher's answer in a training document's target, beside its own labels
  distill.text_weight=1     weight in the loss of a text without labels
  distill.temperature=1     of the teacher's answers; above 1 they are less certain

A teacher is too certain of the training documents, which it has read with their labels: texts without labels say more
about what it knows. Texts that are documents of val, calibration or test are left out and counted, training documents
and repeated ones too. The student is an ordinary result: predict, combine, export and report take it. Its accuracy less
the teacher's on the same test documents is printed, and lies beside the result as distilled-<fingerprint>.json.
Choose the settings on val: patent-hier tune with distill.answers=FOLDER, which the first line names."""


def distill(words: Sequence[str]) -> None:
    """Make the teacher's answers, train the student, compare the two.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    options = parsed(words, "teacher overrides*", text=[], unlabelled=[], on=str)
    files = bool(options.text or options.unlabelled)
    on = options.on or (UNLABELLED if files else TRAINING)
    if on not in ANSWERED:
        raise ConfigError(f"--on {on} is unknown; use {', '.join(ANSWERED)}")
    if (on == TRAINING) == files:
        raise ConfigError(
            f"--on {on} and {'files of texts' if files else 'no --text or --unlabelled'} do not go together"
        )
    if given := [word for word in options.overrides if key_of(word) == "distill.answers"]:
        raise ConfigError(f"{given[0]}: distill makes the answers itself; to train on a folder of answers use run")
    settings, _ = compose_training(
        [*options.overrides, "distill.answers=."]
    )  # what no student may have is said at once
    if settings.level.name not in WHOLE:
        raise ConfigError(f"level={settings.level.name}: a student is one network; use level=flat or level=shared")
    from patent_hier.cli.collect import publish
    from patent_hier.pipeline.comparison import lines_of
    from patent_hier.pipeline.distill import Unlabelled, compare_with_teacher, ensure_answers
    from patent_hier.pipeline.stages import ensure_data
    from patent_hier.pipeline.suite import train_suite

    texts = Unlabelled(tuple(map(Path, options.text)), tuple(map(Path, options.unlabelled)))
    answers = ensure_answers(settings, options.teacher, texts, on)
    if on != UNLABELLED:
        say("note: the teacher has read the training documents with their labels; its answers on them are too certain")
    merged = [*options.overrides, f"distill.answers='{answers}'"]
    settings, observers = compose_training(merged)
    suite = train_suite(settings, merged, observers)
    publish(suite)
    compared = compare_with_teacher(suite, options.teacher, ensure_data(settings)[0])
    file = suite.folder.with_name(f"distilled-{suite.facts['suite']}.json")
    write_json(file, {"teacher": str(options.teacher), "student": str(suite.folder), "levels": compared})
    for line in lines_of(compared):
        print(one_line(line))
    print(one_line(f"saved in {file}"))
