"""Refuse values of pre-training that no part of the program can work with."""

from patent_hier.errors import ConfigError
from patent_hier.settings.bounds import between, folder_name, one_of
from patent_hier.settings.checks import ACCELERATORS, PRECISIONS, check_data, check_group
from patent_hier.settings.pretraining import PretrainSettings

_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_positions")


def check_pretraining(settings: PretrainSettings) -> None:
    """Refuse values that no part of the program can work with.

    Raises:
        ConfigError: Naming the setting, its value and what is allowed.
    """
    folder_name("name", settings.name)
    if settings.max_steps is None and settings.max_time is None:
        raise ConfigError("pre-training needs an end: max_steps=NUMBER, or max_time=MINUTES")
    if not settings.text:
        check_data(settings.data)
    if settings.start is None:
        _check_new_encoder(settings)
    between("masking.share", settings.masking.share, 0.01, 0.9)
    between("held_out", settings.held_out, 1e-6, 0.5)
    between("dropout", settings.dropout, 0, 0.99)
    between("seq_len", settings.seq_len, 8, 10**6 if settings.start else settings.architecture.max_positions)
    for name in ("held_out_tokens", "batch_size", "steps_per_round"):
        between(name, getattr(settings, name), 1, 10**9)
    between("max_steps", settings.max_steps, 1, 10**9)
    between("max_time", settings.max_time, 1e-3, 10**6)
    between("gradient_clip", settings.gradient_clip, 1e-6, 1e6)
    between("num_threads", settings.num_threads, 1, 4096)
    one_of("accelerator", settings.accelerator, ACCELERATORS)
    one_of("precision", settings.precision, PRECISIONS)
    between("seed", settings.seed, 0, 2**31)
    check_group("optimizer", settings.optimizer)


def _check_new_encoder(settings: PretrainSettings) -> None:
    architecture = settings.architecture
    for name in _SIZES:
        between(f"architecture.{name}", getattr(architecture, name), 1, 10**6)
    if architecture.hidden_size % architecture.num_attention_heads:
        raise ConfigError(
            f"architecture.num_attention_heads={architecture.num_attention_heads} does not divide "
            f"architecture.hidden_size={architecture.hidden_size}"
        )
    between("architecture.dropout", architecture.dropout, 0, 0.99)
    between("vocabulary.size", settings.vocabulary.size, 100, 10**6)
    between("vocabulary.min_count", settings.vocabulary.min_count, 1, 10**9)
