"""``patent-hier pretrain``: an encoder of one's own, by masked language modelling on any text."""

from collections.abc import Sequence

from patent_hier.cli.compose import compose_pretrain_settings
from patent_hier.sanitize import one_line

USAGE = """Pre-train an encoder by masked language modelling: a folder in transformers format, with its card.

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


def run(arguments: Sequence[str]) -> None:
    """Pre-train, or find the encoder finished.

    Raises:
        PatentHierError: If a setting or an input cannot be used.
    """
    settings = compose_pretrain_settings(arguments)
    from patent_hier.pipeline.pretrain import pretrain
    from patent_hier.report.encoder_card import write_card

    print(one_line(f"encoder: {pretrain(settings, arguments, write_card)}"))
