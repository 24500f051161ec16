"""Metrics: TorchServe's calls, the listener, and the old store."""

from __future__ import annotations

import copy
import logging
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from mar_core import Dimension, Manifest, Metric, MetricTypes, UsageError
from mar_core.ts.compat import load
from mar_core.ts.context import make_context
from mar_core.ts.metrics import (
    CachingMetric,
    MetricDefinition,
    MetricsCache,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricsConfig,
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


def test_lists_of_dimensions_are_completed_as_in_torchserve(metrics):
    """So that handlers may give the same list to ``update``, which adds nothing."""
    mine = [Dimension("Kind", "x")]
    for _ in range(2):
        metrics.add_percent("P", 1, dimensions=mine)
    assert [str(one) for one in mine] == ["Kind:x", "ModelName:m", "Level:Model"]
    metrics.get_metric("P", MetricTypes.GAUGE).update(22, "b", mine)
    assert len({str(one.dimensions) for one in metrics.heard}) == 1
    assert metrics.heard[2].request_id == "b"


def test_no_call_completes_the_list_of_another(metrics):
    metrics.add_counter("C", 1)
    metrics.set_request_ids(None)
    metrics.add_counter("D", 1)
    assert metrics.heard[1].dimensions == {"Level": "Error"}


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
        metrics.get_metric("Mine", MetricTypes.COUNTER)
    with pytest.raises(MetricsCacheTypeError):
        metrics.get_metric("Mine", None)


def test_a_metric_whose_type_is_not_said(metrics):
    gauge = metrics.add_metric_to_cache("Mine", "ms", [], MetricTypes.GAUGE)
    assert metrics.get_metric("Mine") is gauge
    counter = metrics.add_metric_to_cache("Mine", "count")
    assert metrics.get_metric("Mine") is counter  # the counter is TorchServe's default
    with pytest.raises(MetricsCacheKeyError, match="no metric of the name 'Other'"):
        metrics.get_metric("Other")


def test_dimensions_may_be_none(metrics):
    metrics.add_metric_to_cache("Mine", "ms", None).add_or_update(3)
    assert metrics.heard[0].dimensions == {}


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


def test_a_counter_takes_what_is_not_negative(metrics):
    for value in (0, 0.25):
        metrics.add_counter("C", value)
    assert [one.value for one in metrics.heard] == [0, 0.25]


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
    assert store.store[0].value == 1  # of the first call, as in TorchServe
    assert str(store.store[0]).startswith("C.Count:1|#ModelName:m,Level:Model|#hostname:")
    with pytest.raises(ValueError, match="dimensions must be a list"):
        store.add_counter("C", 1, None, "x")


def test_a_cache_out_of_a_file(tmp_path):
    module = load("ts.metrics.metric_cache_yaml_impl")
    path = tmp_path / "metrics.yaml"
    text = """
        dimensions: [&a "A", &b "B"]
        model_metrics:
          histogram:
          - {name: H, unit: frogs, dimensions: [*b, *a]}
          gauge:
          - name: G
            unit: ms
            dimensions:
          counter:
    """
    path.write_text(textwrap.dedent(text))
    cache = module.MetricsCacheYamlImpl(str(path))
    assert cache.cache_keys() == []
    cache.initialize_cache()
    assert cache.cache_keys() == ["histogram:H", "gauge:G"]
    assert cache.get_metric("G", MetricTypes.GAUGE).dimension_names == []
    found = cache.get_metric("H", MetricTypes.HISTOGRAM)
    assert (found.dimension_names, found.unit) == (["B", "A"], "frogs")
    copied = copy.deepcopy(cache)
    assert copied.cache_keys() == cache.cache_keys()
    assert copied.get_metric("H") is not found
    for text, error in {
        "a: [": module.MetricsCachePyYamlError,
        "other: 1": MetricsCacheKeyError,
        "model_metrics:": MetricsCacheValueError,
        "model_metrics:\n  gauge:\n  - {name: G}": MetricsCacheKeyError,
        "model_metrics:\n  odd:\n  - {name: G, unit: ms, dimensions: []}": MetricsCacheKeyError,
        "model_metrics: [1]": MetricsCacheTypeError,
        "model_metrics:\n  gauge: {}\n  counter: 1": MetricsCacheTypeError,
        "model_metrics:\n  gauge: [1]": MetricsCacheTypeError,
        "model_metrics:\n  gauge:\n  - {name: 1, unit: ms, dimensions: []}": MetricsCacheTypeError,
        "model_metrics:\n  gauge:\n  - {name: a, unit: 1, dimensions: []}": MetricsCacheTypeError,
        "model_metrics:\n  gauge:\n  - {name: a, unit: s, dimensions: x}": MetricsCacheTypeError,
        "model_metrics:\n  gauge:\n  - {name: a, unit: s, dimensions: [1]}": MetricsCacheTypeError,
        "[]": MetricsCacheKeyError,
        "": MetricsCacheKeyError,
    }.items():
        path.write_text(text)
        with pytest.raises(error):
            module.MetricsCacheYamlImpl(str(path)).initialize_cache()
    with pytest.raises(module.MetricsCacheIOError):
        module.MetricsCacheYamlImpl(str(tmp_path / "none.yaml"))
    path.write_bytes(b"\xff")
    with pytest.raises(module.GeneralMetricsCacheError):
        module.MetricsCacheYamlImpl(str(path))
    with pytest.raises(MetricsCacheTypeError):
        module.MetricsCacheYamlImpl(None)


# --- which metrics there are


OWN = "model_metrics:\n  gauge:\n  - {name: SIZE, unit: kB, dimensions: [Kind]}\n"


def names(cache):
    return set(cache.cache_keys())


DEFAULT = {"gauge:HandlerTime", "gauge:PredictionTime", "gauge:RequestBatchSize"}


def context_of(tmp_path, files=(), config=None, **more):
    for name, text in dict(files).items():
        (tmp_path / name).write_text(text)
    manifest = {"model": {"modelName": "m", "handler": "h"}}
    if config is not None:
        (tmp_path / "c.yaml").write_text(config)
        manifest["model"]["configFile"] = "c.yaml"
    return make_context(Manifest(manifest), tmp_path, **more)


def test_torchserves_default_metrics_are_known(tmp_path):
    metrics = context_of(tmp_path).metrics
    assert names(metrics) == DEFAULT
    for name in ("HandlerTime", "PredictionTime"):
        found = metrics.get_metric(name, MetricTypes.GAUGE)
        assert metrics.get_metric(name) is found
        assert (found.dimension_names, found.unit) == (["ModelName", "Level"], "Milliseconds")
    assert metrics.get_metric("RequestBatchSize").dimension_names == ["ModelName"]


def test_an_archive_brings_metrics(tmp_path):
    metrics = context_of(tmp_path, {"metrics.yaml": OWN}).metrics
    assert names(metrics) == {*DEFAULT, "gauge:SIZE"}
    found = metrics.get_metric("SIZE", MetricTypes.GAUGE)
    assert (found.dimension_names, found.unit) == (["Kind"], "Kilobytes")


def test_an_archive_names_its_metrics(tmp_path):
    files = {"mine.yaml": OWN, "metrics.yaml": "model_metrics: {gauge: 1}"}
    metrics = context_of(tmp_path, files, "metrics_config: mine.yaml").metrics
    assert names(metrics) == {*DEFAULT, "gauge:SIZE"}


@pytest.mark.parametrize("text", [
        "accuracy: 0.9", "- 1", "a: [", "", "model_metrics: {accuracy: 0.9}", "model_metrics: [a]",
    ],
)  # fmt: skip
def test_a_metrics_yaml_of_another_kind_is_the_handlers_own(tmp_path, caplog, text):
    assert names(context_of(tmp_path, {"metrics.yaml": text}).metrics) == DEFAULT
    assert caplog.messages == []


@pytest.mark.parametrize(
    "text", ["model_metrics: {gauge: 1}", OWN.replace("unit", "Unit"), f"{OWN}\nts_metrics: 5"]
)
def test_a_metrics_yaml_that_is_nearly_one_stops_nothing_that_torchserve_runs(
    tmp_path, caplog, text
):
    assert names(context_of(tmp_path, {"metrics.yaml": text}).metrics) == DEFAULT
    (message,) = caplog.messages
    assert message.startswith("The metrics configuration metrics.yaml cannot be used: ")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_the_users_file_counts_over_the_archives(tmp_path, monkeypatch, how):
    users = tmp_path / "users.yaml"
    users.write_text(OWN.replace("kB", "MB").replace("[Kind]", "[ModelName, Level]"))
    folder = tmp_path / "m"
    folder.mkdir()
    more = {}
    if how == "variable":
        monkeypatch.setenv("TS_METRICS_CONFIG", str(users))
    else:
        more["metrics_config"] = users
        monkeypatch.setenv("TS_METRICS_CONFIG", "nowhere.yaml")
    own = OWN + "  counter:\n  - {name: C, unit: count, dimensions:}\n"
    metrics = context_of(folder, {"metrics.yaml": own}, **more).metrics
    assert names(metrics) == {*DEFAULT, "gauge:SIZE", "counter:C"}
    assert metrics.get_metric("SIZE").dimension_names == ["ModelName", "Level"]


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (
            "none.yaml",
            r"none\.yaml cannot be used: .*none\.yaml cannot be read: No such file or dire",
        ),
        ("../other.yaml", "outside the archive"),
        ("odd.yaml", "odd.yaml cannot be used: the gauge without a name has no 'name'"),
        ("name.yaml", "name.yaml cannot be used: the name of a gauge must be a string"),
        ("unit.yaml", "unit.yaml cannot be used: the unit of N must be a string"),
    ],
)
def test_a_file_of_metrics_that_is_wrong(tmp_path, named, sentence):
    (tmp_path / "other.yaml").write_text(OWN)
    folder = tmp_path / "m"
    folder.mkdir()
    line = "model_metrics:\n  gauge:\n  - "
    odd = {
        "odd.yaml": f"{line}{{unit: ms, dimensions: []}}",
        "name.yaml": f"{line}{{name: 1, unit: ms, dimensions: []}}",
        "unit.yaml": f"{line}{{name: N, unit: 1, dimensions: []}}",
    }
    with pytest.raises(UsageError, match=sentence):
        context_of(folder, odd, f"metrics_config: {named}")


def test_what_is_recorded_during_the_load_belongs_to_a_request(tmp_path):
    metrics = context_of(tmp_path).metrics
    heard = []
    metrics.listener = heard.append
    metrics.add_counter("InitializeCallCount", 1)
    assert heard[0].dimensions == {"ModelName": "m", "Level": "Model"}
    assert uuid.UUID(heard[0].request_id)


def test_what_a_server_shows(tmp_path):
    path = tmp_path / "metrics.yaml"
    path.write_text(
        f"ts_metrics:\n  counter:\n  - {{name: R, unit: Count, dimensions: [L]}}\n{OWN}"
    )
    config = MetricsConfig.read(path)
    counter, gauge = MetricTypes.COUNTER, MetricTypes.GAUGE
    assert config.ts_metrics == (MetricDefinition("R", counter, "Count", ("L",)),)
    size = MetricDefinition("SIZE", gauge, "Kilobytes", ("Kind",))
    assert config.model_metrics == (size,)
    default = MetricsConfig.default()
    assert len(default.ts_metrics) == 19
    assert size in default.joined(config).model_metrics
    by_name = {one.name: one for one in default.model_metrics if one.type is gauge}
    assert by_name["HandlerTime"].dimensions == ("ModelName", "Level")
    path.write_text("model_metrics:")
    assert MetricsConfig.read(path) == MetricsConfig()


def test_the_default_metrics_are_torchserves():
    path = Path(sys.prefix, "torchserve", "ts", "configs", "metrics.yaml")
    theirs, ours = MetricsConfig.read(path), MetricsConfig.default()
    assert set(ours.ts_metrics) == set(theirs.ts_metrics)
    assert set(ours.model_metrics) - set(theirs.model_metrics) == {
        MetricDefinition("RequestBatchSize", MetricTypes.GAUGE, "Count", ("ModelName",))
    }
    assert set(theirs.model_metrics) <= set(ours.model_metrics)
