import shutil
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from patent_hier.artifacts import seal
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.inference import neighbours
from patent_hier.inference.neighbours import Neighbour, Neighbours, build_neighbours, neighbours_fingerprint

QUERIES = ["一种激光测距装置及其方法", "光", "", "  ", "zzz\ud83d", "本发明公开了一种散热器 LED"]


def columns(texts: list[str]) -> tuple[list[str], list[str], list[str], list[list[str]]]:
    n = range(len(texts))
    return [f"CN{i}" for i in n], [f"标题{i}" for i in n], texts, [["A", f"A{i % 7:02d}"][: i % 3] for i in n]


@pytest.fixture(scope="module")
def built(demo_texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "neighbours" / "abc"
    build_neighbours(*columns(demo_texts), folder)
    return folder


def brute_force(texts: list[str], query: str) -> np.ndarray:
    """Similarities by scikit-learn alone, ``(n,)``."""
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 3), sublinear_tf=True)
    return (vectorizer.fit_transform(texts) @ vectorizer.transform([query]).T).toarray()[:, 0]


@pytest.mark.parametrize("k", [1, 5, 299, 300, 1000])
def test_equals_brute_force(built: Path, demo_texts: list[str], k: int) -> None:
    queries = [*QUERIES, demo_texts[17], demo_texts[250][:40]]
    ids, titles, _, paths = columns(demo_texts)
    for query, found in zip(queries, Neighbours.open(built).nearest(queries, k), strict=True):
        similarity = brute_force(demo_texts, query)
        rows = [ids.index(one.document_id) for one in found]
        assert len(set(rows)) == len(rows) == min(k, (similarity > 0).sum())
        np.testing.assert_allclose([one.similarity for one in found], similarity[rows], atol=1e-5)
        np.testing.assert_allclose(similarity[rows], np.sort(similarity)[::-1][: len(rows)], atol=1e-5)
        assert [(one.title, list(one.path)) for one in found] == [(titles[row], paths[row]) for row in rows]


def test_a_training_document_finds_itself(built: Path, demo_texts: list[str]) -> None:
    (first, second), *_ = Neighbours.open(built).nearest([demo_texts[42]], k=2)
    assert (first.document_id, first.similarity) == ("CN42", pytest.approx(1.0, abs=1e-6))
    assert second.similarity < 1


@given(
    st.lists(st.text("光电热装置AB ", min_size=2, max_size=8), min_size=1, max_size=9),
    st.text("光电热装置AB ", max_size=8),
    st.integers(1, 10),
)
@settings(max_examples=40, deadline=None)
def test_ties_go_to_the_earlier_document(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], query: str, k: int
) -> None:
    texts = [*texts, "光电"]  # blanks alone make one blank, which has no n-gram
    folder = tmp_path_factory.mktemp("tiny") / "index"
    build_neighbours(*columns(texts + texts), folder)
    (found,) = Neighbours.open(folder).nearest([query], k)
    similarity = brute_force(texts + texts, query)
    assert len(found) == min(k, (similarity > 1e-9).sum())
    rows = [int(one.document_id[2:]) for one in found]
    np.testing.assert_allclose([one.similarity for one in found], similarity[rows], atol=1e-5)
    for before, after in pairwise(found):
        assert before.similarity >= after.similarity
        if before.similarity == after.similarity:
            assert int(before.document_id[2:]) < int(after.document_id[2:])
    assert all(row < len(texts) or row - len(texts) in rows for row in rows)  # never a copy before its original


def test_it_is_built_once_and_again_when_damaged(built: Path, demo_texts: list[str], tmp_path: Path) -> None:
    folder = tmp_path / built.name
    shutil.copytree(built, folder)
    counted: list[int] = []
    build_neighbours(*columns(demo_texts), folder, progress=counted.append)
    assert counted == []
    content = (folder / "index.safetensors").read_bytes()
    (folder / "index.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"index\.safetensors is damaged"):
        Neighbours.open(folder)
    build_neighbours(*columns(demo_texts), folder, progress=counted.append)
    assert sum(counted) == 2 * len(demo_texts)
    assert (folder / "index.safetensors").read_bytes() == content
    shutil.copytree(built, tmp_path / "other")  # whole, but of another name
    build_neighbours(*columns(demo_texts[:50]), tmp_path / "other")
    assert Neighbours.open(tmp_path / "other").size == 50


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("x")
    with pytest.raises(
        ConfigError, match="home exists and its manifest is not of kind neighbours, so it is not replaced"
    ):
        build_neighbours(*columns(["光电"]), tmp_path / "home")
    assert (tmp_path / "home" / "thesis.txt").read_text() == "x"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 2 texts contains an n-gram of 2 characters"):
        build_neighbours(*columns(["a", ""]), tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


def test_files_are_of_kinds_that_cannot_execute(built: Path) -> None:
    names = {"index.safetensors", "terms.json", "settings.json", "documents.parquet", "manifest.json"}
    assert {path.name for path in built.iterdir()} == names
    facts = read_json(built / "manifest.json")
    assert (facts["kind"], facts["documents"]) == ("neighbours", 300)


def test_what_is_no_index(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json is missing"):
        Neighbours.open(tmp_path)
    seal(tmp_path, {"kind": "terms"})
    with pytest.raises(ArtifactError, match="holds no neighbour index of this version"):
        Neighbours.open(tmp_path)
    for name, content in (("terms.json", "[]"), ("settings.json", "{}"), ("index.safetensors", "x")):
        folder = tmp_path / name
        shutil.copytree(built, folder)
        (folder / name).write_text(content)
        seal(folder, {key: value for key, value in read_json(folder / "manifest.json").items() if key != "files"})
        with pytest.raises(ArtifactError, match=r"the neighbour index .* is damaged"):
            Neighbours.open(folder)


def test_numbers_out_of_range(built: Path) -> None:
    with pytest.raises(ConfigError, match="k=0 is out of range"):
        Neighbours.open(built).nearest(["光"], k=0)


def test_the_most_frequent_terms_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "NGRAM_SIZES", (2, 2))
    monkeypatch.setattr(neighbours, "MAX_NGRAMS", 2)
    build_neighbours(*columns(["光电热", "电热", "热光"]), tmp_path / "x")
    assert read_json(tmp_path / "x" / "terms.json") == ["光电", "电热"]  # 光电 is as frequent as 热光, but before it


def test_no_text(built: Path) -> None:
    assert Neighbours.open(built).nearest([]) == []


def test_one_text_and_what_is_none(built):
    neighbours = Neighbours.open(built)
    assert neighbours.nearest("一种激光装置") == neighbours.nearest(iter(["一种激光装置"])) != []
    with pytest.raises(DataError, match="text 1 is None"):
        neighbours.nearest(["光", None])
    assert Neighbours.open(built).nearest([""]) == [[]]
    assert isinstance(Neighbours.open(built).nearest(["一种装置"], 1)[0][0], Neighbour)


def test_names_differ_by_what_decides() -> None:
    assert len({neighbours_fingerprint(*given) for given in (("c", "s"), ("c", "t"), ("d", "s"))}) == 3


def test_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents of many n-grams each: a question reads its own n-grams' lists and one group of rows."""
    monkeypatch.setattr(neighbours, "_ROW_GROUP", 64)
    monkeypatch.setattr(neighbours, "NGRAM_SIZES", (2, 2))
    rng = np.random.default_rng(3)
    alphabet = np.array([chr(0x4E00 + i) for i in range(300)])
    texts = ["".join(rng.choice(alphabet, 400)) for _ in range(1500)]
    build_neighbours(*columns(texts), tmp_path / "x")
    size = (tmp_path / "x" / "index.safetensors").stat().st_size
    index = Neighbours.open(tmp_path / "x")
    index.nearest(["暖机"])
    tracemalloc.start()
    found = index.nearest([texts[7][:30]])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0][0].document_id == "CN7"
    assert peak < size / 10
    numbers = [0, 63, 64, 65, 700, 1499]
    for number, (first,) in zip(numbers, index.nearest([texts[number] for number in numbers], k=1), strict=True):
        assert (first.document_id, first.title) == (f"CN{number}", f"标题{number}")


def test_threads_may_ask_at_once(built: Path, demo_texts: list[str]) -> None:
    index = Neighbours.open(built)
    alone = index.nearest(demo_texts[:20])
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(index.nearest, [[text] for text in demo_texts[:20]])
    assert [one for (one,) in found] == alone
