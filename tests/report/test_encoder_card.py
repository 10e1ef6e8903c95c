import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from patent_hier.report.encoder_card import write_card, write_trimmed_card
from patent_hier.report.figures import loss_curve

MANIFEST: dict[str, Any] = {
    "name": "small",
    "text": {
        "sources": [
            {"file": "a.txt.xz", "bytes": 1_234_567, "sha256": "ab" * 32},
            {"corpus": "gazette", "fingerprint": "0123456789ab", "split": "random-77", "part": "train"},
        ],
        "passages": {"training": 990, "held_out": 10},
        "tokens": {"training": 2_500_000, "held_out": 30_000},
        "characters": 3_100_000,
    },
    "vocabulary": 8192,
    "training": {
        "steps": 1200, "tokens": 4_915_200, "seconds": 630.0, "tokens_per_second": 7801.9, "passes": 1.97,
        "parameters": 7_123_456, "device": "cpu", "precision": "bf16-mixed", "threads": 1,
    },
    "dev": {"dev/loss": 2.3456, "dev/accuracy": 0.5123},
    "start": None,
    "content": {
        "half": True, "batch_size": 32, "seq_len": 128, "masking": {"share": 0.15, "whole_words": True},
        "optimizer": {"lr": 7e-4, "name": "adamw"},
    },
    "environment": {
        "date": "2026-01-02T03:04:05+00:00", "platform": "Linux", "cpus": 2, "python": "3.11.7",
        "packages": {"torch": "2.13.0", "transformers": "5.23.0"}, "patent_hier": "0.1.0", "git_commit": "abc+",
        "command": ["patent-hier", "pretrain", "text=[a b.xz,c.xz]", "max_time=60"],
    },
}  # fmt: skip


def history(rounds: int) -> list[dict[str, float]]:
    first = {"step": 0, "tokens": 0, "seconds": 0.0, "dev/loss": 9.04, "dev/accuracy": 0.001}
    later = [
        {"step": 300 * n, "tokens": 1_228_800 * n, "dev/loss": 8 / n, "dev/accuracy": n / 100, "train/loss": 9 / n}
        for n in range(1, rounds + 1)
    ]
    return [first, *later]


def card(folder: Path, manifest: dict[str, Any] = MANIFEST, rounds: int = 4, model_type: str = "bert") -> str:
    (folder / "model.safetensors").write_bytes(bytes(15_650_000))
    sizes = {"num_hidden_layers": 6, "hidden_size": 256, "num_attention_heads": 4, "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, **sizes}))
    write_card(folder, manifest, history(rounds))
    return (folder / "README.md").read_text("utf-8")


def test_what_a_card_says(tmp_path: Path) -> None:
    text = card(tmp_path)
    for line in (
        "# small",
        "| architecture | bert, 6 layers, hidden size 256, 4 heads, up to 512 tokens |",
        "| parameters | 7.12 M (with the head that predicts hidden tokens) |",
        "| weights | 15.7 MB, float16, safetensors |",
        "| vocabulary | 8,192 tokens |",
        "| held-out text | loss 2.346 nats per hidden token, 51.2% of them predicted |",
        f"- a.txt.xz, 1,234,567 bytes, SHA-256 `{'ab' * 32}`",
        "- corpus gazette `0123456789ab`, part train of `random-77`",
        "| tokens read | 4.92 M, 1.97 passes, 1,200 steps |",
        "| batch | 32 rows of 128 tokens |",
        "| hidden tokens | 15% of the words (as jieba segments them) |",
        "| learning rate | 0.0007, adamw |",
        "| time | 10.5 minutes, 7,802 tokens/s |",
        "| device | cpu, 1 thread(s), precision bf16-mixed |",
        "| 0 | 0.00 | – | 9.040 | 0.1% |",
        "| 1,200 | 4.92 | 2.250 | 2.000 | 4.0% |",
        "patent-hier pretrain 'text=[a b.xz,c.xz]' max_time=60",
    ):
        assert line in text.splitlines()
    assert "1,000 passages with 3.10 M characters; 2.50 M training tokens, 30,000 held-out tokens." in text
    assert "![Loss by tokens read](loss_curve.svg)" in text


def test_an_encoder_that_was_trained_further(tmp_path: Path) -> None:
    manifest = deepcopy(MANIFEST)
    manifest["start"] = "hfl/chinese-macbert-base"
    manifest["content"] |= {"half": False, "masking": {"share": 0.2, "whole_words": False}}
    text = card(tmp_path, manifest)
    assert "| trained further from | hfl/chinese-macbert-base |" in text
    assert "| architecture | bert, 6 layers" in text
    assert "float32, safetensors" in text
    assert "| hidden tokens | 20% of the tokens |" in text


def test_the_runs_before_are_told_with_the_tokens_of_all(tmp_path: Path) -> None:
    run = {
        "date": "2026-01-01T00:00:00+00:00", "tokens": 33_304_576, "steps": 8131, "seconds": 4500.2, "device": "cpu",
        "dev/loss": 3.597, "dev/accuracy": 0.35, "command": ["patent-hier", "pretrain", "max_time=75"],
    }  # fmt: skip
    text = card(tmp_path, MANIFEST | {"before": [run]})
    assert "All runs together read 38.22 M tokens." in text
    row = "| 2026-01-01 | 33.30 | 8,131 | 75.0 | cpu | 3.597 | 35.0% | `patent-hier pretrain max_time=75` |"
    assert row in text.splitlines()
    assert "This encoder was trained on a CPU" in text
    on_gpu = card(tmp_path, MANIFEST | {"before": [run | {"device": "NVIDIA H100"}]})
    assert "This encoder was trained on a CPU" not in on_gpu
    assert "## Earlier runs" not in card(tmp_path)


@pytest.mark.parametrize("rounds", [1, 5, 11, 12, 200])
def test_the_table_of_losses_is_short_and_has_both_ends(tmp_path: Path, rounds: int) -> None:
    steps = [
        int(found.replace(",", "")) for found in re.findall(r"^\| ([\d,]+) \| .*%", card(tmp_path, rounds=rounds), re.M)
    ]
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, 300 * rounds)
    assert len(steps) == min(rounds + 1, 12)


@pytest.mark.parametrize(("model_type", "told"), [("bert", True), ("modernbert", False)])
def test_the_pooler_is_left_out_where_there_would_be_one(tmp_path: Path, model_type: str, told: bool) -> None:
    assert (', dtype="float32", add_pooling_layer=False)' in card(tmp_path, model_type=model_type)) == told


def test_sizes_that_the_configuration_does_not_name_are_left_out(tmp_path: Path) -> None:
    card(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "x", "hidden_size": 256}')
    write_card(tmp_path, MANIFEST, history(4))
    assert "| architecture | x, hidden size 256 |" in (tmp_path / "README.md").read_text("utf-8").splitlines()


def test_the_curve(tmp_path: Path) -> None:
    card(tmp_path)
    svg = (tmp_path / "loss_curve.svg").read_bytes()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    drawn = loss_curve(history(4))
    assert drawn.svg == svg  # equal data, equal bytes
    assert drawn.alt == "Loss on held-out text: 9.04 nats at the start, 2.00 at the end"
    assert loss_curve(history(5)).svg != svg


def test_the_card_of_a_trimmed_encoder(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "source": "intfloat/multilingual-e5-small",
        "licence": "mit",
        "pieces": {"before": 250_002, "after": 28_128},
        "texts": [{"file": "a.txt.xz", "bytes": 1_234_567, "sha256": "ab" * 32}],
        "lines": {"all": 1_000, "changed": 3},
        "min_count": 2,
        "half": True,
    }
    (tmp_path / "model.safetensors").write_bytes(bytes(1_250_000))
    (tmp_path / "config.json").write_text("{}")
    write_trimmed_card(tmp_path, {"name": "e5", "trimmed": facts}, "Nothing is lost.")
    text = (tmp_path / "README.md").read_text("utf-8")
    assert text.startswith("---\nlicense: mit\n---\n\n# e5\n")
    assert "28,128 of 250,002 pieces, 1.2 MB of weights in float16." in text
    assert "The vocabulary keeps the pieces that occur at least 2 times in the texts below" in text
    assert "997 of 1,000 lines produce the same tokens as before (checked line by line). Nothing is lost." in text
    write_trimmed_card(tmp_path, {"name": "e5", "trimmed": facts | {"licence": None}}, "")
    assert (tmp_path / "README.md").read_text("utf-8").startswith("# e5\n")
    assert "names no licence" in (tmp_path / "README.md").read_text("utf-8")


def test_the_digests_of_what_it_has_read(tmp_path: Path) -> None:
    assert "digests" not in card(tmp_path)
    text = card(tmp_path, MANIFEST | {"text_digests": {"count": 1234, "complete": False}})
    assert (
        "`text_digests.npy` contains 1,234 digests of these passages and their clauses; text that the encoder read "
        "earlier is not recorded." in text
    )
