"""``PatentDataModule``: from a raw file to the batches of one network, for any ``pytorch_lightning.Trainer``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import locate
from patent_hier.features.token_store import TokenStore
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import FIRST_WORD_ID
from patent_hier.models.registry import TokenReader
from patent_hier.pipeline.feature_stages import ensure_vectors
from patent_hier.pipeline.inputs import Inputs, WordInputs, WordPieceInputs
from patent_hier.pipeline.stages import ensure_data, load_parts, split_plan
from patent_hier.settings import (
    SHARED,
    BertCnnSettings,
    DataSettings,
    DemoDataSettings,
    EncoderSettings,
    FeatureSettings,
    Settings,
    SplitSettings,
    TextCnnSettings,
    TrainerSettings,
    check,
)
from patent_hier.settings.inputs import encoder_settings
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.training.datamodule import NodeBatches
from patent_hier.training.node_data import CorpusView, NodeView
from patent_hier.training.node_views import view_of
from patent_hier.training.optimizing import inverse_frequency_weights


class PatentDataModule(NodeBatches):
    """Training, validation, test and prediction batches of a raw file.

    The cleaned corpus, its split and the model's inputs are folders in ``cache_dir``. They are made once, under locks,
    by ``prepare_data`` or by the first attribute that needs them, and are shared with the command line.

    Args:
        path: CSV file; None for the generated demo corpus.
        text: Header names of the fields that form the text, in this order; a string is a single name.
        columns: Field name of this package -> header name in the file, where it differs from the paper's 16 columns.
        encoding: As in :class:`patent_hier.settings.DataSettings`, like the next three arguments.
        min_symbol: ``group``, ``subclass`` or ``class``; None means ``group``, or ``class`` for the demo corpus.
        edition: ``2017`` or ``latest``.
        max_reject_share: Largest allowed fraction of rejected rows.
        rows: Number of documents in the demo corpus.
        depth: The deepest level: ``class``, ``subclass``, ``main_group`` or ``subgroup``.
        labels: ``first`` trains on a document's main symbol, ``all`` on all of its symbols.
        node: ``shared`` for every level, ``root`` for the first one, ``flat`` for one softmax over the deepest level,
            or a label for everything below it. With ``flat``, create the model with ``flat=True``.
        split: A policy such as ``applicant``, or settings, which may be a plain dictionary such as
            ``{"policy": "file", "path": "parts.csv"}``.
        encoder: Encoder whose tokens are read: ``small``, ``demo``, a folder, a hub name, or settings.
        features: ``words`` or ``chars`` in place of an encoder, for ``textcnn`` and ``rnn``; or settings.
        max_length: Maximum document length in tokens or words; None for the default of the encoder or features.
        batch_size: Documents per training batch.
        score_batch_size: Documents per batch in validation, test and prediction.
        seed: Seed for the order of training batches.
        cache_dir: Folder for files that can be rebuilt.
        label_text: CSV with the titles of IPC symbols, which become extra training documents.
        label_levels: Levels whose titles are used; a string is a single level.
        label_weight: Weight of a title; a training document has weight 1.

    Raises:
        ConfigError: If a setting is unknown or out of range.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        text: str | Iterable[str] | None = None,
        columns: Mapping[str, str] | None = None,
        encoding: str | None = DataSettings.encoding,
        min_symbol: str | None = None,
        edition: str = DataSettings.edition,
        max_reject_share: float = DataSettings.max_reject_share,
        rows: int | None = None,
        depth: str = DataSettings.depth,
        labels: str = DataSettings.labels,
        node: str = SHARED,
        split: str | SplitSettings | Mapping[str, Any] = SplitSettings.policy,
        encoder: str | Path | EncoderSettings | Mapping[str, Any] | None = None,
        features: str | FeatureSettings | Mapping[str, Any] | None = None,
        max_length: int | None = None,
        batch_size: int = BertCnnSettings.suggested_batch_size,
        score_batch_size: int = TrainerSettings.score_batch_size,
        seed: int = Settings.seed,
        cache_dir: str | Path = Settings.cache_dir,
        label_text: str | Path | None = None,
        label_levels: str | Iterable[str] | None = None,
        label_weight: float | None = None,
    ) -> None:
        text, label_levels = _names("text", text), _names("label_levels", label_levels)
        if columns is not None and not isinstance(columns, Mapping):
            raise ConfigError(f"columns={columns!r} is not a dictionary; write columns={{'title': '名称'}}")
        given = {name: _plain(value) for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__(None, batch_size=batch_size, score_batch_size=score_batch_size, pad_id=0, seed=seed)
        if features is not None and encoder is not None:
            raise ConfigError(f"features={features} and encoder={encoder} cannot be used together; leave one out")
        if path is not None and rows is not None:
            raise ConfigError(f"rows={rows} applies only to the demo corpus, not to {path}; leave one out")
        kind = DemoDataSettings if path is None else DataSettings
        own = {field.name for field in fields(kind)} - {"seed"}
        self.settings = Settings(
            data=kind(**{name: value for name, value in given.items() if name in own and value is not None}),
            split=_of(SplitSettings, given["split"], "policy"),
            encoder=_cut(encoder_settings("small" if encoder is None else encoder), None if features else max_length),
            features=_cut(_of(FeatureSettings, features or FeatureSettings.name, "name"), max_length),
            model=BertCnnSettings() if features is None else TextCnnSettings(),
            trainer=TrainerSettings(batch_size=batch_size, score_batch_size=score_batch_size),
            node=node,
            seed=seed,
            cache_dir=str(cache_dir),
        )
        check(self.settings)
        split_plan(self.settings.split)
        self.save_hyperparameters(given)

    def prepare_data(self) -> None:
        """Make everything that is missing from the cache; Lightning calls this in one process of each machine."""
        _ = self.view

    def setup(self, stage: str) -> None:
        """Open the prepared data; Lightning calls this in every process."""
        _ = self.view

    @property
    def tree(self) -> LabelTree:
        """The labels that the model chooses from: the node's labels that occur in the training part."""
        return self.view.tree

    @cached_property
    def view(self) -> NodeView[TokenStore]:
        """The node's documents and labels."""
        reader = self.reader
        self.pad_id = reader.pad_id
        if isinstance(reader, WordPieceReader):
            self.num_ids = reader.files.config.get("vocab_size")
        else:
            self.num_ids = len(reader.words) + FIRST_WORD_ID
        return view_of(self._opened, self.settings.node)

    @property
    def reader(self) -> TokenReader:
        """The reader that turns new texts into tokens like those of the corpus."""
        assert self._opened.spec is not None
        return self._opened.spec.reader

    @property
    def vectors(self) -> Path | None:
        """The folder of the word vectors, for ``PatentClassifier(features=...)``; None with an encoder."""
        if self.settings.model.inputs != "words":
            return None
        corpus, split = self._data
        train = load_parts(corpus, split) == TRAIN
        return ensure_vectors(corpus, split, train, self.settings.features, Path(self.settings.cache_dir))

    @property
    def document_ids(self) -> NDArray[np.object_]:
        """The ids of all documents, ``(n,)``, indexed by the positions in the results of ``trainer.predict``."""
        return self._data[0].document_ids.to_numpy()

    def inverse_frequency_weights(self) -> list[float]:
        """Return the label weights for ``PatentClassifier(label_weights=...)``, ``(n_labels,)``."""
        view = self.view
        return inverse_frequency_weights(view.tree, view.train_paths[: view.num_documents]).tolist()

    @cached_property
    def _data(self) -> tuple[Corpus, Path]:
        return ensure_data(self.settings)

    @cached_property
    def _opened(self) -> CorpusView[Any]:
        inputs: Inputs = WordInputs(self.settings)
        if self.settings.model.inputs == "wordpiece":
            # Token ids even if layers are frozen: only the networks of a run can read cached states instead.
            encoder = replace(self.settings.encoder, freeze=False, lower_states=False)
            settings = replace(self.settings, encoder=encoder)
            inputs = WordPieceInputs(settings, locate(encoder, Path(settings.cache_dir)))
        return inputs.open(*self._data)


def _names(key: str, value: str | Iterable[str] | None) -> list[str] | None:
    """Return names as a list, from a single name or an iterable of names."""
    if value is None:
        return None
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    for position, name in enumerate(names):
        if not isinstance(name, str):
            raise ConfigError(f"{key}: item {position} is {name!r}, not a name; write {key}=['…']")
    return names


def _plain(value: Any) -> Any:
    """Convert a value to types that JSON supports."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(own) for key, own in value.items()}
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _of(kind: type[Any], value: Any, name: str) -> Any:
    """Return settings that are given by name, as a dictionary, or as an object."""
    if isinstance(value, str):
        return kind(**{name: value})
    return kind(**value) if isinstance(value, Mapping) else value


def _cut(settings: Any, max_length: int | None) -> Any:
    return settings if max_length is None else replace(settings, max_length=max_length)
