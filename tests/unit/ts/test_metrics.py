"""Metrics: TorchServe's calls, the listener, and the old store."""

from __future__ import annotations

import logging

import pytest

from mar_core import Dimension, Metric, MetricTypes
from mar_core.ts.compat import load
from mar_core.ts.metrics import (
    CachingMetric,
    MetricsCache,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
)


@pytest.fixture
def metrics():
    """A cache that belongs to two requests, and what its listener is given."""
    cache = MetricsCache("m")
    cache.set_request_ids({0: "a", 1: "b"})
    cache.heard = []
    cache.listener = cache.heard.append
    return cache


def test_each_call_records(metrics):
    metrics.add_counter("C", 2)
    metrics.add_time("T", 1.5, 1, "s")
    metrics.add_size("S", 3, unit="kB", dimensions=[Dimension("Kind", "x")])
    metrics.add_percent("P", 50)
    metrics.add_error("E", 1)
    metrics.add_metric("M", 7, "frogs", 0, [], MetricTypes.HISTOGRAM)
    model = {"ModelName": "m", "Level": "Model"}
    expected = [
        ("C", 2, "Count", model, MetricTypes.COUNTER, "a,b"),
        ("T", 1.5, "Seconds", model, MetricTypes.GAUGE, "b"),
        ("S", 3, "Kilobytes", {"Kind": "x", **model}, MetricTypes.GAUGE, "a,b"),
        ("P", 50, "Percent", model, MetricTypes.GAUGE, "a,b"),
        ("E", 1, "unit", {"Level": "Error"}, MetricTypes.COUNTER, None),
        ("M", 7, "frogs", model, MetricTypes.HISTOGRAM, "a"),
    ]
    assert [
        (one.name, one.value, one.unit, one.dimensions, one.type, one.request_id)
        for one in metrics.heard
    ] == expected
    assert metrics.cache_keys() == [
        "counter:C", "counter:E", "gauge:T", "gauge:S", "gauge:P", "histogram:M",
    ]  # fmt: skip


def test_lists_of_dimensions_are_not_changed(metrics):
    mine = [Dimension("Kind", "x")]
    for _ in range(2):
        metrics.add_counter("C", 1, dimensions=mine)
    assert len(mine) == 1
    assert metrics.heard[0].dimensions == metrics.heard[1].dimensions


def test_own_model_name_and_level_stay(metrics):
    metrics.add_counter("C", 1, None, [Dimension("Level", "Mine"), Dimension("ModelName", "x")])
    assert metrics.heard[0].dimensions == {"Level": "Mine", "ModelName": "x"}


def test_without_requests_a_value_is_an_error(metrics):
    metrics.set_request_ids(None)
    metrics.add_counter("C", 1)
    assert metrics.heard[0].dimensions == {"Level": "Error"}


def test_known_metrics(metrics):
    made = metrics.add_metric_to_cache("Mine", "ms", ["A", "B"], MetricTypes.GAUGE)
    assert metrics.get_metric("Mine", MetricTypes.GAUGE) is made
    made.add_or_update(1, ["x", "y"], "r")
    assert metrics.heard[0].dimensions == {"A": "x", "B": "y"}
    assert metrics.heard[0].unit == "Milliseconds"
    made.update(2, "r", [Dimension("C", "z")])
    assert metrics.heard[1].dimensions == {"C": "z"}
    with pytest.raises(MetricsCacheKeyError, match="no counter of the name 'Mine'"):
        metrics.get_metric("Mine")


@pytest.mark.parametrize(
    "call",
    [
        lambda metrics: metrics.add_time("T", 1, unit="h"),
        lambda metrics: metrics.add_size("S", 1, unit="TB"),
    ],
)
def test_wrong_units(metrics, call):
    with pytest.raises(MetricsCacheValueError, match="The unit of a"):
        call(metrics)


@pytest.mark.parametrize(
    "arguments",
    [(1, "ms"), ("a", 1), ("a", "ms", "name"), ("a", "ms", [], "gauge")],
)
def test_wrong_types(metrics, arguments):
    with pytest.raises(MetricsCacheTypeError):
        metrics.add_metric_to_cache(*arguments)


def test_values_that_make_no_sense_are_left_out(metrics, caplog):
    metrics.add_counter("C", -1)
    metrics.get_metric("C").add_or_update(1, ["one"])
    assert metrics.heard == []
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "a counter's value cannot be negative" in caplog.text
    assert "dimension values ['one'] do not fit ['ModelName', 'Level']" in caplog.text


def test_the_log_has_torchserves_lines(caplog):
    caplog.set_level(logging.INFO, logger="mar_core.ts.metrics")
    CachingMetric("C", "count", ["A"]).add_or_update(1, ["x"], "r1")
    assert caplog.messages[0].startswith("[METRICS]C.Count:1|#A:x|#type:COUNTER|#hostname:")
    assert caplog.messages[0].endswith(",r1")


def test_dimension():
    assert str(Dimension("a", 1)) == "a:1"
    assert Dimension("a", 1).to_dict() == {"Name": "a", "Value": 1}


def test_a_metric_is_a_value():
    metric = Metric(name="a", value=1, unit="Count", timestamp=5.5)
    with pytest.raises(AttributeError):
        metric.value = 2


def test_old_store():
    store = load("ts.metrics.metrics_store").MetricsStore({0: "a", 1: "b"}, "m")
    heard = []
    store.listener = heard.append
    store.add_counter("C", 1)
    store.add_counter("C", 2)
    store.add_time("T", 1, 1)
    store.add_error("E", 3)
    store.add_size("S", 3, unit="B")
    store.add_percent("P", 1)
    store.add_metric("M", 1, "frogs")
    assert next(iter(store.cache)) == "C-count-a,b-ModelName:m-Level:Model"
    assert [metric.name for metric in store.store] == ["C", "T", "E", "S", "P", "M"]
    assert [metric.value for metric in heard] == [1, 2, 1, 3, 3, 1, 1]
    assert store.store[0].to_dict()["RequestId"] == "a,b"
    assert str(store.store[0]).startswith("C.Count:2|#ModelName:m,Level:Model|#hostname:")
    with pytest.raises(ValueError, match="dimensions must be a list"):
        store.add_counter("C", 1, None, "x")


def test_a_cache_out_of_a_file(tmp_path):
    module = load("ts.metrics.metric_cache_yaml_impl")
    path = tmp_path / "metrics.yaml"
    text = "model_metrics:\n  gauge:\n  - {name: G, unit: ms, dimensions: [A]}\n"
    path.write_text(text)
    cache = module.MetricsCacheYamlImpl(str(path))
    cache.initialize_cache()
    assert cache.cache_keys() == ["gauge:G"]
    for text, error in {
        "a: [": module.MetricsCachePyYamlError,
        "other: 1": MetricsCacheKeyError,
        "model_metrics:": MetricsCacheValueError,
        "model_metrics:\n  gauge:\n  - {name: G}": MetricsCacheKeyError,
        "model_metrics:\n  odd:\n  - {name: G, unit: ms, dimensions: []}": MetricsCacheKeyError,
    }.items():
        path.write_text(text)
        with pytest.raises(error):
            module.MetricsCacheYamlImpl(str(path)).initialize_cache()
    with pytest.raises(module.MetricsCacheIOError):
        module.MetricsCacheYamlImpl(str(tmp_path / "none.yaml"))
    with pytest.raises(MetricsCacheTypeError):
        module.MetricsCacheYamlImpl(None)
