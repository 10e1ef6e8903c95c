import socket
import time

import pytest

from patent_hier.web import connection
from patent_hier.web.app import create_app
from patent_hier.web.guard import ServiceSettings
from tests.web.serving import serving

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def hasty(classifier, monkeypatch):
    """A service that waits half a second for headers, and has places for three."""
    monkeypatch.setattr(connection, "HEAD_TIME", 0.5)
    monkeypatch.setattr(connection, "ANSWER_TIME", 1.5)
    monkeypatch.setattr(connection, "MOST_ABOVE", 2)
    with serving(create_app(classifier, ServiceSettings(rate=0, body_time=5)), limit=4) as client:
        yield client


def lasts(client, *pieces, pause=0.0):
    """Seconds until the service closes a connection, and what it said."""
    start, came = time.perf_counter(), b""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        for piece in pieces:
            try:
                sock.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        try:
            while part := sock.recv(65536):
                came += part
        except ConnectionError:
            pass
    return time.perf_counter() - start, came


@pytest.mark.parametrize("sent", [b"", HEALTH[:20], HEALTH[:-2]])
def test_who_sends_no_request_is_let_go(hasty, sent):
    seconds, came = lasts(hasty, sent)
    assert came == b""
    assert 0.4 < seconds < 2


def test_a_header_a_byte_at_a_time_does_not_gain_time(hasty):
    seconds, came = lasts(hasty, *(bytes([byte]) for byte in HEALTH[:40]), pause=0.1)
    assert came == b""
    assert seconds < 3  # all bytes would take 4


def test_neither_is_the_second_request_waited_for(hasty):
    seconds, came = lasts(hasty, HEALTH)
    assert came.startswith(b"HTTP/1.1 200 ")
    assert 0.4 < seconds < 2
    seconds, came = lasts(hasty, HEALTH * 2 + HEALTH[:9])
    assert came.count(b"HTTP/1.1 200 ") == 2
    assert seconds < 2


def test_a_request_that_is_under_way_has_its_time(hasty):
    body = b'{"text": "xyz"}'
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    seconds, came = lasts(hasty, head + b"Content-Length: 15\r\n\r\n", body, pause=0.8)
    assert came.startswith(b"HTTP/1.1 200 ")
    seconds, came = lasts(hasty, head + b"Content-Length: 15\r\n\r\n")
    assert came == b""
    assert 1.4 < seconds < 4


def test_idle_connections_do_not_keep_others_out(hasty):
    idle = [socket.create_connection(("127.0.0.1", hasty.port), timeout=5) for _ in range(4)]
    assert hasty.get("/health").status == 503
    more = [socket.create_connection(("127.0.0.1", hasty.port), timeout=5) for _ in range(4)]
    start = time.perf_counter()
    assert more[-1].recv(1) == b""  # closed at once
    assert time.perf_counter() - start < 0.3
    time.sleep(1)
    assert hasty.get("/health").status == 200
    for sock in idle + more:
        sock.close()


def test_a_connection_is_read_in_small_portions(classifier, monkeypatch):
    """So that a body in chunks of one byte does not hold up all others."""
    sizes, take = [], connection.H11Protocol.data_received

    def noted(own, data):
        sizes.append(len(data))
        take(own, data)

    monkeypatch.setattr(connection.H11Protocol, "data_received", noted)
    body = b'{"text": "' + b"x" * 15_000 + b'"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with serving(create_app(classifier, ServiceSettings(rate=0))) as client:
        assert client.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).startswith(b"HTTP/1.1 200 ")
    assert max(sizes) <= connection.READ_AT_ONCE
