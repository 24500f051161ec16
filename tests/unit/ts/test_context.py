"""The context is TorchServe's: attributes, headers, status, sequences, copies."""

from __future__ import annotations

import copy
import pickle

import pytest
from handlerdirs import lay_out

from mar_core import Context
from mar_core.errors import ArchiveError
from mar_core.ts.context import RequestProcessor, begin_batch, make_context, read_config


@pytest.fixture
def context():
    return Context("m", "/models/m", {"model": {"modelName": "m"}}, 4, 0, "0.12.0", False)


def test_attributes(context):
    assert context.system_properties == {
        "model_dir": "/models/m",
        "gpu_id": 0,
        "batch_size": 4,
        "server_name": "MMS",
        "server_version": "0.12.0",
        "limit_max_image_pixels": False,
    }
    assert context.model_name == "m"
    assert context.manifest == {"model": {"modelName": "m"}}
    assert context.model_yaml_config == {}
    assert context.metrics is context.request_ids is context.stopping_criteria is None
    assert context.request_processor is None
    assert context.header_key_sequence_id == "ts_request_sequence_id"


def test_before_the_first_batch_there_are_no_headers(context):
    assert context.get_request_header(0, "explain") is None
    assert context.get_request_id() is None
    context.set_response_status(500)
    context.set_all_response_status(500)


def test_a_batch(context):
    begin_batch(context, ["a", "b"], [{"X": "1", "data": {"content-type": "text/plain"}}, {}])
    assert [context.get_request_id(), context.get_request_id(1), context.get_request_id(2)] == [
        "a",
        "b",
        None,
    ]
    assert context.get_request_header(0, "X") == "1"
    assert context.get_request_header(0, "x") is None
    assert context.get_all_request_header(0)["data"] == {"content-type": "text/plain"}
    context.set_response_content_type(1, "image/png")
    context.set_response_header(1, "Y", "2")
    context.set_response_status(code=404, phrase="none", idx=1)
    assert context.get_response_headers(1) == {"content-type": "image/png", "Y": "2"}
    assert context.get_response_content_type(1) == "image/png"
    assert context.get_response_content_type(0) is None
    assert context.get_response_status(0) == (200, None)
    assert context.get_response_status(1) == (404, "none")
    context.set_all_response_status(201, "made")
    assert context.get_response_status(0) == (201, "made")
    begin_batch(context, ["c"], [{}])
    assert context.get_response_headers(0) == {}


def test_sequences(context, monkeypatch):
    begin_batch(context, ["a", "b"], [{"ts_request_sequence_id": "s"}, {}])
    assert context.get_sequence_id(0) == "s"
    assert context.get_sequence_id(1) is None
    monkeypatch.setenv("TS_REQUEST_SEQUENCE_ID", "my_id")
    monkeypatch.setenv("TS_REQUEST_SEQUENCE_END", "my_end")
    other = Context("m", None, None, None, None, "")
    assert (other.header_key_sequence_id, other.header_key_sequence_end) == ("my_id", "my_end")


def test_it_is_a_plain_object(context):
    context.kv_cache = {"a": [1]}
    copied = copy.deepcopy(context)
    assert copied == context
    copied.kv_cache["a"].append(2)
    assert copied != context
    assert context.kv_cache == {"a": [1]}
    assert context != "something else"
    assert pickle.loads(pickle.dumps(context)) == context
    with pytest.raises(TypeError):
        hash(context)


def test_request_processor():
    request = RequestProcessor({"a": "b"})
    assert request.get_request_property("a") == "b"
    assert request.get_request_property("z") is None
    assert request.get_request_properties() == {"a": "b"}
    request.report_status(500)
    request.add_response_property("k", "v")
    assert (request.get_response_status_code(), request.get_response_status_phrase()) == (500, None)
    assert request.get_response_header("k") == "v"
    assert request.get_response_headers() == {"k": "v"}


def test_make_context(tmp_path):
    text = "handler:\n  a: 1\npt2: inductor\n"
    files = {"c.yaml": text, "empty.yaml": "# nothing\n", "list.yaml": "[1]", "bad.yaml": "a: ["}
    manifest, folder = lay_out(tmp_path / "m", files, configFile="c.yaml")
    context = make_context(manifest, folder, gpu_id=1, batch_size=8)
    assert context.model_yaml_config == {"handler": {"a": 1}, "pt2": "inductor"}
    assert context.manifest is manifest.data
    assert context.system_properties["model_dir"] == str(folder)
    assert context.system_properties["gpu_id"] == 1
    assert context.metrics.model_name == "m"
    assert read_config(folder / "empty.yaml") == {}
    for name, sentence in {
        "list.yaml": "holds a list. Write it as `key: value` lines.",
        "bad.yaml": "cannot be read",
        "none.yaml": "cannot be read",
    }.items():
        with pytest.raises(ArchiveError, match=sentence):
            read_config(folder / name)


def test_deep_copies_keep_the_listener(context, tmp_path):
    manifest, folder = lay_out(tmp_path / "m", {})
    made = make_context(manifest, folder)
    found = []
    made.metrics.listener = found.append
    made.metrics.add_counter("a", 1)
    copied = copy.deepcopy(made)
    copied.metrics.add_counter("a", 2)
    assert [metric.value for metric in found] == [1, 2]
    assert copied.metrics.get_metric("a") is not made.metrics.get_metric("a")
