import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest

from patent_hier.evaluation.error_model import ErrorModel, Fitted
from patent_hier.inference.answering import Question
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.triage import Triage
from patent_hier.web.app import create_app
from patent_hier.web.guard import ServiceSettings
from tests.web.serving import serving

TEXT = "一种激光测距装置，包括壳体和光电探测器"
SECRET = "绝密的发明内容"


def close(first, second):
    """Equal labels, and numbers within a millionth."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(close(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(close, first, second))
    return abs(first - second) <= 1e-6 if isinstance(first, float) else first == second


@pytest.fixture(params=["class", "subgroup"])
def pair(request, service, classifier):
    """A service and its classifier in Python."""
    if request.param == "class":
        return service, classifier
    return request.getfixturevalue("deep_service"), request.getfixturevalue("deep")


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"top_k": 5, "depth": "section"},
        {"force": "A"},
        {"force": ["g01", "B60"], "exclude": ["G01"]},
        {"exclude": "A,B", "all_symbols": True},
        {"target_accuracy": 0.6, "top_k": 1},
    ],
)
def test_the_answer_is_pythons(pair, question):
    service, classifier = pair
    answer = service.post("/predict", {"text": TEXT, **question})
    assert answer.status == 200
    (expected,) = classifier.predict([TEXT], **question)
    assert close(answer.content, json.loads(json.dumps(expected.as_dict())))


def test_a_batch_keeps_order_and_has_errors_in_place(service, classifier):
    texts = [TEXT, "", "一种锁", "\ud800", "字" * 20_001]
    answer = service.post("/batch", {"texts": texts, "target_accuracy": 0.6})
    assert answer.status == 200
    results = answer.content["results"]
    expected = classifier.predict([TEXT, "一种锁"], target_accuracy=0.6)
    for result, own in zip((results[0], results[2]), expected, strict=True):
        assert close(result["prediction"], json.loads(json.dumps(own.as_dict())))
    assert "no words" in results[1]["error"]
    assert "not valid Unicode" in results[3]["error"]
    assert "more than 20000 characters" in results[4]["error"]


def test_a_text_that_training_has_not_shown_is_told(service):
    asked = {"text": "一種激光測距裝置，包括殼體與光電探測器"}
    assert service.post("/predict", asked).content["strange"] == "traditional"
    (item,) = service.post("/batch", {"texts": [asked["text"]]}).content["results"]
    assert item["prediction"]["strange"] == "traditional"


def test_reasons_and_neighbours(pair):
    service, _ = pair
    answer = service.post("/predict", {"text": f"  {TEXT}\n", "explain": True, "neighbours": 3}).content
    explanation, best = answer["explanation"], answer["paths"][0]["steps"][-1]
    assert explanation["text"] == TEXT
    assert (explanation["label"], explanation["level"]) == (best["label"], best["level"])
    assert explanation["spans"]
    assert all(0 <= span["start"] < span["end"] <= len(TEXT) for span in explanation["spans"])
    assert len(answer["neighbours"]) == 3
    assert all(own["path"][1].startswith(own["path"][0]) for own in answer["neighbours"])
    plain = service.post("/predict", {"text": TEXT}).content
    assert not plain.keys() & {"explanation", "neighbours"}


@pytest.mark.parametrize(
    ("question", "status", "code", "message"),
    [
        ({}, 422, "bad_question", "check text"),
        ({"text": ""}, 422, "bad_question", "check text"),
        ({"text": " "}, 422, "bad_text", "no words"),
        ({"text": "字" * 20_001}, 422, "bad_text", "more than 20000 characters"),
        ({"text": "\udc00"}, 422, "bad_question", "check text"),
        ({"text": TEXT, "top_k": 0}, 422, "bad_question", "check top_k"),
        ({"text": TEXT, "force": "Z"}, 422, "unknown_label", "similar labels are A, B, C, D, E, F, G, H"),
        ({"text": TEXT, "force": ["A", f"G0{SECRET}"]}, 422, "unknown_label", "similar labels are G0"),
        ({"text": TEXT, "exclude": [SECRET]}, 422, "unknown_label", "similar labels are A, B"),
        ({"text": TEXT, "force": [""]}, 422, "bad_question", "check force"),
        ({"text": TEXT, "force": "A" * 65}, 422, "bad_question", "check force"),
        ({"text": TEXT, "force": ["A"] * 65}, 422, "bad_question", "check force"),
        ({"text": TEXT, "force": "A", "exclude": "A"}, 422, "bad_question", "a value that this model does not support"),
        ({"text": TEXT, "all_symbols": 3}, 422, "bad_question", "check all_symbols"),
        ({"text": TEXT, "depth": "subgroup"}, 422, "bad_question", "a value that this model does not support"),
        ({"text": TEXT, "depth": SECRET * 50}, 422, "bad_question", "check depth"),
        ({"text": TEXT, "target_accuracy": 2}, 422, "bad_question", "check target_accuracy"),
        ({"text": TEXT, "target_accuracy": 0.999}, 422, "bad_question", "a value that this model does not support"),
        ({"text": TEXT, SECRET: 1}, 422, "bad_question", "/openapi.json"),
        ({"text": [SECRET]}, 422, "bad_question", "check text"),
        ({"text": TEXT, "top_k": True}, 422, "bad_question", "check top_k"),
        ({"text": TEXT, "top_k": "3"}, 422, "bad_question", "check top_k"),
        ({"text": TEXT, "top_k": 3.0}, 422, "bad_question", "check top_k"),
        ({"text": TEXT, "neighbours": False}, 422, "bad_question", "check neighbours"),
        ({"text": TEXT, "target_accuracy": "0.6"}, 422, "bad_question", "check target_accuracy"),
        ({"text": TEXT, "target_accuracy": True}, 422, "bad_question", "check target_accuracy"),
        ({"text": TEXT, "explain": 1}, 422, "bad_question", "check explain"),
        ({"text": TEXT, "names": "yes"}, 422, "bad_question", "check names"),
        ({"text": TEXT, **{f"{SECRET}{number}": 1 for number in range(2000)}}, 422, "bad_question", "/openapi.json"),
        ({"text": TEXT, "force": [1] * 50_000}, 422, "bad_question", "check force"),
        ([SECRET], 422, "bad_question", ""),
        (b"{", 422, "bad_question", ""),
        (b"[" * 100_000, 400, "bad_request", ""),
        (b"\xff\xfe", 422, "bad_question", ""),
    ],
)
def test_bad_questions_have_short_answers_without_what_was_asked(service, question, status, code, message):
    answer = service.post("/predict", question)
    assert answer.status == status
    assert answer.content["error"]["code"] == code
    assert message in answer.content["error"]["message"]
    assert SECRET not in answer.body.decode("unicode_escape", "replace")
    assert SECRET not in json.dumps(answer.content, ensure_ascii=False)
    assert len(answer.body) < 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("GET", "/nothing", 404), ("GET", "/static/../app.py", 404), ("PUT", "/", 405)]
    + [("GET", f"/static/{name}", 404) for name in ("..%2fapp.py", "%2e%2e", "__init__.py", "main.js%00", "")],
)
def test_other_addresses(service, method, path, status):
    answer = service.ask(method, path)
    assert answer.status == status
    assert answer.content["error"]["code"] in ("not_found", "bad_method")


@pytest.mark.parametrize("path", ["/predict/", "/batch/", "/health/", "/taxonomy/", "//predict"])
def test_no_question_is_repeated_by_a_redirect(service, path):
    answer = service.ask("POST", f"{path}?text=secret", json.dumps({"text": SECRET}).encode())
    assert answer.status in (404, 405)
    assert "location" not in answer.headers


QUERIES = ["3.0", "%2B3", "%203", "1_0", "true", "%D9%A3", "-1", "", "9" * 5000, "%EF%BC%90"]


@pytest.mark.parametrize("number", QUERIES, ids=range(len(QUERIES)))
def test_numbers_of_a_query_are_digits(service, number):
    for name in ("offset", "limit"):
        answer = service.get(f"/taxonomy?{name}={number}")
        assert answer.status == 422
        assert answer.content["error"]["message"].endswith(f"check {name}")
    assert service.get("/taxonomy?offset=03&limit=5").status == 200


def test_whole_numbers_are_accuracies(service):
    assert service.post("/predict", {"text": TEXT, "target_accuracy": 1}).status == 422  # beyond, but a number
    assert service.post("/predict", {"text": TEXT, "top_k": 3, "explain": True, "target_accuracy": None}).status == 200


def test_texts_with_heaps_of_marks_hold_nobody_up(service):
    heaps = "字" + "\u0315\u0300" * 9_990
    with ThreadPoolExecutor(3) as pool:
        body = json.dumps({"texts": [heaps] * 5}, ensure_ascii=False).encode()
        asked = [pool.submit(service.post, "/batch", body) for _ in range(3)]
        slowest = 0.0
        while not all(job.done() for job in asked):
            start = time.perf_counter()
            assert service.get("/health").status == 200
            slowest = max(slowest, time.perf_counter() - start)
    assert {job.result().status for job in asked} == {200}
    assert slowest < 1  # seconds; 3 for each text without bounds


def test_a_form_is_no_question(service):
    """What a foreign page could send without being asked first."""
    body = json.dumps({"text": TEXT}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert service.ask("POST", "/predict", body, content_type=kind).status == 422


def test_facts(pair):
    service, classifier = pair
    tree = classifier.system.tree
    about = service.get("/about").content
    assert about["version"] == classifier.version
    assert about["is_demo"] is True
    assert about["targets"]["0.90"]["n_documents"] == about["test_documents"]
    assert service.get("/health").content == {"status": "ok", "model_version": classifier.version}
    assert about["levels"] == list(tree.levels)
    assert about["labels"] == {level: len(tree.labels(level)) for level in tree.levels}
    assert about["text_fields"] == ["摘要"]
    assert {name: own[:2] for name, own in about["text_headers"].items()} == {"摘要": ["摘要", "摘要中文"]}
    assert [own[0] for own in about["number_headers"]] == ["公开号", "申请号"]
    description = service.get("/openapi.json").content
    assert {"/predict", "/batch", "/taxonomy", "/about", "/health", "/metrics"} == set(description["paths"])


def test_the_taxonomy_in_pieces(pair):
    service, classifier = pair
    tree = classifier.system.tree
    whole = service.get("/taxonomy").content
    assert whole["levels"] == {level: len(tree.labels(level)) for level in tree.levels}
    assert whole["path"] == []
    assert [one["code"] for one in whole["children"]] == list(tree.labels("section"))
    assert whole["children"][0]["zh"]
    seen, unseen = set(), [(one["level"], one["code"]) for one in whole["children"]]
    while unseen:  # all labels are reached from the first
        level, code = unseen.pop()
        seen.add((level, code))
        one = service.get(f"/taxonomy?parent={quote(code)}&level={level}&limit=500").content
        assert (one["path"][-1]["level"], one["path"][-1]["code"]) == (level, code)
        assert len(one["children"]) == one["count"] == one["path"][-1].get("children", 0)
        unseen += [(child["level"], child["code"]) for child in one["children"]]
    assert seen == {(level, code) for level in tree.levels for code in tree.labels(level)}


def test_the_children_of_a_label_in_pages(deep_service, deep):
    tree = deep.system.tree
    first = deep_service.get("/taxonomy?parent=%20a&limit=2&offset=1").content
    classes = [code for code in tree.labels("class") if code.startswith("A")]
    assert [one["code"] for one in first["children"]] == classes[1:3]
    assert first["count"] == len(classes)
    assert deep_service.get("/taxonomy?parent=A&offset=1000").content["children"] == []
    group = next(code for code in tree.labels("subgroup") if code in tree.labels("main_group"))
    upper, lower = (
        deep_service.get(f"/taxonomy?parent={quote(group)}{more}").content for more in ("", "&level=subgroup")
    )
    assert [one["level"] for one in upper["path"]] == list(tree.levels[:4])
    assert [one["level"] for one in lower["path"]] == list(tree.levels)
    assert [one["code"] for one in lower["path"][3:]] == [group, group]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("parent=Z", "unknown_label", "similar labels are A, B"),
        (f"parent={quote(SECRET)}", "unknown_label", "similar labels are A, B"),
        ("parent=A&level=floor", "bad_question", "level"),
        (f"parent={'A' * 65}", "bad_question", "check parent"),
        ("limit=501", "bad_question", "check limit"),
        ("limit=0", "bad_question", "check limit"),
        ("offset=-1", "bad_question", "check offset"),
        ("offset=x", "bad_question", "check offset"),
    ],
)
def test_what_is_no_label_of_the_taxonomy(service, query, code, message):
    answer = service.get(f"/taxonomy?{query}")
    assert (answer.status, answer.content["error"]["code"]) == (422, code)
    assert message in answer.content["error"]["message"]
    assert SECRET not in answer.body.decode()


def test_the_taxonomy_may_be_kept_and_is_asked_for(service, classifier):
    first = service.get("/taxonomy?parent=A")
    assert first.headers["cache-control"] == "private, no-cache"
    again = service.ask("GET", "/taxonomy?parent=A", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    titled = HierarchicalClassifier(classifier.system.with_titles({"A": "x"}), None, {})
    with serving(create_app(titled, ServiceSettings(rate=0))) as other:
        newer = other.ask("GET", "/taxonomy?parent=A", if_none_match=first.headers["etag"])
    assert newer.status == 200
    assert newer.content["path"][0]["title"] == "x"
    assert service.get("/about").headers["cache-control"] == "no-store"


def test_an_answer_with_the_names_of_its_labels(pair):
    service, _ = pair
    answer = service.post("/predict", {"text": TEXT, "names": True}).content
    said = {(level, one["label"]) for level, own in answer["levels"].items() for one in own}
    said |= {(step["level"], step["label"]) for path in answer["paths"] for step in path["steps"]}
    assert {(one["level"], one["code"]) for one in answer["names"]} == said
    assert all(one["zh"] and one["en"] for one in answer["names"] if one["level"] in ("section", "class"))
    assert len(answer["names"]) == len(said)


def counted(service):
    lines = service.get("/metrics").body.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_counts(service):
    before = counted(service)
    service.post("/batch", {"texts": [TEXT] * 3})
    service.post("/predict", b"{")
    after = counted(service)
    assert after["patent_hier_texts_total"] - before["patent_hier_texts_total"] == 3
    refused = 'patent_hier_responses_total{status="422"}'
    assert after[refused] - before.get(refused, 0) == 1
    assert after["patent_hier_waiting_texts"] == 0
    assert after['patent_hier_answer_seconds_bucket{le="+Inf"}'] == after["patent_hier_answer_seconds_count"]


def test_every_answer_keeps_a_browser_at_home(service):
    for answer in (service.get("/"), service.get("/nothing"), service.post("/predict", b"{"), service.get("/about")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers or "uvicorn" in answer.headers["server"]


def test_nothing_of_the_page_lies_elsewhere(service):
    for name in (
        "",
        *(f"static/{file}" for file in ("main.js", "style.css", "words.js", "service.js", "correct.js", "chooser.js")),
    ):
        text = service.get(f"/{name}").body.decode()
        assert text
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "innerHTML" not in text
        assert " style=" not in text
        assert "onclick=" not in text.replace("button.onclick", "")


def test_questions_of_many_clients_are_scored_together_and_counted_by_this_service_alone(made, monkeypatch):
    own = HierarchicalClassifier.from_pretrained(made.result("textcnn", "flat"))
    texts = [f"一种用于第{number}号装置的方法" for number in range(40)]
    expected, score = own.predict(texts), own.score_documents
    monkeypatch.setattr(own, "score_documents", lambda texts: time.sleep(0.05) or score(texts))
    with serving(create_app(own, ServiceSettings(rate=0))) as client:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda text: client.post("/predict", {"text": text}), texts))
        counts = counted(client)
    assert counts["patent_hier_batches_total"] < 20
    assert counts["patent_hier_texts_total"] == 40
    for answer, one in zip(answers, expected, strict=True):
        assert close(answer.content, json.loads(json.dumps(one.as_dict())))


def test_without_calibration_no_accuracy_can_be_asked_for(classifier):
    own = HierarchicalClassifier(classifier.system, None, {})
    with serving(create_app(own, ServiceSettings(rate=0))) as client:
        assert client.get("/about").content["targets"] == {}
        assert client.post("/predict", {"text": TEXT}).status == 200
        assert client.post("/predict", {"text": TEXT, "target_accuracy": 0.9}).status == 422
        assert "neighbours" not in client.post("/predict", {"text": TEXT, "neighbours": 3}).content


def test_blocked_places(made, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("code,reason\nG01,由另一部门审查\nA,closed\n", "utf-8")
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"), blocked=path)
    with serving(create_app(own, ServiceSettings(rate=0))) as client:
        assert client.get("/about").content["blocked"] == {
            "count": 2,
            "places": [
                {"label": "G01", "level": "class", "reason": "由另一部门审查"},
                {"label": "A", "level": "section", "reason": "closed"},
            ],
        }
        refused = client.post("/predict", {"text": TEXT, "force": "A01"})
        assert (refused.status, refused.content["error"]["code"]) == (422, "blocked_label")
        assert refused.content["error"]["message"] == "one of the labels is blocked: A: closed"
        for question in ({"top_k": 20}, {"top_k": 20, "exclude": "B"}, {"explain": True}):
            answer = client.post("/predict", {"text": TEXT, **question}).content
            labels = {step["label"] for one in answer["paths"] for step in one["steps"]}
            assert not labels & {"G01", "A", *([question["exclude"]] if "exclude" in question else [])}
        (item,) = client.post("/batch", {"texts": [TEXT], "top_k": 20}).content["results"]
        assert "G01" not in {path["label"] for path in item["prediction"]["paths"]}


def test_nothing_is_blocked_without_a_list(service):
    assert service.get("/about").content["blocked"] == {"count": 0, "places": []}


def test_a_batch_says_what_to_review_first(service, classifier):
    texts = [TEXT, "", "一种锁"]
    plain = service.post("/batch", {"texts": texts}).content["results"]
    asked = service.post("/batch", {"texts": texts, "triage": True}).content["results"]
    for before, item in zip(plain, asked, strict=True):
        assert not before.keys() & {"review", "why"}
        assert {key: value for key, value in item.items() if key not in ("review", "why")} == before
    assert asked[1].keys() == {"error"}
    for item in (asked[0], asked[2]):  # no error model: plain confidence
        assert item["review"] == pytest.approx(1 - item["prediction"]["paths"][0]["probability"])
        assert item.get("why") in ({"close", "unsure"} if item["review"] > 0.5 else {None})
    refused = service.post("/batch", {"texts": texts, "triage": 1})
    assert (refused.status, refused.content["error"]["code"]) == (422, "bad_question")
    assert "check triage" in refused.content["error"]["message"]


def test_a_batch_is_ordered_by_an_error_model(made):
    own = HierarchicalClassifier.from_pretrained(made.result("combination", "flat"))
    names = ("confidence.class", "members")
    model = ErrorModel(names, np.zeros(2), np.ones(2), np.array([-0.5, 4.0]), -1.0)
    triage, texts = Triage(own, Fitted(model, "")), list(made.texts().values())[:20]
    with serving(create_app(own, ServiceSettings(rate=0), triage=triage)) as client:
        results = client.post("/batch", {"texts": texts, "triage": True, "top_k": 2}).content["results"]
    _, reviews = triage.review(own.documents(texts), own.ask(Question(2)))
    assert [item["review"] for item in results] == pytest.approx([one.error for one in reviews], abs=1e-5)
    assert [item.get("why") for item in results] == [one.why for one in reviews]
    assert "members" in {one.why for one in reviews}


@pytest.mark.parametrize("refused", ["slow", "full"])
def test_a_batch_has_its_answers_though_they_cannot_be_reviewed_now(classifier, refused):
    held = threading.Event()

    class Busy(Triage):
        def review(self, *given, **more):
            held.wait(20)
            return super().review(*given, **more)

    settings = ServiceSettings(rate=0, time_limit=1.5 if refused == "slow" else 30)
    plain = Triage.plain(classifier)
    busy = Busy(classifier, Fitted(None, plain.note))
    asked = {"texts": [TEXT, "", "一种锁"], "triage": True}
    with serving(create_app(classifier, settings, triage=busy)) as client, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.post, "/batch", asked) for _ in range(8 if refused == "full" else 0)]
        while refused == "full" and not has_waiting(client, 8 * 2):
            time.sleep(0.02)
        answer = client.post("/batch", asked)
        held.set()
        assert all("note" not in one.result().content for one in waiting)
        expected = client.post("/batch", {"texts": asked["texts"]}).content["results"]
    assert answer.status == 200
    assert answer.content["results"] == expected
    assert "order the answers by probability" in answer.content["note"]


def has_waiting(client, texts):
    """Whether so many texts have been classified."""
    return counted(client)["patent_hier_texts_total"] >= texts


def test_blocked_labels_are_marked_in_the_taxonomy(made, service, tmp_path):
    (tmp_path / "list.csv").write_text("code,reason\nG01,x\nA,x\n", "utf-8")
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"), blocked=tmp_path / "list.csv")
    with serving(create_app(own, ServiceSettings(rate=0))) as client:
        whole, below, inside = (client.get(f"/taxonomy{query}") for query in ("", "?parent=G", "?parent=A"))
        names = client.post("/predict", {"text": TEXT, "names": True}).content["names"]
    assert [one["code"] for one in whole.content["children"] if "blocked" in one] == ["A"]
    assert [(one["code"], one["blocked"]) for one in below.content["children"] if "blocked" in one] == [("G01", True)]
    assert all(one["blocked"] for one in [*inside.content["path"], *inside.content["children"]])
    assert not any("blocked" in one for one in names)
    plain = service.get("/taxonomy")
    assert not any("blocked" in one for one in plain.content["children"])
    assert plain.headers["etag"] != whole.headers["etag"]
