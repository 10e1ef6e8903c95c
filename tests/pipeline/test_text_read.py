from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from patent_hier.artifacts import MANIFEST, file_digest, seal, verify
from patent_hier.atomic import read_json, write_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TEST
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features.pretrained import PACKAGED_ENCODERS
from patent_hier.features.text_digests import DIGESTS_FILE, TextDigests
from patent_hier.pipeline.inputs import find_inputs
from patent_hier.pipeline.stages import ensure_corpus, ensure_split, load_parts, split_plan
from patent_hier.pipeline.text_read import ReadBefore, add_digests, joined_digests, read_before
from patent_hier.settings import DemoDataSettings, EncoderSettings, SplitSettings
from tests.pipeline.conftest import change, make_settings


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Corpus, Path, list[str]]:
    """A corpus, its split, and the texts of the test part."""
    settings = make_settings(tmp_path)
    raw, cache = tmp_path / "raw.csv", Path(settings.cache_dir)
    raw.write_bytes(raw.read_bytes().replace("编号".encode("gb18030"), "激光测距装置的编号".encode("gb18030")))
    corpus = ensure_corpus(settings.data, cache)
    split = ensure_split(corpus, split_plan(settings.split), cache)
    texts = [text for batch in corpus.iter_texts() for text in batch]
    return corpus, split, [text for text, part in zip(texts, load_parts(corpus, split), strict=True) if part == TEST]


def encoder(folder: Path, passages: list[str], complete: bool = True) -> Path:
    folder.mkdir()
    TextDigests.of([passages]).save(folder)
    seal(folder, {"kind": "encoder", "text_digests": {"count": len(passages), "complete": complete}})
    return folder


def test_test_documents_that_were_read(corpus: tuple[Corpus, Path, list[str]], tmp_path: Path) -> None:
    own, split, texts = corpus
    distinct = list(dict.fromkeys(texts))
    passages = [distinct[0], f"前面的话，{distinct[1]}。后面的话"]
    found = read_before(encoder(tmp_path / "encoder", passages), own, split, tmp_path / "cache")
    counts = texts.count(distinct[0]), texts.count(distinct[1])
    assert found == ReadBefore(len(texts), *counts, complete=True)
    assert read_before(tmp_path, own, split, tmp_path / "cache") is None
    more = encoder(tmp_path / "more", distinct, complete=False)
    assert read_before(more, own, split, tmp_path / "cache") == ReadBefore(len(texts), len(texts), 0, complete=False)


def test_only_pretrained_weights_have_read_anything(
    corpus: tuple[Corpus, Path, list[str]], tiny_encoder: Path, tmp_path: Path
) -> None:
    own, split, texts = corpus
    settings = make_settings(tmp_path)
    folder = tmp_path / "further"
    folder.mkdir()
    for file in tiny_encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    named = EncoderSettings("mine", str(folder), max_length=32)
    plain = find_inputs(change(settings, encoder=named))
    assert plain.read_before(own, split) == {}
    TextDigests.of([texts]).save(folder)
    expected = {"documents": len(texts), "passages": len(texts), "within": 0, "complete": False}
    assert plain.read_before(own, split) == {"read_before": expected}
    assert find_inputs(change(settings, encoder=replace(named, pretrained=False))).read_before(own, split) == {}


def test_the_words() -> None:
    assert ReadBefore(3148, 0, 12, True).in_words("small") == (
        "Encoder small: 0 of 3,148 test documents are a passage of the text that it has read; 12 more occur in "
        "passages clause by clause (clauses of 6 letters or more)."
    )
    partly = ReadBefore(9, 1, 0, False).in_words("e5")
    assert "in its further training (its earlier training text is not recorded)" in partly


def test_digests_of_an_encoder_that_is_trained_further(tmp_path: Path) -> None:
    own, other = TextDigests.of([["今天所读的文字"]]), ["从前所读的文字"]
    assert joined_digests(own, None)[1] == {"count": 2, "complete": True}
    assert joined_digests(own, tmp_path)[1] == {"count": 2, "complete": False}  # others' encoders: nobody knows
    digests, facts = joined_digests(own, encoder(tmp_path / "known", other))
    assert facts == {"count": 4, "complete": True}
    assert digests.find(["从前所读的文字", "今天所读的文字"])[0].all()
    assert joined_digests(own, encoder(tmp_path / "partly", other, complete=False))[1]["complete"] is False


def card(folder: Path, manifest: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
    (folder / "README.md").write_text(f"{manifest['text_digests']['count']} {history[0]['step']}")


def finished_encoder(folder: Path, sources: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "README.md").write_text("old")
    write_json(folder / "history.json", [{"step": 0}])
    training = {"tokens": 1, "steps": 1, "seconds": 1.0, "device": "cpu"}
    environment = {"date": "2026", "command": []}
    facts = {"training": training, "dev": {}, "environment": environment, "text": {"sources": sources}}
    seal(folder, {"kind": "encoder", "name": "old", **facts})
    return folder


def test_digests_are_added_to_a_finished_encoder(tmp_path: Path) -> None:
    text, further = tmp_path / "a.txt", tmp_path / "b.txt"
    text.write_text("一种激光测距装置\n电路的控制方法", "utf-8")
    further.write_text("从前所读的文字", "utf-8")
    folder = finished_encoder(tmp_path / "done", [{"file": "a.txt", "sha256": file_digest(text)}])
    with pytest.raises(ConfigError, match=r"has read 'a\.txt', which is not among the texts"):
        add_digests(folder, [further], card)
    assert add_digests(folder, [text, further], card) == 6
    verify(folder)
    manifest = read_json(folder / MANIFEST)
    assert manifest["text_digests"] == {"count": 6, "complete": True}
    assert (folder / "README.md").read_text() == "6 0"
    assert TextDigests.open(folder).find(["激光测距装置"])[1].all()  # type: ignore[union-attr]  # it is there
    (folder / "README.md").write_text("changed")
    with pytest.raises(ArtifactError, match="damaged"):
        add_digests(folder, [text, further], card)
    with pytest.raises(ConfigError, match="is not an encoder made by patent-hier pretrain"):
        add_digests(tmp_path, [text], card)


SHIPPED = [folder for folder in sorted(PACKAGED_ENCODERS.iterdir()) if (folder / DIGESTS_FILE).is_file()]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_encoder_has_read_no_test_document_of_the_demo(folder: Path, tmp_path: Path) -> None:
    digests, manifest = TextDigests.open(folder), read_json(folder / MANIFEST)
    assert digests is not None
    assert manifest["text_digests"] == {"count": len(digests), "complete": True}
    assert len(digests) > sum(manifest["text"]["passages"].values()) / len(manifest["text"]["sources"])
    corpus = ensure_corpus(DemoDataSettings(rows=600), tmp_path)
    split = ensure_split(corpus, split_plan(SplitSettings()), tmp_path)
    found = read_before(folder, corpus, split, tmp_path)
    assert found is not None
    assert found.documents > 50
    assert (found.passages, found.within) == (0, 0)
