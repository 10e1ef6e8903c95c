import json
import lzma
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from patent_hier.artifacts import verify
from patent_hier.atomic import read_json
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.features import new_vocabulary
from patent_hier.features.passages import is_held_out
from patent_hier.features.pretrained import locate
from patent_hier.features.text_digests import TextDigests
from patent_hier.models.encoder import load_encoder
from patent_hier.pipeline import pretrain as module
from patent_hier.pipeline.encoder_manifest import earlier_runs, portable_words
from patent_hier.pipeline.pretrain import pretrain
from patent_hier.pipeline.stages import load_parts
from patent_hier.settings import DataSettings, EncoderSettings, OptimizerSettings
from patent_hier.settings.pretraining import ArchitectureSettings, PretrainSettings, VocabularySettings
from tests.commands import write_csv
from tests.pieces import sentencepiece_encoder

SYMBOLS = {"A01B1/00": 40, "A23L1/00": 30, "B60K1/00": 30}
LINES = [f"第{number}种发光二极管LED电路，电压{number % 7}.5V" for number in range(60)]
SIZES = ArchitectureSettings(16, 2, 2, 32, 64, 0.1)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Lightning ignores Ctrl-C after the first one, for the rest of the process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "passages.txt.xz"
    file.write_bytes(lzma.compress("\n".join(LINES).encode()))
    return file


@pytest.fixture
def settings(tmp_path: Path, text: Path) -> PretrainSettings:
    return PretrainSettings(
        name="tiny",
        text=[str(text)],
        data=DataSettings("gazette", path="not read.csv"),
        architecture=SIZES,
        vocabulary=VocabularySettings(size=200, min_count=2),
        held_out=0.1,
        seq_len=16,
        batch_size=2,
        max_steps=4,
        steps_per_round=2,
        optimizer=OptimizerSettings(lr=1e-2),
        num_threads=1,
        accelerator="cpu",
        runs_dir=str(tmp_path / "runs"),
        cache_dir=str(tmp_path / "cache"),
        progress=False,
    )


def card(folder: Path, manifest: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
    assert (folder / "model.safetensors").is_file()
    (folder / "README.md").write_text(manifest["name"], "utf-8")


def make(settings: PretrainSettings, words: Sequence[str] = ()) -> Path:
    return pretrain(settings, words, card)


def test_the_folder_of_an_encoder(settings: PretrainSettings, text: Path, tmp_path: Path) -> None:
    folder = make(settings, ["max_steps=4", f"text=[{text}]", f"runs_dir={tmp_path}"])
    assert folder.parent == tmp_path / "runs" / "encoders"
    assert folder.name.startswith("tiny-")
    names = {"README.md", "config.json", "config.yaml", "history.json", "manifest.json", "model.safetensors"}
    names |= {"text_digests.npy"}
    assert {file.name for file in folder.iterdir()} == names | {"tokenizer.json", "vocab.txt", "tokenizer_config.json"}
    verify(folder)
    manifest = read_json(folder / "manifest.json")
    held_out = [line for line in LINES if is_held_out(line, 0.1)]
    assert manifest["text"]["passages"] == {"training": 60 - len(held_out), "held_out": len(held_out)}
    assert manifest["text"]["characters"] == sum(map(len, LINES))
    (source,) = manifest["text"]["sources"]
    assert (source["file"], source["bytes"]) == ("passages.txt.xz", text.stat().st_size)
    assert TextDigests.open(folder).find(LINES)[0].all()  # type: ignore[union-attr]  # it is there
    assert manifest["text_digests"]["complete"] is True
    vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    config = read_json(folder / "config.json")
    assert manifest["vocabulary"] == config["vocab_size"] == len(vocabulary) <= 200
    history = read_json(folder / "history.json")
    assert [row["step"] for row in history] == [0, 2, 4]
    assert manifest["dev"] == {key: history[-1][key] for key in ("dev/loss", "dev/accuracy")}
    assert manifest["training"]["steps"] == 4
    assert manifest["training"]["peak_memory_bytes"] > 10**6
    written = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    assert (written["text"], written["max_steps"], written["seq_len"]) == (["passages.txt.xz"], 4, 16)
    assert manifest["environment"]["command"] == ["patent-hier", "pretrain", "max_steps=4", "text=[passages.txt.xz]"]
    for name in ("README.md", "config.yaml", "manifest.json", "config.json", "tokenizer_config.json"):
        assert str(tmp_path) not in (folder / name).read_text("utf-8")
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.float16}
    assert [file.name for file in (tmp_path / "cache" / "pretraining").iterdir()] == [".locks"]  # no state


def test_made_once(settings: PretrainSettings, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(settings)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    capsys.readouterr()
    shutil.rmtree(settings.cache_dir)
    without_influence: dict[str, Any] = {
        "num_threads": None,
        "accelerator": "auto",
        "progress": True,
        "data": DataSettings("x"),
    }
    assert make(replace(settings, **without_influence)) == folder
    assert capsys.readouterr().out == f"tiny: already finished  {folder}\n"
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    renamed = text.rename(text.with_name("other.txt.xz"))
    assert make(replace(settings, text=[str(renamed)])) == folder  # the same content under another name
    (folder / "vocab.txt").unlink()
    with pytest.raises(ArtifactError, match="damaged"):
        make(replace(settings, text=[str(renamed)]))


def test_what_decides_the_name(settings: PretrainSettings, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def stop(folder: Path) -> None:
        names.append(folder.name)
        raise LookupError

    monkeypatch.setattr(module, "_ensure_packed", lambda *_: Path())
    monkeypatch.setattr(module, "atomic_folder", stop)

    def name(**changes: Any) -> str:
        with pytest.raises(LookupError):
            make(replace(settings, **changes))
        return names[-1].rpartition("-")[2]

    other = text.with_name("other.txt")
    other.write_text("\n".join(LINES), "utf-8")
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 2},
        {"max_steps": 5},
        {"max_time": 1.0},
        {"held_out": 0.2},
        {"half": False},
        {"dropout": 0.1},
        {"steps_per_round": 3},
        {"precision": "bf16-mixed"},
        {"architecture": replace(SIZES, hidden_size=32)},
        {"vocabulary": VocabularySettings(size=150, min_count=2)},
        {"optimizer": OptimizerSettings(lr=1e-3)},
        {"text": [str(text), str(text)]},
        {"text": [str(other)]},
    ]
    found = [name(**change) for change in changes]
    assert len(set(found)) == len(changes)
    assert name(name="renamed") == found[0]


@pytest.mark.parametrize("error", [RuntimeError("killed"), KeyboardInterrupt()], ids=["killed", "ctrl-c"])
def test_an_interrupted_run_leaves_its_state_and_no_folder(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    whole = make(replace(settings, runs_dir=str(tmp_path / "whole"), cache_dir=str(tmp_path / "whole cache")))

    def stop(line: str) -> None:
        if line.startswith("step 4"):
            raise error

    monkeypatch.setattr(module, "say", stop)
    with pytest.raises(type(error)):
        make(replace(settings, progress=True))
    assert [path.name for path in (tmp_path / "runs" / "encoders").iterdir()] == [".locks"]
    (state,) = (tmp_path / "cache" / "pretraining").glob("*/state.ckpt")
    lines: list[str] = []
    monkeypatch.setattr(module, "say", lines.append)
    folder = make(settings)
    assert "continuing after step 2" in lines
    assert not state.parent.exists()
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_only_the_training_part_of_a_corpus_is_read(settings: PretrainSettings, tmp_path: Path) -> None:
    raw = write_csv(tmp_path / "raw.csv", SYMBOLS)
    data = DataSettings("gazette", path=str(raw), text=["摘要"])
    folder = make(replace(settings, text=[], data=data))
    (corpus_folder,) = (tmp_path / "cache" / "corpora").glob("gazette-*")
    (split,) = (tmp_path / "cache" / "splits").glob("random-*")
    corpus = Corpus.open(corpus_folder)
    texts = [text for batch in corpus.iter_texts() for text in batch]
    training = [text for text, part in zip(texts, load_parts(corpus, split), strict=True) if part == TRAIN]
    assert 0 < len(training) < len(texts) == 100
    manifest = read_json(folder / "manifest.json")
    assert sum(manifest["text"]["passages"].values()) == len(training)
    assert manifest["text"]["characters"] == sum(map(len, training))
    assert manifest["text"]["sources"] == [
        {"corpus": "gazette", "fingerprint": corpus.fingerprint, "split": split.name, "part": "train"}
    ]
    assert str(tmp_path) not in (folder / "manifest.json").read_text() + (folder / "config.yaml").read_text()


def test_a_vocabulary_that_is_given(settings: PretrainSettings, tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"发光二极管电路种第压，.", "led", "v", "5"]
    file.write_text("\n".join(tokens) + "\n", "utf-8")
    given = replace(settings, vocabulary=VocabularySettings(path=str(file)))
    folder = make(given)
    assert new_vocabulary.read_vocabulary(folder / "vocab.txt") == tokens
    assert read_json(folder / "config.json")["vocab_size"] == len(tokens)
    assert str(tmp_path) not in (folder / "manifest.json").read_text() + (folder / "config.yaml").read_text()
    file.write_text("\n".join([*tokens, "极"]) + "\n", "utf-8")
    with pytest.raises(ConfigError, match="lists 极 more than once"):
        make(given)
    with pytest.raises(ConfigError, match=r"vocabulary\.path=.*missing.txt cannot be read"):
        make(replace(given, vocabulary=VocabularySettings(path=str(tmp_path / "missing.txt"))))


# --- an encoder that is trained further


def test_training_further(settings: PretrainSettings, tiny_encoder: Path, tmp_path: Path) -> None:
    given = replace(settings, start=str(tiny_encoder), optimizer=OptimizerSettings(lr=1e-4), half=False)
    folder = make(given)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        assert (folder / name).read_bytes() == (tiny_encoder / name).read_bytes()
    before, after = (load_file(path / "model.safetensors") for path in (tiny_encoder, folder))
    key = "encoder.layer.0.output.dense.weight"
    change = (after[f"bert.{key}"] - before[key]).abs().max()
    assert 0 < change < 1e-3  # four steps of at most 1e-4: it began from there
    manifest = read_json(folder / "manifest.json")
    assert manifest["start"] == "tiny-bert"
    assert not {"architecture", "vocabulary"} & manifest["content"].keys()
    assert str(tiny_encoder) not in (folder / "manifest.json").read_text() + (folder / "config.yaml").read_text()
    sizes = ArchitectureSettings(48, 1, 3, 7, 16, 0.3)
    assert make(replace(given, architecture=sizes, vocabulary=VocabularySettings(size=300))) == folder
    # Its result can be trained further in turn, under another name for other weights.
    again = make(replace(given, start=str(folder), max_steps=1, num_threads=None))
    assert again != folder
    assert manifest["before"] == []  # what the tiny encoder has been through is not known
    (run,) = read_json(again / "manifest.json")["before"]
    assert run == earlier_runs(folder)[-1]
    assert (run["steps"], run["dev/loss"]) == (manifest["training"]["steps"], manifest["dev"]["dev/loss"])
    assert len(earlier_runs(again)) == 2


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta"])
def test_training_an_encoder_with_a_sentencepiece_vocabulary_further(
    settings: PretrainSettings, tmp_path: Path, model_type: str
) -> None:
    start = sentencepiece_encoder(tmp_path / "start", model_type)
    given = replace(settings, start=str(start), optimizer=OptimizerSettings(lr=1e-2), max_steps=20, steps_per_round=20)
    folder = make(given)
    losses = [row["dev/loss"] for row in read_json(folder / "history.json")]
    assert losses[-1] < losses[0] - 0.5
    assert (folder / "tokenizer.json").read_bytes() == (start / "tokenizer.json").read_bytes()
    assert read_json(folder / "manifest.json")["text_digests"]["complete"] is False  # the start has no digests
    files = locate(EncoderSettings("further", str(folder), max_length=32), tmp_path)
    load_encoder(files, pretrained=True, frozen=True)  # all weights are there, the head aside
    digests = TextDigests.open(make(replace(given, start=str(folder), max_steps=1)))
    assert digests is not None
    assert len(digests) == len(TextDigests.open(folder) or ())
    facts = json.loads((start / "tokenizer_config.json").read_text())
    (start / "tokenizer_config.json").write_text(json.dumps({**facts, "mask_token": "<hide>"}))
    assert '"mask_token": "NAME" to tokenizer_config.json' in refusal(given)


def refusal(settings: PretrainSettings, kind: type[Exception] = ConfigError) -> str:
    with pytest.raises(kind) as caught:
        make(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_starts_that_cannot_be_used(settings: PretrainSettings, tiny_encoder: Path, tmp_path: Path) -> None:
    message = refusal(replace(settings, start=str(tiny_encoder), seq_len=513))
    assert message == "seq_len=513 is more than the encoder's 512 positions; lower it"
    (tmp_path / "empty").mkdir()
    assert "point start at a transformers folder" in refusal(replace(settings, start=str(tmp_path / "empty")))
    copy = Path(shutil.copytree(tiny_encoder, tmp_path / "copy"))
    facts = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**facts, "is_decoder": True}))
    assert "is a decoder" in refusal(replace(settings, start=str(copy)))
    (copy / "config.json").write_text(json.dumps({**facts, "vocab_size": 100}))
    assert "vocab_size 100" in refusal(replace(settings, start=str(copy)))
    (copy / "config.json").write_text(json.dumps(facts))
    lines = (copy / "vocab.txt").read_text("utf-8").replace("[MASK]", "[HIDE]")
    (copy / "vocab.txt").write_text(lines, "utf-8")
    (copy / "tokenizer.json").unlink()
    assert "has no mask_token ([MASK] or <mask>)" in refusal(replace(settings, start=str(copy)))


def test_texts_that_cannot_be_used(settings: PretrainSettings, tmp_path: Path) -> None:
    assert "missing.txt" in refusal(replace(settings, text=[str(tmp_path / "missing.txt")]))
    (tmp_path / "a.csv").write_text("x")
    assert "does not end in .txt, .xz, .gz, .parquet" in refusal(replace(settings, text=[str(tmp_path / "a.csv")]))
    for content, named in ((b"", "no character"), ("发".encode("gb18030"), "UTF-8"), ("发光".encode(), "held")):
        (tmp_path / "b.txt").write_bytes(content)
        assert named in refusal(replace(settings, text=[str(tmp_path / "b.txt")]), DataError)
    assert [path.name for path in (tmp_path / "runs" / "encoders").iterdir()] == [".locks"]


def test_words_of_the_command_without_folders(tmp_path: Path) -> None:
    for name in ("a b.txt", "c.xz", "v.txt", "d.csv"):
        (tmp_path / name).touch()
    words = [
        f"text=['{tmp_path}/a b.txt',{tmp_path / 'c.xz'}]",
        f"++vocabulary.path={tmp_path / 'v.txt'}",
        f"data.path={tmp_path / 'd.csv'}",
        f"start={tmp_path}",
        "start=hfl/chinese-macbert-base",
        f"+runs_dir={tmp_path}",
        f"cache_dir={tmp_path}",
        "optimizer.lr=1e-4",
    ]
    assert portable_words(words) == [
        "text=['a b.txt',c.xz]",
        "vocabulary.path=v.txt",
        "data.path=d.csv",
        f"start={tmp_path.name}",
        "start=hfl/chinese-macbert-base",
        "optimizer.lr=1e-4",
    ]
