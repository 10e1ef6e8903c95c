import pytest

from patent_hier.atomic import read_json
from patent_hier.cli.main import main
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.saved import NodeClassifier
from patent_hier.settings import BertCnnSettings
from tests.trees import tree_of

TINY = ("encoder=demo", "encoder.hidden_size=16", "encoder.num_hidden_layers=3", "encoder.intermediate_size=32")


@pytest.fixture
def folders(tmp_path):
    return (f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}")


def outcome(capsys, *words):
    status = main(["attention", *(str(word) for word in words)])
    return status, *capsys.readouterr()


def test_the_papers_pair(folders, tmp_path, capsys):
    status, out, err = outcome(capsys, *TINY, *folders)
    assert (status, err) == (0, "")
    (folder,) = (tmp_path / "runs").glob("attention-*")
    assert out == f"attention views: {folder / 'attention.html'}\n"
    facts = read_json(folder / "attention.json")
    assert facts["text_a"] == "本实用新型公开了一种固体绝缘开关柜结构。"
    assert facts["text_b"] == "它包括隔离开关单元、接地装置和隔离插座装置。"
    assert facts["chosen_layers"] == [2, 3]
    before = (folder / "attention.html").stat().st_mtime_ns
    assert outcome(capsys, *TINY, *folders) == (0, f"finished {out}", "")
    assert (folder / "attention.html").stat().st_mtime_ns == before


def test_options_among_overrides(folders, tmp_path, capsys):
    words = (TINY[0], "--layers", "3,1", *TINY[1:], "--text-a", '<b>"甲"', *folders, "--text-b=乙", "--output")
    status, _, err = outcome(capsys, *words, tmp_path / "out")
    assert (status, err) == (0, "")
    facts = read_json(tmp_path / "out" / "attention.json")
    assert (facts["text_a"], facts["text_b"], facts["chosen_layers"]) == ('<b>"甲"', "乙", [1, 3])


def test_a_trained_model(folders, tiny_encoder, tiny_encoder_files, tmp_path, capsys):
    model, chosen = tmp_path / "model", BertCnnSettings(num_last_layers=2, num_filters=4)
    network = BertCnn(load_encoder(tiny_encoder_files, pretrained=True, frozen=False), 2, chosen)
    tree = tree_of([("A01",), ("A21",)], ("class",), root="A")
    NodeClassifier("A", tree, False, chosen, network, WordPieceReader(tiny_encoder_files, 64)).save(model)
    shares = []
    for words in (
        ("--model", model),
        ("encoder=folder", f"encoder.path={tiny_encoder}", "encoder.max_length=64"),
    ):
        status, out, err = outcome(capsys, *words, *folders)
        assert (status, err) == (0, "")
        facts = read_json(tmp_path / out.split(": ")[1].strip().replace(".html", ".json"))
        assert facts["random_weights"] is False
        shares.append([share for layer in facts["layers"] for share in layer.values()])
    assert shares[0] == pytest.approx(shares[1], rel=1e-6)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--layers", "4"), "layer 4 does not exist; this encoder has layers 1 to 3"),
        (("--layers", "0"), "layers 1 to 3"),
        (("--layers", "two"), "--layers two is not a list of numbers"),
        (("--layers=",), "is not a list of numbers"),
        (("--layer", "2"), "--layer"),
        (("--text-a",), "--text-a"),
        (("--text-b", ""), "text B is ''"),
        (("--text-a", "开关" * 200), "the limit is 128"),
        (("--model", "nowhere"), "encoder=demo and --model both choose an encoder"),
        (("encoder.no_such=1",), "no_such"),
    ],
)
def test_misuse_is_one_line(words, part, folders, tmp_path, capsys):
    status, out, err = outcome(capsys, *TINY, *folders, *words)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert part in err
    assert not list((tmp_path / "runs").glob("attention-*"))


def test_help(capsys):
    status, out, _ = outcome(capsys, "--help")
    assert status == 0
    assert all(option in out for option in ("--text-a", "--text-b", "--layers", "--model", "--output"))
