"""Commands that prepare what classifiers need: a clean corpus, or an encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from patent_hier.cli.compose import compose_pretrain_settings, compose_settings
from patent_hier.cli.overrides import parsed
from patent_hier.errors import ConfigError, DataError
from patent_hier.sanitize import one_line
from patent_hier.wording import quantity

PREPARE = """Clean raw tables into a corpus; every row is kept, counted as a duplicate, or rejected with a reason.

usage: patent-hier prepare [--check] [data=demo|cnipa|gazette] [data.path=FILE] [data.key=value ...]

  patent-hier prepare --check data=cnipa data.path=patents.csv
  patent-hier prepare data=gazette 'data.path=2019-*.csv'

  FILE      CSV, TSV, Excel workbook, or JSON (lines or a list), compressed or not; a folder, a pattern ('2019-*.csv')
            or a list ([a.csv,b.csv]) of files becomes one corpus
  --check   inspect the file and report what would happen; write nothing (except the demo's own raw file)

Keys: data.text=[摘要] data.columns={title: 名称} data.encoding=gb18030|utf-8|big5|utf-16
data.delimiter=tab data.sheet=NAME data.min_symbol=group|subclass|class data.edition=2017|latest
data.max_reject_share=0.2"""
PRETRAIN = """Pre-train an encoder by masked language modelling; write it in transformers format, with a model card.

usage: patent-hier pretrain max_steps=NUMBER|max_time=MINUTES [text=[FILE,FILE]] [key=value ...]

  patent-hier pretrain max_time=60 'text=[abstracts.txt.xz]' name=patents

  text=[FILE,...]   .txt in UTF-8 with one passage per line (also .txt.xz, .txt.gz), or .parquet with a column text;
                    default: the training part of the corpus, data=demo|cnipa|gazette data.path=FILE.csv
  start=FOLDER      train an existing encoder further (domain adaptation); use optimizer.lr=5e-5 with it
  max_time=60       minutes of training; the learning rate falls to 0 at the end
  name=NAME         part of the result's folder: runs/encoders/NAME-<fingerprint>

Further keys: architecture.hidden_size num_hidden_layers num_attention_heads intermediate_size; vocabulary.size path;
masking.share whole_words; seq_len batch_size optimizer.lr precision compile num_threads half seed. All keys and their
defaults are described in patent_hier/settings/pretraining.py. The same command continues an interrupted run.
Use the result with: patent-hier run encoder=folder encoder.path=runs/encoders/NAME-<fingerprint>"""

CONVERT_ENCODER = """Convert an encoder with pickled weights, such as one from ModelScope, for use as encoder.path.

usage: patent-hier convert-encoder FOLDER OUT

  FOLDER   contains pytorch_model.bin (or its parts and their index), config.json, and vocab.txt or tokenizer.json
  OUT      new folder for model.safetensors, config.json, the tokenizer's files and a manifest

Only tensors are read from the pickle; a file that contains anything else is refused. The heads of pre-training are
left out and counted. Use the result with: patent-hier run encoder=folder encoder.path=OUT"""

TRIM_ENCODER = """Cut an encoder's vocabulary to what your texts need; a multilingual encoder becomes far smaller.

usage: patent-hier trim-encoder ENCODER --text FILE [--text FILE ...] --output FOLDER [--min-count 1] [--half]

  ENCODER          a folder in transformers format, or a hub name such as intfloat/multilingual-e5-small
  --text FILE      texts like those to classify: .txt with one passage per line (also .xz, .gz), or .parquet with a
                   column text; may be repeated
  --output FOLDER  new folder for the weights, tokenizer.json, config.json, a model card and a manifest
  --min-count N    drop pieces that occur less often; lines that contain them get other tokens, and are counted
  --half           write the weights in half precision

Kept are the pieces that occur, special tokens, and the characters, signs and bytes that other text needs. Before
anything is written, the tokens of all texts are compared with those of ENCODER; a line reports the loss on held-out
lines. Use the result with: patent-hier run encoder=folder encoder.path=FOLDER"""

TEXT_DIGESTS = """Record in an encoder's folder which texts it was pre-trained on, to find test documents among them.

usage: patent-hier text-digests FOLDER --text FILE [--text FILE ...]

  FOLDER        an encoder from patent-hier pretrain without text_digests.npy, as older versions wrote it
  --text FILE   a file that it was trained on; name all of them, including those of earlier runs (start=...)

The files must include the texts in the encoder's manifest. patent-hier pretrain now writes the digests itself;
patent-hier audit and every result with the encoder then report how many test documents it has read."""


def prepare(words: Sequence[str]) -> None:
    """Clean a raw file, or with ``--check`` only report what would happen.

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
    classes = quantity(len(corpus.classes), "class", "classes")
    rows = quantity(corpus.manifest["accounting"]["rows"], "row")
    print(one_line(f"corpus of {quantity(corpus.size, 'document')} in {classes}, {rows}: {corpus.folder}"))


def pretrain(words: Sequence[str]) -> None:
    """Pre-train an encoder, unless it is finished already.

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
        ConfigError: If FOLDER does not contain such an encoder, or OUT contains something else.
    """
    options = parsed(words, "folder out")
    from patent_hier.models.conversion import convert_encoder as convert

    done = convert(options.folder, options.out)
    print(one_line(f"encoder: {options.out}, {done.in_words()}; use it with encoder=folder encoder.path={options.out}"))


def text_digests(words: Sequence[str]) -> None:
    """Add digests of an encoder's training texts to its folder.

    Raises:
        ConfigError: If FOLDER is not such an encoder, or one of its training texts is not named.
        DataError: If a text cannot be read.
    """
    options = parsed(words, "folder", text=[])
    from patent_hier.pipeline.text_read import add_digests
    from patent_hier.report.encoder_card import write_card

    count = add_digests(options.folder, [Path(name) for name in options.text], write_card)
    print(one_line(f"encoder: {options.folder}, {count:,} digests of its training texts"))


def trim_encoder(words: Sequence[str]) -> None:
    """Write an encoder with a smaller vocabulary.

    Raises:
        ConfigError: If ENCODER cannot be used, or FOLDER contains something else.
        DataError: If a text cannot be read.
    """
    options = parsed(words, "source", text=[], output=Path, min_count=1, half=False)
    if options.output is None:
        raise ConfigError("trim-encoder needs --output; name a new FOLDER for its result")
    from patent_hier.pipeline.trim_encoder import OtherText
    from patent_hier.pipeline.trim_encoder import trim_encoder as trim
    from patent_hier.report.encoder_card import write_trimmed_card

    def write_card(folder: Path, manifest: dict[str, Any]) -> None:
        loss = OtherText(**manifest["trimmed"]["other_text"]).in_words()
        write_trimmed_card(folder, manifest, loss)

    texts = [Path(name) for name in options.text]
    trim(str(options.source), texts, options.output, options.min_count, options.half, write_card)
    print(one_line(f"encoder: {options.output}; use it with encoder=folder encoder.path={options.output}"))
