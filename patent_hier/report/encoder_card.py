"""The card of a pre-trained encoder: what it is, what it has read, how its loss fell, how to make it again."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patent_hier.atomic import read_json
from patent_hier.features.pretrained import CONFIG
from patent_hier.report.figures import loss_curve

CARD = "README.md"
CURVE = "loss_curve.svg"
_ROWS = 12  # of the table of losses
_ON_CPU = (
    "\n\nIt was trained on a CPU, so it has read little: encoders of this kind are usually trained on GPUs with "
    "thousands of times as much text. The command below with a larger `max_time`, or on a GPU, takes it further."
)
_POOLED = ("bert", "ernie", "roberta")  # types whose networks have a pooler unless told otherwise


def write_card(folder: Path, manifest: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
    """Write ``README.md`` and ``loss_curve.svg`` of an encoder's folder.

    Args:
        folder: Where to; its weights and ``config.json`` are there already.
        manifest: Of the encoder, as :mod:`patent_hier.pipeline.pretrain` makes it.
        history: One record for each round; see :class:`patent_hier.training.pretraining.Pretrained`.
    """
    (folder / CURVE).write_bytes(loss_curve(history).svg)
    sections = [_head(folder, manifest), _use(folder), _text(manifest), _training(manifest), _losses(history)]
    if manifest.get("before"):
        sections.append(_before(manifest))
    (folder / CARD).write_text("\n\n".join([*sections, _again(manifest)]) + "\n", "utf-8")


def _head(folder: Path, manifest: Mapping[str, Any]) -> str:
    content, training = manifest["content"], manifest["training"]
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    facts = [
        ("parameters", f"{training['parameters'] / 1e6:.2f} M (with the head that predicts hidden tokens)"),
        ("weights", f"{size / 1e6:.1f} MB, {'float16' if content['half'] else 'float32'}, safetensors"),
        ("vocabulary", f"{manifest['vocabulary']:,} tokens"),
        ("held-out text", f"loss {manifest['dev']['dev/loss']:.3f} nats per hidden token, "
                          f"{manifest['dev']['dev/accuracy']:.1%} of them predicted"),
    ]  # fmt: skip
    if manifest["start"] is not None:
        facts.insert(0, ("trained further from", str(manifest["start"])))
    facts.insert(0, ("architecture", _architecture(read_json(folder / CONFIG))))
    return (
        f"# {manifest['name']}\n\nA Transformer encoder, pre-trained by masked language modelling.\n\n{_table(facts)}"
    )


def _architecture(config: Mapping[str, Any]) -> str:
    """Type and sizes, as far as ``config.json`` has them under the names that BERT and most others use."""
    sizes = (
        ("num_hidden_layers", "{} layers"),
        ("hidden_size", "hidden size {}"),
        ("num_attention_heads", "{} heads"),
        ("max_position_embeddings", "up to {} tokens"),
    )
    return ", ".join((str(config["model_type"]), *(text.format(config[key]) for key, text in sizes if key in config)))


def _use(folder: Path) -> str:
    pooled = read_json(folder / CONFIG).get("model_type") in _POOLED
    without_pooler = ", add_pooling_layer=False" if pooled else ""  # it would be random, and transformers would say so
    return (
        "## Use\n\n```python\nfrom transformers import AutoModel, AutoTokenizer\n\n"
        f'encoder = AutoModel.from_pretrained("FOLDER", dtype="float32"{without_pooler})\n'
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n```\n\n'
        "In patent_hier: `python run.py encoder=folder encoder.path=FOLDER`. The vector of `[CLS]` has had no task of "
        "its own in pre-training; it learns one when a classifier is trained."
    )


def _text(manifest: Mapping[str, Any]) -> str:
    text = manifest["text"]
    lines = [
        f"- {source['file']}, {source['bytes']:,} bytes, SHA-256 `{source['sha256']}`"
        if "file" in source
        else f"- corpus {source['corpus']} `{source['fingerprint']}`, part {source['part']} of `{source['split']}`"
        for source in text["sources"]
    ]
    counts = (
        f"{sum(text['passages'].values()):,} passages of {text['characters'] / 1e6:.2f} M characters; "
        f"{text['tokens']['training'] / 1e6:.2f} M tokens to learn from, {text['tokens']['held_out']:,} held out. "
        "A file that is listed twice is read twice in each pass."
    )
    return "\n".join(("## Text", "", *lines, "", counts))


def _training(manifest: Mapping[str, Any]) -> str:
    training, content, environment = manifest["training"], manifest["content"], manifest["environment"]
    packages = environment["packages"]
    facts = [
        ("tokens read", f"{training['tokens'] / 1e6:.2f} M, {training['passes']} passes, {training['steps']:,} steps"),
        ("batch", f"{content['batch_size']} rows of {content['seq_len']} tokens"),
        ("hidden", f"{content['masking']['share']:.0%} of the "
                   f"{'words (as jieba segments them)' if content['masking']['whole_words'] else 'tokens'}"),
        ("learning rate", f"{content['optimizer']['lr']:g}, {content['optimizer']['name']}"),
        ("time", f"{training['seconds'] / 60:.1f} minutes, {training['tokens_per_second']:,.0f} tokens/s"),
        ("device", f"{training['device']}, {training['threads']} thread(s), precision {training['precision']}"),
        ("machine", f"{environment['platform']}, {environment['cpus']} CPUs"),
        ("versions", f"Python {environment['python']}, torch {packages['torch']}, "
                     f"transformers {packages['transformers']}, patent_hier {environment['patent_hier']} "
                     f"({environment['git_commit']})"),
        ("date", environment["date"]),
    ]  # fmt: skip
    devices = {training["device"], *(run["device"] for run in manifest.get("before", ()))}
    note = _ON_CPU if devices == {"cpu"} else ""
    return f"## Training\n\n{_table(facts)}{note}"


def _losses(history: Sequence[Mapping[str, float]]) -> str:
    chosen = sorted({round(i * (len(history) - 1) / (_ROWS - 1)) for i in range(_ROWS)})
    rows = [
        f"| {int(row['step']):,} | {row['tokens'] / 1e6:.2f} | "
        f"{format(row['train/loss'], '.3f') if 'train/loss' in row else '–'} | {row['dev/loss']:.3f} | "
        f"{row['dev/accuracy']:.1%} |"
        for row in (history[number] for number in chosen)
    ]
    head = ["| step | M tokens | training loss | held-out loss | held-out accuracy |", "|---:|---:|---:|---:|---:|"]
    return "\n".join(("## Losses", "", f"![Loss by tokens read]({CURVE})", "", *head, *rows))


def _before(manifest: Mapping[str, Any]) -> str:
    """The runs that made what this one began with."""
    rows = [
        f"| {run['date'][:10]} | {run['tokens'] / 1e6:.2f} | {run['steps']:,} | {run['seconds'] / 60:.1f} | "
        f"{run['device']} | {run['dev/loss']:.3f} | {run['dev/accuracy']:.1%} | `{shlex.join(run['command'])}` |"
        for run in manifest["before"]
    ]
    tokens = manifest["training"]["tokens"] + sum(run["tokens"] for run in manifest["before"])
    head = [
        "| date | M tokens | steps | minutes | device | held-out loss | held-out accuracy | command |",
        "|---|---:|---:|---:|---|---:|---:|---|",
    ]
    intro = f"It began with the weights of an earlier run; these runs together read {tokens / 1e6:.2f} M tokens."
    return "\n".join(("## Before", "", intro, "", *head, *rows))


def _again(manifest: Mapping[str, Any]) -> str:
    return f"## Make it again\n\n```sh\n{shlex.join(manifest['environment']['command'])}\n```"


def _table(facts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(("| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts)))
