import base64
import hashlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patent_hier.artifacts import find_damage
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.models.attention import AttentionMaps, attention_shares
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.saved import NodeClassifier
from patent_hier.report.attention import figure as attention_figure
from patent_hier.report.attention import page as attention
from patent_hier.report.attention.figure import RANDOM_NOTE, save_attention_figure, token_labels
from patent_hier.report.attention.page import attention_facts, attention_page
from patent_hier.report.attention.view import PAPER_LAYERS, attention_view, check_layers, default_layers
from patent_hier.settings import BertCnnSettings, EncoderSettings, Settings
from tests.conftest import tiny_encoder_settings
from tests.trees import tree_of

HOSTILE = (
    '<script>alert("1")</script>',
    "</script><img src=x onerror=alert(2)>",
    "<!-- <script> 'quoted' & \\u003c @DATA@ 😀 \u2028 $x$",
)


def some_maps(a: str = "开关柜", b: str = "开关元件", layers: int = 3, heads: int = 2) -> AttentionMaps:
    tokens = ("[CLS]", *a, "[SEP]", *b, "[SEP]")
    segments = np.array([0] * (len(a) + 2) + [1] * (len(b) + 1), np.int8)
    special = np.array([token in ("[CLS]", "[SEP]") for token in tokens])
    weights = np.random.default_rng(3).dirichlet(np.ones(len(tokens)), (layers, heads, len(tokens)))
    return AttentionMaps(tokens, segments, special, weights.astype(np.float32))


def facts_of(maps: AttentionMaps, a: str = "开关柜", b: str = "开关元件", **changes: Any) -> dict[str, Any]:
    return attention_facts(maps, a, b, **{"layers": (2, 3), "encoder": "x", "random_weights": False, **changes})


def page_of(maps: AttentionMaps, *texts: str, **changes: Any) -> str:
    return attention_page(maps, facts_of(maps, *texts, **changes))


def data_of(page: str) -> dict:
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(block)


# --- the page


def test_the_page_holds_every_weight():
    maps = some_maps()
    data = data_of(page_of(maps))
    stored = np.frombuffer(base64.b64decode(data["weights"]), "<u2").reshape(maps.weights.shape) / 65535
    np.testing.assert_allclose(stored, maps.weights, atol=1e-5)
    assert (data["layers"], data["start"], data["heads"], data["num_layers"]) == ([1, 2, 3], 2, 2, 3)
    assert tuple(data["tokens"]) == maps.tokens
    assert data["segments"] == maps.segments.tolist()
    assert data["special"] == [1, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert [row["layer"] for row in data["shares"]] == [1, 2, 3]


def test_long_texts_keep_the_chosen_layers_only(monkeypatch):
    maps = some_maps()
    monkeypatch.setattr(attention, "_MOST_WEIGHTS", maps.weights.size - 1)
    data = data_of(page_of(maps, layers=(1, 3)))
    assert data["layers"] == [1, 3]
    stored = np.frombuffer(base64.b64decode(data["weights"]), "<u2").reshape(2, *maps.weights.shape[1:]) / 65535
    np.testing.assert_allclose(stored, maps.weights[[0, 2]], atol=1e-5)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_out(text):
    plain = page_of(some_maps())
    page = page_of(some_maps(a=text), text, text, encoder=text)
    data = data_of(page)
    assert (data["text_a"], data["text_b"], data["encoder"]) == (text, text, text)
    assert "".join(data["tokens"][1 : 1 + len(text)]) == text
    for tag in ("<script", "</script", "<img", "<!--"):
        assert page.count(tag) == plain.count(tag)


def test_the_page_loads_nothing_and_runs_only_its_own_script():
    page = page_of(some_maps())
    assert not re.search(r"https?:|//[a-z]|@[A-Z_]+@|<link|<iframe|url\(|import ", page)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r"<[^>]+ (style|on[a-z]+)=", page.replace(policy, ""))  # the policy would refuse them


def test_the_page_speaks_two_languages_and_says_what_attention_is_not():
    page = page_of(some_maps(), random_weights=True)
    assert page.count('lang="zh-CN">') == page.count('<span lang="en">')
    assert "it does not explain a decision" in page
    assert "不能解释" in page
    assert data_of(page)["random_weights"] is True


# --- facts


def test_facts():
    maps = some_maps()
    facts = facts_of(maps, layers=(1, 3))
    assert json.loads(json.dumps(facts)) == facts
    assert facts["chosen_layers"] == [1, 3]
    for row, shares in zip(facts["layers"], attention_shares(maps), strict=True):
        assert (row["next_token_share"], row["cross_share"]) == (shares.next_token, shares.crossing)
    # ten tokens, of which three special; three words of A see four of B, and the other way round
    assert facts["equal"]["next_token_share"] == pytest.approx(0.1)
    assert facts["equal"]["special_share"] == pytest.approx(0.3)
    assert facts["equal"]["cross_share"] == pytest.approx((3 * 0.4 + 4 * 0.3) / 7)


# --- the figure


@pytest.mark.parametrize("layers", [(1,), (1, 2), (1, 2, 3)])
def test_the_figure(layers, tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        save_attention_figure(some_maps(), layers, folder, random_weights=True)
    svg = (tmp_path / "a" / "attention.svg").read_bytes()
    assert svg == (tmp_path / "b" / "attention.svg").read_bytes()  # no date, no random names
    assert b"<text" not in svg  # letters are paths: the same on machines without the font
    assert (tmp_path / "a" / "attention.png").read_bytes().startswith(b"\x89PNG")


def texts_of(figure) -> str:
    return "\n".join(text.get_text() for holder in (figure, *figure.axes) for text in holder.texts)


def test_captions(monkeypatch):
    maps = some_maps()
    figure = attention_figure._draw(maps, (2, 3), random_weights=True)
    titles = [axes.get_title().splitlines()[0] for axes in figure.axes]
    heads = [1 + int(np.argmax([attention_shares(one)[0].crossing for one in each_head(maps, k)])) for k in (1, 2)]
    assert titles == [
        "layer 2, mean of 2 heads",
        f"layer 2, head {heads[0]}",
        "layer 3, mean of 2 heads",
        f"layer 3, head {heads[1]}",
    ]
    assert RANDOM_NOTE in texts_of(figure)
    assert RANDOM_NOTE not in texts_of(attention_figure._draw(maps, (2, 3), random_weights=False))


def each_head(maps: AttentionMaps, layer: int) -> list[AttentionMaps]:
    return [
        AttentionMaps(maps.tokens, maps.segments, maps.special, maps.weights[layer : layer + 1, head : head + 1])
        for head in range(maps.num_heads)
    ]


def test_the_lines_are_the_strong_links():
    maps = some_maps("甲乙", "丙", layers=1, heads=1)
    weights = np.full((6, 6), 0.001, np.float32)
    weights[1, 2], weights[1, 4], weights[2, 0], weights[2, 1] = 0.8, 0.4, 0.9, 0.3  # 0.3 < 2/6
    sources, targets, opacity = attention_figure._links(maps, weights)
    found = {(int(i), int(j)): float(o) for i, j, o in zip(sources, targets, opacity, strict=True)}
    assert found == {(1, 2): 1.0, (1, 4): 0.5, (2, 0): 1.0}  # relative to links between words, at most 1


def test_attention_without_emphasis_says_so():
    maps = some_maps("甲" * 8, "乙" * 9, layers=1, heads=1)  # 20 tokens
    weights = np.full((20, 20), 0.045, np.float32)
    weights[:, 3] = 1 - 19 * 0.045
    sources, targets, opacity = attention_figure._links(maps, weights)
    assert sorted(sources) == list(range(20))
    assert set(targets) == {3}
    assert opacity.tolist() == pytest.approx([0.145 / 0.2] * 20)  # weak, so not drawn in full
    even = AttentionMaps(maps.tokens, maps.segments, maps.special, np.full((1, 1, 20, 20), 0.05, np.float32))
    assert "no strong" in texts_of(attention_figure._draw(even, (1,), random_weights=False))
    assert "no strong" not in texts_of(attention_figure._draw(some_maps(), (1,), random_weights=False))


def test_without_a_chinese_font_tokens_are_numbers(monkeypatch, tmp_path):
    assert token_labels(["[CLS]", "类", "LED"], [attention_figure.label_fonts()[-1]]) == ["[CLS]", "(2)", "LED"]
    monkeypatch.setattr(attention_figure, "label_fonts", lambda: ["DejaVu Sans"])
    figure = attention_figure._draw(some_maps(), (1,), random_weights=False)
    assert "(2)" in texts_of(figure)
    assert "no font is installed" in texts_of(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that it draws as an empty box
        save_attention_figure(some_maps("😀$a$", "开_^关"), (1,), tmp_path, random_weights=False)


# --- the folder


@pytest.mark.parametrize(
    ("num_layers", "expected"),
    [(1, (1,)), (2, (1, 2)), (3, (2, 3)), (4, (2, 3)), (6, (2, 5)), (11, (2, 10)), (12, (2, 11)), (24, (2, 11))],
)
def test_default_layers(num_layers, expected):
    assert default_layers(num_layers) == expected
    assert check_layers(expected, num_layers) == expected


@pytest.mark.parametrize("layer", [0, -1, 13])
def test_layers_that_do_not_exist(layer):
    assert check_layers([11, 2, 2], 12) == PAPER_LAYERS
    with pytest.raises(ConfigError, match=rf"layer {layer} does not exist; this encoder has layers 1 to 12$"):
        check_layers([2, layer], 12)


@pytest.fixture
def settings(tmp_path):
    folders = {"runs_dir": str(tmp_path / "runs"), "cache_dir": str(tmp_path / "cache")}
    return Settings(encoder=tiny_encoder_settings(max_length=64), **folders)


def test_a_view_is_made_once(settings, tmp_path):
    folder, made = attention_view(settings)
    assert made
    assert folder.parent == tmp_path / "runs"
    assert find_damage(folder) is None
    assert {file.name for file in folder.iterdir()} == {
        *(f"attention.{kind}" for kind in ("html", "json", "svg", "png")),
        "manifest.json",
    }
    facts = read_json(folder / "attention.json")
    assert (facts["chosen_layers"], facts["random_weights"], facts["encoder"]) == ([1, 2], True, "demo")
    assert attention_view(settings) == (folder, False)
    others = [attention_view(settings, "甲"), attention_view(settings, layers=[1])]
    settings.seed = 2
    others.append(attention_view(settings))
    assert all(made for _, made in others)
    assert len({folder, *(other for other, _ in others)}) == 4


def test_learnt_weights_are_not_called_random(settings, tiny_encoder):
    settings.encoder = EncoderSettings("tiny", str(tiny_encoder), max_length=64)
    folder, _ = attention_view(settings)
    assert read_json(folder / "attention.json")["random_weights"] is False
    settings.seed = 9  # of random weights only
    assert attention_view(settings) == (folder, False)


def test_output_replaces_only_views(settings, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    assert attention_view(settings, output=mine) == (mine, True)  # empty
    assert attention_view(settings, output=mine) == (mine, False)
    assert attention_view(settings, "甲", output=mine) == (mine, True)
    assert read_json(mine / "attention.json")["text_a"] == "甲"
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    for path in (other, other / "thesis.txt"):
        with pytest.raises(ConfigError, match="is not of kind attention"):
            attention_view(settings, output=path)
    assert (other / "thesis.txt").read_text() == "years of work"


def test_models_without_an_encoder(settings, tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        attention_view(settings, model=tmp_path / "absent")
    (tmp_path / "classifier.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"no encoder_config\.json"):
        attention_view(settings, model=Path(tmp_path))


def test_the_encoder_of_a_trained_classifier(settings, tiny_encoder_files, tmp_path):
    chosen = BertCnnSettings(num_last_layers=2, num_filters=4)
    network = BertCnn(load_encoder(tiny_encoder_files, pretrained=True, frozen=False), 2, chosen)
    model, tree = tmp_path / "model", tree_of([("A01",), ("A21",)], ("class",), root="A")
    NodeClassifier("A", tree, False, chosen, network, WordPieceReader(tiny_encoder_files, 64)).save(model)
    settings.encoder = EncoderSettings("tiny", str(tiny_encoder_files.folder), max_length=64)
    (trained, _), (untrained, _) = attention_view(settings, model=model), attention_view(settings)
    shares = [read_json(folder / "attention.json")["layers"] for folder in (trained, untrained)]
    assert shares[0] == shares[1]  # a fresh head does not change the encoder
    content = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(content[:1000])
    with pytest.raises(ArtifactError, match="damaged"):
        attention_view(settings, model=model)
