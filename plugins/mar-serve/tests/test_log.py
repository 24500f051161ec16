"""What the terminal and log collectors are told."""

from __future__ import annotations

import io
import json
import logging

import pytest
from mar_serve import log

MODELS = [
    {"name": "mnist", "version": "1.0", "ready": True, "workers": {"live": 2}, "batch_size": 32},
    {"name": "a\x1b]0;b\x07", "version": "2.0", "ready": False, "workers": {"live": 0}},
]
ADDRESSES = {"inference": "http://127.0.0.1:8080", "management": "http://127.0.0.1:8081"}


@pytest.fixture(autouse=True)
def _loggers_are_left_as_they_were():
    loggers = [logging.getLogger(name) for name in (*log.NAMES, "mar_serve.access")]
    before = [(one, one.handlers, one.propagate, one.level) for one in loggers]
    yield
    for one, handlers, propagate, level in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def greeted(**options):
    stream = io.StringIO()
    log.configure(stream=stream, **options)
    log.greet(models=MODELS, addresses=ADDRESSES, notes=["Only for this machine."], stream=stream)
    return stream.getvalue()


def test_the_greeting_says_what_is_where_and_what_to_type():
    text = greeted()
    assert "mnist          1.0  2 workers, batches of up to 32\n" in text
    assert "not ready" in text
    assert "inference   http://127.0.0.1:8080  the page, and predictions\n" in text
    assert "Only for this machine." in text
    assert "$ curl http://127.0.0.1:8080/predictions/mnist -T FILE\n" in text


def test_no_name_reaches_the_terminal_as_a_command():
    text = greeted()
    assert "\x1b" not in text
    assert "a\\x1b]0;b\\x07" in text


def test_in_json_everything_is_a_line():
    text = greeted(as_json=True)
    (entry,) = map(json.loads, text.splitlines())
    assert entry["addresses"] == ADDRESSES
    assert entry["models"][0]["name"] == "mnist"
    assert "\x1b" not in text


def test_lines_have_a_time_a_level_and_no_escapes():
    stream = io.StringIO()
    log.configure(stream=stream)
    logging.getLogger("mar_serve.slots").warning("worker of %s is gone", "m\x1b[31m\u202e")
    assert stream.getvalue()[8:] == "  warning  worker of m\\x1b[31m\\u202e is gone\n"


def test_json_lines_carry_what_the_caller_adds_and_the_traceback():
    stream = io.StringIO()
    log.configure(as_json=True, stream=stream)
    try:
        {}["x"]
    except KeyError:
        logging.getLogger("mar_serve").exception("a defect", extra={"request_id": "r1"})
    entry = json.loads(stream.getvalue())
    assert entry["level"] == "error"
    assert entry["request_id"] == "r1"
    assert "KeyError" in entry["message"]


@pytest.mark.parametrize(("access", "lines"), [(False, 0), (True, 1)])
def test_requests_are_logged_only_when_asked_for(access, lines):
    stream = io.StringIO()
    log.configure(access=access, stream=stream)
    logging.getLogger("mar_serve.access").info("GET /ping 200")
    assert len(stream.getvalue().splitlines()) == lines
