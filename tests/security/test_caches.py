"""Caches and checkpoints that somebody else may have put there: read as numbers and texts, or refused."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from patent_hier.artifacts import MANIFEST, seal
from patent_hier.atomic import read_json, write_json
from patent_hier.features import segmentation
from patent_hier.features.layer_vectors import LayerVectors
from patent_hier.features.ngram_store import NgramStore
from patent_hier.features.packing import PackedText
from patent_hier.features.token_store import TokenStore
from patent_hier.features.word2vec import load_vectors
from patent_hier.training.pretraining import STATE_FILE
from tests.features.test_word2vec import TEXTS, TRAIN, build
from tests.security.traps import Trap, refusal, reseal, run_marshalled
from tests.training import test_pretraining


def token_cache(folder: Path, **manifest: Any) -> Path:
    folder.mkdir()
    np.arange(8, dtype="<u8").tofile(folder / "ids.bin")
    np.save(folder / "offsets.npy", np.array([0, 4, 8]), allow_pickle=False)
    seal(folder, {"dtype": "<u2", **manifest})
    return folder


def object_array(trap: Trap, file: Path) -> None:
    """An ``.npy`` of objects, which are pickled inside."""
    np.save(file, np.array([trap.payload], dtype=object), allow_pickle=True)
    trap.closes(lambda: np.load(file, allow_pickle=True))


def test_object_arrays_in_a_token_cache(tmp_path: Path, trap: Trap) -> None:
    folder = token_cache(tmp_path / "tokens")
    assert len(TokenStore.open(folder)) == 2
    object_array(trap, folder / "offsets.npy")
    reseal(folder)
    assert "tokens" in refusal(lambda: TokenStore.open(folder))


@pytest.mark.parametrize("dtype", ["O", "object", "|O8", "V8", "<f8", "S8", [["a", "O"]], None, "<u8"])
def test_ids_are_integers_whatever_the_manifest_says(tmp_path: Path, dtype: Any) -> None:
    """numpy maps a file as objects, and follows its bytes as addresses: whoever writes them chooses the addresses."""
    folder = token_cache(tmp_path / "tokens", dtype=dtype)
    if dtype == "O":
        assert np.memmap(folder / "ids.bin", dtype, "r", shape=(8,)).dtype == object  # the control
    assert "dtype" in refusal(lambda: TokenStore.open(folder))
    for part in ("training", "held_out"):
        (folder / f"{part}-ids.bin").write_bytes(bytes(64))
        (folder / f"{part}-starts.bin").write_bytes(bytes(8))
    write_json(folder / MANIFEST, {**read_json(folder / MANIFEST), "tokens": {"training": 8, "held_out": 8}})
    assert "dtype" in refusal(lambda: PackedText.open(folder, "training"))


def test_object_arrays_in_a_term_cache(tmp_path: Path, trap: Trap) -> None:
    folder = tmp_path / "terms"
    folder.mkdir()
    for name in ("counts.bin", "ngram_ids.bin"):
        np.ones(2, "<i4").tofile(folder / name)
    write_json(folder / "terms.json", ["一", "种"])
    object_array(trap, folder / "offsets.npy")
    seal(folder, {"terms": 2, "documents": 1})
    assert "terms" in refusal(lambda: NgramStore.open(folder))


def test_pickle_in_place_of_vectors(tmp_path: Path, trap: Trap) -> None:
    write_json(tmp_path / "words.json", ["一种"])
    trap.pickle(tmp_path / "vectors.bin")
    trap.pickle(tmp_path / "vectors.safetensors")
    seal(tmp_path, {"documents": 1000, "layers": 2, "hidden_size": 3, "num_layers": 2})
    assert "damaged" in refusal(lambda: LayerVectors.open(tmp_path))  # raw numbers of a fixed type, of a wrong length
    assert "vectors.safetensors" in refusal(lambda: load_vectors(tmp_path))


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.kv", "vectors.model", "vectors.npy", "vectors.bin"])
def test_word_vectors_of_the_user_are_text(tmp_path: Path, trap: Trap, name: str) -> None:
    """gensim's own format is a pickle; here only word2vec's text format is read, whatever the file is called."""
    from gensim.utils import SaveLoad

    file = tmp_path / name
    file.write_bytes(trap.pickled)
    trap.closes(lambda: SaveLoad.load(str(file)))
    assert name in refusal(lambda: build(tmp_path / "made", TEXTS, TRAIN, vectors=str(file)))


def test_a_planted_dictionary_of_jieba(tmp_path: Path, trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    """jieba alone loads ``jieba.cache`` from the shared temporary folder, with ``marshal``."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = tmp_path / "jieba.cache"
    file.write_bytes(trap.marshalled)
    trap.closes(lambda: run_marshalled(file.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel(60)
    loaded: list[bytes] = []
    monkeypatch.setattr("jieba.marshal.load", lambda opened: loaded.append(opened.read()) or ({}, 0))
    jieba.Tokenizer().initialize()
    assert loaded == [trap.marshalled]  # the control: jieba left to itself reads what was planted
    loaded.clear()
    segmentation.jieba_tokenizer.cache_clear()
    assert "喷气织机" in "".join(segmentation.cut("一种喷气织机的A1引纬装置"))
    assert list(segmentation.jieba_tokenizer().cut("引纬装置"))
    assert loaded == []
    assert [path.name for path in tmp_path.glob("*jieba*")] == [file.name]  # and nothing written


def test_a_planted_state_of_pretraining(tmp_path: Path, trap: Trap) -> None:
    state = tmp_path / STATE_FILE
    torch.save({"state_dict": trap.payload, "epoch": 1, "pytorch-lightning_version": "2.6.0"}, state)
    trap.closes(lambda: torch.load(state, weights_only=False))
    assert STATE_FILE in refusal(lambda: test_pretraining.train(tmp_path, test_pretraining.settings()))
    trap.pickle(state)
    assert STATE_FILE in refusal(lambda: test_pretraining.train(tmp_path, test_pretraining.settings()))
