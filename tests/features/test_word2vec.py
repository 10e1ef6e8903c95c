import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from patent_hier.artifacts import find_damage, verify
from patent_hier.atomic import read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.features import word2vec as module
from patent_hier.features.token_store import TokenStore
from patent_hier.features.word2vec import build_vectors, load_vectors, vectors_fingerprint
from patent_hier.features.words import segment_corpus
from patent_hier.settings import FeatureSettings

# the training part is: 丙丙丙乙乙甲甲丁, nothing; held out: 丁丁丁戊, nothing, 甲
TEXTS = ["丁丁丁戊", "甲乙丙丙", "", "丁乙甲丙", "", "甲"]
TRAIN = np.array([False, True, True, True, False, False])


def settings(**changes: object) -> FeatureSettings:
    small = {"name": "chars", "vector_size": 4, "window": 2, "epochs": 0}
    return FeatureSettings(**{**small, **changes})  # type: ignore[arg-type]  # values of many types


def build(folder: Path, texts: list[str], train: NDArray[np.bool_], **changes: object) -> Path:
    for name in ("segmentation", "vectors"):
        (folder / name).mkdir(parents=True)
    segment_corpus([texts], "chars", folder / "segmentation")
    build_vectors(folder / "segmentation", train, settings(**changes), folder / "vectors")
    return folder / "vectors"


def vector_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "given.vec"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def documents(folder: Path) -> list[list[int]]:
    store = TokenStore.open(folder)
    return [store[i].tolist() for i in range(len(store))]


def toy_texts(n: int, seed: int = 0) -> list[str]:
    """Two topics whose characters never occur next to each other."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("甲乙丙丁戊" if i % 2 else "子丑寅卯辰"), 20)) for i in range(n)]


# --- the vocabulary and the documents


def test_vocabulary_documents_and_facts(tmp_path: Path) -> None:
    folder = build(tmp_path, TEXTS, TRAIN, max_length=3)
    words, vectors = load_vectors(folder)
    assert words == ("丙", "乙", "甲")  # 3, 2, 2 occurrences; 乙 is before 甲 in Unicode; 丁 has one in training
    assert documents(folder) == [[1, 1, 1], [4, 3, 2], [1], [1, 3, 4], [1], [4]]
    assert vectors.shape == (5, 4)
    assert vectors.dtype == np.float32
    manifest = read_json(folder / "manifest.json")
    expected = {
        "kind": "vectors",
        "source": "random",
        "dtype": "<u2",
        "documents": 6,
        "tokens": 12,
        "cut_documents": 3,
        "empty_documents": 2,
        "n_words": 3,
        "vector_size": 4,
        "coverage": None,
        "train_tokens": 8,
        "unknown_share": {"train": 1 / 8, "held_out": 4 / 5},
    }
    assert expected.items() <= manifest.items()
    assert manifest["seconds"] >= 0
    assert find_damage(folder) is None
    verify(folder)


def test_padding_is_zero_and_unknown_the_mean(tmp_path: Path) -> None:
    _, vectors = load_vectors(build(tmp_path, TEXTS, TRAIN))
    assert vectors[0].tolist() == [0.0] * 4
    np.testing.assert_allclose(vectors[1], vectors[2:].mean(0), rtol=1e-6)
    assert np.abs(vectors[2:]).max() <= 0.25


@pytest.mark.parametrize("epochs", [0, 2])
def test_only_the_training_part_decides(tmp_path: Path, epochs: int) -> None:
    train = toy_texts(30)
    others = ["己庚辛甲" * 50, "甲" * 99, "子甲"]
    alone = build(tmp_path / "alone", train, np.full(30, True), epochs=epochs)
    mixed = [text for pair in zip(others * 10, train, strict=True) for text in pair]
    among = build(tmp_path / "among", mixed, np.tile([False, True], 30), epochs=epochs)
    for name in ("words.json", "vectors.safetensors"):
        assert (alone / name).read_bytes() == (among / name).read_bytes()
    assert documents(among)[1::2] == documents(alone)


def test_chunks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(tmp_path / "whole", TEXTS, TRAIN)
    monkeypatch.setattr(module, "_CHUNK", 2)
    pieces = build(tmp_path / "pieces", TEXTS, TRAIN)
    for name in ("words.json", "vectors.safetensors", "ids.bin", "offsets.npy"):
        assert (whole / name).read_bytes() == (pieces / name).read_bytes()


def test_large_vocabularies_need_four_bytes(tmp_path: Path) -> None:
    text = "".join(chr(0x20000 + i) for i in range(2**16))
    folder = build(tmp_path, [text], np.array([True]), min_count=1, vector_size=1, max_length=10**6)
    assert read_json(folder / "manifest.json")["dtype"] == "<u4"
    assert documents(folder)[0] == list(range(2, 2**16 + 2))


@pytest.mark.parametrize("train", [TRAIN, np.full(6, False)])
def test_no_word_is_frequent_enough(tmp_path: Path, train: NDArray[np.bool_]) -> None:
    with pytest.raises(DataError, match=r"occurs 9 times; lower features\.min_count"):
        build(tmp_path, TEXTS, train, min_count=9)


def test_a_split_of_another_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has 6 documents, but the split 5"):
        build(tmp_path, TEXTS, TRAIN[:5])


def test_ids_without_a_word_are_refused(tmp_path: Path) -> None:
    build(tmp_path, TEXTS, TRAIN)
    write_json(tmp_path / "segmentation" / "words.json", ["丁", "戊"])
    with pytest.raises(ArtifactError, match="ids without a word"):
        build_vectors(tmp_path / "segmentation", TRAIN, settings(), tmp_path / "vectors")


# --- trained vectors


@pytest.mark.parametrize("skip_gram", [True, False])
def test_words_of_one_topic_come_together(tmp_path: Path, skip_gram: bool) -> None:
    changes = {"vector_size": 16, "epochs": 30, "skip_gram": skip_gram}
    words, vectors = load_vectors(build(tmp_path, toy_texts(200), np.full(200, True), **changes))
    unit = vectors[2:] / np.linalg.norm(vectors[2:], axis=1, keepdims=True)
    first = np.isin(words, list("甲乙丙丁戊"))
    similar = unit @ unit.T
    assert similar[first][:, first].min() > similar[first][:, ~first].max() + 0.3


def test_vectors_are_those_of_gensim(tmp_path: Path) -> None:
    from gensim.models import Word2Vec

    texts, train = toy_texts(40), np.arange(40) % 4 > 0
    changes = {"vector_size": 8, "epochs": 3, "seed": 5, "min_count": 2, "window": 3, "skip_gram": True}
    words, vectors = load_vectors(build(tmp_path, texts, train, **changes))
    sentences = [list(text) for text, chosen in zip(texts, train, strict=True) if chosen]
    reference = Word2Vec(vector_size=8, window=3, sg=1, seed=5, workers=1, sorted_vocab=0)
    counts = {word: sum(sentence.count(word) for sentence in sentences) for word in words}
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    reference.build_vocab_from_freq(counts)
    reference.train(sentences, total_examples=len(sentences), epochs=3)
    np.testing.assert_allclose(vectors[2:], reference.wv[list(words)], atol=1e-3)  # alpha falls by words, not documents
    assert np.abs(vectors[2:]).max() > 0.05


def test_long_documents_are_read_to_their_end(tmp_path: Path) -> None:
    folder = build(tmp_path, ["甲乙" * 9_000], np.array([True]), epochs=1)
    vocabulary = module._Vocabulary(["甲", "乙"], [9_000, 9_000], np.array([0, 1, 2, 3], np.uint32))
    store = TokenStore.open(tmp_path / "segmentation")
    sentences = list(module._Sentences(store, np.array([True]), vocabulary))
    assert [len(sentence) for sentence in sentences] == [10_000, 8_000]
    assert set(sentences[1]) == {"甲", "乙"}
    assert len(documents(folder)[0]) == 200


def test_the_seed_decides_and_nothing_global_changes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def vectors(name: str, seed: int, epochs: int) -> NDArray[np.float32]:
        return load_vectors(build(tmp_path / name, toy_texts(30), np.full(30, True), seed=seed, epochs=epochs))[1]

    before = random.getstate(), str(np.random.get_state())
    for epochs in (0, 2):
        first = vectors(f"{epochs}a", 1, epochs)
        assert np.array_equal(first, vectors(f"{epochs}b", 1, epochs))
        assert not np.array_equal(first, vectors(f"{epochs}c", 2, epochs))
    assert (random.getstate(), str(np.random.get_state())) == before
    assert capfd.readouterr() == ("", "")


def test_processes_agree_whatever_their_hash_seed(tmp_path: Path) -> None:
    texts, train = toy_texts(60), np.full(60, True)
    here = build(tmp_path / "here", texts, train, epochs=2)
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from patent_hier.features.word2vec import build_vectors; from patent_hier.settings import FeatureSettings\n"
        "settings = FeatureSettings('chars', vector_size=4, window=2, epochs=2)\n"
        "build_vectors(Path(sys.argv[1]), np.full(60, True), settings, Path(sys.argv[2]))\n"
    )
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", code, str(tmp_path / "here" / "segmentation"), str(folder)]
        done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        for name in ("words.json", "vectors.safetensors", "ids.bin"):
            assert (folder / name).read_bytes() == (here / name).read_bytes()


# --- vectors from a file


@pytest.mark.parametrize("header", ["", "4 2\n", "\ufeff4 2\r\n"])
def test_vectors_from_a_file(tmp_path: Path, header: str) -> None:
    lines = ["甲 1 2", "别 9 9", "丙 -3e0 .5 ", "甲 7 7"]
    path = vector_file(tmp_path, header + "\n".join(lines) + "\n")
    folder = build(tmp_path, TEXTS, TRAIN, vectors=str(path), vector_size=300, epochs=10)
    words, vectors = load_vectors(folder)
    assert words == ("丙", "乙", "甲")
    assert vectors[[2, 4]].tolist() == [[-3.0, 0.5], [1.0, 2.0]]
    manifest = read_json(folder / "manifest.json")
    assert (manifest["source"], manifest["coverage"], manifest["vector_size"]) == ("file", 2 / 3, 2)


def test_missing_words_have_the_spread_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = rng.normal(0, 3, (100, 20))
    names = [chr(0x4E00 + i) for i in range(300)]
    lines = [f"{name} {' '.join(map(str, row))}" for name, row in zip(names, given, strict=False)]
    path = vector_file(tmp_path, "\n".join(lines))

    def vectors(name: str, seed: int) -> NDArray[np.float32]:
        changes = {"vectors": str(path), "min_count": 1, "seed": seed}
        return load_vectors(build(tmp_path / name, ["".join(names)], np.array([True]), **changes))[1]

    first = vectors("a", 1)
    np.testing.assert_allclose(first[2:102], given, rtol=1e-5)
    assert first[102:].std() == pytest.approx(given.std(), rel=0.03)
    assert np.array_equal(first, vectors("b", 1))
    other = vectors("c", 2)
    assert np.array_equal(first[2:102], other[2:102])
    assert not np.isclose(first[102:], other[102:]).any()


def test_only_a_space_separates(tmp_path: Path) -> None:
    content = (
        "\u3000 1 2\n\x85 3 4\n\xa0x 5 6\n 7 8\n".encode() + b"\xff\xfe 9 9\n" + "丙 1 1\n乙 2 2\n甲 3 3\n".encode()
    )
    _, vectors = load_vectors(build(tmp_path, TEXTS, TRAIN, vectors=str(vector_file(tmp_path, content))))
    assert vectors[2:].tolist() == [[1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("丙 1 2\n甲 1\n", "line 2: 1 numbers instead of 2"),
        ("2 3\n丙 1 2 3\n甲 1 2 3 4\n", "line 3: 4 numbers instead of 3"),
        ("丙 1 2\n\n甲 1 2\n", "line 2: 0 numbers instead of 2"),
        ("丙 1 2\n甲 1 x\n", "line 2: .*'x'"),
        ("丙 1 2\n甲 1 nan\n", "line 2: a number is NaN or infinity"),
        ("丙 1 2\n甲 1 -inf\n", "line 2: a number is NaN or infinity"),
        ("丙\n", "line 1: 0 numbers"),
        ("3 2\n丙 1 2\n甲 1 2\n", "2 of the 3 vectors"),
        ("", "none of the 3 words"),
        ("丁 1 2\n", "none of the 3 words"),
        ("丙 1 2\n".encode("gb18030"), "none of the 3 words.*UTF-8"),
        (None, "cannot be read .*check the path"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    path = tmp_path / "given.vec" if content is None else vector_file(tmp_path, content)
    with pytest.raises(ConfigError, match=message) as caught:
        build(tmp_path, TEXTS, TRAIN, vectors=str(path))
    assert str(caught.value).startswith(f"features.vectors={path}")
    assert "\n" not in str(caught.value)


# --- loading and naming


def test_damaged_vectors_are_one_line(tmp_path: Path) -> None:
    folder = build(tmp_path, TEXTS, TRAIN)
    file = folder / "vectors.safetensors"
    whole = file.read_bytes()
    wrong: list[NDArray[Any]] = [np.zeros((4, 4), np.float32), np.zeros(5, np.float32), np.zeros((5, 4))]
    changes: list[bytes | NDArray[Any] | None] = [whole[:-8], whole[:3], None, *wrong]
    for change in changes:
        if isinstance(change, bytes):
            file.write_bytes(change)
        elif change is None:
            file.unlink()
        else:
            save_file({"vectors": change}, file)
        with pytest.raises(ArtifactError) as caught:
            load_vectors(folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
    save_file({"other": np.zeros((5, 4), np.float32)}, file)
    with pytest.raises(ArtifactError, match="vectors"):
        load_vectors(folder)


TRAINING = {"window": 9, "skip_gram": False}
SIZE = {"vector_size": 9}
ALWAYS = {"max_length": 9, "min_count": 9, "seed": 9}


@pytest.mark.parametrize(
    ("base", "digest", "with_influence", "without"),
    [
        ({"epochs": 3}, None, {**ALWAYS, **SIZE, **TRAINING, "epochs": 9}, {"name": "words"}),
        ({"epochs": 0}, None, {**ALWAYS, **SIZE}, TRAINING),
        ({"vectors": "a.vec"}, "d1", ALWAYS, {**TRAINING, **SIZE, "epochs": 9, "vectors": "b.vec"}),
    ],
)
def test_fingerprint_depends_on_what_has_influence(
    base: dict[str, object], digest: str | None, with_influence: dict[str, object], without: dict[str, object]
) -> None:
    def name(**changes: object) -> str:
        return vectors_fingerprint("s", "p", settings(**{**base, **changes}), digest)

    names = [name(), *(name(**{key: value}) for key, value in with_influence.items())]
    names += [vectors_fingerprint(*causes, settings(**base), digest) for causes in (("x", "p"), ("s", "x"))]
    assert len(set(names)) == len(names)
    assert {name(**{key: value}) for key, value in without.items()} == {name()}


def test_fingerprint_of_a_file_is_its_content() -> None:
    given = settings(vectors="a.vec")
    assert vectors_fingerprint("s", "p", given, "d1") != vectors_fingerprint("s", "p", given, "d2")
    with pytest.raises(ValueError, match=r"a\.vec"):
        vectors_fingerprint("s", "p", given)
    with pytest.raises(ValueError, match="d1"):
        vectors_fingerprint("s", "p", settings(), "d1")
