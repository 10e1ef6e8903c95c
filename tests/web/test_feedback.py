import contextlib
import csv
import http.client
import io
import json
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from patent_hier.data.feedback import FeedbackStore, Period
from patent_hier.data.feedback_table import FeedbackTable
from patent_hier.errors import ConfigError, DataError
from patent_hier.web.app import create_app
from patent_hier.web.feedback import FeedbackSettings, read_token
from patent_hier.web.guard import ServiceSettings
from tests.data.judging import judgement
from tests.test_regular_files import IRREGULAR
from tests.web.serving import serving
from tests.web.test_app import counted

TOKEN = "0123456789abcdef"
SECRET = "绝密的发明内容"


@contextlib.contextmanager
def judged(classifier, path, token=TOKEN):
    feedback = FeedbackSettings(FeedbackStore.open(path, create=True), token)
    with serving(create_app(classifier, ServiceSettings(rate=0), feedback=feedback)) as client:
        yield client


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("feedback") / "f.sqlite"


@pytest.fixture(scope="module")
def client(classifier, path):
    with judged(classifier, path) as client:
        yield client


@pytest.fixture(scope="module")
def deep_client(deep, tmp_path_factory):
    with judged(deep, tmp_path_factory.mktemp("feedback") / "f.sqlite") as client:
        yield client


def question(**values):
    plain = {
        "request_id": str(uuid4()), "text": "一种激光测距装置", "verdict": "corrected", "label": "G01",
        "level": "class", "predicted": "H01", "probability": 0.4, "model_version": "v1",
    }  # fmt: skip
    return plain | values


def stored(path):
    with contextlib.closing(FeedbackStore.open(path)) as store:
        return {one.judgement.request_id: one for one in store.judgements(store.last_id(), Period(), every=True)}


def test_a_judgement_is_on_the_disk_before_it_is_acknowledged(client, path):
    asked = question(document_id="CN201710000001.1")
    answer = client.post("/feedback", asked)
    assert answer.status == 201
    one = stored(path)[asked["request_id"]]
    assert answer.content == {"id": one.id, "time": one.when.isoformat(timespec="milliseconds")}
    said = vars(one.judgement)
    assert {name: said[name] for name in asked} == asked
    assert (said["text_field"], said["context"]) == ("abstract", {})


def test_a_request_that_comes_again_is_answered_as_before(client, path):
    asked = question()
    before = counted(client)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/feedback", asked), range(16)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    shouted = asked | {"request_id": asked["request_id"].upper(), "label": "class:g01"}
    assert client.post("/feedback", shouted).body == answers[0].body
    other = client.post("/feedback", asked | {"text": SECRET})
    assert (other.status, other.content["error"]["code"]) == (409, "repeated_id")
    assert stored(path)[asked["request_id"]].judgement.text == asked["text"]
    name = 'patent_hier_feedback_total{verdict="corrected"}'
    assert counted(client)[name] - before[name] == 1


@pytest.mark.parametrize(
    ("label", "level", "code"),
    [
        ("g 01", "class", "G01"),
        ("Ｇ０１", "class", "G01"),
        ("class:G01", "class", "G01"),
        ("G01S 17/08", "subgroup", "G01S17/08"),  # below what the model knows
        ("G01S0017000000", "main_group", "G01S17/00"),
        ("G01S17/00", "subgroup", "G01S17/00"),  # none of its subgroups
        ("subclass:G01S", "subclass", "G01S"),
        ("G16", "class", "G16"),
        ("A", "section", "A"),
    ],
)
def test_labels_in_any_spelling_of_the_model_or_of_the_ipc(client, path, label, level, code):
    asked = question(label=label, level=level)
    assert client.post("/feedback", asked).status == 201
    said = stored(path)[asked["request_id"]].judgement
    assert (said.label, said.level) == (code, level)


def test_labels_of_a_deep_model(deep_client, deep):
    tree = deep.system.tree
    group = next(code for code in tree.labels("subgroup") if code in tree.labels("main_group"))
    for label, level, status in (
        (group, "main_group", 201),
        (group, "subgroup", 201),
        (f"subgroup:{group}", "subgroup", 201),
        (f"subgroup:{group}", "main_group", 422),
        (group, "subclass", 422),
        ("B82Y 5/00", "main_group", 201),
    ):
        assert deep_client.post("/feedback", question(label=label, level=level)).status == status, (label, level)


def test_a_right_answer_and_an_undecided_one(client):
    right = question(verdict="right", label="H01", level="class", predicted="h01")
    assert client.post("/feedback", right).status == 201
    assert client.post("/feedback", question(predicted=None, probability=None)).status == 201
    assert client.post("/feedback", question(document_id=None, context={})).status == 201


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"verdict": "right"}, "bad_verdict"),
        ({"verdict": "right", "predicted": None}, "bad_verdict"),
        ({"verdict": "wrong"}, "bad_question"),
        ({"label": "Z01"}, "unknown_label"),
        ({"label": "G98"}, "unknown_label"),
        ({"label": "G01S17/08; H01L"}, "unknown_label"),
        ({"label": SECRET}, "unknown_label"),
        ({"label": "class:"}, "unknown_label"),
        ({"label": ":"}, "unknown_label"),
        ({"label": "G01\0"}, "unknown_label"),
        ({"predicted": SECRET}, "unknown_label"),
        ({"label": "G01'; DROP TABLE judgement; --"}, "unknown_label"),
        ({"level": "section"}, "bad_level"),
        ({"level": "subclass"}, "bad_level"),
        ({"level": SECRET}, "bad_level"),
        ({"label": "subclass:G01"}, "bad_level"),
        ({"text": ""}, "bad_question"),
        ({"text": " "}, "bad_text"),
        ({"text": "无"}, "bad_text"),
        ({"text": "字" * 20_001}, "bad_text"),
        ({"text": "\ud800"}, "bad_question"),
        ({"document_id": "\udfff"}, "bad_question"),
        ({"document_id": "x" * 65}, "bad_question"),
        ({"document_id": " "}, "bad_question"),
        ({"model_version": "\ud800"}, "bad_question"),
        ({"model_version": "x" * 65}, "bad_question"),
        ({"model_version": ""}, "bad_question"),
        ({"context": {"applicant": "x"}}, "bad_question"),  # this model reads none
        ({"context": {"x" * 65: "x"}}, "bad_question"),
        ({"context": {"applicant": "x" * 1001}}, "bad_question"),
        ({"context": []}, "bad_question"),
        ({"request_id": "1"}, "bad_question"),
        ({"request_id": "g" * 36}, "bad_question"),
        ({"request_id": f"{uuid4()}\n"}, "bad_question"),
        ({"request_id": 7}, "bad_question"),
        ({"request_id": uuid4().hex}, "bad_question"),
        ({"probability": -0.1}, "bad_question"),
        ({"probability": 1.1}, "bad_question"),
        ({"probability": float("nan")}, "bad_question"),
        ({"probability": float("inf")}, "bad_question"),
        ({"probability": "0.5"}, "bad_question"),
        ({"probability": True}, "bad_question"),
        ({"label": ["G01"]}, "bad_question"),
        ({"label": "G" * 65}, "bad_question"),
        ({"label": None}, "bad_question"),
        ({"further": SECRET}, "bad_question"),
        ({f"{SECRET}{number}": 1 for number in range(2000)}, "bad_question"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_stored(client, path, change, code):
    before = len(stored(path))
    start = time.perf_counter()
    answer = client.post("/feedback", question(**change))
    assert time.perf_counter() - start < 2
    assert (answer.status, answer.content["error"]["code"]) == (422, code)
    assert SECRET not in json.dumps(answer.content, ensure_ascii=False)
    assert len(answer.body) < 400
    assert len(stored(path)) == before


@pytest.mark.parametrize(
    "name", ["request_id", "text", "verdict", "label", "level", "predicted", "probability", "model_version"]
)
def test_every_field_is_needed(client, name):
    asked = {key: value for key, value in question().items() if key != name}
    answer = client.post("/feedback", asked)
    assert answer.status == 422
    assert answer.content["error"]["message"].endswith(f"check {name}")


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"[]", b"\xff", b"null", b"1" * 5000])
def test_no_json_or_no_object(client, body):
    assert client.post("/feedback", body).status in (400, 422)


def test_any_text_is_only_text(client, path):
    texts = [
        "'); DELETE FROM judgement; --",
        "一种\0锁",
        "=HYPERLINK(1) 一种锁",
        "<script>alert(1)</script>",
        "\u202e一种锁",
    ]
    for text in texts:
        asked = question(text=text)
        assert client.post("/feedback", asked).status == 201
        assert stored(path)[asked["request_id"]].judgement.text == text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_foreign_page_may_not_judge(client, path, site):
    before = len(stored(path))
    body = json.dumps(question()).encode()
    answer = client.ask("POST", "/feedback", body, content_type="application/json", sec_fetch_site=site)
    assert (answer.status, answer.content["error"]["code"]) == (403, "foreign_page")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert client.ask("POST", "/feedback", body, content_type=kind).status == 422
    assert len(stored(path)) == before


WRONG = [
    "",
    "Bearer",
    "Bearer ",
    f"Basic {TOKEN}",
    TOKEN,
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer  {TOKEN}",
]
WRONG += [f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN} {TOKEN}", "Bearer \xe9", f"Bearer {TOKEN},"]


@pytest.mark.parametrize("sent", WRONG)
def test_without_the_token_nothing_is_given_out(client, sent):
    answer = client.ask("GET", "/feedback.csv", authorization=sent)
    assert (answer.status, answer.content["error"]["code"]) == (401, "no_token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.body.decode()


@pytest.mark.parametrize(
    ("address", "status"),
    [("/feedback.csv", 401)]
    + [
        (f"/feedback.csv?{query}", 401)
        for query in (f"token={TOKEN}", f"access_token={TOKEN}", f"authorization=Bearer+{TOKEN}")
    ]
    + [(f"/{name}", 404) for name in ("feedback.csv/", "feedback.csv%00", "static/..%2ffeedback.csv", "Feedback.csv")]
    + [
        (f"/{name}", 404)
        for name in ("feedback.csv%2f", "/feedback.csv", "f.sqlite", "static/f.sqlite", "feedback.sqlite")
    ],
)
def test_no_other_way_leads_to_the_judgements(client, address, status):
    assert client.get(address).status == status


def test_who_has_the_token_gets_a_table(client, path):
    for _ in range(2):  # of one text, the newest judgement counts
        client.post("/feedback", question(text="=1+1 的装置"))
    answer = client.ask("GET", "/feedback.csv", authorization=f"bearer {TOKEN}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.body.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert rows[-1]["摘要"] == "&#61;1+1 的装置"
    assert rows[-1]["专利分类"] == "G01"
    assert len({row["公开号"] for row in rows}) == len(rows) < len(stored(path))


def test_a_large_table_comes_in_pieces(classifier, tmp_path):
    with judged(classifier, tmp_path / "f.sqlite") as client:
        with contextlib.closing(FeedbackStore.open(tmp_path / "f.sqlite")) as store:
            for number in range(301):
                store.add(judgement(text=f"第{number}种装置"))
        answer = client.ask("GET", "/feedback.csv", authorization=f"Bearer {TOKEN}")
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.body.count(b"\r\n") == 302


def test_without_a_token_the_table_is_closed(classifier, tmp_path):
    with judged(classifier, tmp_path / "f.sqlite", None) as client:
        for sent in ("", "Bearer ", "Bearer None"):
            answer = client.ask("GET", "/feedback.csv", authorization=sent)
            assert (answer.status, answer.content["error"]["code"]) == (403, "closed")


def test_off_by_default(service, client):
    assert service.post("/feedback", question()).status == 404
    assert service.ask("GET", "/feedback.csv", authorization=f"Bearer {TOKEN}").status == 404
    assert service.get("/about").content["feedback"] is False
    assert client.get("/about").content["feedback"] is True
    assert {"/feedback", "/feedback.csv"} <= set(client.get("/openapi.json").content["paths"])
    assert client.get("/feedback").status == 405


def test_a_locked_file_is_told_and_the_page_goes_on(classifier, tmp_path, capsys):
    path = tmp_path / "f.sqlite"
    store = FeedbackStore.open(path, create=True)
    store._connection.execute("PRAGMA busy_timeout = 100")
    feedback = FeedbackSettings(store)
    with serving(create_app(classifier, ServiceSettings(rate=0), feedback=feedback)) as client:
        asked = [question(text=SECRET) for _ in range(4)]
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(4) as pool:
            other.execute("BEGIN IMMEDIATE")
            waiting = [pool.submit(client.post, "/feedback", one) for one in asked]
            start = time.perf_counter()
            assert client.get("/health").status == 200
            assert time.perf_counter() - start < 0.5  # nobody else waits
            refused = [job.result() for job in waiting]
            other.execute("ROLLBACK")
        assert {(answer.status, answer.content["error"]["code"]) for answer in refused} == {(503, "not_stored")}
        assert refused[0].headers["retry-after"] == "1"
        assert stored(path) == {}
        assert {client.post("/feedback", one).status for one in asked} == {201}
    said = capsys.readouterr().err
    assert said.count("judgements are refused: ") == 1  # a line for each would fill the log
    assert "locked" in said
    assert SECRET not in said


def test_a_full_file_is_told_and_what_it_has_stays(classifier, tmp_path, capsys):
    path = tmp_path / "f.sqlite"
    feedback = FeedbackSettings(FeedbackStore.open(path, create=True, limit=1 << 16))
    with serving(create_app(classifier, ServiceSettings(rate=0), feedback=feedback)) as client:
        asked = [question(text=f"{number}" * 9_000) for number in range(9)]
        answers = [client.post("/feedback", one) for one in asked]
        assert [answer.status for answer in answers] == [201] * len(stored(path)) + [503] * (9 - len(stored(path)))
        assert 1 < len(stored(path)) < 8
        assert answers[-1].content["error"]["code"] == "full"
        assert client.post("/feedback", asked[0]).body == answers[0].body  # it is there
        assert client.get("/health").status == 200
    said = capsys.readouterr().err
    assert said.count("judgements are refused: ") == 1
    assert "increase --feedback-limit" in said


def test_a_judgement_is_counted_though_nobody_waits_for_it_any_more(classifier, tmp_path, monkeypatch):
    path, add = tmp_path / "f.sqlite", FeedbackStore.add
    monkeypatch.setattr(FeedbackStore, "add", lambda *given: (time.sleep(0.8), add(*given))[1])
    feedback = FeedbackSettings(FeedbackStore.open(path, create=True))
    settings = ServiceSettings(rate=0, time_limit=0.2)
    with serving(create_app(classifier, settings, feedback=feedback)) as client:
        assert client.post("/feedback", question()).status == 503
        while not stored(path):
            time.sleep(0.05)
        time.sleep(0.2)
        assert counted(client)['patent_hier_feedback_total{verdict="corrected"}'] == 1


def test_a_table_that_breaks_off_is_not_taken_for_a_whole_one(classifier, tmp_path, monkeypatch, capsys):
    page, threads = FeedbackStore.page, set()

    def failing(store, after, *given, **more):
        threads.add(threading.current_thread().name)
        if after:
            raise DataError(f"{store.path} cannot be read (disk I/O error); check the disk, then try again")
        return page(store, after, *given, **more)

    cells = FeedbackTable._cells
    monkeypatch.setattr(FeedbackStore, "page", failing)
    monkeypatch.setattr(
        FeedbackTable, "_cells", lambda *given: (threads.add(threading.current_thread().name), cells(*given))[1]
    )
    with judged(classifier, tmp_path / "f.sqlite") as client:
        for number in range(3):
            client.post("/feedback", question(text=f"第{number}种装置"))
        threads.clear()
        with pytest.raises(http.client.IncompleteRead) as caught:
            client.ask("GET", "/feedback.csv", authorization=f"Bearer {TOKEN}")
        assert "第2种装置" in caught.value.partial.decode()
        assert client.get("/health").status == 200
    said = capsys.readouterr().err
    assert "/feedback.csv was interrupted: " in said
    assert "Traceback" not in said
    assert {name.rpartition("_")[0] for name in threads} == {"feedback"}  # the event loop formats no row


def test_too_many_at_once_are_told(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("patent_hier.web.feedback._MOST_WAITING", 0)
    with judged(classifier, tmp_path / "f.sqlite") as client:
        answer = client.post("/feedback", question())
        assert (answer.status, answer.content["error"]["code"]) == (503, "busy")


def test_several_services_share_a_file(classifier, client, path):
    asked = question()
    with judged(classifier, path) as other:
        assert other.post("/feedback", asked).body == client.post("/feedback", asked).body


@pytest.mark.parametrize("content", ["0123456789abcdef\n", "  0123456789abcdef\r\nmore\n", "0123456789abcdef"])
def test_the_token_is_the_first_line(tmp_path, content):
    (tmp_path / "token").write_bytes(content.encode())
    assert read_token(tmp_path / "token") == TOKEN


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "has 0 characters"),
        (b"\n0123456789abcdef", "has 0 characters"),
        (b"0123456789abcde\n", "has 15 characters"),
        (b"0123 456789abcdef", "is not a token"),
        ("密码密码密码密码密码密码密码密码".encode(), "is not a token"),
        (b"\0" * 99, "is not a token"),
        (b"x" * 99_999, "is not a token"),
    ],
)
def test_what_is_no_token_is_refused(tmp_path, content, part):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=part) as caught:
        read_token(tmp_path / "token")
    assert "\n" not in str(caught.value)
    assert "0123" not in str(caught.value)


@pytest.mark.parametrize("make", IRREGULAR)
def test_a_pipe_is_no_token(tmp_path, make):
    make(tmp_path / "token")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_token(tmp_path / "token")
    with pytest.raises(ConfigError, match="No such file"):
        read_token(tmp_path / "nothing")
