"""What is counted, and what a scraper and TorchServe's log get of it."""

from __future__ import annotations

import pytest
from mar_serve.stats import MAX_SERIES
from mar_serve.telemetry import Telemetry
from prometheus_client.parser import text_string_to_metric_families

from mar_core import Metric, MetricTypes


def families(telemetry, *names):
    text = telemetry.text(names).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(telemetry, *names):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(telemetry, *names).values()
        for sample in family.samples
    }


def value(telemetry, name, **labels):
    found, key = samples(telemetry, name), tuple(sorted(labels.items()))
    # The parser ends the name of every counter in `_total`; the text is looked at below.
    return found[name, key] if (name, key) in found else found[f"{name}_total", key]


@pytest.fixture
def telemetry():
    return Telemetry(hostname="here")


def test_requests_are_counted_under_torchserves_names(telemetry):
    stats = telemetry.model("mnist", "1.0")
    stats.answered(200, 0.002, 0.001)
    stats.answered(200, 0.004, 0.001, named=True)
    stats.answered(503, 0.001, None)
    telemetry.counted(404)
    of = {"model_name": "mnist", "hostname": "here"}
    assert value(telemetry, "ts_inference_requests_total", **of, model_version="default") == 2
    assert value(telemetry, "ts_inference_requests_total", **of, model_version="1.0") == 1
    # Only answers that succeeded: a refusal takes no time, and would make a slow model look fast.
    latency = "ts_inference_latency_microseconds"
    assert value(telemetry, latency, **of, model_version="default") == pytest.approx(2000)
    queue = "ts_queue_latency_microseconds"
    assert value(telemetry, queue, **of, model_version="1.0") == pytest.approx(1000)
    host = {"Level": "Host", "Hostname": "here"}
    assert value(telemetry, "Requests2XX", **host) == 2
    assert value(telemetry, "Requests4XX", **host) == 1
    assert value(telemetry, "Requests5XX", **host) == 1
    assert stats.requests == 3
    assert stats.failed == 1


def test_heads_have_the_names_of_their_samples(telemetry):
    telemetry.model("mnist", "1.0").answered(200, 0.002, 0.001)
    lines = telemetry.text().decode().splitlines()
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    plain = {line.partition("{")[0] for line in lines if line and not line.startswith("#")}
    endings = ("_bucket", "_count", "_sum")
    assert plain <= typed | {f"{name}{ending}" for name in typed for ending in endings}
    assert {"Requests2XX", "ts_inference_latency_microseconds"} <= typed


def test_a_batch_is_measured_by_stages(telemetry):
    stats = telemetry.model("mnist", "1.0")
    stats.batch(3, 0.010, {"preprocess": 0.001, "inference": 0.006})
    stats.worker_loaded("W-9000-mnist_1.0", 2.5)
    of = {"ModelName": "mnist", "Level": "Model", "Hostname": "here"}
    host = {"Level": "Host", "Hostname": "here"}
    assert value(telemetry, "HandlerTime", **of) == pytest.approx(7)
    assert value(telemetry, "PredictionTime", **of) == pytest.approx(6)
    assert value(telemetry, "WorkerThreadTime", **host) == pytest.approx(3)
    worker = {"WorkerName": "W-9000-mnist_1.0", **host}
    assert value(telemetry, "WorkerLoadTime", **worker) == 2500
    version = {"model_name": "mnist", "model_version": "1.0"}
    assert value(telemetry, "mar_serve_batch_size_sum", **version) == 3
    assert value(telemetry, "mar_serve_batch_size_bucket", **version, le="2") == 0
    assert value(telemetry, "mar_serve_batch_size_bucket", **version, le="4") == 1
    stage = {**version, "stage": "inference"}
    assert value(telemetry, "mar_serve_stage_seconds_count", **stage) == 1


def test_the_machine_is_there(telemetry):
    found = families(telemetry)
    for name in ("CPUUtilization", "MemoryUsed", "MemoryAvailable", "DiskUsage", "DiskAvailable"):
        assert len(found[name].samples) == 1, name


def test_only_what_is_asked_for(telemetry):
    telemetry.model("mnist", "1.0").answered(200, 0.002, 0.001)
    assert set(families(telemetry, "Requests2XX", "MemoryUsed")) == {"Requests2XX", "MemoryUsed"}
    assert families(telemetry, "nothing_of_this_name") == {}


def test_what_handlers_record_is_shown_with_their_dimensions(telemetry):
    stats = telemetry.model("mnist", "1.0")
    for size in (2, 3):
        stats.recorded(Metric(name="Bytes In", value=size, unit="kB", dimensions={"Kind": "png"}))
    gauge = {"type": MetricTypes.GAUGE, "unit": "ms"}
    stats.recorded(Metric(name="Last", value=7, **gauge))
    stats.recorded(Metric(name="Last", value=5, **gauge))
    histogram = {"type": MetricTypes.HISTOGRAM, "unit": "s"}
    stats.recorded(Metric(name="Spread", value=0.3, **histogram))
    assert value(telemetry, "Bytes_In", Kind="png", Hostname="here") == 5
    assert value(telemetry, "Last", Hostname="here") == 5
    assert value(telemetry, "Spread_count", Hostname="here") == 1
    assert value(telemetry, "Spread_bucket", Hostname="here", le="0.5") == 1


def test_a_handler_cannot_take_a_name_of_the_servers(telemetry):
    stats = telemetry.model("mnist", "1.0")
    stats.recorded(Metric(name="Requests2XX", value=99, unit="count"))
    stats.recorded(Metric(name="HandlerTime", value=99, unit="ms", type=MetricTypes.GAUGE))
    text = telemetry.text().decode()
    assert text.count("# TYPE Requests2XX counter") == 1
    assert text.count("# TYPE HandlerTime gauge") == 1
    assert value(telemetry, "Requests2XX", Level="Host", Hostname="here") == 0


def test_a_dimension_that_never_repeats_does_not_fill_the_memory(telemetry):
    stats = telemetry.model("mnist", "1.0")
    for number in range(MAX_SERIES + 50):
        stats.recorded(Metric(name="N", value=1, unit="count", dimensions={"Id": number}))
    assert len(families(telemetry)["N"].samples) == MAX_SERIES


def test_percentiles_are_of_the_last_answers():
    stats = Telemetry(hostname="here").model("mnist", "1.0")
    assert stats.p50 is None
    for _ in range(5000):
        stats.answered(200, 9.0)
    for number in range(1000):
        stats.answered(200, number / 1000)
    assert stats.p50 == pytest.approx(0.5)
    assert stats.p99 == pytest.approx(0.99)


def test_in_log_mode_the_endpoint_is_empty_and_lines_are_torchserves(caplog):
    telemetry = Telemetry(hostname="here", mode="log")
    telemetry.model("mnist\x1b[31m", "1.0").answered(200, 0.002, 0.001)
    assert telemetry.text() == b""
    (line,) = [line for line in telemetry.lines() if line.startswith("Requests2XX")]
    assert line.startswith("Requests2XX:1.0|#Level:Host|#hostname:here,timestamp:")
    with caplog.at_level("INFO", logger="mar_serve.metrics"):
        telemetry.log()
    assert "ts_inference_requests_total:1.0|#model_name:mnist\\x1b[31m" in caplog.text
    assert "\x1b" not in caplog.text


def test_in_legacy_mode_three_metrics_are_shown_and_the_others_written():
    telemetry = Telemetry(hostname="here", mode="legacy")
    telemetry.model("mnist", "1.0").answered(200, 0.002, 0.001)
    assert all(name.startswith("ts_") for name in families(telemetry))
    assert not any(line.startswith("ts_") for line in telemetry.lines())
    assert families(telemetry, "Requests2XX") == {}


def test_queues_and_workers_can_be_scaled_by(telemetry):
    telemetry.loads = lambda: [("mnist", "1.0", 4, 2)]
    version = {"model_name": "mnist", "model_version": "1.0"}
    assert value(telemetry, "mar_serve_queue_waiting", **version) == 4
    assert value(telemetry, "mar_serve_workers", **version) == 2
