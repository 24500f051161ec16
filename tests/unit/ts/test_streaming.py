"""Answers in parts, and handlers that are asked again until they are done."""

from __future__ import annotations

import pytest
from handlerdirs import context_of, lay_out

from mar_core.handlers.load import load_handler
from mar_core.ts import compat
from mar_core.ts.context import begin_batch
from mar_core.ts.streaming import import_class, send_intermediate_predict_response


@pytest.fixture
def context(tmp_path):
    made = context_of(*lay_out(tmp_path / "c", {}))
    begin_batch(made, ["a", "b"], [{}, {}])
    made.parts = []
    made.sink = lambda index, part: made.parts.append((index, part))
    return made


def test_parts_go_to_the_sink(context):
    send_intermediate_predict_response(["x", "y"], context.request_ids, "m", 200, context)
    assert context.parts == [(0, "x"), (1, "y")]
    assert context.get_response_headers(1) == {"ts_stream_next": "true"}


def test_without_a_sink_parts_are_dropped(context):
    context.sink = None
    send_intermediate_predict_response(["x", "y"], context.request_ids, "m", 200, context)
    send_intermediate_predict_response(["x"], [0])


def test_other_ranks_send_nothing(context, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    send_intermediate_predict_response(["x", "y"], context.request_ids, "m", 200, context)
    assert context.parts == []


def test_import_class():
    assert import_class("pathlib.Path").__name__ == "Path"
    assert import_class("Path", "pathlib").__name__ == "Path"
    assert import_class("mock.Mock", "unittest").__name__ == "Mock"
    for wrong in ("", None, "Path"):
        with pytest.raises(ImportError, match="must be a module and a class"):
            import_class(wrong)
    with pytest.raises(ImportError, match="The module pathlib has no class 'Nothing'"):
        import_class("pathlib.Nothing")


COUNTDOWN = """
    class Countdown:
        # Counts each request down; each call is one step for every request that is not done.

        def initialize(self, context):
            context.cache = {}
            self.calls = []

        def handle(self, data, context):
            self.calls.append(list(context.request_ids.values()))
            context.stopping_criteria = []
            results = []
            for index, row in enumerate(data):
                name = context.get_request_id(index)
                left = context.cache.setdefault(name, row["data"]) - 1
                context.cache[name] = left
                assert context.get_request_header(index, "name") == name
                context.stopping_criteria.append(lambda result, left=left: left <= 0)
                results.append(left)
            return results
"""


@pytest.mark.parametrize("envelope", [None, "body"])
def test_continuous_batching(tmp_path, envelope):
    text = COUNTDOWN if envelope is None else COUNTDOWN.replace('row["data"]', "row")
    files = {"handler.py": text, "c.yaml": "continuousBatching: true"}
    manifest, folder = lay_out(tmp_path / "m", files, configFile="c.yaml")
    handler = load_handler(manifest, folder, envelope=envelope)
    context = context_of(manifest, folder, batch_size=3)
    handler.initialize(context)
    parts = []
    context.sink = lambda index, part: parts.append((index, part))
    names = ["a", "b", "c"]
    begin_batch(context, names, [{"name": name} for name in names])
    rows = [{"data": count} for count in (1, 3, 2)]
    assert handler.entry(rows, context) == [0, 0, 0]
    assert handler.instance.calls == [["a", "b", "c"], ["b", "c"], ["b"]]
    assert parts == [(1, 2), (2, 1), (1, 1)]
    assert context.request_ids == {0: "a", 1: "b", 2: "c"}
    assert context.get_response_headers(1) == {"ts_stream_next": "true"}
    assert not handler.staged
    handler.close()


def test_one_step_at_a_call(tmp_path):
    files = {"handler.py": COUNTDOWN, "c.yaml": "continuousBatching: true"}
    manifest, folder = lay_out(tmp_path / "m", files, configFile="c.yaml")
    handler = load_handler(manifest, folder, steps=True)
    context = context_of(manifest, folder, batch_size=3)
    handler.initialize(context)

    def step(**counts):
        begin_batch(context, list(counts), [{"name": name} for name in counts])
        results = handler.entry([{"data": count} for count in counts.values()], context)
        said = [
            context.get_response_headers(index)["ts_stream_next"] for index in range(len(counts))
        ]
        return list(zip(results, said, strict=True))

    assert step(a=1, b=3) == [(0, "false"), (2, "true")]
    assert step(b=3, c=2) == [(1, "true"), (1, "true")]
    assert step(b=3, c=2) == [(0, "false"), (0, "false")]
    handler.close()


def test_continuous_batching_without_criteria_and_with_a_wrong_count(tmp_path):
    text = """
        def handle(data, context):
            return None if data is None else data[:1]
    """
    files = {"handler.py": text, "c.yaml": "continuousBatching: true"}
    manifest, folder = lay_out(tmp_path / "m", files, configFile="c.yaml")
    handler = load_handler(manifest, folder)
    context = context_of(manifest, folder)
    handler.initialize(context)
    begin_batch(context, ["a"], [{}])
    assert handler.entry([1], context) == [1]
    begin_batch(context, ["a", "b"], [{}, {}])
    assert handler.entry([1, 2], context) == [1]
    handler.close()


def test_texts_of_a_batch_while_they_are_generated():
    """With transformers' own streamers."""
    pytest.importorskip("transformers")
    import numpy as np

    class Digits:
        def decode(self, tokens):
            return "".join(map(str, tokens))

    module = compat.load("ts.handler_utils.hf_batch_streamer")
    streamer = module.TextIteratorStreamerBatch(Digits(), 2)
    for step in ([1, 2], [3, 4]):
        streamer.put(np.array(step))
    with pytest.raises(ValueError, match="holds 2 requests, not 3"):
        streamer.put(np.zeros(3))
    streamer.end()
    texts = [[row["text"] for row in step] for step in streamer]
    assert ["".join(parts) for parts in zip(*texts, strict=True)] == ["13", "24"]
    assert len(texts) > 1
