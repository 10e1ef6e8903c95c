"""``feedback``, and ``serve --feedback`` as a user meets them."""

import contextlib
import csv
import json
import re
import time
import urllib.request
from uuid import uuid4

import pytest
from rich.cells import cell_len

from patent_hier.data.feedback import FeedbackStore, Period
from tests.cli.test_serve import serving
from tests.commands import command
from tests.data.judging import judgement
from tests.inference.worlds import world

DAY = 86_400_000


@pytest.fixture
def path(tmp_path):
    """Four judgements of three texts, of which one is old and one names a section only."""
    with contextlib.closing(FeedbackStore.open(tmp_path / "f.sqlite", create=True)) as store:
        store.add(judgement(text="一种\x1b[31m激光\n测距装置"))
        store.add(judgement(text="一种门", verdict="right", label="E06B", level="subclass", predicted="E06B"))
        store.add(judgement(text="一种门", label="E05B1/00", level="main_group", predicted=None))
        store.add(judgement(text="一种锁", label="E", level="section"))
        store._connection.execute("UPDATE judgement SET time = ? WHERE id = 1", (1_775_000_000_000,))  # 2026-03-31
    return tmp_path / "f.sqlite"


def ids(path):
    with contextlib.closing(FeedbackStore.open(path)) as store:
        return [one.id for one in store.judgements(10**9, Period(), every=True)]


def test_a_list(path):
    outcome = command("feedback", path)
    assert (outcome.status, outcome.err) == (0, "")
    header, *rows, last = outcome.out.splitlines()
    assert header.split() == ["id", "time", "verdict", "label", "text"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4"]
    assert re.search(r"2026-03-31 \d\d:\d\d  corrected  H01 -> G01S17/08 +一种\\x1b\[31m激光", rows[0])
    assert re.search(r"right +E06B +一种门", rows[1])
    assert "undecided -> E05B1/00" in rows[2]
    assert last == "4 judgements: 1 right, 3 corrected"


def test_a_period(path):
    assert command("feedback", path, "--until", "2026-04-01").out.endswith("\n1 judgement: 0 right, 1 corrected\n")
    assert command("feedback", path, "--since", "2026.4.2").out.endswith("\n3 judgements: 1 right, 2 corrected\n")
    nothing = command("feedback", path, "--since", "2026-01-01", "--until", "20260101")
    assert (nothing.status, nothing.out) == (0, "0 judgements: 0 right, 0 corrected\n")


def test_a_long_text_gives_way_to_the_rest(tmp_path):
    with contextlib.closing(FeedbackStore.open(tmp_path / "f.sqlite", create=True)) as store:
        for _ in range(10):
            store.add(judgement(text="一种激光测距装置" * 20))
    _, *rows, _ = command("feedback", tmp_path / "f.sqlite").out.splitlines()
    assert [row.split()[0] for row in rows] == [str(number) for number in range(1, 11)]
    assert all(re.search(r"corrected  H01 -> G01S17/08  一种激光.*…$", row.rstrip()) for row in rows)
    assert max(cell_len(row.rstrip()) for row in rows) <= 80


def test_only_the_newest_of_many_are_listed(tmp_path):
    with contextlib.closing(FeedbackStore.open(tmp_path / "f.sqlite", create=True)) as store:
        for _ in range(60):
            store.add(judgement())
    lines = command("feedback", tmp_path / "f.sqlite").out.splitlines()
    assert len(lines) == 52
    assert lines[1].split()[0] == "11"
    assert lines[-1] == "60 judgements: 0 right, 60 corrected; the newest 50 are shown"


def test_an_export_is_read_by_prepare(path, tmp_path):
    output = tmp_path / "给 训练.csv"
    outcome = command("feedback", path, "--export", output)
    assert (outcome.status, outcome.err) == (0, "")
    first, last = outcome.out.splitlines()
    assert first == "left out: 1 older ones of the same document or text, 1 with only a section as the label"
    setting = f"'data.path={output}'"
    assert last == f"2 judgements: {output}; read it with: patent-hier prepare data=cnipa {setting}"
    rows = list(csv.DictReader(output.read_text("utf-8-sig").splitlines()))
    assert [row["专利分类"] for row in rows] == ["G01S17/08", "E05B1/00"]
    assert [row["预测分类"] for row in rows] == ["H01", ""]
    read = command("prepare", "data=cnipa", f"data.path={output}", f"cache_dir={tmp_path / 'cache'}")
    assert (read.status, read.err) == (0, "")
    assert "corpus of 2 documents in 2 classes, 2 rows" in read.out
    content = output.read_bytes()
    assert command("feedback", path, "--export", output).status == 0
    assert output.read_bytes() == content


def test_the_last_line_has_the_settings_that_an_export_needs(tmp_path):
    with contextlib.closing(FeedbackStore.open(tmp_path / "f.sqlite", create=True)) as store:
        store.add(judgement(label="A01", level="class", text_field="title"))
    outcome = command("feedback", tmp_path / "f.sqlite", "--export", tmp_path / "out.csv")
    assert outcome.out.endswith(
        f"prepare data=cnipa data.path={tmp_path}/out.csv 'data.text=[专利名称]' data.min_symbol=class\n"
    )
    words = outcome.out.split("patent-hier ")[1].replace("'", "").split()
    read = command(*words, f"cache_dir={tmp_path / 'cache'}")
    assert (read.status, read.err) == (0, "")


def test_judgements_are_deleted(path):
    outcome = command("feedback", path, "--delete", "2", "--delete", "3")
    assert (outcome.status, outcome.out, outcome.err) == (0, "deleted 2 judgements\n", "")
    assert ids(path) == [1, 4]
    days = (time.time() * 1000 - 1_775_000_000_000) // DAY
    assert command("feedback", path, "--delete-older-than", int(days) + 1).out == "deleted 0 judgements\n"
    assert command("feedback", path, "--delete-older-than", int(days)).out == "deleted 1 judgement\n"
    assert command("feedback", path, "--delete-older-than", 0).out == "deleted 1 judgement\n"
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert "一种".encode() not in content


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("{folder}/none.sqlite",), 1, "none.sqlite does not exist"),
        (("{folder}/plain.txt",), 1, "is not a file of judgements"),
        (("{folder}",), 1, "a folder"),
        ((), 2, "FILE"),
        (("{path}", "--since", "yesterday"), 2, "--since yesterday is not a date"),
        (("{path}", "--until", "2026-02-30"), 2, "--until 2026-02-30 is not a date"),
        (("{path}", "--since", "9999-12-31"), 2, "is not a date"),
        (("{path}", "--since", "2026-02-02", "--until", "2026-02-01"), 2, "swap them"),
        (("{path}", "--delete", "x"), 2, "--delete x is not a judgement number"),
        (("{path}", "--delete", "9" * 30), 2, "is not a judgement number"),
        (("{path}", "--delete", "1", "--delete", "77"), 1, "no judgement 77; nothing was deleted"),
        (("{path}", "--delete-older-than", "-1"), 2, "out of range"),
        (("{path}", "--delete-older-than", "x"), 2, "--delete-older-than"),
        (("{path}", "--delete", "1", "--export", "{folder}/x.csv"), 2, "cannot be combined"),
        (("{path}", "--delete", "1", "--delete-older-than", "1"), 2, "cannot be combined"),
        (("{path}", "--delete-older-than", "1", "--since", "2026-01-01"), 2, "cannot be combined"),
        (("{path}", "--export", "{path}"), 2, "is the file of judgements itself"),
        (("{path}", "--import", "x"), 2, "--help lists the options"),
    ],
)
def test_misuse_is_one_line_and_changes_nothing(path, words, status, part):
    (path.parent / "plain.txt").write_text("一种锁\n", "utf-8")
    outcome = command("feedback", *(word.format(path=path, folder=path.parent) for word in words))
    assert outcome.status == status
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert part in outcome.err
    assert ids(path) == [1, 2, 3, 4]
    assert not (path.parent / "x.csv").exists()


def send(address, path, content=None, **headers):
    body = None if content is None else json.dumps(content).encode()
    headers = {"content-type": "application/json", **headers}
    request = urllib.request.Request(f"{address}{path}", body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return answer.status, answer.read().decode("utf-8-sig")


@pytest.mark.slow
def test_a_service_stores_judgements(tmp_path_factory, tmp_path, monkeypatch):
    made, path, token = world(tmp_path_factory), tmp_path / "f.sqlite", tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    options = ("--port", "0", "--feedback", path, "--feedback-token", token)
    with serving(monkeypatch, "serve", made.result("linear", "hier"), *options) as (address, outcome):
        said = {
            "request_id": str(uuid4()),
            "text": "一种锁",
            "verdict": "corrected",
            "label": "E05B",
            "level": "subclass",
        }
        said |= {"predicted": "A01", "probability": 0.5, "model_version": "v"}
        assert send(address, "feedback", said)[0] == 201
        status, table = send(address, "feedback.csv", authorization="Bearer 0123456789abcdef")
    assert status == 200
    assert next(csv.DictReader(table.splitlines()))["专利分类"] == "E05B"
    assert f"warning: other users can read {token}; restrict access with: chmod 600 {token}\n" in outcome.result().out
    assert f"judgements are stored with their texts in {path}\n" in outcome.result().out
    assert command("feedback", path).out.endswith("1 judgement: 0 right, 1 corrected\n")
    assert [file.name for file in tmp_path.glob("f.sqlite*")] == ["f.sqlite"]  # it was closed


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("--feedback", "{folder}/new", "--feedback-limit", "0"), 2, "--feedback-limit 0 is out of range"),
        (("--feedback-token", "{folder}/token"), 2, "--feedback FILE"),
        (("--feedback", "{folder}/new", "--feedback-token", "{folder}/short"), 2, "the token has 7 characters"),
        (("--feedback", "{folder}/new", "--feedback-token", "{folder}/none"), 2, "cannot be read"),
        (("--feedback", "{folder}/token"), 1, "is not a file of judgements"),
        (("--feedback", "{folder}"), 1, "a folder"),
        (("--feedback", "{folder}/none/new"), 1, "create its folder first"),
    ],
)
def test_misuse_of_the_service_is_one_line(tmp_path_factory, tmp_path, words, status, part):
    made = world(tmp_path_factory)
    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "short").write_text("1234567\n")
    told = (word.format(folder=tmp_path) for word in words)
    outcome = command("serve", made.result("linear", "hier"), "--port", "0", *told)
    assert outcome.status == status
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert part in outcome.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["short", "token"]
