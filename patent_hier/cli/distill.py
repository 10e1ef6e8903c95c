"""``patent-hier distill``: train one network, the student, on the answers of a trained system, the teacher."""

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

DISTILL = """Train one network on the answers of a trained system, and report what it loses against that system.

usage: patent-hier distill TEACHER [options] [overrides of run]

  patent-hier distill runs/ensemble/result-flat-<fingerprint> --text abstracts.txt.xz \\
    model=bertcnn level=flat data=gazette data.path=gazette.csv split=applicant

  TEACHER             result folder of a system, such as one from patent-hier ensemble; for self-training, the student's
                      own result folder
  --text FILE         texts without labels, in the formats of pretrain: .txt, .xz or .gz with one passage per line, or
                      .parquet; may be repeated
  --unlabelled FILE   documents without labels, in the formats of predict: a table, a folder, JSON lines; may be
                      repeated
  --on WHICH          documents that the teacher answers: unlabelled (the files above; default if there are any), train
                      (the training documents; default otherwise) or both

  model=... level=flat|shared encoder=...   the student: any network, with the teacher's data=... and split=...
  distill.weight=0.5        share of the teacher's answer in the target of a training document, beside its own labels
  distill.text_weight=1     weight of a text without labels in the loss
  distill.temperature=1     temperature of the teacher's answers; above 1 they are less certain

A teacher is too certain of the training documents, because it was trained on their labels; texts without labels reveal
more of what it knows. Texts that are documents of val, calibration or test are left out and counted, as are training
documents and duplicates. The student is an ordinary result for predict, combine, export and report. The difference
between its accuracy and the teacher's on the same test documents is printed and written next to the result, to
distilled-<fingerprint>.json. To choose the settings on val, use patent-hier tune with distill.answers=FOLDER; the
first line printed names that folder."""


def distill(words: Sequence[str]) -> None:
    """Write the teacher's answers, train the student, and compare the two.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    options = parsed(words, "teacher overrides*", text=[], unlabelled=[], on=str)
    files = bool(options.text or options.unlabelled)
    on = options.on or (UNLABELLED if files else TRAINING)
    if on not in ANSWERED:
        raise ConfigError(f"--on {on} is unknown; choose one of {', '.join(ANSWERED)}")
    if (on == TRAINING) == files:
        raise ConfigError(
            f"--on {on} and {'files of texts' if files else 'no --text or --unlabelled'} cannot be combined; see --help"
        )
    if given := [word for word in options.overrides if key_of(word) == "distill.answers"]:
        raise ConfigError(
            f"{given[0]}: distill creates the answers itself; to train on a folder of answers, use patent-hier run"
        )
    settings, _ = compose_training(
        [*options.overrides, "distill.answers=."]
    )  # settings that no student can have are refused at once
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
        say(
            "note: the teacher was trained on the labels of the training documents; its answers on them are too certain"
        )
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
