"""Model inputs: named by a run's settings, made once, opened for training. No torch until they are opened."""

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

# Raise it when the training of pre-trained, not frozen encoders changes. 2: with the encoder's dropout, before without.
PRETRAINED_TUNING_VERSION = 2
STACKED = ("bert", "roberta", "xlm-roberta")  # encoders whose layers can be left out from below
_NO_FACTS = ("kind", "dtype", "files", "made_as", "sha256")  # of a manifest: what tells of the folder only


@dataclass(frozen=True)
class Inputs(ABC):
    """Inputs of a run's model.

    Attributes:
        settings: One node's run.
    """

    settings: Settings

    @property
    def cache(self) -> Path:
        """The run's cache folder."""
        return Path(self.settings.cache_dir)

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Return what decides them, beside corpus, split and the model's own settings: for the run's fingerprint."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return where they come from: for the manifest."""

    def read_before(self, corpus: Corpus, split: Path) -> dict[str, Any]:
        """Return which test documents the model's encoder has read in its pre-training, where that is on record."""
        return {}

    @abstractmethod
    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Make them, unless they are there, and open them with all that training reads.

        Args:
            corpus: The clean corpus.
            split: Folder of the split; its name stands for it in fingerprints.
        """

    def open_with(self, reader: "NgramReader", corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """The same by the n-grams of an earlier model; only models of n-grams have them.

        Raises:
            ConfigError: For another model.
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
        """The view; the reader reads corrections and label texts, training documents behind those of the corpus."""
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
            texts: Any = reader.encode(list(teaching.answers.texts))  # of a network's reader: check has seen to it
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
        """The encoder by its files, and how it is used."""
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
        """The encoder's name and folder."""
        return {"encoder": {"name": self.settings.encoder.name, "folder": str(self.files.folder)}}

    def read_before(self, corpus: Corpus, split: Path) -> dict[str, Any]:
        """By the digests in the encoder's folder; random weights have read nothing."""
        if not self.settings.encoder.pretrained:
            return {}
        return as_facts(read_before(self.files.folder, corpus, split, self.cache))

    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Token ids of the whole corpus, and the network on the encoder."""
        encoder = self.settings.encoder
        tokens = ensure_tokens(corpus, self.files, encoder.max_length, self.cache)
        from patent_hier.features.layer_vectors import LayerVectors, PositionStore
        from patent_hier.features.token_states import TokenPositions, TokenStates
        from patent_hier.features.token_store import TokenStore
        from patent_hier.models.network_spec import bertcnn_spec

        store, vectors, states = TokenStore.open(tokens), None, None
        if self._looks_up():
            vectors = LayerVectors.open(ensure_layer_vectors(corpus, tokens, self.files, self.settings))
            store = PositionStore(store.lengths)
        elif self._begins_above():
            states = TokenStates.open(ensure_token_states(corpus, tokens, self.files, self.settings))
            store = TokenPositions(store)
        spec = bertcnn_spec(self.files, encoder, self.settings.model, vectors, states)
        return self._view(corpus, split, store, spec.reader, spec)

    def _looks_up(self) -> bool:
        """Whether a frozen encoder's document vectors stand for its tokens: one computation for all nodes and seeds.

        Queries that are learnt need the tokens.
        """
        encoder, model = self.settings.encoder, self.settings.model
        fixed = encoder.freeze is True and encoder.pretrained and encoder.vector_layers != 0
        reads_vectors = isinstance(model, BertCnnSettings) and model.head in VECTOR_HEADS and model.pooling != ATTENTION
        return fixed and reads_vectors and not self._has_further_texts()

    def _begins_above(self) -> bool:
        """Whether the states above frozen lower layers stand for the tokens; the head may read none below them.

        Rates that differ from layer to layer count the layers from below, so that all must be there.
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
        """Whether training reads texts that are no documents of the corpus: nothing was computed of them."""
        own = self.settings
        return (own.data.label_text, own.distill.answers, own.learn.corrections) != (None, None, None)


@dataclass(frozen=True)
class WordInputs(Inputs):
    """Words or characters, and their vectors."""

    def content(self) -> dict[str, Any]:
        """The vocabulary's settings, and those of training the vectors or the given file."""
        features = asdict(self.settings.features)
        if path := features.pop("vectors"):
            features = {key: features[key] for key in ("name", "max_length", "min_count", "seed")}
            features["vectors"] = DigestCache(self.cache / "digests.json").of(Path(path))
        elif features["epochs"] == 0:
            features = {key: features[key] for key in features if key not in ("window", "skip_gram")}
        versions = [segmentation_version(features["name"]), vectors_version(not path)]
        return {"features": {**features, "versions": versions}}

    def facts(self) -> dict[str, Any]:
        """Their name, and the given file."""
        return {"features": {"name": self.settings.features.name, "vectors": self.settings.features.vectors}}

    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Word ids of the whole corpus, and the network on their vectors."""
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
    """Counts of character n-grams; the model's own settings say which."""

    def content(self) -> dict[str, Any]:
        """The counting's version; the model's settings are there anyway."""
        return {"terms": {"version": NGRAMS_VERSION}}

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def open(self, corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Term counts of the whole corpus."""
        model, context = self.settings.model, self.settings.data.context
        facts = {"context": {"columns": list(context), "missing": _missing(corpus, context)}} if context else {}
        folder = ensure_ngrams(corpus, split, load_parts(corpus, split) == TRAIN, model, self.cache, context)
        from patent_hier.features.ngram_store import NgramReader, NgramStore

        store, (shortest, longest) = NgramStore.open(folder), model.ngram_sizes
        # The vocabulary is the corpus's: what stands only in label texts is left out.
        return self._view(corpus, split, store, NgramReader(store.ngrams, (shortest, longest)), facts=facts)

    def open_with(self, reader: "NgramReader", corpus: Corpus, split: Path) -> "CorpusView[Any]":
        """Counts of the n-grams that a model knows already, in memory; arguments otherwise as for :meth:`open`."""
        from patent_hier.features.ngram_store import NgramStore

        documents = [document for batch in iter_documents(corpus, self.settings.data.context) for document in batch]
        store = reader.encode(documents)
        assert isinstance(store, NgramStore)
        return self._view(corpus, split, store, reader)


def _missing(corpus: Corpus, context: Sequence[str]) -> dict[str, int]:
    """How many documents lack each column of context, said in one line.

    Raises:
        DataError: If all lack one.
    """
    missing = missing_context(corpus, context)
    if empty := [column for column, count in missing.items() if count == corpus.size]:
        raise DataError(
            f"data.context=[{','.join(context)}]: no document has a value of {empty[0]}; name its column as "
            f"data.columns.{empty[0]}, or leave it out"
        )
    counts = ", ".join(f"{column} {corpus.size - count:,}" for column, count in missing.items())
    say(f"context: of {corpus.size:,} documents have a value of {counts}")
    return missing


def find_inputs(settings: Settings) -> Inputs:
    """Return the inputs of a run's model; nothing is made yet.

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
            f"model.num_last_layers={read} is out of range; encoder {encoder.name} has layers 1 to {num_layers}"
        )
    if encoder.lower_states and kind not in STACKED:
        raise ConfigError(
            f"encoder.lower_states=true works only with encoders of type {', '.join(STACKED)}; {encoder.name} has type "
            f"{kind}: set encoder.lower_states=false"
        )
    if kept and encoder.freeze is True and not read <= kept <= num_layers:
        raise ConfigError(
            f"encoder.vector_layers={kept} must reach from model.num_last_layers={read} to the {num_layers} layers of "
            f"encoder {encoder.name}; null keeps all"
        )
