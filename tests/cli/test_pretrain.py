import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from patent_hier.atomic import read_json
from patent_hier.features.passages import is_held_out
from tests.commands import TINY, Outcome, command

SIZES = (
    "architecture.hidden_size=16",
    "architecture.num_hidden_layers=2",
    "architecture.num_attention_heads=2",
    "architecture.intermediate_size=32",
)
STEPS = ("max_steps=3", "steps_per_round=2", "seq_len=16", "batch_size=2", "held_out=0.1", "num_threads=1")
LINES = [f"第{number}种发光二极管LED电路" for number in range(60)]


def pretrain(folder: Path, *words: object) -> Outcome:
    where = (f"runs_dir={folder / 'runs'}", f"cache_dir={folder / 'cache'}")
    return command("pretrain", "accelerator=cpu", *SIZES, *STEPS, *where, *words)


def made(outcome: Outcome) -> Path:
    assert (outcome.status, outcome.err) == (0, "")
    found = re.fullmatch(r"encoder: (.*)", outcome.out.splitlines()[-1])
    assert found is not None
    return Path(found[1])


def write_text(folder: Path) -> Path:
    file = folder / "passages.txt"
    file.write_text("\n".join(LINES), "utf-8")
    return file


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(shared: Path) -> Outcome:
    """On the training part of the demo corpus."""
    return pretrain(shared, "data.rows=400")


@pytest.fixture(scope="module")
def encoder(first: Outcome) -> Path:
    return made(first)


def test_the_demo_corpus(first: Outcome, encoder: Path, shared: Path) -> None:
    found = re.search(r"split by policy random: train (\d+), val", first.out)
    assert found is not None
    manifest = read_json(encoder / "manifest.json")
    assert sum(manifest["text"]["passages"].values()) == int(found[1]) < 400
    assert "step 0  " in first.out
    assert "step 3  " in first.out
    assert encoder.parent == shared / "runs" / "encoders"
    for file in encoder.iterdir():
        if file.suffix in (".md", ".yaml", ".json", ".txt", ".svg"):
            assert str(shared) not in file.read_text("utf-8"), file.name
            assert str(Path(__file__).parents[2]) not in file.read_text("utf-8"), file.name
    card = (encoder / "README.md").read_text("utf-8")
    assert f"patent-hier pretrain accelerator=cpu {' '.join(SIZES)} {' '.join(STEPS)} data.rows=400\n" in card


def test_made_once_and_another_for_another_seed(encoder: Path, shared: Path) -> None:
    again = pretrain(shared, "data.rows=400")
    assert again.out.splitlines() == [f"encoder: already finished  {encoder}", f"encoder: {encoder}"]
    other = made(pretrain(shared, "data.rows=400", "seed=2", "max_steps=1"))
    assert other != encoder


def test_text_files_and_an_encoder_trained_further(encoder: Path, shared: Path, tmp_path: Path) -> None:
    text = write_text(tmp_path)
    words = (f"text=[{text}]", f"start={encoder}", "name=further", "optimizer.lr=5e-5")
    further = made(pretrain(tmp_path, *words))
    assert further.name.startswith("further-")
    assert (further / "vocab.txt").read_bytes() == (encoder / "vocab.txt").read_bytes()
    manifest = read_json(further / "manifest.json")
    assert sum(manifest["text"]["passages"].values()) == 60
    assert manifest["text"]["passages"]["held_out"] == sum(is_held_out(line, 0.1) for line in LINES)
    assert manifest["start"] == encoder.name
    assert made(pretrain(tmp_path, *words, "architecture.num_hidden_layers=7")) == further
    assert f"| trained further from | {encoder.name} |" in (further / "README.md").read_text("utf-8")
    for name in ("README.md", "config.yaml", "manifest.json"):
        content = (further / name).read_text("utf-8")
        assert str(tmp_path) not in content
        assert str(shared) not in content


def test_a_classifier_is_trained_from_it(encoder: Path, shared: Path, tmp_path: Path) -> None:
    sizes = [word for word in TINY if not word.startswith("encoder") or "max_length" in word]
    where = (f"runs_dir={tmp_path / 'runs'}", f"cache_dir={shared / 'cache'}")
    named = ("encoder=folder", f"encoder.path={encoder}")
    outcome = command("run", "model=bertcnn", "level=flat", *named, *sizes, *where)
    assert (outcome.status, outcome.err) == (0, "")
    (config,) = (tmp_path / "runs" / "bertcnn").glob("flat-*/**/encoder_config.json")
    assert read_json(config)["hidden_size"] == 16
    # It has read the training part, in which some texts of the test part stand too; result and audit say so.
    (result,) = (tmp_path / "runs" / "bertcnn").glob("result-flat-*")
    read = read_json(result / "result.json")["inputs"]["read_before"]
    assert 0 < read["passages"] < read["documents"] / 4
    assert read["complete"] is True
    said = f"Encoder folder: {read['passages']} of {read['documents']} test documents are a passage of the text that it"
    assert said in outcome.out
    assert said in (result / "result.md").read_text("utf-8")
    audited = command("audit", "data.rows=400", *named, *where)
    assert said in audited.out
    (audit,) = (tmp_path / "runs").glob("audit-*/audit.json")
    assert read_json(audit)["encoder"] == {"name": "folder", **read}
    assert "Encoder" not in command("audit", "data.rows=400", "encoder=demo", *where).out


def test_its_vocabulary_is_cut_and_its_text_recorded(encoder: Path, tmp_path: Path) -> None:
    text, output = write_text(tmp_path), tmp_path / "trimmed"
    outcome = command("trim-encoder", encoder, "--text", text, "--output", output)
    assert (outcome.status, outcome.err) == (0, "")
    manifest = read_json(output / "manifest.json")
    assert f"{len(LINES)} of {len(LINES)} lines have the same tokens as before" in outcome.out
    assert manifest["text_digests"] == read_json(encoder / "manifest.json")["text_digests"]
    assert f"the encoder {encoder.name} with a smaller vocabulary" in (output / "README.md").read_text("utf-8")
    assert command("trim-encoder", encoder, "--text", text).err.count("\n") == 1
    refused = command("text-digests", output, "--text", text)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "is not an encoder made by patent-hier pretrain" in refused.err
    new = made(pretrain(tmp_path, f"text=[{text}]"))
    before = {file.name: file.read_bytes() for file in new.iterdir()}
    assert command("text-digests", new, "--text", text).status == 0  # the same once more
    assert {file.name for file in new.iterdir() if file.read_bytes() != before[file.name]} == set()


def test_transformers_alone_can_use_it(encoder: Path, tmp_path: Path) -> None:
    """As its card says, where this project cannot be imported and there is no network."""
    card = (encoder / "README.md").read_text("utf-8")
    found = re.search(r"```python\n(.*?)```", card, re.S)
    assert found is not None
    code = (
        "import sys; sys.modules['patent_hier'] = None\n"
        + found[1].replace("FOLDER", str(encoder))
        + "out = encoder(**tokenizer('一种LED电路', return_tensors='pt')).last_hidden_state\n"
        "print(*out.shape, out.dtype, bool(out.isfinite().all()))\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HF_"))}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        env={**environment, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"1 \d+ 16 torch.float32 True\n", done.stdout)
    assert "MISSING" not in done.stderr
    assert "newly initialized" not in done.stderr


# words -> exit status, and what the one line must name
MISTAKES = [
    (("max_steps=null",), 2, "pre-training needs a limit; set max_steps=NUMBER or max_time=MINUTES"),
    (("max_step=3",), 2, "did you mean max_steps"),
    (("architecture.layers=3",), 2, "architecture.layers"),
    (("text=a.txt",), 2, "text"),
    (("text=[nowhere.txt]",), 2, "nowhere.txt"),
    (("text=[bad.txt]",), 1, "UTF-8"),
    (("text=[cut.xz]",), 1, "cut.xz cannot be read"),
    (("data=gazette", "data.path=nowhere.csv"), 1, "nowhere.csv"),
    (("architecture.num_attention_heads=3",), 2, "num_attention_heads=3 does not divide"),
    (("seq_len=4096",), 2, "seq_len=4096"),
    (("text=[good.txt]", "start=ENCODER", "seq_len=600"), 2, "seq_len=600 is more than the encoder's 512 positions"),
    (("text=[good.txt]", "start=nowhere/at/all"), 2, "start=nowhere/at/all"),
    (("text=[good.txt]", "start=."), 2, "config.json"),
    (("text=[good.txt]", "vocabulary.path=nowhere.txt"), 2, "vocabulary.path=nowhere.txt"),
    (("text=[good.txt]", "accelerator=gpu"), 2, "accelerator=gpu"),
    (("runs_dir=good.txt/runs", "text=[good.txt]"), 1, "good.txt/runs"),
    (("--fast",), 2, "--fast"),
]


@pytest.mark.parametrize(("words", "status", "named"), MISTAKES, ids=lambda value: str(value)[:40])
def test_mistakes_are_one_line(
    words: tuple[str, ...],
    status: int | None,
    named: str,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path).rename(tmp_path / "good.txt")
    (tmp_path / "bad.txt").write_bytes("发光".encode("gb18030"))
    (tmp_path / "cut.xz").write_bytes(b"\xfd7zXZ\x00\x00")
    outcome = pretrain(tmp_path, *(word.replace("ENCODER", str(encoder)) for word in words))
    assert outcome.status == status, outcome
    assert outcome.err.startswith("error: ")
    assert named in outcome.err
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.out
    assert "unexpected" not in outcome.err


def test_help() -> None:
    outcome = command("pretrain", "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert "usage: patent-hier pretrain" in outcome.out
    assert "pretrain" in command("--help").out


def test_help_and_refusals_are_quick() -> None:
    code = (
        "import sys; from patent_hier.cli.main import main; main(['pretrain', '--help']); main(['pretrain', 'x=1']);"
        "import patent_hier.pipeline.pretrain;"
        "print(sorted({'torch', 'transformers', 'pytorch_lightning', 'jieba'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stderr.splitlines()[-1] == "[]"
