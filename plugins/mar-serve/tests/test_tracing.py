"""Spans of real requests, as OpenTelemetry writes them."""

from __future__ import annotations

import json

import pytest
import serving
import serving_handlers as handlers

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STAGED = """
import time
from mar_core import BaseHandler

class Handler(BaseHandler):
    def initialize(self, context):
        self.initialized = True
    def preprocess(self, data):
        return [row.get("body") for row in data]
    def inference(self, data):
        time.sleep(0.02)
        return data
    def postprocess(self, data):
        return [len(one) for one in data]
"""


def spans(folder):
    text = (folder / "mar.traces.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_request_is_a_span_with_its_stages_in_the_clients_trace(tmp_path):
    archive = handlers.make(tmp_path, "staged", STAGED, batchSize=4)
    sick = handlers.make(tmp_path, "echo")
    env = {"MAR_METRICS_OTEL": str(tmp_path / "mar.jsonl")}
    with serving.running(archive, sick, folder=tmp_path, env=env) as server:
        with server.client() as client:
            head = {"TraceParent": f"00-{TRACE}-{PARENT}-01"}
            answer = client.post("/predictions/staged", content=b"four", headers=head)
            assert answer.text == "4"
            text = {"content-type": "text/plain"}
            client.post("/predictions/echo", content="raise", headers=text)
        server.end()
    found = spans(tmp_path)
    ours = {span["name"]: span for span in found if span["context"]["trace_id"] == f"0x{TRACE}"}
    assert {"predict staged", "queue", "preprocess", "inference", "postprocess"} <= set(ours)
    root = ours["predict staged"]
    assert root["parent_id"] == f"0x{PARENT}"
    assert root["kind"] == "SpanKind.SERVER"
    assert root["attributes"]["http.response.status_code"] == 200
    assert root["attributes"]["mar.request.id"] == answer.headers["x-request-id"]
    assert ours["inference"]["parent_id"] == root["context"]["span_id"]
    assert ours["inference"]["attributes"]["mar.batch.size"] == 1
    assert root["start_time"] <= ours["queue"]["start_time"] <= ours["queue"]["end_time"]
    assert ours["queue"]["end_time"] <= ours["inference"]["start_time"]
    assert ours["inference"]["end_time"] <= root["end_time"]
    (failed,) = [span for span in found if span["name"] == "predict echo"]
    assert failed["status"]["status_code"] == "ERROR"


@pytest.mark.parametrize("env", [{}, {"OTEL_TRACES_EXPORTER": "none", "MAR_METRICS_OTEL": "x"}])
def test_without_being_asked_there_is_no_tracer(monkeypatch, env):
    from mar_serve.tracing import make_tracer

    for name in ("OTEL_TRACES_EXPORTER", "MAR_METRICS_OTEL", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert make_tracer() is None
