"""Checks of the settings: every refusal names the setting, its value and the allowed values.

Most settings have a range or a list of values in the tables here; rules for two settings together have a function.
Each function raises :class:`patent_hier.errors.ConfigError`.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from patent_hier.errors import ConfigError
from patent_hier.settings.data import (
    APPLICANT,
    CONTEXT_COLUMNS,
    DEPTHS,
    LABEL_LEVELS,
    SYMBOLS,
    DataSettings,
    DemoDataSettings,
)
from patent_hier.settings.models import (
    CELLS,
    CLASSIFIERS,
    HEAD_SETTINGS,
    HIDDEN_ORDERS,
    LONGEST_NGRAM,
    NETWORKS,
    NO_INFLUENCE,
    POOLINGS,
    RNN_POOLINGS,
    BertCnnSettings,
    LinearSettings,
    ModelSettings,
    NeighboursSettings,
    NgramSettings,
    RnnSettings,
    TextCnnSettings,
)
from patent_hier.settings.pretraining import PretrainSettings
from patent_hier.settings.run import Settings
from patent_hier.settings.training import BF16, FP32, KEEPS, filled

_UNBOUNDED = 10**6  # a bound of this size or more only keeps nonsense out
_COUNT = (1, _UNBOUNDED)
_DEVICE: dict[str, tuple[str, ...]] = {"accelerator": ("auto", "cpu", "gpu"), "precision": ("auto", FP32, BF16)}
# By group: names, lowest and highest value, for all variants of the group; None always passes. Settings of pre-training
# that belong to no group are under the empty name.
_RANGES: dict[str, tuple[tuple[str, float, float], ...]] = {
    "data": (("rows", 1, 10**9), ("label_weight", 1e-6, 1e6)),
    "features": (("max_length min_count vector_size window", *_COUNT), ("epochs seed", 0, 10**6)),
    "encoder": (("max_length", 3, 10**6), ("freeze vector_layers", 0, 10**6)),
    "model": (
        ("num_last_layers num_filters kernel_size pool_size hidden_size num_neighbours", *_COUNT),
        ("min_documents max_terms", 1, 10**9),
        *(("num_layers", 1, 100), ("dropout", 0, 0.99), ("c", 1e-6, 1e6), ("alpha", 1e-9, 1e6)),
        ("context_weight", 1e-6, 100),
    ),
    "trainer": (
        ("max_epochs batch_size score_batch_size patience", 1, 10**9),
        *(("min_steps", 0, 10**9), ("section_loss r_drop", 0, 1e6), ("gradient_clip", 1e-6, 1e6)),
        *(("label_smoothing", 0, 0.99), ("ema", 0, 0.999999), ("text_turns", 1, 1000)),
        *(("num_threads", 1, 4096), ("checkpoint_minutes", 0, 10**6), ("devices", 1, 1024)),
    ),
    "distill": (("weight", 0, 1), ("text_weight", 0, 1e6), ("temperature", 1e-2, 100)),
    "learn": (("weight", 1e-3, 1e3), ("replay", 0, 10**9), ("passes", 1, 10**6), ("rate", 1e-6, 10)),
    "optimizer": (("lr head_lr", 1e-12, 100), ("layer_decay", 1e-3, 1), ("weight_decay", 0, 100), ("warmup", 0, 1)),
    "": (
        *(("held_out", 1e-6, 0.5), ("dropout", 0, 0.99), ("max_time", 1e-3, 10**6), ("gradient_clip", 1e-6, 1e6)),
        *(("held_out_tokens batch_size steps_per_round max_steps", 1, 10**9), ("num_threads", 1, 4096)),
        ("seed", 0, 2**31),
    ),
    "masking": (("share", 0.01, 0.9),),
    "architecture": (
        ("hidden_size num_hidden_layers num_attention_heads intermediate_size max_positions", *_COUNT),
        ("dropout", 0, 0.99),
    ),
    "vocabulary": (("size", 100, 10**6), ("min_count", 1, 10**9)),
}
_CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "data": {"depth": DEPTHS, "labels": SYMBOLS},
    "features": {"name": ("words", "chars")},
    "trainer": {**_DEVICE, "keep": KEEPS},
    "": _DEVICE,
    "optimizer": {"name": ("adamw", "adam", "muon"), "schedule": ("linear", "constant")},
}
_MODEL_CHOICES: dict[type[Any], dict[str, tuple[str, ...]]] = {
    BertCnnSettings: {"head": tuple(HEAD_SETTINGS), "pooling": POOLINGS, "hidden_order": HIDDEN_ORDERS},
    RnnSettings: {"cell": CELLS, "pooling": RNN_POOLINGS},
    LinearSettings: {"classifier": CLASSIFIERS},
}


def one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not among the allowed ones; ``None`` passes."""
    if value is not None and value not in allowed:
        raise ConfigError(f"{name}={value} is unknown; choose one of {', '.join(allowed)}")


def between(name: str, value: float | None, low: float, high: float) -> None:
    """Refuse a number outside a range, whose bounds are allowed; ``None`` passes."""
    if value is not None and not low <= value <= high:
        allowed = f"{low:g} or more" if high >= _UNBOUNDED else f"a value from {low:g} to {high:g}"
        raise ConfigError(f"{name}={value} is out of range; use {allowed}")


def _check_distillation(settings: Settings) -> None:
    answers = settings.distill.answers
    if answers is None:
        return
    if settings.model.inputs == "ngrams":
        raise ConfigError(f"distill.answers={answers} needs a network; model={settings.model.name} is not a network")
    if settings.trainer.class_weights:
        raise ConfigError(
            "trainer.class_weights=true cannot be used with a teacher, whose answers have many labels; leave it out"
        )


def folder_name(name: str, value: str) -> None:
    """Refuse a value that is not a valid folder name on every operating system."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", value):
        raise ConfigError(f"{name}={value} is not a valid folder name; use only letters, digits, _, . and -")


def check(settings: Settings) -> None:
    """Check the settings of one node's run, except how its raw file is read, which ``RawFormat`` checks."""
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_./-]*", settings.node):  # only the corpus knows which labels exist
        raise ConfigError(f"node={settings.node} is unknown; use root, flat, shared or a label such as A, A01 or A01B")
    _check_data(settings.data)
    for group in ("features", "encoder", "trainer", "optimizer", "distill", "learn"):
        check_group(group, getattr(settings, group))
    _check_model(settings)
    _check_context(settings)
    for name, usual in (("head_lr", None), ("layer_decay", 1.0)):
        if (value := getattr(settings.optimizer, name)) != usual and settings.model.inputs != "wordpiece":
            raise ConfigError(
                f"optimizer.{name}={value} is for models with an encoder, but model={settings.model.name} has none; "
                "set optimizer.lr"
            )
    for level, weight in settings.trainer.level_weights.items():
        one_of("trainer.level_weights", level, LABEL_LEVELS)
        between(f"trainer.level_weights.{level}", weight, 0, 1e6)
    between("trainer.accumulate", settings.trainer.accumulate, 1, filled(settings.trainer.batch_size))
    _check_distillation(settings)
    if settings.seed < 0:
        raise ConfigError(f"seed={settings.seed} is negative; use 0 or more")


def check_group(group: str, settings: Any, prefix: str | None = None) -> None:
    """Check one group of settings, of any variant, against the tables.

    Args:
        group: Name of the group.
        settings: The group.
        prefix: Prefix of a setting's name in a message; None: ``<group>.``.
    """
    prefix = (group and f"{group}.") if prefix is None else prefix
    for names, low, high in _RANGES[group]:
        for name in names.split():
            between(prefix + name, getattr(settings, name, None), low, high)
    for name, allowed in {**_CHOICES.get(group, {}), **_MODEL_CHOICES.get(type(settings), {})}.items():
        one_of(prefix + name, getattr(settings, name), allowed)


def check_pooling(model: BertCnnSettings, encoder: str, is_causal: bool) -> None:
    """Refuse to read the first token of a decoder, in which it cannot read the others.

    Args:
        model: The model group of a run's settings.
        encoder: The encoder's name, for the message.
        is_causal: Whether the encoder is a decoder.
    """
    if is_causal and model.pooling in (None, "cls") and "pooling" in HEAD_SETTINGS[model.head]:
        raise ConfigError(
            f"model.pooling=cls reads the first token, which in a decoder ({encoder}) reads no other token; "
            "use model.pooling=last or model.pooling=mean"
        )


def check_freeze(freeze: bool | int, encoder: str, num_layers: int) -> None:
    """Refuse to freeze so many lower layers that none is left to train.

    Args:
        freeze: The setting ``encoder.freeze``.
        encoder: The encoder's name, for the message.
        num_layers: The encoder's number of layers.
    """
    if not isinstance(freeze, bool) and not 0 <= freeze < num_layers:
        raise ConfigError(
            f"encoder.freeze={freeze} is out of range: encoder {encoder} has {num_layers} layers; use 0 (its "
            f"embeddings alone) to {num_layers - 1}, or true for all"
        )


def _check_data(data: DataSettings) -> None:
    check_group("data", data)
    for level in data.label_levels:
        one_of("data.label_levels", level, (*LABEL_LEVELS, "maingroup"))
    if not data.label_levels:
        raise ConfigError(f"data.label_levels=[] is empty; name at least one of {', '.join(LABEL_LEVELS)}")
    if isinstance(data, DemoDataSettings):
        if data.path is not None:
            raise ConfigError(
                f"data.path={data.path} needs data=cnipa or data=gazette; the corpus of data=demo is generated"
            )
    elif not isinstance(data.path, str | list | None) or not all(isinstance(one, str) for one in data.path or ()):
        raise ConfigError(
            f"data.path={data.path} does not name a file; write data.path=FILE.csv or data.path=[A.csv,B.csv]"
        )
    elif data.path is None:
        raise ConfigError(f"data={data.name} needs a file; set data.path=FILE.csv, or to a folder or a list of files")


def _check_model(settings: Settings) -> None:
    model = settings.model
    folder_name("model.name", model.name)
    if settings.features.name != "words" and model.inputs != "words":
        raise ConfigError(
            f"features={settings.features.name} needs model=textcnn or model=rnn; model={model.name} reads "
            f"{model.inputs}"
        )
    if settings.data.label_text is not None and isinstance(model, NeighboursSettings):
        raise ConfigError(
            f"data.label_text={settings.data.label_text} needs a model that weights documents, but model={model.name} "
            "does not; choose another model or data.label_text=null"
        )
    _check_own(model)


def _check_context(settings: Settings) -> None:
    """Refuse a context that the model does not read or that the split hides."""
    data, split = settings.data, settings.split
    for column in data.context:
        one_of("data.context", column, CONTEXT_COLUMNS)
    asked = f"data.context=[{','.join(data.context)}]"
    if data.context and settings.model.inputs != "ngrams":
        raise ConfigError(
            f"{asked} needs a model on character n-grams (linear, logistic, naive_bayes, knn); "
            f"model={settings.model.name} reads only the text"
        )
    if APPLICANT in data.context and APPLICANT in (split.policy, split.together):
        name = "split.together" if split.together == APPLICANT else "split"
        raise ConfigError(
            f"{asked} cannot be used with {name}=applicant (nor with split=deploy), because the applicants of val and "
            "test do not occur in training; choose split=date or split=random"
        )


def network_settings(name: str, changes: Mapping[str, Any]) -> ModelSettings:
    """Return the checked settings of a network named in Python code.

    Args:
        name: ``bertcnn``, ``bert``, ``textcnn`` or ``rnn``.
        changes: Settings of the network that differ from the defaults.

    Raises:
        ConfigError: If the network or a setting does not exist, or a value is out of range.
    """
    one_of("model", name, tuple(NETWORKS))
    settings = NETWORKS[name]()
    known = [own.name for own in fields(settings) if own.name not in NO_INFLUENCE]
    if unknown := sorted(set(changes) - set(known)):
        raise ConfigError(f"model={name} has no setting {unknown[0]}; it has {', '.join(known)}")
    settings = replace(settings, **changes)
    _check_own(settings)
    return settings


def _check_own(model: ModelSettings) -> None:
    check_group("model", model)
    if isinstance(model, BertCnnSettings) and model.name == "bert" and model.head != "cls":
        raise ConfigError(f"model=bert is the linear control; for model.head={model.head} use model=bertcnn")
    if isinstance(model, TextCnnSettings):
        if not model.kernel_sizes:
            raise ConfigError("model.kernel_sizes=[] is empty; name at least one length, for example [2,3,4]")
        for size in model.kernel_sizes:
            between("model.kernel_sizes", size, *_COUNT)
    if isinstance(model, NgramSettings):
        sizes = model.ngram_sizes
        if len(sizes) != 2 or not 1 <= sizes[0] <= sizes[1] <= LONGEST_NGRAM:
            raise ConfigError(
                f"model.ngram_sizes={list(sizes)} is not a range; use [shortest,longest], for example [1,3]"
            )


def check_pretraining(settings: PretrainSettings) -> None:
    """Check the settings of one pre-training run; settings that are not read are not checked."""
    folder_name("name", settings.name)
    if settings.optimizer.layer_decay != 1:
        raise ConfigError(
            f"optimizer.layer_decay={settings.optimizer.layer_decay} is for classifiers; pre-training needs 1"
        )
    if settings.max_steps is None and settings.max_time is None:
        raise ConfigError("pre-training needs a limit; set max_steps=NUMBER or max_time=MINUTES")
    if not settings.text:
        _check_data(settings.data)
    architecture = settings.architecture
    if settings.start is None:
        check_group("architecture", architecture)
        check_group("vocabulary", settings.vocabulary)
        if architecture.hidden_size % architecture.num_attention_heads:
            raise ConfigError(
                f"architecture.num_attention_heads={architecture.num_attention_heads} does not divide "
                f"architecture.hidden_size={architecture.hidden_size}"
            )
    for group in ("masking", "optimizer"):
        check_group(group, getattr(settings, group))
    check_group("", settings)
    between("seq_len", settings.seq_len, 8, _UNBOUNDED if settings.start else architecture.max_positions)
