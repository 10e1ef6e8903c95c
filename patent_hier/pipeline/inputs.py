"""Model inputs: chosen by a run's settings, made once, opened for training. Torch is loaded only to open them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.artifacts import MANIFEST, DigestCache
from patent_hier.atomic import read_json
from patent_hier.data.context import iter_documents, missing_context
from patent_hier.data.corpus import Corpus
from patent_hier.data.labels import with_titled
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ConfigError, DataError
from patent_hier.features.pretrained import EncoderFiles, locate
from patent_hier.features.versions import (
    LAYER_VECTORS_VERSION,
    NGRAMS_VERSION,
    TOKEN_STATES_VERSION,
    TOKENS_VERSION,
    segmentation_version,
    vectors_version,
)
from patent_hier.pipeline.feature_stages import (
    ensure_layer_vectors,
    ensure_ngrams,
    ensure_token_states,
    ensure_tokens,
    ensure_vectors,
)
from patent_hier.pipeline.learning import learnt_labels, load_corrections
from patent_hier.pipeline.stages import load_label_texts, load_parts
from patent_hier.pipeline.teaching import load_teaching
from patent_hier.pipeline.text_read import as_facts, read_before
from patent_hier.progress import say
from patent_hier.settings import BertCnnSettings, EncoderSettings, ModelSettings, Settings
from patent_hier.settings.checks import check_freeze, check_pooling
from patent_hier.settings.models import ATTENTION, VECTOR_HEADS

if TYPE_CHECKING:
    from patent_hier.features.ngram_store import NgramReader, NgramStore
    from patent_hier.features.token_store import TokenStore
    from patent_hier.models.network_spec import NetworkSpec
    from patent_hier.models.registry import TokenReader
    from patent_hier.training.node_data import CorpusView

# Raise it when the training of pre-trained, unfrozen encoders changes. Version 2 applies the encoder's dropout.
PRETRAINED_TUNING_VERSION = 2
STACKED = ("bert", "roberta", "xlm-roberta")  # encoder types whose lower layers can be skipped
_NO_FACTS = ("kind", "dtype", "files", "made_as", "sha256")  # manifest keys that describe only the folder


@dataclass(frozen=True)
class Inputs(ABC):
    """Inputs of a run's model.

    Attributes:
        settings: Settings of one node's run.
    """

    settings: Settings

    @property
    def cache(self) -> Path:
        """The run's cache folder."""
        return Path(self.settings.cache_dir)

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Return what determines them, besides corpus, split and model settings, for the run's fingerprint."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return their origin, for the manifest."""

    def read_before(self, corpus: Corpus, split: Path) -> dict[str, Any]:
        """Return how many test documents the encoder has read in pre-training; empty if that is not recorded."""
        return {}

    @abstractmethod
    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Open the inputs with everything that training reads; make them if they are missing.

        Args:
            corpus: The clean corpus.
            split: Folder of the split; its name identifies it in fingerprints.
        """

    def open_with(self, reader: "NgramReader", corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Open the inputs with the n-grams of an earlier model; only n-gram models support this.

        Raises:
            ConfigError: If the model reads no n-grams.
        """
        raise ConfigError(f"model={self.settings.model.name} reads no character n-grams; train it again")

    def _view(
        self,
        corpus: Corpus,
        split: Path,
        documents: "TokenStore | NgramStore",
        reader: "TokenReader | NgramReader",
        spec: "NetworkSpec | None" = None,
        facts: Mapping[str, Any] | None = None,
    ) -> "CorpusView[Any]":
        """Return the view, with corrections and label texts as training documents after those of the corpus."""
        from patent_hier.features.ngram_store import JoinedNgrams
        from patent_hier.features.token_store import JoinedTokens
        from patent_hier.training.node_data import CorpusView

        data = self.settings.data
        label_texts = load_label_texts(data)
        labels, parts = learnt_labels(self.settings, corpus, split)
        learning, titled = load_corrections(self.settings, corpus), None
        if label_texts is not None and self.settings.model.knows_titled_labels:
            labels, titled = with_titled(labels, label_texts)
        further = [*(learning.documents if learning else ()), *(label_texts.texts if label_texts else ())]
        store: Any = documents
        if further:
            joined: Any = JoinedNgrams if spec is None else JoinedTokens
            store = joined(documents, reader.encode(further))
        teaching = load_teaching(self.settings, corpus)
        if teaching is not None and teaching.answers.texts:
            texts: Any = reader.encode(list(teaching.answers.texts))  # check ensures that a network reads them
            store = JoinedTokens(store, texts)
        return CorpusView(
            documents,
            store,
            labels,
            parts,
            data.labels == "all",
            label_texts,
            data.label_weights(self.settings.model.inputs),
            spec,
            facts or {},
            titled,
            teaching,
            None if learning is None else learning.relearning,
        )


@dataclass(frozen=True)
class WordPieceInputs(Inputs):
    """Word pieces of an encoder.

    Attributes:
        files: The encoder's files.
    """

    files: EncoderFiles

    def content(self) -> dict[str, Any]:
        """Return the digest of the encoder's files, and how the encoder is used."""
        encoder = self.settings.encoder
        tuned = {"tuning": PRETRAINED_TUNING_VERSION} if encoder.pretrained and encoder.freeze is not True else {}
        looked_up = {"layer_vectors": LAYER_VECTORS_VERSION} if self._looks_up() else {}
        looked_up |= {"token_states": TOKEN_STATES_VERSION} if self._begins_above() else {}
        return {
            "encoder": {
                "digest": self.files.digest(DigestCache(self.cache / "digests.json"), encoder.pretrained),
                "pretrained": encoder.pretrained,
                "freeze": encoder.freeze,
                "max_length": encoder.max_length,
                "version": TOKENS_VERSION,
                **tuned,
                **looked_up,
            }
        }

    def facts(self) -> dict[str, Any]:
        """Return the encoder's name and folder."""
        return {"encoder": {"name": self.settings.encoder.name, "folder": str(self.files.folder)}}

    def read_before(self, corpus: Corpus, split: Path) -> dict[str, Any]:
        """Return the counts from the digests in the encoder's folder; empty for random weights."""
        if not self.settings.encoder.pretrained:
            return {}
        return as_facts(read_before(self.files.folder, corpus, split, self.cache))

    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Open the tokens of the whole corpus, or their cached vectors or states, and the network on the encoder."""
        encoder = self.settings.encoder
        tokens = ensure_tokens(corpus, self.files, encoder.max_length, self.cache)
        from patent_hier.features.layer_vectors import LayerVectors, PositionStore
        from patent_hier.features.token_states import TokenPositions, TokenStates
        from patent_hier.features.token_store import TokenStore
        from patent_hier.models.network_spec import encoder_spec

        store, vectors, states = TokenStore.open(tokens), None, None
        if self._looks_up():
            vectors = LayerVectors.open(ensure_layer_vectors(corpus, tokens, self.files, self.settings))
            store = PositionStore(store.lengths)
        elif self._begins_above():
            states = TokenStates.open(ensure_token_states(corpus, tokens, self.files, self.settings))
            store = TokenPositions(store)
        spec = encoder_spec(self.files, encoder, self.settings.model, vectors, states)
        return self._view(corpus, split, store, spec.reader, spec)

    def _looks_up(self) -> bool:
        """Return whether a frozen encoder's document vectors, shared by all nodes and seeds, replace its tokens.

        Attention pooling has trainable queries and needs the tokens.
        """
        encoder, model = self.settings.encoder, self.settings.model
        fixed = encoder.freeze is True and encoder.pretrained and encoder.vector_layers != 0
        reads_vectors = isinstance(model, BertCnnSettings) and model.head in VECTOR_HEADS and model.pooling != ATTENTION
        return fixed and reads_vectors and not self._has_further_texts()

    def _begins_above(self) -> bool:
        """Return whether cached states after the frozen lower layers replace the tokens.

        The head must not read a layer below them. Layer-wise learning rates count from the lowest layer, so they need
        all layers.
        """
        encoder, settings = self.settings.encoder, self.settings
        lower = encoder.freeze if not isinstance(encoder.freeze, bool) else 0
        if not (encoder.lower_states and encoder.pretrained and lower) or settings.optimizer.layer_decay != 1:
            return False
        if not isinstance(settings.model, BertCnnSettings):
            return False  # a user's own network may read any layer
        lowest = self.files.num_layers + 1 - settings.model.influence().get("num_last_layers", 1)
        return lowest >= lower and not self._has_further_texts()

    def _has_further_texts(self) -> bool:
        """Return whether training reads texts outside the corpus, for which no vectors or states are cached."""
        own = self.settings
        return (own.data.label_text, own.distill.answers, own.learn.corrections) != (None, None, None)


@dataclass(frozen=True)
class WordInputs(Inputs):
    """Words or characters, and their vectors."""

    def content(self) -> dict[str, Any]:
        """Return the settings of the vocabulary, and either those of vector training or the digest of a given file."""
        features = asdict(self.settings.features)
        if path := features.pop("vectors"):
            features = {key: features[key] for key in ("name", "max_length", "min_count", "seed")}
            features["vectors"] = DigestCache(self.cache / "digests.json").of(Path(path))
        elif features["epochs"] == 0:
            features = {key: features[key] for key in features if key not in ("window", "skip_gram")}
        versions = [segmentation_version(features["name"]), vectors_version(not path)]
        return {"features": {**features, "versions": versions}}

    def facts(self) -> dict[str, Any]:
        """Return the name of the features, and the given file of vectors."""
        return {"features": {"name": self.settings.features.name, "vectors": self.settings.features.vectors}}

    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Open the word ids of the whole corpus, and the network on their vectors."""
        features = self.settings.features
        folder = ensure_vectors(corpus, split, load_parts(corpus, split) == TRAIN, features, self.cache)
        from patent_hier.features.token_store import TokenStore
        from patent_hier.models.network_spec import words_spec

        manifest = read_json(folder / MANIFEST)
        facts = {key: value for key, value in manifest.items() if key not in _NO_FACTS}
        spec = words_spec(folder, features, self.settings.model)
        return self._view(corpus, split, TokenStore.open(folder), spec.reader, spec, {"vectors": facts})


@dataclass(frozen=True)
class NgramInputs(Inputs):
    """Counts of character n-grams, defined by the model's settings."""

    def content(self) -> dict[str, Any]:
        """Return the version of n-gram counting; the fingerprint includes the model's settings anyway."""
        return {"terms": {"version": NGRAMS_VERSION}}

    def facts(self) -> dict[str, Any]:
        """Return an empty dictionary: n-gram counts have no origin besides the corpus."""
        return {}

    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Open the n-gram counts of the whole corpus."""
        model, context = self.settings.model, self.settings.data.context
        facts = {"context": {"columns": list(context), "missing": _missing(corpus, context)}} if context else {}
        folder = ensure_ngrams(corpus, split, load_parts(corpus, split) == TRAIN, model, self.cache, context)
        from patent_hier.features.ngram_store import NgramReader, NgramStore

        store, (shortest, longest) = NgramStore.open(folder), model.ngram_sizes
        # The vocabulary comes from the corpus: n-grams that occur only in label texts are left out.
        return self._view(corpus, split, store, NgramReader(store.ngrams, (shortest, longest)), facts=facts)

    def open_with(self, reader: "NgramReader", corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Count the n-grams that a model already knows, in memory; the other arguments are those of :meth:`open`."""
        from patent_hier.features.ngram_store import NgramStore

        documents = [document for batch in iter_documents(corpus, self.settings.data.context) for document in batch]
        store = reader.encode(documents)
        assert isinstance(store, NgramStore)
        return self._view(corpus, split, store, reader)


def _missing(corpus: Corpus, context: Sequence[str]) -> dict[str, int]:
    """Count the documents without a value in each context column, and print a line about them.

    Raises:
        DataError: If a column has no values at all.
    """
    missing = missing_context(corpus, context)
    if empty := [column for column, count in missing.items() if count == corpus.size]:
        raise DataError(
            f"data.context=[{','.join(context)}]: no document has a value in column {empty[0]}; set its header name in "
            f"data.columns.{empty[0]}, or leave it out"
        )
    counts = ", ".join(f"{column} {corpus.size - count:,}" for column, count in missing.items())
    say(f"context values in {corpus.size:,} documents: {counts}")
    return missing


def find_inputs(settings: Settings) -> Inputs:
    """Return the inputs of a run's model, without making them.

    Raises:
        ConfigError: If the encoder or the file of vectors is missing, or the model does not fit the encoder.
    """
    if settings.model.inputs == "ngrams":
        return NgramInputs(settings)
    if settings.model.inputs == "words":
        path = settings.features.vectors
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"features.vectors={path} is not a file; name a file in word2vec's text format, or null")
        return WordInputs(settings)
    files = locate(settings.encoder, Path(settings.cache_dir))
    _check_layers(settings.model, settings.encoder, files)
    if isinstance(settings.model, BertCnnSettings):
        check_pooling(settings.model, settings.encoder.name, files.is_causal)
    return WordPieceInputs(settings, files)


def _check_layers(model: ModelSettings, encoder: EncoderSettings, files: EncoderFiles) -> None:
    num_layers, kind = files.num_layers, str(files.config.get("model_type"))
    check_freeze(encoder.freeze, encoder.name, num_layers)
    read, kept = model.influence().get("num_last_layers", 1), encoder.vector_layers
    if read > num_layers:
        raise ConfigError(
            f"model.num_last_layers={read} is out of range; encoder {encoder.name} has {num_layers} layers, "
            f"so use 1 to {num_layers}"
        )
    if encoder.lower_states and kind not in STACKED:
        raise ConfigError(
            f"encoder.lower_states=true works only with encoders of type {', '.join(STACKED)}; {encoder.name} has type "
            f"{kind}: set encoder.lower_states=false"
        )
    if kept and encoder.freeze is True and not read <= kept <= num_layers:
        raise ConfigError(
            f"encoder.vector_layers={kept} is out of range; use a number from {read} (model.num_last_layers) to "
            f"{num_layers} (layers of encoder {encoder.name}), or null for all layers"
        )
