"""Commands that run before any classifier: they make a clean corpus, or an encoder of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from patent_hier.cli.compose import compose_pretrain_settings, compose_settings
from patent_hier.cli.overrides import parsed
from patent_hier.errors import ConfigError, DataError
from patent_hier.sanitize import one_line

PREPARE = """Clean raw tables into a corpus; every row is kept, counted as a duplicate, or rejected with its reason.

usage: patent-hier prepare [--check] [data=demo|cnipa|gazette] [data.path=FILE] [data.key=value ...]

  FILE      CSV, TSV, Excel workbook, JSON lines or list, compressed or not; a folder, a pattern ('2019-*.csv') or a
            list ([a.csv,b.csv]) of files is one corpus
  --check   look at the file and say what would happen; write nothing (but the demo's own raw file)

Keys: data.text=[摘要] data.columns={title: 名称} data.encoding=gb18030|utf-8|big5|utf-16
data.delimiter=tab data.sheet=NAME data.min_symbol=group|subclass|class data.edition=2017|latest
data.max_reject_share=0.2"""
PRETRAIN = """Pre-train an encoder by masked language modelling: a folder in transformers format, with its card.

usage: patent-hier pretrain max_steps=NUMBER|max_time=MINUTES [text=[FILE,FILE]] [key=value ...]

  text=[FILE,...]   .txt in UTF-8 with one passage a line (also .txt.xz, .txt.gz), or .parquet with a column text;
                    without it the training part of the corpus: data=demo|cnipa|gazette data.path=FILE.csv
  start=FOLDER      train an encoder further (domain adaptation); optimizer.lr=5e-5 suits
  max_time=60       minutes of training; the learning rate falls to 0 at the end
  name=NAME         part of the folder's name: runs/encoders/NAME-<fingerprint>

Further keys: architecture.hidden_size num_hidden_layers num_attention_heads intermediate_size; vocabulary.size path;
masking.share whole_words; seq_len batch_size optimizer.lr precision compile num_threads half seed; all of them with
their defaults in conf/pretrain.yaml. The same command continues a run that was interrupted.
Use the result with: python run.py encoder=folder encoder.path=runs/encoders/NAME-<fingerprint>"""

CONVERT_ENCODER = """Make an encoder with pickled weights, as ModelScope has them, into one that encoder.path takes.

usage: patent-hier convert-encoder FOLDER OUT

  FOLDER   has pytorch_model.bin (or its parts and their index), config.json, and vocab.txt or tokenizer.json
  OUT      a new folder: model.safetensors, config.json, the tokenizer's files, a manifest

Only tensors are read from the pickle; a file that holds anything else is refused. Heads of the pre-training are left
out and counted. Use the result with: python run.py encoder=folder encoder.path=OUT"""

TRIM_ENCODER = """Cut an encoder's vocabulary to what your texts need: a multilingual encoder becomes far smaller.

usage: patent-hier trim-encoder ENCODER --text FILE [--text FILE ...] --output FOLDER [--min-count 1] [--half]

  ENCODER          a folder in transformers format, or a hub name: intfloat/multilingual-e5-small
  --text FILE      texts like those to classify: .txt with one passage a line (also .xz, .gz), or .parquet with a
                   column text
  --output FOLDER  a new folder: weights, tokenizer.json, config.json, a card, a manifest
  --min-count N    drop pieces that occur less often; the lines that have them get other tokens, and are counted
  --half           write the weights in half precision

Pieces that occur stay, and special tokens, characters, signs and bytes for other text. Before anything is written, the
tokens of all texts are compared with those of ENCODER; a line says what is lost on lines held out. Use the result with:
python run.py encoder=folder encoder.path=FOLDER"""

TEXT_DIGESTS = """Record in an encoder's folder what it has read, so that test documents can be held against it.

usage: patent-hier text-digests FOLDER --text FILE [--text FILE ...]

  FOLDER        an encoder that patent-hier pretrain made without text_digests.npy, as older versions did
  --text FILE   a text that it has read; all of them, those of earlier runs too (start=...)

The texts of its manifest must be among the files. patent-hier pretrain writes the digests by itself; patent-hier audit
and every result with the encoder then tell how many test documents it has read."""


def prepare(words: Sequence[str]) -> None:
    """Clean a raw file, or with ``--check`` only say what would happen.

    Raises:
        DataError: If the file cannot be used.
    """
    options = parsed(words, check=False)
    settings = compose_settings(options.overrides)
    from patent_hier.data.accounting import files_shown
    from patent_hier.data.corpus import check
    from patent_hier.pipeline.stages import ensure_corpus, raw_files, raw_format

    cache = Path(settings.cache_dir)
    if options.check:
        fmt = raw_format(settings.data)
        files = raw_files(settings.data, cache)
        report = check(files, fmt)
        print("\n".join(map(one_line, report.lines())))
        if report.problem:
            raise DataError(f"{files_shown(files)}: {report.problem}")
        return
    corpus = ensure_corpus(settings.data, cache)
    facts = corpus.manifest["accounting"]
    size = f"{corpus.size} documents in {len(corpus.classes)} classes, {facts['rows']} rows"
    print(one_line(f"corpus of {size}: {corpus.folder}"))


def pretrain(words: Sequence[str]) -> None:
    """Pre-train an encoder, or find it finished.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    settings = compose_pretrain_settings(words)
    from patent_hier.pipeline.pretrain import pretrain as pretrain_encoder
    from patent_hier.report.encoder_card import write_card

    print(one_line(f"encoder: {pretrain_encoder(settings, words, write_card)}"))


def convert_encoder(words: Sequence[str]) -> None:
    """Convert an encoder's weights to safetensors.

    Raises:
        ConfigError: If FOLDER holds no such encoder, or OUT something else.
    """
    options = parsed(words, "folder out")
    from patent_hier.models.conversion import convert_encoder as convert

    done = convert(options.folder, options.out)
    print(one_line(f"encoder: {options.out}, {done.in_words()}; use it with encoder=folder encoder.path={options.out}"))


def text_digests(words: Sequence[str]) -> None:
    """Add digests of what an encoder has read to its folder.

    Raises:
        ConfigError: If FOLDER is no such encoder, or a text that it has read is not named.
        DataError: If a text cannot be read.
    """
    options = parsed(words, "folder", text=[])
    from patent_hier.pipeline.text_read import add_digests
    from patent_hier.report.encoder_card import write_card

    count = add_digests(options.folder, [Path(name) for name in options.text], write_card)
    print(one_line(f"encoder: {options.folder}, {count:,} digests of what it has read"))


def trim_encoder(words: Sequence[str]) -> None:
    """Write an encoder with a smaller vocabulary.

    Raises:
        ConfigError: If ENCODER cannot be used, or FOLDER holds something else.
        DataError: If a text cannot be read.
    """
    options = parsed(words, "source", text=[], output=Path, min_count=1, half=False)
    if options.output is None:
        raise ConfigError("trim-encoder needs a folder for its result: --output FOLDER")
    from patent_hier.pipeline.trim_encoder import OtherText
    from patent_hier.pipeline.trim_encoder import trim_encoder as trim
    from patent_hier.report.encoder_card import write_trimmed_card

    def write_card(folder: Path, manifest: dict[str, Any]) -> None:
        loss = OtherText(**manifest["trimmed"]["other_text"]).in_words()
        write_trimmed_card(folder, manifest, loss)

    texts = [Path(name) for name in options.text]
    trim(str(options.source), texts, options.output, options.min_count, options.half, write_card)
    print(one_line(f"encoder: {options.output}; use it with encoder=folder encoder.path={options.output}"))
