import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from patent_hier.artifacts import file_digest
from patent_hier.errors import ConfigError
from patent_hier.features.ngram_store import NgramStore
from patent_hier.features.token_store import TokenStore
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.rnn import Rnn
from patent_hier.models.textcnn import TextCnn
from patent_hier.pipeline.inputs import NgramInputs, WordInputs, WordPieceInputs, find_inputs
from patent_hier.pipeline.stages import ensure_corpus, ensure_split, split_plan
from patent_hier.settings import EncoderSettings
from tests.pipeline.conftest import MODELS, change, make_settings

CLASSES = {"wordpiece": WordPieceInputs, "words": WordInputs, "ngrams": NgramInputs}
NETWORKS = {"bertcnn": BertCnn, "textcnn": TextCnn, "rnn": Rnn}


def opened(settings):
    cache = Path(settings.cache_dir)
    corpus = ensure_corpus(settings.data, cache)
    split = ensure_split(corpus, split_plan(settings.split), cache)
    return find_inputs(settings).open(corpus, split), corpus


def files(cache):
    paths = (path for path in cache.rglob("*") if path.is_file() and ".locks" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_reads_what_its_settings_say(model, tmp_path):
    assert type(find_inputs(make_settings(tmp_path, model))) is CLASSES[MODELS[model].inputs]
    assert not (tmp_path / "cache" / "corpora").exists()  # nothing is made yet


def test_word_pieces_are_named_by_the_encoder(tmp_path):
    inputs = find_inputs(make_settings(tmp_path))
    content = inputs.content()["encoder"]
    assert set(content) == {"digest", "pretrained", "freeze", "max_length", "version"}
    assert (content["pretrained"], content["freeze"], content["max_length"]) == (False, False, 32)
    facts = inputs.facts()["encoder"]
    assert facts["name"] == "demo"
    assert (Path(facts["folder"]) / "config.json").is_file()


def test_an_encoder_with_frozen_layers_is_trained(tmp_path, tiny_encoder):
    settings = replace(make_settings(tmp_path), encoder=EncoderSettings("tiny", str(tiny_encoder), max_length=32))
    inputs = [find_inputs(change(settings, "encoder", freeze=freeze)) for freeze in (True, 0, 1)]
    contents = [own.content()["encoder"] for own in inputs]
    assert ["layer_vectors" in own for own in contents] == [True, False, False]
    assert ["tuning" in own for own in contents] == [False, True, True]
    learnt = find_inputs(change(inputs[0].settings, "model", pooling="attention")).content()["encoder"]
    assert "layer_vectors" not in learnt
    with pytest.raises(ConfigError, match=r"encoder\.freeze=2 .*encoder tiny has 2 layers"):
        find_inputs(change(settings, "encoder", freeze=2))


def test_words_are_named_by_their_settings(tmp_path):
    inputs = find_inputs(make_settings(tmp_path, "rnn"))
    assert inputs.content() == {
        "features": {
            "name": "chars",
            "max_length": 20,
            "min_count": 2,
            "vector_size": 4,
            "window": 5,
            "epochs": 1,
            "skip_gram": True,
            "seed": 1,
            "versions": [[1, None], [1, version("gensim")]],
        }
    }
    assert inputs.facts() == {"features": {"name": "chars", "vectors": None}}


def test_given_vectors_are_named_by_their_content(tmp_path):
    (tmp_path / "vectors.txt").write_text("一 1 2\n", "utf-8")
    settings = change(make_settings(tmp_path, "rnn"), "features", vectors=str(tmp_path / "vectors.txt"))
    inputs = find_inputs(settings)
    assert inputs.content() == {
        "features": {
            "name": "chars",
            "max_length": 20,
            "min_count": 2,
            "seed": 1,
            "vectors": file_digest(tmp_path / "vectors.txt"),
            "versions": [[1, None], [1, None]],
        }
    }
    assert inputs.facts()["features"]["vectors"] == str(tmp_path / "vectors.txt")


@pytest.mark.parametrize("path", ["nowhere.txt", "."])
def test_a_missing_file_of_vectors_is_named(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"features\.vectors=.* is not a file"):
        find_inputs(change(make_settings(tmp_path, "textcnn"), "features", vectors=path))


@pytest.mark.parametrize("model", ["linear", "naive_bayes", "knn"])
def test_terms_are_named_by_the_model_alone(model, tmp_path):
    inputs = find_inputs(make_settings(tmp_path, model))
    assert (inputs.content(), inputs.facts()) == ({"terms": {"version": 1}}, {})


@pytest.mark.parametrize("model", ["bertcnn", "textcnn", "rnn"])
def test_token_ids_and_the_network_on_them(model, tmp_path):
    settings = make_settings(tmp_path, model)
    found, corpus = opened(settings)
    assert isinstance(found.store, TokenStore)
    assert len(found.store) == corpus.size == 160
    assert isinstance(found.spec.reader, WordPieceReader if model == "bertcnn" else WordReader)
    assert isinstance(found.spec.build(3), NETWORKS[model])
    texts = [text for batch in corpus.iter_texts() for text in batch]
    again = found.spec.reader.encode(texts[:20])  # the reader makes of a text what the store holds of it
    assert [again[i].tolist() for i in range(20)] == [found.store[i].tolist() for i in range(20)]


def test_facts_of_vectors(tmp_path):
    facts = opened(make_settings(tmp_path, "textcnn"))[0].facts["vectors"]
    assert (facts["source"], facts["vector_size"], facts["documents"]) == ("trained", 4, 160)
    assert set(facts["unknown_share"]) == {"train", "held_out"}
    assert not {"files", "kind", "dtype"} & set(facts)


def test_term_counts(tmp_path):
    found, corpus = opened(make_settings(tmp_path, "naive_bayes"))
    assert isinstance(found.store, NgramStore)
    assert (len(found.store), found.spec, found.facts) == (corpus.size, None, {})
    text = next(iter(corpus.iter_texts()))[0]
    row = found.store.rows(np.array([0])).toarray()[0]
    assert {found.store.ngrams[i]: int(row[i]) for i in row.nonzero()[0] if len(found.store.ngrams[i]) == 1} == {
        character: text.lower().count(character) for character in set(text.lower()) & set(found.store.ngrams)
    }


@pytest.mark.parametrize("model", ["bertcnn", "textcnn", "linear"])
def test_what_is_there_is_not_made_again(model, tmp_path, capsys):
    settings = make_settings(tmp_path, model)
    opened(settings)
    before = files(tmp_path / "cache")
    capsys.readouterr()
    opened(settings)
    assert capsys.readouterr().out == ""
    assert files(tmp_path / "cache") == before


def test_characters_are_segmented_once_for_all_vectors(tmp_path):
    settings = make_settings(tmp_path, "textcnn")
    opened(settings)
    opened(change(settings, "features", vector_size=6))
    opened(change(settings, "split", seed=3))
    assert len(list((tmp_path / "cache" / "words").glob("[!.]*"))) == 1
    assert len(list((tmp_path / "cache" / "vectors").glob("[!.]*"))) == 3


def test_models_of_one_kind_share_the_term_counts(tmp_path):
    for model in ("linear", "naive_bayes", "knn"):
        opened(make_settings(tmp_path, model))
    assert len(list((tmp_path / "cache" / "terms").glob("[!.]*"))) == 1


def test_damaged_vectors_are_made_again(tmp_path, capsys):
    settings = make_settings(tmp_path, "textcnn")
    before, _ = opened(settings)
    (file,) = (tmp_path / "cache" / "vectors").glob("*/vectors.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    after, _ = opened(settings)
    assert f"{file.parent} is damaged; it is rebuilt" in capsys.readouterr().out
    assert file.read_bytes() == content
    assert after.spec.reader == before.spec.reader


def test_names_need_no_torch(tmp_path, monkeypatch):
    for name in ("patent_hier.models.network_spec", "patent_hier.features.word2vec"):
        monkeypatch.setitem(sys.modules, name, None)  # an import fails from here on
    for model in MODELS:
        find_inputs(make_settings(tmp_path, model)).content()


@pytest.mark.parametrize("model", ["bertcnn", "textcnn", "linear"])
def test_further_texts_stand_behind_the_corpus_as_the_model_reads_them(model, tmp_path):
    plain, corpus = opened(make_settings(tmp_path, model))
    texts = [text for batch in corpus.iter_texts() for text in batch][:3]
    rows = [f"{code},class,{text}" for code, text in zip(("A01", "A23", "B60", "B65"), [*texts, "龘"], strict=True)]
    (tmp_path / "titles.csv").write_text("\n".join(["code,level,title", *rows]) + "\n", "utf-8")
    titled = {"label_text": str(tmp_path / "titles.csv"), "label_levels": ["class"]}
    found, _ = opened(change(make_settings(tmp_path, model), "data", **titled))
    joined, held = found.store, found.documents
    assert (len(plain.store), len(held), len(joined)) == (corpus.size, corpus.size, corpus.size + 4)
    assert found.label_texts.texts == (*texts, "龘")
    if model == "linear":
        assert joined.ngrams == held.ngrams  # 龘 is none of them
        rows = joined.rows(np.array([0, corpus.size, corpus.size + 3])).toarray()
        assert rows[0].tolist() == rows[1].tolist()
        assert rows[2].sum() == 0
    else:
        assert [joined[corpus.size + i].tolist() for i in range(3)] == [held[i].tolist() for i in range(3)]
        assert joined[corpus.size - 1].tolist() == held[corpus.size - 1].tolist()
        assert len(joined[corpus.size + 3]) >= 1
