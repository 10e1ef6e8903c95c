import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from patent_hier.artifacts import find_damage, verify
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features import wordpiece
from patent_hier.features.pretrained import PACKAGED_ENCODERS, EncoderFiles
from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.features.wordpiece import WordPieceReader, encode_corpus, load_tokenizer, tokens_fingerprint

MAX_LENGTH = 64
ODD_TEXTS = [
    "",
    " \t\n",
    "。",
    "全角ＡＢＣ１２３（，。）",
    "PM2.5 of 1,000 mg/kg; TiO2",
    "ÀÉ ñandú naïve",
    "𠮷野家",
    "镕堃鑫垚",
    "①②③ ℃ ㎡",
    "[CLS] 文本 [SEP]",
    "a" * 300,
    "本发明" * 200,
    "\u200b零宽\ufeff",
    "日本語カタカナ",
    "😀",
]


@pytest.fixture(scope="module")
def texts(demo_texts: list[str]) -> list[str]:
    return [*ODD_TEXTS, *demo_texts]


@pytest.fixture
def folder(demo_files: EncoderFiles, texts: list[str], tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.mkdir()
    encode_corpus([texts[:7], texts[7:100], texts[100:]], load_tokenizer(demo_files, MAX_LENGTH), path)
    return path


@pytest.mark.parametrize("only_vocabulary", [False, True])
def test_ids_are_those_of_transformers(
    tiny_encoder: Path, texts: list[str], tmp_path: Path, only_vocabulary: bool
) -> None:
    from transformers import AutoTokenizer, BertTokenizerFast

    vocabulary = (tiny_encoder / "vocab.txt").read_text("utf-8").splitlines()
    if only_vocabulary:
        shutil.copyfile(tiny_encoder / "vocab.txt", tmp_path / "vocab.txt")
        reference = BertTokenizerFast(vocab={token: number for number, token in enumerate(vocabulary)})
        files = EncoderFiles(tmp_path, {}, False)
    else:
        reference = AutoTokenizer.from_pretrained(tiny_encoder)
        files = EncoderFiles(tiny_encoder, {}, True)
    expected = reference(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    found = [encoding.ids for encoding in load_tokenizer(files, MAX_LENGTH).encode_batch(texts)]
    assert len(texts) > 250
    assert found == expected
    assert max(map(len, found)) == MAX_LENGTH
    assert found[0] == [2, 3]


def test_a_cased_vocabulary_keeps_its_case(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nAB\nab\n")
    files = EncoderFiles(tmp_path, {}, False)
    assert load_tokenizer(files, 8).encode("AB").ids == [2, 6, 3]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert load_tokenizer(files, 8).encode("AB").ids == [2, 5, 3]


@pytest.mark.parametrize(("name", "content"), [("tokenizer.json", "{"), ("vocab.txt", "一\n二\n")])
def test_a_damaged_tokenizer_is_one_line(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_tokenizer(EncoderFiles(tmp_path, {}, False), 8)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_store_holds_what_the_tokenizer_gave(folder: Path, demo_files: EncoderFiles, texts: list[str]) -> None:
    store = TokenStore.open(folder)
    expected = [encoding.ids for encoding in load_tokenizer(demo_files, MAX_LENGTH).encode_batch(texts)]
    assert [store[i].tolist() for i in range(len(store))] == expected
    assert store.lengths.tolist() == [len(ids) for ids in expected]
    memory = TokenStore.from_documents(expected)
    assert all(np.array_equal(memory[i], store[i]) for i in range(len(store)))


def test_store_is_mapped_and_sealed(folder: Path, texts: list[str]) -> None:
    document = TokenStore.open(folder)[20]
    assert isinstance(document, np.memmap)
    assert not document.flags.writeable
    assert find_damage(folder) is None
    verify(folder)
    manifest = read_json(folder / "manifest.json")
    assert (manifest["documents"], manifest["dtype"]) == (len(texts), "<u2")
    assert manifest["tokens"] * 2 == (folder / "ids.bin").stat().st_size


def test_large_vocabularies_need_four_bytes(tmp_path: Path) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(70_000))]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    encode_corpus([["w69999"]], load_tokenizer(EncoderFiles(tmp_path, {}, False), 8), tmp_path)
    assert TokenStore.open(tmp_path)[0].tolist() == [2, 70_004, 3]


@pytest.mark.parametrize(
    ("name", "keep"), [("ids.bin", 100), ("ids.bin", 0), ("ids.bin", None), ("offsets.npy", 150), ("offsets.npy", 0)]
)
def test_truncated_files_are_one_line(folder: Path, name: str, keep: int | None) -> None:
    file = folder / name
    if keep is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ArtifactError) as caught:
        TokenStore.open(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pad_batch() -> None:
    store = TokenStore.from_documents([[2, 3], [2, 7, 8, 3], [2, 9, 3]])
    input_ids, attention_mask = pad_batch(store, [2, 0, 1], pad_id=5)
    assert input_ids.tolist() == [[2, 9, 3, 5], [2, 3, 5, 5], [2, 7, 8, 3]]
    assert attention_mask.tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert pad_batch(store, np.array([0]), 0)[0].tolist() == [[2, 3]]


def test_fingerprint_depends_on_each_of_its_causes() -> None:
    names = {tokens_fingerprint(*causes) for causes in (("a", "b", 1), ("x", "b", 1), ("a", "x", 1), ("a", "b", 2))}
    assert len(names) == 4


@pytest.mark.parametrize("max_length", [MAX_LENGTH, 5])
def test_fast_encoder_and_library_write_the_same_files(
    texts: list[str], max_length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = EncoderFiles(PACKAGED_ENCODERS / "small", {}, False)
    batches = [texts[:7], texts[7:100], texts[100:]]
    asked = _count_fast_encoders(monkeypatch)
    for name, fewest in (("library", 10**9), ("mixed", sum(map(len, texts[:100]))), ("fast", 0)):
        monkeypatch.setattr(wordpiece, "_FEWEST_CHARACTERS", fewest)
        (tmp_path / name).mkdir()
        encode_corpus(batches, load_tokenizer(files, max_length), tmp_path / name)
    assert len(asked) == 0 + 2 + 3
    expected = _contents(tmp_path / "library")
    assert set(expected) == {"ids.bin", "offsets.npy", "manifest.json"}
    assert _contents(tmp_path / "mixed") == _contents(tmp_path / "fast") == expected


def _contents(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def _count_fast_encoders(monkeypatch: pytest.MonkeyPatch) -> list[Tokenizer]:
    asked: list[Tokenizer] = []
    choose = wordpiece.fast_encoder
    monkeypatch.setattr(wordpiece, "fast_encoder", lambda tokenizer: asked.append(tokenizer) or choose(tokenizer))
    return asked


def test_few_texts_make_no_tables(demo_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _count_fast_encoders(monkeypatch)
    reader = WordPieceReader(demo_files, 8)
    few = reader.encode(["一种轴承", ""])
    assert not asked
    many = reader.encode(["一种轴承" * 1000] * 126)
    assert len(asked) == 1
    tokenizer = load_tokenizer(demo_files, 8)
    assert [few[i].tolist() for i in range(2)] == [tokenizer.encode(text).ids for text in ("一种轴承", "")]
    assert many[125].tolist() == tokenizer.encode("一种轴承" * 1000).ids
    assert few[0].dtype == many[0].dtype == np.uint32
    assert len(reader.encode([])) == 0


def test_a_tokenizer_of_another_kind_goes_through_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.enable_truncation(3)
    monkeypatch.setattr(wordpiece, "_FEWEST_CHARACTERS", 0)
    encode_corpus([["abab", "b"], ["aabbaab"]], tokenizer, tmp_path)
    store = TokenStore.open(tmp_path)
    assert [store[i].tolist() for i in range(3)] == [[2, 2], [1], [0, 2, 1]]
