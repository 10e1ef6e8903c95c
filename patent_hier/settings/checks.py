"""Refuse values that no part of the program can work with: the setting, its value, what is allowed."""

from patent_hier.errors import ConfigError
from patent_hier.settings.bounds import between, folder_name, one_of
from patent_hier.settings.data import LABEL_LEVELS, DataSettings, DemoDataSettings
from patent_hier.settings.inputs import FeatureSettings
from patent_hier.settings.models import (
    CELLS,
    CLASSIFIERS,
    HEAD_SETTINGS,
    HIDDEN_ORDERS,
    POOLINGS,
    RNN_POOLINGS,
    BertCnnSettings,
    LinearSettings,
    NaiveBayesSettings,
    NeighboursSettings,
    RnnSettings,
    TermSettings,
    TextCnnSettings,
)
from patent_hier.settings.run import FLAT, HIER_NODES, Settings
from patent_hier.settings.training import BF16, FP32, OptimizerSettings, TrainerSettings, filled


def check(settings: Settings) -> None:
    """Refuse values that no part of the program can work with.

    Raises:
        ConfigError: Naming the setting, its value and what is allowed.
    """
    one_of("node", settings.node, (*HIER_NODES, FLAT))
    check_data(settings.data)
    _check_features(settings.features)
    _check_model(settings)
    _check_trainer(settings.trainer)
    check_optimizer(settings.optimizer)
    if settings.encoder.max_length < 3:
        raise ConfigError(f"encoder.max_length={settings.encoder.max_length} leaves no room for text; use 3 or more")
    between("encoder.vector_layers", settings.encoder.vector_layers, 0, 10**6)
    if settings.seed < 0:
        raise ConfigError(f"seed={settings.seed} is negative; use 0 or more")


def check_pooling(model: BertCnnSettings, encoder: str, is_causal: bool) -> None:
    """Refuse to read the first token of a network in which it cannot read the others.

    Args:
        model: The model group of a run's settings.
        encoder: The encoder's name, for the message.
        is_causal: Whether it is a decoder.

    Raises:
        ConfigError: Naming the setting, its value and what is allowed.
    """
    if is_causal and model.pooling == "cls" and "pooling" in HEAD_SETTINGS[model.head]:
        raise ConfigError(
            f"model.pooling=cls reads the first token, which in a decoder ({encoder}) has read nothing else; "
            "use model.pooling=last or model.pooling=mean"
        )


def check_data(data: DataSettings) -> None:
    """The corpus's group alone; see :func:`check`."""
    one_of("data.min_symbol", data.min_symbol, ("group", "subclass", "class"))
    one_of("data.edition", data.edition, ("2017", "latest"))
    one_of("data.encoding", data.encoding, ("gb18030", "utf-8"))
    between("data.max_reject_share", data.max_reject_share, 0, 1)
    between("data.processes", data.processes, 1, 256)
    if not data.text:
        raise ConfigError("data.text=[] names no field; name at least one, for example data.text=[摘要]")
    for level in data.label_levels:
        one_of("data.label_levels", level, LABEL_LEVELS)
    if not data.label_levels:
        raise ConfigError(f"data.label_levels=[] names no level; name at least one of {', '.join(LABEL_LEVELS)}")
    between("data.label_weight", data.label_weight, 1e-6, 1e6)
    if isinstance(data, DemoDataSettings):
        between("data.rows", data.rows, 1, 10**9)
        if data.path is not None:
            raise ConfigError(f"data.path={data.path} goes with data=cnipa or data=gazette; data=demo is generated")
    elif data.path is None:
        raise ConfigError(f"data={data.name} needs its file: data.path=FILE.csv")


def _check_model(settings: Settings) -> None:
    model = settings.model
    folder_name("model.name", model.name)
    if settings.features.name != "words" and model.inputs != "words":
        raise ConfigError(
            f"features={settings.features.name} goes with model=textcnn or model=rnn; model={model.name} reads "
            f"{model.inputs}"
        )
    if settings.data.label_text is not None and isinstance(model, NeighboursSettings):
        raise ConfigError(
            f"data.label_text={settings.data.label_text} goes with models that weigh documents; model={model.name} "
            "does not: choose another model, or data.label_text=null"
        )
    if isinstance(model, BertCnnSettings):
        _check_bertcnn(model)
    elif isinstance(model, TextCnnSettings):
        if not model.kernel_sizes:
            raise ConfigError("model.kernel_sizes=[] has no filter; name at least one length, for example [2,3,4]")
        for size in model.kernel_sizes:
            between("model.kernel_sizes", size, 1, 10**6)
        between("model.num_filters", model.num_filters, 1, 10**6)
        between("model.dropout", model.dropout, 0, 0.99)
    elif isinstance(model, RnnSettings):
        one_of("model.cell", model.cell, CELLS)
        one_of("model.pooling", model.pooling, RNN_POOLINGS)
        between("model.hidden_size", model.hidden_size, 1, 10**6)
        between("model.num_layers", model.num_layers, 1, 100)
        between("model.dropout", model.dropout, 0, 0.99)
    elif isinstance(model, TermSettings):
        _check_terms(model)


def _check_bertcnn(model: BertCnnSettings) -> None:
    one_of("model.head", model.head, tuple(HEAD_SETTINGS))
    one_of("model.pooling", model.pooling, POOLINGS)
    one_of("model.hidden_order", model.hidden_order, HIDDEN_ORDERS)
    if model.name == "bert" and model.head != "cls":
        raise ConfigError(f"model=bert is the linear control; for model.head={model.head} use model=bertcnn")
    for name in ("num_last_layers", "num_filters", "kernel_size"):
        between(f"model.{name}", getattr(model, name), 1, 10**6)
    between("model.pool_size", model.pool_size, 1, 10**6)
    between("model.dropout", model.dropout, 0, 0.99)


def _check_terms(model: TermSettings) -> None:
    sizes = model.ngram_sizes
    if len(sizes) != 2 or not 1 <= sizes[0] <= sizes[1] <= 20:
        raise ConfigError(f"model.ngram_sizes={list(sizes)} is no range; use [shortest,longest], for example [1,3]")
    between("model.min_documents", model.min_documents, 1, 10**9)
    between("model.max_terms", model.max_terms, 1, 10**9)
    if isinstance(model, LinearSettings):
        one_of("model.classifier", model.classifier, CLASSIFIERS)
        between("model.c", model.c, 1e-6, 1e6)
    if isinstance(model, NaiveBayesSettings):
        between("model.alpha", model.alpha, 1e-9, 1e6)
    if isinstance(model, NeighboursSettings):
        between("model.num_neighbours", model.num_neighbours, 1, 10**6)


def _check_features(features: FeatureSettings) -> None:
    one_of("features.name", features.name, ("words", "chars"))
    for name in ("max_length", "min_count", "vector_size", "window"):
        between(f"features.{name}", getattr(features, name), 1, 10**6)
    for name in ("epochs", "seed"):
        between(f"features.{name}", getattr(features, name), 0, 10**6)


def _check_trainer(trainer: TrainerSettings) -> None:
    for name in ("max_epochs", "batch_size", "score_batch_size"):
        between(f"trainer.{name}", getattr(trainer, name), 1, 10**9)
    between("trainer.min_steps", trainer.min_steps, 0, 10**9)
    between("trainer.section_loss", trainer.section_loss, 0, 1e6)
    between("trainer.r_drop", trainer.r_drop, 0, 1e6)
    between("trainer.patience", trainer.patience, 1, 10**9)
    between("trainer.gradient_clip", trainer.gradient_clip, 1e-6, 1e6)
    between("trainer.num_threads", trainer.num_threads, 1, 4096)
    between("trainer.accumulate", trainer.accumulate, 1, filled(trainer.batch_size))
    between("trainer.checkpoint_minutes", trainer.checkpoint_minutes, 0, 10**6)
    between("trainer.devices", trainer.devices, 1, 1024)
    one_of("trainer.accelerator", trainer.accelerator, ("auto", "cpu", "gpu"))
    one_of("trainer.precision", trainer.precision, ("auto", FP32, BF16))


def check_optimizer(optimizer: OptimizerSettings) -> None:
    """The optimizer alone; see :func:`check`."""
    one_of("optimizer.name", optimizer.name, ("adamw", "adam"))
    one_of("optimizer.schedule", optimizer.schedule, ("linear", "constant"))
    between("optimizer.lr", optimizer.lr, 1e-12, 100)
    between("optimizer.weight_decay", optimizer.weight_decay, 0, 100)
    between("optimizer.warmup", optimizer.warmup, 0, 1)
