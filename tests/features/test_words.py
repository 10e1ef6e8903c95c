import json
import marshal
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.artifacts import find_damage, verify
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.features import segmentation, versions
from patent_hier.features.token_store import TokenStore
from patent_hier.features.words import (
    UNITS,
    WordReader,
    read_words,
    segment_corpus,
    segmentation_fingerprint,
    segmenter,
)

ODD = ["", " \t\u3000\n", "LED灯", "全角ＡＢＣ，１２３。", "PM2.5 浓度 1,000mg", "𠮷野家", "😀机器人", "\u200b零", "İ"]
TEXTS = ["一种发光二极管", "", "发光二极管驱动电路", "电路"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("本发明公开了一种发光二极管的制备方法", "本发明 公开 了 一种 发光 二极管 的 制备 方法"),
        ("LED 灯的 PM2.5，Wi-Fi", "led 灯 的 pm2.5 ， wi - fi"),
        ("全角ＡＢ，１２。", "全角 ａ ｂ ， １ ２ 。"),
        ("😀机器人", "😀 机器人"),
        (
            "他来到了网易杭研大厦",
            "他 来到 了 网易 杭研 大厦",
        ),  # 杭研 is not in the dictionary: the Markov model finds it
        (" \t\u3000\r\n", ""),
        ("", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert segmenter("words")(text) == expected.split()


def test_characters() -> None:
    assert segmenter("chars")("LED 灯，\u3000１😀\n") == ["l", "e", "d", "灯", "，", "１", "😀"]
    assert segmenter("chars")(" \n") == []


@pytest.mark.parametrize("unit", UNITS)
@given(text=st.one_of(st.text(), st.text("发明电路 aZ9１，.-%😀\n\u3000\u200b"), st.sampled_from(ODD)))
def test_nothing_but_white_space_is_lost(unit: str, text: str) -> None:
    found = segmenter(unit)(text)
    assert "".join(found) == "".join(text.lower().split())
    assert not any(word == "" or word.isspace() for word in found)


def test_unknown_units_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"features\.name=bytes .*words, chars"):
        segmenter("bytes")


def test_jieba_has_its_own_words_without_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jieba

    def forbidden(*_: object) -> None:
        raise AssertionError("marshal is not to be used")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reference = jieba.Tokenizer()
    expected = [list(reference.cut(text)) for text in TEXTS]
    assert [file.name for file in tmp_path.iterdir()] == ["jieba.cache"]  # what we avoid
    (tmp_path / "jieba.cache").unlink()

    for name in ("load", "dump"):
        monkeypatch.setattr(marshal, name, forbidden)
    monkeypatch.setattr(jieba.Tokenizer, "initialize", forbidden)
    segmentation.jieba_tokenizer.cache_clear()
    assert [segmenter("words")(text) for text in TEXTS] == expected
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_process_leaves_no_file_and_no_line(tmp_path: Path) -> None:
    code = "from patent_hier.features.words import segmenter; print(*segmenter('words')('发光二极管电路'))"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("发光 二极管 电路\n", "")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_layer_does_not_import_jieba() -> None:
    code = "import sys, patent_hier.features.words; print(sorted({'jieba', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- the segmented corpus


def test_corpus_in_the_order_of_first_occurrence(tmp_path: Path) -> None:
    segment_corpus([TEXTS[:3], TEXTS[3:]], "words", tmp_path)
    store = TokenStore.open(tmp_path)
    assert [store[i].tolist() for i in range(4)] == [[2, 3, 4], [], [3, 4, 5, 6], [6]]
    assert read_words(tmp_path) == ("一种", "发光", "二极管", "驱动", "电路")
    manifest = read_json(tmp_path / "manifest.json")
    facts = {"kind": "segmentation", "unit": "words", "dtype": "<u4", "documents": 4, "tokens": 8, "words": 5}
    assert {**facts, "empty_documents": 1}.items() <= manifest.items()
    assert find_damage(tmp_path) is None
    verify(tmp_path)


def test_documents_are_not_cut_and_batches_do_not_matter(tmp_path: Path) -> None:
    texts = ["甲乙" * 3000, *ODD, "丙甲"]
    for name, batches in (("one", [texts]), ("each", [[text] for text in texts])):
        (tmp_path / name).mkdir()
        segment_corpus(batches, "chars", tmp_path / name)
    files = ("ids.bin", "offsets.npy", "words.json")
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "each" / f).read_bytes() for f in files)
    store, words = TokenStore.open(tmp_path / "one"), read_words(tmp_path / "one")
    assert ["".join(words[i - 2] for i in store[row]) for row in range(len(store))] == [
        "".join(text.lower().split()) for text in texts
    ]


@pytest.mark.parametrize("batches", [[], [["", " \n"]]])
def test_a_corpus_without_words_is_one_line(tmp_path: Path, batches: list[list[str]]) -> None:
    with pytest.raises(DataError, match=rf"the {sum(map(len, batches))} texts .*data\.text"):
        segment_corpus(batches, "chars", tmp_path)


def test_fingerprint_depends_on_each_of_its_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {segmentation_fingerprint(*causes) for causes in (("a", "words"), ("b", "words"), ("a", "chars"))}
    assert len(names) == 3
    before = [segmentation_fingerprint("a", unit) for unit in UNITS]
    monkeypatch.setattr(versions, "version", lambda _: "99")
    after = [segmentation_fingerprint("a", unit) for unit in UNITS]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]  # jieba makes the words only
    monkeypatch.setattr(versions, "WORDS_VERSION", 99)
    assert segmentation_fingerprint("a", "chars") != before[1]


# --- the reader


def test_reader_encodes_cuts_and_never_gives_an_empty_document() -> None:
    reader = WordReader(("电路", "二极管"), "words", 3)
    store = reader.encode(["二极管驱动电路板", "", "电路电路电路电路", " \n"])
    assert [store[i].tolist() for i in range(4)] == [[3, 1, 1], [1], [2, 2, 2], [1]]
    assert reader.pad_id == 0


def test_reader_reads_as_the_corpus_was_segmented(tmp_path: Path, demo_texts: list[str]) -> None:
    segment_corpus([demo_texts], "words", tmp_path)
    corpus, read = TokenStore.open(tmp_path), WordReader(read_words(tmp_path), "words", 10**6).encode(demo_texts)
    assert all(corpus[i].tolist() == read[i].tolist() for i in range(len(demo_texts)))


@pytest.mark.parametrize("unit", UNITS)
def test_reader_saved_and_loaded(tmp_path: Path, unit: str) -> None:
    reader = WordReader(("电路", "😀", '"'), unit, 7)
    reader.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["reader.json", "words.json"]
    assert read_json(tmp_path / "reader.json") == {"unit": unit, "max_length": 7}
    assert WordReader.load(tmp_path) == reader


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reader.json", None),
        ("reader.json", "{"),
        ("reader.json", json.dumps([1])),
        ("reader.json", json.dumps({"unit": "bytes", "max_length": 7})),
        ("reader.json", json.dumps({"unit": "words", "max_length": 0})),
        ("reader.json", json.dumps({"unit": "words", "max_length": True})),
        ("reader.json", json.dumps({"unit": ["words"], "max_length": 7})),
        ("words.json", None),
        ("words.json", json.dumps({"电": 1})),
        ("words.json", json.dumps(["电", 1])),
        ("words.json", json.dumps(["电", "电"])),
    ],
)
def test_damaged_readers_are_one_line(tmp_path: Path, name: str, content: str | None) -> None:
    WordReader(("电路",), "words", 7).save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(ArtifactError) as caught:
        WordReader.load(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
