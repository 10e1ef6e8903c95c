import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.web.app import create_app
from patent_hier.web.guard import Rates, ServiceSettings
from tests.web.serving import serving

HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def strict(classifier):
    """A service with little patience."""
    with serving(create_app(classifier, ServiceSettings(rate=0, max_body=2000, body_time=0.5))) as client:
        yield client


CHUNKS = b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(10))
SECOND = b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"  # a proxy may take it for a body


@pytest.mark.parametrize(
    ("sent", "status", "code", "seconds"),
    [
        (b"Content-Length: 50000000\r\n\r\n", 413, "too_large", 0),
        (b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, 413, "too_large", 0),
        (b'Content-Length: 100\r\n\r\n{"te', 408, "too_slow", 0.4),
        (b"Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n" + SECOND, 400, "two_lengths", 0),
    ],
)
def test_a_body_that_is_too_large_or_late_or_of_two_lengths_ends_the_connection(strict, sent, status, code, seconds):
    start = time.perf_counter()
    came = strict.raw(HEAD + sent)
    assert seconds <= time.perf_counter() - start < seconds + 2.5
    assert came.startswith(b"HTTP/1.1 %d " % status)
    assert came.count(b"HTTP/1.1 ") == 1
    assert f'"code":"{code}"'.encode() in came


def test_a_body_within_the_bound(strict):
    body = b'{"text": "' + b"x" * 1900 + b'"}'
    assert strict.post("/predict", body).status == 200
    assert strict.post("/predict", body + b" " * 200).status == 413


OTHERS = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]", "localhost.")
OTHERS += ("localhost:evil.example", "localhost:80:80", "localhost:80@evil.example", "[::1]evil.example", "[::1]:evil")
OTHERS += (
    "[::1",
    "localhost:",
    "localhost:999999",
    "localhost:²",
    "localhost/evil.example",
    "localhost evil.example",
)
OWN = ("127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:80")


@pytest.mark.parametrize(("host", "status"), [(host, 400) for host in OTHERS] + [(host, 200) for host in OWN])
def test_only_own_names_are_answered(strict, host, status):
    assert strict.ask("GET", "/health", Host=host).status == status


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("", 403), ("same-origin", 200), ("none", 200)]
)
def test_pages_of_others_may_link_but_not_ask(strict, site, status):
    answer = strict.ask("POST", "/predict", b'{"text": "x"}', content_type="application/json", sec_fetch_site=site)
    assert answer.status == status
    assert strict.ask("GET", "/", sec_fetch_site=site).status == 200


def test_too_many_requests(classifier):
    with serving(create_app(classifier, ServiceSettings(rate=0.001, burst=5))) as client:
        statuses = [client.get("/health").status for _ in range(8)]
        assert statuses == [200] * 5 + [429] * 3
        refused = client.get("/health")
    assert refused.headers["retry-after"] == "1"
    assert refused.content["error"]["code"] == "too_many_requests"


def test_a_full_queue_and_a_late_answer(classifier, monkeypatch):
    settings = ServiceSettings(rate=0, max_queue=3, time_limit=0.2)
    original = classifier.score_documents
    monkeypatch.setattr(classifier, "score_documents", lambda texts: time.sleep(0.6) or original(texts))
    with serving(create_app(classifier, settings)) as client:
        late = client.post("/predict", {"text": "一种锁"})
        assert (late.status, late.content["error"]["code"]) == (503, "too_slow")
        full = client.post("/batch", {"texts": ["一种锁"] * 4})
        assert (full.status, full.content["error"]["code"]) == (503, "busy")
        assert full.headers["retry-after"] == "1"


def test_what_goes_wrong_inside_is_told_briefly(classifier, monkeypatch):
    def broken(texts):
        raise RuntimeError("the text was 一种锁")

    monkeypatch.setattr(classifier, "score_documents", broken)
    with serving(create_app(classifier, ServiceSettings(rate=0))) as client:
        answer = client.post("/predict", {"text": "一种锁"})
        assert answer.status == 500
        assert answer.content == {
            "error": {"code": "failed", "message": "the request failed because of an internal error"}
        }
        assert client.get("/health").status == 200


@given(st.integers(1, 5), st.integers(1, 4), st.lists(st.floats(0, 2), max_size=60))
def test_no_address_gets_more_than_its_rate(rate, burst, waits):
    now = 0.0
    rates = Rates(rate, burst, lambda: now)
    allowed = 0
    for wait in waits:
        now += wait
        allowed += rates.allows("a")
    assert allowed <= burst + rate * now + 1e-6
    if waits:
        assert allowed >= 1
    assert rates.allows("b")  # others are not held up


def test_waiting_long_saves_no_more_than_a_burst():
    now = 0.0
    rates = Rates(2, 3, lambda: now)
    assert [rates.allows("a") for _ in range(4)] == [True] * 3 + [False]
    now = 1000.0
    assert [rates.allows("a") for _ in range(4)] == [True] * 3 + [False]


def test_addresses_are_forgotten():
    rates = Rates(1, 1)
    for number in range(20_000):
        rates.allows(str(number))
    assert len(rates._buckets) <= 10_001
