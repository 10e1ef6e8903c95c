import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from patent_hier.artifacts import find_damage, verify
from patent_hier.atomic import read_json
from patent_hier.data.context import SEPARATOR, join_context
from patent_hier.errors import ArtifactError, DataError
from patent_hier.features import ngram_counting, ngrams
from patent_hier.features.ngram_counting import count_corpus
from patent_hier.features.ngram_store import JoinedNgrams, NgramReader, NgramStore, context_start, ngrams_fingerprint
from patent_hier.settings import LinearSettings, NgramSettings

ODD_TEXTS = ["", "  \t\n ", "LED灯 LED", "全角ＡＢＣ，。", "😀𠮷", "a" * 70_000, "İstanbul 𝐀𝐀", "a"]


def count(folder: Path, texts: list[str], train: list[bool], settings: NgramSettings, batch: int = 3) -> NgramStore:
    folder.mkdir(parents=True, exist_ok=True)
    batches = [texts[start : start + batch] for start in range(0, len(texts), batch)]
    count_corpus(lambda: batches, np.array(train), settings, folder)
    return NgramStore.open(folder)


@pytest.fixture(scope="module")
def texts(demo_texts: list[str]) -> list[str]:
    return [*ODD_TEXTS, *demo_texts]


@pytest.fixture(scope="module")
def train(texts: list[str]) -> list[bool]:
    return [bool(number % 4) for number in range(len(texts))]


@pytest.fixture(scope="module")
def folder(texts: list[str], train: list[bool], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("terms")
    count(path, texts, train, NgramSettings(min_documents=3), batch=50)
    return path


def test_terms_and_counts_by_hand(tmp_path: Path) -> None:
    texts = ["灯光灯", "光灯", "灯 X", "电电"]
    store = count(tmp_path, texts, [True, True, True, False], NgramSettings(ngram_sizes=[1, 2]))
    assert store.ngrams == ("光", "光灯", "灯")
    assert store.matrix.toarray().tolist() == [[1, 1, 2], [1, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert store.lengths.tolist() == [3, 3, 1, 0]
    assert store.rows(np.array([2, 0, 2])).toarray().tolist() == [[0, 0, 1], [1, 1, 2], [0, 0, 1]]
    assert store.columns(["灯", "光"]).tolist() == [2, 0]
    facts = read_json(tmp_path / "manifest.json")
    # distinct: 灯 光 灯光 光灯, 灯<space> <space> <space>x x
    assert {name: facts[name] for name in ("documents", "train_documents", "distinct", "rare", "over_limit")} == {
        "documents": 4,
        "train_documents": 3,
        "distinct": 8,
        "rare": 5,
        "over_limit": 0,
    }


def test_equals_scikit_learn(folder: Path, texts: list[str], train: list[bool]) -> None:
    store = NgramStore.open(folder)
    reference = CountVectorizer(analyzer="char", lowercase=True, ngram_range=(1, 3), min_df=3)
    reference.fit([text for text, chosen in zip(texts, train, strict=True) if chosen])
    assert store.ngrams == tuple(reference.get_feature_names_out())
    assert len(store.ngrams) > 1000
    assert (store.matrix != reference.transform(texts)).nnz == 0
    assert store.matrix.has_sorted_indices
    assert store.matrix[5, store.ngrams.index("a")] == 70_000


def test_other_parts_have_no_influence(tmp_path: Path, demo_texts: list[str]) -> None:
    train = [number < 20 for number in range(40)]
    first = count(tmp_path / "a", demo_texts[:40], train, NgramSettings(max_terms=200))
    second = count(tmp_path / "b", demo_texts[:20] + ["完全不同"] * 20, train, NgramSettings(max_terms=200))
    assert first.ngrams == second.ngrams
    assert (first.rows(np.arange(20)) != second.rows(np.arange(20))).nnz == 0


def test_the_most_frequent_are_kept_and_ties_go_by_term(tmp_path: Path) -> None:
    texts = ["甲乙", "甲丙", "甲丙乙", "丁", "丁"]  # documents: 甲 3, 丙 乙 丁 2; 丁 < 丙 < 乙 < 甲 by code point
    settings = NgramSettings(ngram_sizes=[1, 1], max_terms=3)
    assert count(tmp_path, texts, [True] * 5, settings).ngrams == ("丁", "丙", "甲")
    assert read_json(tmp_path / "manifest.json")["over_limit"] == 1


def test_batches_do_not_matter(tmp_path: Path, demo_texts: list[str]) -> None:
    train = [True] * 30
    for size in (1, 7, 30):
        count(tmp_path / str(size), demo_texts[:30], train, NgramSettings(), batch=size)
    manifests = [(tmp_path / str(size) / "manifest.json").read_text() for size in (1, 7, 30)]
    assert manifests[0] == manifests[1] == manifests[2]


def test_store_is_mapped_and_sealed(folder: Path, texts: list[str]) -> None:
    store = NgramStore.open(folder)
    assert isinstance(store.counts, np.memmap)
    assert not store.counts.flags.writeable
    assert len(store) == len(texts)
    assert find_damage(folder) is None
    verify(folder)


def test_texts_are_read_once_and_progress_counts_both_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "CHARACTERS", 6)
    seen: list[int] = []
    read = iter([["灯", "灯"], ["灯"]])
    count_corpus(lambda: read, np.ones(3, bool), NgramSettings(), tmp_path, seen.append)
    assert seen == [2, 1, 2, 1]


@pytest.mark.parametrize("characters", [1, 300, 20_000])
@pytest.mark.parametrize("keys", [1, 500, 1 << 23])
def test_chunks_and_ranges_do_not_matter(
    folder: Path,
    texts: list[str],
    train: list[bool],
    tmp_path: Path,
    characters: int,
    keys: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = slice(0, 40)
    whole = count(tmp_path / "whole", texts[some], train[some], NgramSettings())
    monkeypatch.setattr(ngrams, "CHARACTERS", characters)
    monkeypatch.setattr(ngram_counting, "RANGE", keys)
    found = count(tmp_path / "parts", texts[some], train[some], NgramSettings())
    assert found.ngrams == whole.ngrams
    assert read_json(tmp_path / "parts" / "manifest.json") == read_json(tmp_path / "whole" / "manifest.json")


@pytest.mark.parametrize("limit", [None, 50])
def test_long_ngrams_equal_scikit_learn(tmp_path: Path, texts: list[str], limit: int | None) -> None:
    some = texts[:30]
    store = count(tmp_path, some, [True] * 30, NgramSettings(ngram_sizes=[2, 6], max_terms=limit))
    reference = CountVectorizer(analyzer="char", lowercase=True, ngram_range=(2, 6), min_df=2).fit(some)
    names = list(reference.get_feature_names_out())
    assert set(store.ngrams) <= set(names)
    assert limit or store.ngrams == tuple(names)
    assert max(map(len, store.ngrams)) == (6 if limit is None else max(map(len, store.ngrams)))
    assert (store.matrix != reference.transform(some)[:, [names.index(ngram) for ngram in store.ngrams]]).nnz == 0
    assert (NgramReader(store.ngrams, (2, 6)).encode(some).matrix != store.matrix).nnz == 0


def test_many_columns_of_context(tmp_path: Path) -> None:
    fields = {f"column{number}": "光灯" for number in range(9)}
    documents = [join_context("灯", fields), join_context("光灯", fields)]
    store = count(tmp_path, documents, [True, True], NgramSettings(ngram_sizes=[1, 4]))
    own = [f"{SEPARATOR}column{number}={ngram}" for number in range(9) for ngram in ("光", "光灯", "灯")]
    assert store.ngrams == ("灯", *own)
    assert store.matrix.toarray().tolist() == [[1] * 28, [1] * 28]
    assert (NgramReader(store.ngrams, (1, 4)).encode(documents).matrix != store.matrix).nnz == 0


def test_ranges_of_keys_are_bounded_however_many_chunks_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Similar chunks, with fewer keys than are read at once."""
    monkeypatch.setattr(ngrams, "CHARACTERS", 3_000)
    monkeypatch.setattr(ngram_counting, "RANGE", 20_000)
    read: list[int] = []
    factorize = ngram_counting.pd.factorize
    monkeypatch.setattr(ngram_counting.pd, "factorize", lambda keys: (read.append(len(keys)), factorize(keys))[1])
    rng = np.random.default_rng(0)
    texts = ["".join(chr(0x4E00 + code) for code in rng.zipf(1.3, 100) % 3000) for _ in range(1500)]
    count(tmp_path, texts, [True] * 1500, NgramSettings(), batch=100)
    read = [size for size in read if size > 5_000 or size < 100]  # the others are chunks
    assert len(read) > 5
    assert max(read) < 40_000


def test_a_corpus_without_documents_or_ngrams(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no character n-gram occurs in 2 training documents"):
        count(tmp_path / "none", [], [], NgramSettings())
    store = count(
        tmp_path / "some", ["", "灯光", "", "灯光", ""], [True] * 5, NgramSettings(ngram_sizes=[2, 3]), batch=1
    )
    assert (store.ngrams, store.lengths.tolist()) == (("灯光",), [0, 1, 0, 1, 0])


def test_odd_characters_in_context_too(tmp_path: Path) -> None:
    odd = ["İSTANBUL ΣΑΣ", "灯😀", "a\t\tb\x1cc", "ǅ ß"]
    store = count(tmp_path, odd * 2, [True] * 8, NgramSettings())
    reference = CountVectorizer(analyzer="char", lowercase=True, ngram_range=(1, 3), min_df=2).fit(odd * 2)
    assert store.ngrams == tuple(reference.get_feature_names_out())
    beside = count(tmp_path / "b", [join_context("x", {"kind": text}) for text in odd * 2], [True] * 8, NgramSettings())
    assert [ngram for ngram in beside.ngrams if "灯" in ngram]
    assert (NgramReader(beside.ngrams, (1, 3)).encode([join_context("x", {"kind": odd[0]})]).matrix.sum()) > 10


def test_texts_that_change_between_two_readings(tmp_path: Path) -> None:
    once = iter([["一二三四"] * 2])
    with pytest.raises(DataError, match="one is now missing"):
        count_corpus(lambda: once, np.ones(2, bool), NgramSettings(ngram_sizes=[4, 4]), tmp_path)


def test_an_error_in_a_thread_ends_the_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "CHARACTERS", 3)
    saved = ngram_counting.save_npz

    def full(file: Path, *arguments: object, **options: object) -> None:
        if file.name == "3.npz":
            raise OSError(28, "No space left on device")
        saved(file, *arguments, **options)

    monkeypatch.setattr(ngram_counting, "save_npz", full)
    with pytest.raises(OSError, match="No space left"):
        count(tmp_path, ["灯光"] * 30, [True] * 30, NgramSettings())
    assert list(tmp_path.iterdir()) == []


def test_terms_that_no_document_can_have_are_never_counted() -> None:
    ngrams = ("xyz", "ab\x1fc=d", "\x1fc=e", "toolong", "")
    store = NgramReader(ngrams, (1, 3)).encode(["xyz ab", join_context("xyz", {"c": "e"})])
    assert store.matrix.toarray().tolist() == [[1, 0, 0, 0, 0], [1, 0, 1, 0, 0]]


def test_memory_does_not_grow_with_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_counting, "seal", lambda folder, manifest: None)  # reads files by the MiB
    monkeypatch.setattr(ngrams, "CHARACTERS", 8_000)
    monkeypatch.setattr(ngram_counting, "RANGE", 4_000)
    monkeypatch.setattr(ngram_counting, "_threads", lambda: 1)  # a fixed number of chunks at once

    def peak(batches: int) -> int:
        def texts() -> Iterator[list[str]]:
            rng = np.random.default_rng(0)
            for _ in range(batches):
                yield ["".join(chr(0x4E00 + code) for code in rng.integers(0, 20, 80)) for _ in range(50)]

        (tmp_path / str(batches)).mkdir(exist_ok=True)
        tracemalloc.start()
        count_corpus(texts, np.ones(50 * batches, bool), NgramSettings(ngram_sizes=[1, 2]), tmp_path / str(batches))
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return memory

    peak(4)  # loads what is loaded once
    few, many = peak(8), peak(48)
    written = (tmp_path / "48" / "counts.bin").stat().st_size
    assert many - few < written / 4


def test_nothing_frequent_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"occurs in 2 training documents; lower model\.min_documents"):
        count(tmp_path, ["甲", "乙", "甲"], [True, True, False], NgramSettings())


def test_a_split_of_another_corpus(tmp_path: Path) -> None:
    for n in (1, 3):
        with pytest.raises(DataError, match=f"has 2 texts, but its split has {n}"):
            count(tmp_path / str(n), ["甲", "甲"], [True] * n, NgramSettings())


@pytest.mark.parametrize("name", ["counts.bin", "ngram_ids.bin", "offsets.npy", "terms.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_damaged_files_are_one_line(folder: Path, tmp_path: Path, name: str, damage: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if damage != "missing":
        (copy / name).write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(ArtifactError) as caught:
        NgramStore.open(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_of_another_size(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "terms.json").write_text('["灯"]')
    with pytest.raises(ArtifactError, match="do not match its manifest in size"):
        NgramStore.open(copy)


def test_reader_counts_as_the_corpus(folder: Path, texts: list[str], tmp_path: Path) -> None:
    corpus = NgramStore.open(folder)
    chosen = corpus.ngrams[::3]
    NgramReader(chosen, (1, 3)).save(tmp_path)
    reader = NgramReader.load(tmp_path)
    assert reader == NgramReader(chosen, (1, 3))
    fresh = reader.encode(texts)
    assert fresh.ngrams == chosen
    assert (fresh.matrix != corpus.matrix[:, corpus.columns(chosen)]).nnz == 0
    assert len(reader.encode([])) == 0
    with pytest.raises(ArtifactError, match=f"n-gram '{corpus.ngrams[1]}'"):
        fresh.columns(corpus.ngrams[1:2])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reader.json", None),
        ("reader.json", "{}"),
        ("reader.json", "[1, 3]"),
        ("reader.json", '{"ngram_sizes": [1]}'),
        ("reader.json", '{"ngram_sizes": [1, "3"]}'),
        ("reader.json", '{"ngram_sizes": [3, 1]}'),
        ("reader.json", '{"ngram_sizes": [1, 1000000000]}'),
        ("terms.json", None),
        ("terms.json", "["),
        ("terms.json", "[]"),
        ("terms.json", '{"a": 1}'),
        ("terms.json", '["a", 1]'),
        ("terms.json", '["a", "a"]'),
    ],
)
def test_a_damaged_reader(tmp_path: Path, name: str, content: str | None) -> None:
    NgramReader(("a", "b"), (1, 3)).save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(ArtifactError) as caught:
        NgramReader.load(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fingerprint_depends_on_what_decides_the_counts() -> None:
    causes = [
        ngrams_fingerprint("a", "b", NgramSettings()),
        ngrams_fingerprint("x", "b", NgramSettings()),
        ngrams_fingerprint("a", "x", NgramSettings()),
        ngrams_fingerprint("a", "b", NgramSettings(ngram_sizes=[1, 2])),
        ngrams_fingerprint("a", "b", NgramSettings(min_documents=3)),
        ngrams_fingerprint("a", "b", NgramSettings(max_terms=None)),
    ]
    assert len(set(causes)) == len(causes)
    assert ngrams_fingerprint("a", "b", LinearSettings(c=3.0)) == causes[0]


def test_two_stores_seen_as_one() -> None:
    reader = NgramReader(("光", "灯", "电"), (1, 1))
    first, second = reader.encode(["灯光灯", "光"]), reader.encode(["电灯", "完全不同", "灯灯灯"])
    joined, whole = JoinedNgrams(first, second), reader.encode(["灯光灯", "光", "电灯", "完全不同", "灯灯灯"])
    assert (len(joined), joined.ngrams) == (5, first.ngrams)
    for indices in ([4, 0, 3, 1, 2, 0], [1, 0], [3, 2], []):
        found = joined.rows(np.array(indices, np.intp))
        assert found.toarray().tolist() == whole.rows(np.array(indices, np.intp)).toarray().tolist()
        assert (found.dtype, found.shape) == (np.float32, (len(indices), 3))


def test_context_is_counted_by_itself_and_stands_behind_the_text(tmp_path: Path) -> None:
    documents = [join_context(text, {"applicant": "光灯"}) for text in ("灯光", "光灯", "电")]
    settings = NgramSettings(ngram_sizes=[1, 2])
    store = count(tmp_path, documents, [True, True, True], settings)
    own = tuple(f"{SEPARATOR}applicant={ngram}" for ngram in ("光", "光灯", "灯"))
    assert store.ngrams == ("光", "灯", *own)  # 灯光 and 光灯 stand in one text each
    assert context_start(store.ngrams) == 2
    assert store.matrix.toarray().tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1]]
    reader = NgramReader(store.ngrams, (1, 2))
    assert reader.encode(documents).matrix.toarray().tolist() == store.matrix.toarray().tolist()
    assert reader.encode(["光灯"]).matrix.toarray().tolist() == [[1, 1, 0, 0, 0]]
    other = join_context("光", {"kind": "光灯", "applicant": "灯"})
    assert reader.encode([other]).matrix.toarray().tolist() == [[1, 0, 0, 0, 1]]
    blind = NgramReader(("光", "光灯", "灯"), (1, 2))
    assert (
        blind.encode(documents).matrix.toarray().tolist()
        == blind.encode(["灯光", "光灯", "电"]).matrix.toarray().tolist()
    )


def test_only_context_changes_the_name_of_a_store() -> None:
    plain = ngrams_fingerprint("c", "s", NgramSettings())
    assert ngrams_fingerprint("c", "s", NgramSettings(context_weight=0.3), ()) == plain
    assert ngrams_fingerprint("c", "s", NgramSettings(), ("applicant",)) != plain
    assert ngrams_fingerprint("c", "s", NgramSettings(), ("kind", "title")) == ngrams_fingerprint(
        "c", "s", NgramSettings(), ("title", "kind")
    )
