"""Numbers of real runs, in the file, at the port and at a collector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

import mar_core
from mar_core.testing import make_archive

HANDLER = """
import os, signal

def handle(data, context):
    if data is None:  # a server's call to get ready
        return None
    for row in data:
        text = row.get("data")
        if text == "bad":
            raise ValueError("bad row")
        if text == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    context.metrics.add_counter("RowsSeen", len(data))
    context.metrics.add_size("Payload", 12.5, unit="kB")
    return [1 for _ in data]
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "handler.py").write_text(HANDLER)
    archive = make_archive(tmp_path, handler=tmp_path / "handler.py", model_name="rows")

    def run(rows, *flags, **variables):
        source = tmp_path / "rows.jsonl"
        source.write_text("".join(json.dumps({"data": row}) + "\n" for row in rows))
        return subprocess.run(
            [sys.executable, "-m", "mar_core", "run", archive, source, "--json", *flags],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def key(name, *labels):
    return (name, *labels)


def samples(text):
    """Each sample's value by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def stage(name):
    return ("model", "rows"), ("stage", name)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_file_has_all_that_happened(run, tmp_path, workers):
    done = run(
        ["a", "b", "bad", "c"],
        *("--workers", workers, "--batch-size", "1"),
        MAR_METRICS_FILE="mar.prom",
    )
    assert done.returncode == 1, done.stderr
    found = samples((tmp_path / "mar.prom").read_text())
    assert found[key("mar_stage_seconds_count", *stage("initialize"))] == max(int(workers), 1)
    assert found["mar_batch_size_sum", ("model", "rows")] >= 4
    assert found[key("mar_stage_errors_total", ("error", "ValueError"), *stage("inference"))] >= 1
    assert found["mar_run_inputs_total", ("model", "rows"), ("outcome", "succeeded")] == 3
    assert found["mar_run_inputs_total", ("model", "rows"), ("outcome", "failed")] == 1
    assert found["mar_run_seconds", ("model", "rows")] > 0
    own = {name: value for (name, *_), value in found.items() if name.startswith("mar_handler")}
    assert own["mar_handler_rows_seen_total"] == 3
    assert own["mar_handler_payload_kilobytes_gauge"] == 12.5


def test_what_a_killed_worker_has_counted_stays(run, tmp_path):
    done = run(
        ["a", "b", "kill", "c"],
        *("--workers", "1", "--batch-size", "1"),
        MAR_METRICS_FILE="mar.prom",
    )
    assert done.returncode == 1, done.stderr
    found = samples((tmp_path / "mar.prom").read_text())
    assert found["mar_run_inputs_total", ("model", "rows"), ("outcome", "succeeded")] == 3
    assert found[key("mar_stage_seconds_count", *stage("initialize"))] == 2
    rows = [value for (name, *_), value in found.items() if name == "mar_handler_rows_seen_total"]
    assert sum(rows) == 3


def test_nothing_is_left_behind(run, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    run(["a"], "--workers", "2", MAR_METRICS_FILE="mar.prom", TMPDIR=str(folder))
    assert not list(folder.glob("mar-metrics-*"))
    assert not list(tmp_path.glob("mar.prom.*"))


def test_without_settings_nothing_is_imported():
    code = (
        "import sys, mar_metrics\n"
        "mar_metrics.mar_run_started()\n"
        "mar_metrics.mar_stage_finished('m', 'inference', 0.1, 1, None)\n"
        "assert not {'prometheus_client', 'opentelemetry', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"MAR_METRICS_PORT": "http"}, "MAR_METRICS_PORT must be a number"),
        ({"MAR_METRICS_PORT": "70000"}, "MAR_METRICS_PORT must be a port"),
        ({"MAR_METRICS_FILE": "x", "MAR_METRICS_INTERVAL": "0"}, "MAR_METRICS_INTERVAL must be"),
        ({"MAR_METRICS_FILE": "no/such/folder/x"}, "No such file"),
    ],
)
def test_a_bad_setting_is_one_line_and_the_run_goes_on(run, variables, words):
    done = run(["a", "b"], "--workers", "0", **variables)
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if "mar-metrics" in line]
    assert len(warnings) == 1
    assert words in warnings[0]
    assert len(done.stdout.splitlines()) == 2


@pytest.fixture
def session(monkeypatch):
    """Hooks called in this process, as ``mar run`` calls them; ended whatever happens."""
    import mar_metrics
    from mar_metrics import session

    # What other tests did in this process has settled that nothing is measured.
    mar_metrics._is_wanted.cache_clear()
    yield mar_metrics
    session.finish()
    mar_metrics._is_wanted.cache_clear()


def summary(**more):
    return mar_core.RunSummary(model="rows", total=3, succeeded=2, seconds=1.5, **more)


def test_a_port_can_be_scraped_while_it_runs(session, monkeypatch):
    from mar_metrics.session import _State

    monkeypatch.setenv("MAR_METRICS_PORT", "0")
    session.mar_run_started()
    session.mar_stage_finished("rows", "inference", 0.02, 4, None)
    port = _State.session.port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = samples(answer.read().decode())
    assert found["mar_batch_size_sum", ("model", "rows")] == 4
    session.mar_run_finished(summary())
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_two_runs_in_one_process_start_from_nought(session, monkeypatch, tmp_path):
    monkeypatch.setenv("MAR_METRICS_FILE", str(tmp_path / "mar.prom"))
    for _ in range(2):
        session.mar_run_started()
        session.mar_stage_finished("rows", "inference", 0.02, 4, None)
        session.mar_run_finished(summary())
        found = samples((tmp_path / "mar.prom").read_text())
        assert found[key("mar_stage_seconds_count", *stage("inference"))] == 1


def test_a_name_recorded_in_two_ways_is_two_metrics(session, monkeypatch, tmp_path):
    monkeypatch.setenv("MAR_METRICS_FILE", str(tmp_path / "mar.prom"))
    kinds = mar_core.MetricTypes
    for kind, dimensions in (
        (kinds.COUNTER, {"Level": "Model"}),
        (kinds.GAUGE, {"Level": "Model"}),
        (kinds.HISTOGRAM, {}),
        (kinds.COUNTER, {"Other-One": "x"}),
        (kinds.COUNTER, {}),
    ):
        metric = mar_core.Metric(
            name="my metric", value=2.0, unit="ms", dimensions=dimensions, type=kind
        )
        session.mar_metric_recorded("rows", metric)
    session.mar_run_finished(summary())
    found = samples((tmp_path / "mar.prom").read_text())
    model = ("model", "rows")
    assert found["mar_handler_my_metric_ms_total", ("level", "Model"), model] == 2
    assert found["mar_handler_my_metric_ms_total", ("level", ""), model] == 4
    assert found["mar_handler_my_metric_ms_gauge", ("level", "Model"), model] == 2
    assert found["mar_handler_my_metric_ms_histogram_sum", model] == 2


def test_opentelemetry_lines(run, tmp_path):
    run(["a", "bad"], "--workers", "2", "--batch-size", "1", MAR_METRICS_OTEL="mar.jsonl")
    last = json.loads((tmp_path / "mar.jsonl").read_text().splitlines()[-1])
    (scope,) = last["resource_metrics"][0]["scope_metrics"]
    metrics = {metric["name"]: metric["data"] for metric in scope["metrics"]}
    (sizes,) = metrics["mar_batch_size"]["data_points"]
    assert (sizes["count"], sizes["sum"]) == (sum(sizes["bucket_counts"]), sizes["count"])
    assert metrics["mar_stage_errors"]["is_monotonic"] is True
    outcomes = {
        point["attributes"]["outcome"]: point["value"]
        for point in metrics["mar_run_inputs"]["data_points"]
    }
    assert outcomes == {"succeeded": 1, "failed": 1, "skipped": 0}


@pytest.fixture
def collector():
    """An OpenTelemetry collector's HTTP endpoint: keeps what is sent."""
    received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            received.append((self.path, self.headers, self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_collector_takes_it(run, collector):
    import gzip

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    endpoint, received = collector
    done = run(["a", "b"], MAR_METRICS_OTEL="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert done.returncode == 0, done.stderr
    path, headers, body = received[-1]
    assert path == "/v1/metrics"
    raw = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
    request = ExportMetricsServiceRequest.FromString(raw)
    (scope,) = request.resource_metrics[0].scope_metrics
    metrics = {metric.name: metric for metric in scope.metrics}
    stages = metrics["mar_stage_seconds"].histogram.data_points
    inference = [
        point
        for point in stages
        if any(a.key == "stage" and a.value.string_value == "inference" for a in point.attributes)
    ]
    assert inference[0].count == 2
    assert not inference[0].HasField("min")


def test_mar_knows_its_hooks():
    for hook in ("mar_run_started", "mar_stage_finished", "mar_metric_recorded"):
        done = subprocess.run(
            [sys.executable, "-m", "mar_core", "plugins", "--hook", hook, "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "mar-metrics" in [use["plugin"] for use in json.loads(done.stdout)]
