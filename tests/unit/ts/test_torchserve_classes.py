"""``ts.service``, ``ts.model_loader``, ``ts.model_service`` and ``MockContext``."""

from __future__ import annotations

import inspect
import io
import json
import logging
import os
import pickle
import types

import pytest
from handlerdirs import lay_out

from mar_core import Context, PredictionException
from mar_core.errors import ArchiveError, HandlerError
from mar_core.ts import compat
from mar_core.ts.otf_message_handler import create_predict_response

MODEL = """
    import torch
    class Net(torch.nn.Module):
        def forward(self, x):
            return x + 1
"""
REQUEST = {
    "requestId": b"id-1",
    "headers": [{"name": b"X-Name", "value": b"me"}],
    "parameters": [{"name": "body", "contentType": "application/json", "value": [1.0, 2.0]}],
}


def load_service(folder, handler="base_handler", **options):
    loader = compat.load("ts.model_loader").ModelLoaderFactory.get_model_loader()
    return loader.load("m", str(folder), handler, None, 4, **options)


def test_a_service_answers(tmp_path):
    _, folder = lay_out(tmp_path / "m", {"model.py": MODEL}, modelFile="model.py")
    service = load_service(folder)
    assert service.context.system_properties["batch_size"] == 4
    found = []
    service.context.metrics.listener = found.append
    answer = service.predict([REQUEST, {**REQUEST, "requestId": b"id-2"}])
    expected = create_predict_response(
        [[2.0, 3.0]] * 2, {0: "id-1", 1: "id-2"}, "Prediction success", 200, service.context
    )
    assert answer == expected
    assert service.context.request_ids == {0: "id-1", 1: "id-2"}
    assert service.context.get_request_header(0, "X-Name") == "me"
    assert service.context.get_request_header(0, "body") == {"content-type": "application/json"}
    assert [one.name for one in found] == ["HandlerTime", "PredictionTime"]


def test_no_batch():
    with pytest.raises(ValueError, match="There is no batch"):
        compat.load("ts.service").Service.retrieve_data_for_inference(None)


def test_services_read_the_config(tmp_path):
    text = "class H:\n def initialize(self, c): pass\n def handle(self, d, c): return d\n"
    files = {"h.py": text, "c.yaml": "a: 1"}
    _, folder = lay_out(tmp_path / "m", files, configFile="c.yaml")
    assert load_service(folder, "h").context.model_yaml_config == {"a": 1}
    (folder / "c.yaml").unlink()
    with pytest.raises(ArchiveError):
        load_service(folder, "h")


def test_services_need_initialize(tmp_path):
    text = "class H:\n def handle(self, d, c): return d\n"
    _, folder = lay_out(tmp_path / "m", {"h.py": text})
    with pytest.raises(HandlerError, match="The handler h has no method initialize"):
        load_service(folder, "h")


HANDLERS = """
    class H:
        def initialize(self, context):
            self.context = context
        def handle(self, data, context):
            return data
"""
ASYNCHRONOUS = """
    class H:
        def initialize(self, context):
            pass
        async def handle(self, data, context):
            return [type(row).__name__ for row in data]
"""
FUNCTION = """
    def infer(data, context):
        return data
"""


def test_the_entry_point_is_the_handlers_own(tmp_path):
    _, folder = lay_out(tmp_path / "m", {"h.py": HANDLERS, "f.py": FUNCTION})
    bound = load_service(folder, "h")._entry_point
    assert inspect.ismethod(bound)
    assert bound.__self__.context.model_name == "m"
    function = load_service(folder, "f:infer")._entry_point
    assert isinstance(function, types.FunctionType)
    assert function.__name__ == "infer"
    enveloped = load_service(folder, "f:infer", envelope="json")._entry_point
    envelope = compat.load("ts.torch_handler.request_envelope.json").JSONEnvelope
    assert isinstance(enveloped.__self__, envelope)
    assert enveloped.__name__ == "handle"


def test_a_service_awaits(tmp_path):
    _, folder = lay_out(tmp_path / "m", {"h.py": ASYNCHRONOUS})
    service = load_service(folder, "h")
    answer = service.predict([REQUEST])
    assert answer.endswith(b"\0\0\0\4dict" + b"\xff" * 4)


REFUSING = """
    from ts.utils.util import PredictionException
    def infer(data, context):
        said = data[0]["body"] if data else None
        if said == "refuse":
            raise PredictionException("not so", 418)
        if said == "memory":
            raise MemoryError
        if said == "cuda":
            raise RuntimeError("CUDA out of memory")
        if said == "fail":
            raise ValueError("inside")
        return {"odd": "odd", "few": []}.get(said)
"""


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ("refuse", 418, "not so"),
        ("memory", 507, "Out of resources"),
        ("cuda", 507, "Out of resources"),
        ("fail", 503, "Prediction failed"),
        ("odd", 503, "Invalid model predict output"),
        ("few", 503, "number of batch response mismatched"),
    ],
)
def test_a_service_says_what_went_wrong(tmp_path, said, code, message):
    _, folder = lay_out(tmp_path / "m", {"f.py": REFUSING})
    row = {"name": "body", "contentType": "text/plain", "value": said}
    answer = load_service(folder, "f:infer").predict([{**REQUEST, "parameters": [row]}])
    assert answer == create_predict_response(None, {0: "id-1"}, message, code)


@pytest.mark.parametrize(
    ("text", "handler", "kind"),
    [
        ("a = 1", "h", ValueError),
        ("class A:\n def handle(self): 0\nclass B:\n def handle(self): 0", "h", ValueError),
        ("class A: pass", "h", ValueError),
        ("def f(d, c): 0", "h:wrong", ValueError),
        ("class A:\n def __init__(self): 1/0\n def handle(self, d, c): 0", "h", ValueError),
        ("class A:\n def handle(self, d, c): 0", "h", ValueError),  # no initialize
        ("a = 1", "elsewhere", ModuleNotFoundError),
        ("import not_there_at_all", "h", ModuleNotFoundError),
        ("from json import not_there_at_all", "h", ImportError),
    ],
)
def test_what_is_wrong_with_a_handler_is_raised_as_torchserve_raises_it(
    tmp_path, text, handler, kind
):
    _, folder = lay_out(tmp_path / "m", {"h.py": text})
    with pytest.raises(kind) as caught:
        load_service(folder, handler)
    assert isinstance(caught.value, HandlerError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_emit_metrics(caplog):
    caplog.set_level(logging.INFO)
    metric = compat.load("ts.metrics.metric").Metric("N", 1, "ms", [])
    compat.load("ts.service").emit_metrics([metric])
    compat.load("ts.service").emit_metrics(None)
    assert [message.partition("|")[0] for message in caplog.messages] == [
        "[METRICS]N.Milliseconds:1"
    ]
    caplog.clear()
    metric.update(5)
    metric.reset()
    assert [message.partition("|")[0] for message in caplog.messages] == [
        "[METRICS]N.Milliseconds:5",
        "[METRICS]N.Milliseconds:0",
    ]


def test_old_model_service(tmp_path):
    module = compat.load("ts.model_service.model_service")

    class Doubling(module.SingleNodeService):
        def _inference(self, data):
            return [2 * data[0]["x"]]

    manifest = {"Model": {"Signature": "signature.json"}}
    context = Context("m", str(tmp_path), manifest, None, None, "")
    service = Doubling("m", str(tmp_path), None)
    with pytest.raises(ValueError, match=r"no signature file 'signature\.json'"):
        service.initialize(context)
    signature = {"input_type": "application/json", "inputs": [{"data_name": "image"}]}
    (tmp_path / "signature.json").write_text(json.dumps(signature))
    service.initialize(context)
    assert service.signature() == signature
    assert service.ping() is None
    for row in ({"image": b'{"x": 2}'}, {"body": {"x": 2}}, {"data": {"x": 2}}):
        assert service.handle([row], None) == [4]
    with pytest.raises(NotImplementedError, match="ModelService has no inference"):
        module.ModelService("m", "", None).inference([])


def test_mock_context(tmp_path):
    import torch

    from mar_core import BaseHandler

    module = compat.load("ts.torch_handler.unit_tests.test_utils.mock_context")
    lay_out(tmp_path / "m", {"model.py": MODEL, "c.yaml": "handler: {a: 1}"})
    torch.save({}, tmp_path / "m" / "model.pt")
    context = module.MockContext(model_dir=str(tmp_path / "m"), model_yaml_config_file="c.yaml")
    assert context.manifest == {"model": {"serializedFile": "model.pt", "modelFile": "model.py"}}
    assert context.model_yaml_config == {"handler": {"a": 1}}
    handler = BaseHandler()
    handler.initialize(context)
    assert handler.handle([{"data": [1.0]}], context) == [[2.0]]
    assert [metric.name for metric in context.metrics.store] == ["HandlerTime"]
    context.explain = True
    assert context.get_request_header(1, "explain") is True
    assert context.get_request_header(0, "explain") is False
    assert module.MockContext(model_pt_file=None, model_file=None).manifest == {"model": {}}


def test_process_memory(caplog):
    module = compat.load("ts.metrics.process_memory_metric")
    caplog.set_level(logging.INFO)
    module.check_process_mem_usage(io.StringIO(f"{os.getpid()},\n"))
    pid, _, size = caplog.messages[0].partition(":")
    assert int(pid) == os.getpid()
    assert int(size) > 1_000_000
    assert module.get_cpu_usage("99999999") == 0


def test_prediction_exception():
    error = PredictionException("no", 404)
    assert (error.message, error.error_code, str(error)) == ("no", 404, "no : 404")
    assert PredictionException("no").error_code == 500
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.error_code) == ("no", 404)
