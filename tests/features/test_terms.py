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
from patent_hier.features import ngrams, term_counting
from patent_hier.features.term_counting import count_corpus
from patent_hier.features.terms import JoinedTerms, TermReader, TermStore, context_start, terms_fingerprint
from patent_hier.settings import LinearSettings, TermSettings

ODD_TEXTS = ["", "  \t\n ", "LED灯 LED", "全角ＡＢＣ，。", "😀𠮷", "a" * 70_000, "İstanbul 𝐀𝐀", "a"]


def count(folder: Path, texts: list[str], train: list[bool], settings: TermSettings, batch: int = 3) -> TermStore:
    folder.mkdir(parents=True, exist_ok=True)
    batches = [texts[start : start + batch] for start in range(0, len(texts), batch)]
    count_corpus(lambda: batches, np.array(train), settings, folder)
    return TermStore.open(folder)


@pytest.fixture(scope="module")
def texts(demo_texts: list[str]) -> list[str]:
    return [*ODD_TEXTS, *demo_texts]


@pytest.fixture(scope="module")
def train(texts: list[str]) -> list[bool]:
    return [bool(number % 4) for number in range(len(texts))]


@pytest.fixture(scope="module")
def folder(texts: list[str], train: list[bool], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("terms")
    count(path, texts, train, TermSettings(min_documents=3), batch=50)
    return path


def test_terms_and_counts_by_hand(tmp_path: Path) -> None:
    texts = ["灯光灯", "光灯", "灯 X", "电电"]
    store = count(tmp_path, texts, [True, True, True, False], TermSettings(ngram_sizes=[1, 2]))
    assert store.terms == ("光", "光灯", "灯")
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
    store = TermStore.open(folder)
    reference = CountVectorizer(analyzer="char", lowercase=True, ngram_range=(1, 3), min_df=3)
    reference.fit([text for text, chosen in zip(texts, train, strict=True) if chosen])
    assert store.terms == tuple(reference.get_feature_names_out())
    assert len(store.terms) > 1000
    assert (store.matrix != reference.transform(texts)).nnz == 0
    assert store.matrix.has_sorted_indices
    assert store.matrix[5, store.terms.index("a")] == 70_000


def test_other_parts_have_no_influence(tmp_path: Path, demo_texts: list[str]) -> None:
    train = [number < 20 for number in range(40)]
    first = count(tmp_path / "a", demo_texts[:40], train, TermSettings(max_terms=200))
    second = count(tmp_path / "b", demo_texts[:20] + ["完全不同"] * 20, train, TermSettings(max_terms=200))
    assert first.terms == second.terms
    assert (first.rows(np.arange(20)) != second.rows(np.arange(20))).nnz == 0


def test_the_most_frequent_are_kept_and_ties_go_by_term(tmp_path: Path) -> None:
    texts = ["甲乙", "甲丙", "甲丙乙", "丁", "丁"]  # documents: 甲 3, 丙 乙 丁 2; 丁 < 丙 < 乙 < 甲 by code point
    settings = TermSettings(ngram_sizes=[1, 1], max_terms=3)
    assert count(tmp_path, texts, [True] * 5, settings).terms == ("丁", "丙", "甲")
    assert read_json(tmp_path / "manifest.json")["over_limit"] == 1


def test_batches_do_not_matter(tmp_path: Path, demo_texts: list[str]) -> None:
    train = [True] * 30
    for size in (1, 7, 30):
        count(tmp_path / str(size), demo_texts[:30], train, TermSettings(), batch=size)
    manifests = [(tmp_path / str(size) / "manifest.json").read_text() for size in (1, 7, 30)]
    assert manifests[0] == manifests[1] == manifests[2]


def test_store_is_mapped_and_sealed(folder: Path, texts: list[str]) -> None:
    store = TermStore.open(folder)
    assert isinstance(store.counts, np.memmap)
    assert not store.counts.flags.writeable
    assert len(store) == len(texts)
    assert find_damage(folder) is None
    verify(folder)


def test_texts_are_read_once_and_progress_counts_both_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "CHARACTERS", 6)
    seen: list[int] = []
    read = iter([["灯", "灯"], ["灯"]])
    count_corpus(lambda: read, np.ones(3, bool), TermSettings(), tmp_path, seen.append)
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
    whole = count(tmp_path / "whole", texts[some], train[some], TermSettings())
    monkeypatch.setattr(ngrams, "CHARACTERS", characters)
    monkeypatch.setattr(term_counting, "RANGE", keys)
    found = count(tmp_path / "parts", texts[some], train[some], TermSettings())
    assert found.terms == whole.terms
    assert read_json(tmp_path / "parts" / "manifest.json") == read_json(tmp_path / "whole" / "manifest.json")


@pytest.mark.parametrize("limit", [None, 50])
def test_long_ngrams_equal_scikit_learn(tmp_path: Path, texts: list[str], limit: int | None) -> None:
    some = texts[:30]
    store = count(tmp_path, some, [True] * 30, TermSettings(ngram_sizes=[2, 6], max_terms=limit))
    reference = CountVectorizer(analyzer="char", lowercase=True, ngram_range=(2, 6), min_df=2).fit(some)
    names = list(reference.get_feature_names_out())
    assert set(store.terms) <= set(names)
    assert limit or store.terms == tuple(names)
    assert max(map(len, store.terms)) == (6 if limit is None else max(map(len, store.terms)))
    assert (store.matrix != reference.transform(some)[:, [names.index(term) for term in store.terms]]).nnz == 0
    assert (TermReader(store.terms, (2, 6)).encode(some).matrix != store.matrix).nnz == 0


def test_many_columns_of_context(tmp_path: Path) -> None:
    fields = {f"column{number}": "光灯" for number in range(9)}
    documents = [join_context("灯", fields), join_context("光灯", fields)]
    store = count(tmp_path, documents, [True, True], TermSettings(ngram_sizes=[1, 4]))
    own = [f"{SEPARATOR}column{number}={term}" for number in range(9) for term in ("光", "光灯", "灯")]
    assert store.terms == ("灯", *own)
    assert store.matrix.toarray().tolist() == [[1] * 28, [1] * 28]
    assert (TermReader(store.terms, (1, 4)).encode(documents).matrix != store.matrix).nnz == 0


def test_ranges_of_keys_are_bounded_however_many_chunks_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that are alike, with fewer keys than are read at once."""
    monkeypatch.setattr(ngrams, "CHARACTERS", 3_000)
    monkeypatch.setattr(term_counting, "RANGE", 20_000)
    read: list[int] = []
    factorize = term_counting.pd.factorize
    monkeypatch.setattr(term_counting.pd, "factorize", lambda keys: (read.append(len(keys)), factorize(keys))[1])
    rng = np.random.default_rng(0)
    texts = ["".join(chr(0x4E00 + code) for code in rng.zipf(1.3, 100) % 3000) for _ in range(1500)]
    count(tmp_path, texts, [True] * 1500, TermSettings(), batch=100)
    read = [size for size in read if size > 5_000 or size < 100]  # the others are chunks
    assert len(read) > 5
    assert max(read) < 40_000


def test_a_corpus_without_documents_or_ngrams(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no character n-gram stands in 2 training documents"):
        count(tmp_path / "none", [], [], TermSettings())
    store = count(
        tmp_path / "some", ["", "灯光", "", "灯光", ""], [True] * 5, TermSettings(ngram_sizes=[2, 3]), batch=1
    )
    assert (store.terms, store.lengths.tolist()) == (("灯光",), [0, 1, 0, 1, 0])


def test_odd_characters_in_context_too(tmp_path: Path) -> None:
    odd = ["İSTANBUL ΣΑΣ", "灯😀", "a\t\tb\x1cc", "ǅ ß"]
    store = count(tmp_path, odd * 2, [True] * 8, TermSettings())
    reference = CountVectorizer(analyzer="char", lowercase=True, ngram_range=(1, 3), min_df=2).fit(odd * 2)
    assert store.terms == tuple(reference.get_feature_names_out())
    beside = count(tmp_path / "b", [join_context("x", {"kind": text}) for text in odd * 2], [True] * 8, TermSettings())
    assert [term for term in beside.terms if "灯" in term]
    assert (TermReader(beside.terms, (1, 3)).encode([join_context("x", {"kind": odd[0]})]).matrix.sum()) > 10


def test_texts_that_change_between_two_readings(tmp_path: Path) -> None:
    once = iter([["一二三四"] * 2])
    with pytest.raises(DataError, match="was not found again"):
        count_corpus(lambda: once, np.ones(2, bool), TermSettings(ngram_sizes=[4, 4]), tmp_path)


def test_an_error_in_a_thread_ends_the_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "CHARACTERS", 3)
    saved = term_counting.save_npz

    def full(file: Path, *arguments: object, **options: object) -> None:
        if file.name == "3.npz":
            raise OSError(28, "No space left on device")
        saved(file, *arguments, **options)

    monkeypatch.setattr(term_counting, "save_npz", full)
    with pytest.raises(OSError, match="No space left"):
        count(tmp_path, ["灯光"] * 30, [True] * 30, TermSettings())
    assert list(tmp_path.iterdir()) == []


def test_terms_that_no_document_can_have_are_never_counted() -> None:
    terms = ("xyz", "ab\x1fc=d", "\x1fc=e", "toolong", "")
    store = TermReader(terms, (1, 3)).encode(["xyz ab", join_context("xyz", {"c": "e"})])
    assert store.matrix.toarray().tolist() == [[1, 0, 0, 0, 0], [1, 0, 1, 0, 0]]


def test_memory_does_not_grow_with_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(term_counting, "seal", lambda folder, manifest: None)  # reads files by the MiB
    monkeypatch.setattr(ngrams, "CHARACTERS", 8_000)
    monkeypatch.setattr(term_counting, "RANGE", 4_000)
    monkeypatch.setattr(term_counting, "_threads", lambda: 1)  # how many chunks are worked on at once is no chance then

    def peak(batches: int) -> int:
        def texts() -> Iterator[list[str]]:
            rng = np.random.default_rng(0)
            for _ in range(batches):
                yield ["".join(chr(0x4E00 + code) for code in rng.integers(0, 20, 80)) for _ in range(50)]

        (tmp_path / str(batches)).mkdir(exist_ok=True)
        tracemalloc.start()
        count_corpus(texts, np.ones(50 * batches, bool), TermSettings(ngram_sizes=[1, 2]), tmp_path / str(batches))
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return memory

    peak(4)  # loads what is loaded once
    few, many = peak(8), peak(48)
    written = (tmp_path / "48" / "counts.bin").stat().st_size
    assert many - few < written / 4


def test_nothing_frequent_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stands in 2 training documents; lower model\.min_documents"):
        count(tmp_path, ["甲", "乙", "甲"], [True, True, False], TermSettings())


def test_a_split_of_another_corpus(tmp_path: Path) -> None:
    for n in (1, 3):
        with pytest.raises(DataError, match=f"has 2 texts, its split {n}"):
            count(tmp_path / str(n), ["甲", "甲"], [True] * n, TermSettings())


@pytest.mark.parametrize("name", ["counts.bin", "term_ids.bin", "offsets.npy", "terms.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_damaged_files_are_one_line(folder: Path, tmp_path: Path, name: str, damage: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if damage != "missing":
        (copy / name).write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(ArtifactError) as caught:
        TermStore.open(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_of_another_size(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "terms.json").write_text('["灯"]')
    with pytest.raises(ArtifactError, match="not of one size"):
        TermStore.open(copy)


def test_reader_counts_as_the_corpus(folder: Path, texts: list[str], tmp_path: Path) -> None:
    corpus = TermStore.open(folder)
    chosen = corpus.terms[::3]
    TermReader(chosen, (1, 3)).save(tmp_path)
    reader = TermReader.load(tmp_path)
    assert reader == TermReader(chosen, (1, 3))
    fresh = reader.encode(texts)
    assert fresh.terms == chosen
    assert (fresh.matrix != corpus.matrix[:, corpus.columns(chosen)]).nnz == 0
    assert len(reader.encode([])) == 0
    with pytest.raises(ArtifactError, match=f"n-gram '{corpus.terms[1]}'"):
        fresh.columns(corpus.terms[1:2])


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
    TermReader(("a", "b"), (1, 3)).save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(ArtifactError) as caught:
        TermReader.load(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fingerprint_depends_on_what_decides_the_counts() -> None:
    causes = [
        terms_fingerprint("a", "b", TermSettings()),
        terms_fingerprint("x", "b", TermSettings()),
        terms_fingerprint("a", "x", TermSettings()),
        terms_fingerprint("a", "b", TermSettings(ngram_sizes=[1, 2])),
        terms_fingerprint("a", "b", TermSettings(min_documents=3)),
        terms_fingerprint("a", "b", TermSettings(max_terms=None)),
    ]
    assert len(set(causes)) == len(causes)
    assert terms_fingerprint("a", "b", LinearSettings(c=3.0)) == causes[0]


def test_two_stores_seen_as_one() -> None:
    reader = TermReader(("光", "灯", "电"), (1, 1))
    first, second = reader.encode(["灯光灯", "光"]), reader.encode(["电灯", "完全不同", "灯灯灯"])
    joined, whole = JoinedTerms(first, second), reader.encode(["灯光灯", "光", "电灯", "完全不同", "灯灯灯"])
    assert (len(joined), joined.terms) == (5, first.terms)
    for indices in ([4, 0, 3, 1, 2, 0], [1, 0], [3, 2], []):
        found = joined.rows(np.array(indices, np.intp))
        assert found.toarray().tolist() == whole.rows(np.array(indices, np.intp)).toarray().tolist()
        assert (found.dtype, found.shape) == (np.float32, (len(indices), 3))


def test_context_is_counted_by_itself_and_stands_behind_the_text(tmp_path: Path) -> None:
    documents = [join_context(text, {"applicant": "光灯"}) for text in ("灯光", "光灯", "电")]
    settings = TermSettings(ngram_sizes=[1, 2])
    store = count(tmp_path, documents, [True, True, True], settings)
    own = tuple(f"{SEPARATOR}applicant={term}" for term in ("光", "光灯", "灯"))
    assert store.terms == ("光", "灯", *own)  # 灯光 and 光灯 stand in one text each
    assert context_start(store.terms) == 2
    assert store.matrix.toarray().tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1]]
    reader = TermReader(store.terms, (1, 2))
    assert reader.encode(documents).matrix.toarray().tolist() == store.matrix.toarray().tolist()
    assert reader.encode(["光灯"]).matrix.toarray().tolist() == [[1, 1, 0, 0, 0]]
    other = join_context("光", {"kind": "光灯", "applicant": "灯"})
    assert reader.encode([other]).matrix.toarray().tolist() == [[1, 0, 0, 0, 1]]
    blind = TermReader(("光", "光灯", "灯"), (1, 2))
    assert (
        blind.encode(documents).matrix.toarray().tolist()
        == blind.encode(["灯光", "光灯", "电"]).matrix.toarray().tolist()
    )


def test_only_context_changes_the_name_of_a_store() -> None:
    plain = terms_fingerprint("c", "s", TermSettings())
    assert terms_fingerprint("c", "s", TermSettings(context_weight=0.3), ()) == plain
    assert terms_fingerprint("c", "s", TermSettings(), ("applicant",)) != plain
    assert terms_fingerprint("c", "s", TermSettings(), ("kind", "title")) == terms_fingerprint(
        "c", "s", TermSettings(), ("title", "kind")
    )
