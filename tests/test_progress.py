import pytest

from patent_hier import progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_plain_lines_with_rate_and_time_left(clock, capsys):
    with progress.item_progress("scoring", 100) as advance:
        advance(10)  # too early for a line
        clock.now = 20.0
        advance(10)
        clock.now = 25.0
        advance(10)  # less than ten seconds since the last one
        clock.now = 40.0
        advance(20)
    assert capsys.readouterr().out.splitlines() == [
        "scoring: 20%, 1 documents/s, about 80 s left",
        "scoring: 50%, 1 documents/s, about 40 s left",
    ]


def test_bytes_and_rows(clock, capsys):
    with progress.byte_progress("reading x.csv") as update:
        update(0, 1000, 0)
        clock.now = 10.0
        update(250, 1000, 5000)
    assert capsys.readouterr().out == "reading x.csv: 25%, 5,000 rows, 500 rows/s, about 30 s left\n"


def test_nothing_to_do_prints_nothing(clock, capsys):
    clock.now = 50.0
    with progress.item_progress("empty", 0) as advance:
        clock.now = 100.0
        advance(0)
    assert capsys.readouterr().out == ""


def test_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(progress, "Console", lambda: _console())
    with progress.item_progress("scoring [x]", 4) as advance:
        advance(3)
    out = capsys.readouterr().out
    assert "scoring [x]" in out
    assert "75%" in out
    assert "documents/s" in out


def _console():
    from rich.console import Console

    return Console(force_terminal=True, width=120)


def test_say_is_one_line(capsys):
    progress.say("a line")
    assert capsys.readouterr().out == "a line\n"


def test_batches_are_counted_when_the_next_one_is_asked_for():
    seen = []
    batches = progress.counted([["a", "b"], ["c"]], seen.append)
    assert next(batches) == ["a", "b"]
    assert seen == []
    assert next(batches) == ["c"]
    assert seen == [2]
    assert list(batches) == []
    assert seen == [2, 1]
