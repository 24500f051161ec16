"""What was packaged for SageMaker and for Hugging Face's Inference Endpoints runs unchanged."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import tarfile
import textwrap
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from serving import running

import mar_core
from mar_core import Input, UsageError, load
from mar_core.testing import HandlerCase, HandlerContract
from mar_core.ts.context import RequestProcessor

NETWORK = """
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, values):
            return self.layer(values)
"""
MODEL_FN = """
    import os
    import torch
    from network import Net

    def model_fn(model_dir):
        model = Net()
        path = os.path.join(model_dir, "model.pth")
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return model
"""
ALL_FOUR = f"""{MODEL_FN}
    import json
    import numpy as np

    JSON = "application/json"

    def input_fn(request_body, request_content_type):
        if request_content_type != JSON:
            raise ValueError(f"cannot read {{request_content_type}}")
        return torch.tensor(json.loads(request_body)["instances"], dtype=torch.float32)

    def predict_fn(input_object, model):
        with torch.no_grad():
            return model(input_object)

    def output_fn(prediction, response_content_type):
        return json.dumps({{"predictions": prediction.tolist()}})
"""
VALUES = [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]]
EXACT = {"rtol": 0, "atol": 1e-5}


def network():
    torch.manual_seed(3)
    return torch.nn.Linear(3, 2).eval()


def answer(values=VALUES):
    with torch.no_grad():
        return network()(torch.tensor(values)).tolist()


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            content if isinstance(content, bytes) else textwrap.dedent(content).encode()
        )
    return folder


def saved(folder, *, traced=False):
    """``model.pth`` as in SageMaker's examples: a state dict, or TorchScript for the default."""
    folder.mkdir(parents=True, exist_ok=True)
    if traced:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and what SageMaker's users have
            program = torch.jit.trace(network(), torch.ones(1, 3))
            torch.jit.save(program, str(folder / "model.pth"))
    else:
        state = {f"layer.{name}": value for name, value in network().state_dict().items()}
        torch.save(state, folder / "model.pth")
    return folder


def asked(predictor, body, content_type=None, **headers):
    """One request as a server hands it on."""
    headers = {name.replace("_", "-").title(): value for name, value in headers.items()}
    if content_type is not None:
        headers["Content-Type"] = content_type
    (outcome,) = predictor.run(
        [Input(id="0", read=functools.partial(dict, body=body), headers=headers)]
    )
    return outcome


# --- SageMaker ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sagemaker(tmp_path_factory):
    """An archive with all four functions, made of a ``model.tar.gz``."""
    folder = tmp_path_factory.mktemp("sagemaker")
    source = saved(folder / "source")
    write(
        source,
        {
            "code/inference.py": ALL_FOUR,
            "code/network.py": NETWORK,
            "code/requirements.txt": "numpy\n",
        },
    )
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(source, arcname=".")
    return mar_core.archive(source=folder / "model.tar.gz", export_path=folder)


class TestSageMaker(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, sagemaker):
        rows = [{"body": {"instances": [values]}} for values in VALUES]
        return HandlerCase(archive=sagemaker, inputs=rows, bad={"body": {"instances": "x"}})


def test_what_becomes_of_a_model_tar_gz(sagemaker):
    with mar_core.open_archive(sagemaker) as archive:
        assert archive.manifest.handler == "sagemaker"
        assert archive.manifest.model_name == "model"
        assert archive.manifest.data["model"]["requirementsFile"] == "requirements.txt"
        names = {"code/inference.py", "code/network.py", "code/requirements.txt", "model.pth"}
        assert names < set(archive.members)
        assert not mar_core.validate(archive)


def test_the_answers_are_those_of_the_script(sagemaker):
    with load(sagemaker) as predictor:
        sent = bytearray(json.dumps({"instances": VALUES}).encode())
        for body in (sent, json.loads(sent)):
            outcome = asked(predictor, body, "application/json", accept="*/*")
            np.testing.assert_allclose(json.loads(outcome.result)["predictions"], answer(), **EXACT)
            assert outcome.response.content_type == "application/json"
        outcome = asked(predictor, bytearray(b"1,2"), "text/csv")
        assert "cannot read text/csv" in outcome.failure.message


@pytest.fixture(scope="module")
def defaults(tmp_path_factory):
    """A model with a ``model_fn`` alone."""
    folder = tmp_path_factory.mktemp("defaults")
    source = write(saved(folder / "m"), {"code/inference.py": MODEL_FN, "code/network.py": NETWORK})
    with load(mar_core.archive(source=source, export_path=folder)) as predictor:
        yield predictor


def npy(values):
    stream = io.BytesIO()
    np.save(stream, np.array(values, dtype=np.float32))
    return stream.getvalue()


READ = {
    "application/json": lambda raw: np.array(json.loads(raw)),
    "text/csv": lambda raw: np.genfromtxt(io.StringIO(raw.decode()), delimiter=","),
    "application/x-npy": lambda raw: np.load(io.BytesIO(raw)),
}
BODIES = {
    "application/json": json.dumps(VALUES).encode(),
    "text/csv": "\n".join(",".join(map(str, row)) for row in VALUES).encode(),
    "application/x-npy": npy(VALUES),
}


@pytest.mark.parametrize("sent", BODIES)
@pytest.mark.parametrize("accept", READ)
def test_the_default_functions_read_and_write_every_type(defaults, sent, accept):
    outcome = asked(defaults, bytearray(BODIES[sent]), sent, accept=accept)
    assert outcome.failure is None
    assert outcome.response.content_type == accept
    np.testing.assert_allclose(READ[accept](outcome.result), answer(), **EXACT)


def test_a_body_that_the_server_has_decoded_is_written_down_again(defaults):
    text = BODIES["text/csv"].decode()
    for body, kind in (
        (VALUES, "application/json; charset=utf-8"),
        (text, "text/csv"),
        (VALUES, None),
    ):
        outcome = asked(defaults, body, kind, accept="image/png, application/json;q=0.5")
        np.testing.assert_allclose(json.loads(outcome.result), answer(), **EXACT)


@pytest.mark.parametrize(
    ("body", "kind", "accept", "code"),
    [
        (b"{", "application/json", "*/*", 400),
        (b'["a"]', "application/json", "*/*", 400),
        (b"[[1], [2, 3]]", "application/json", "*/*", 400),
        (b"\xff\xfe", "text/csv", "*/*", 400),
        (b"\x93NUMPY", "application/x-npy", "*/*", 400),
        (b"x", "image/png", "*/*", 415),
        (BODIES["text/csv"], "text/csv", "image/png", 415),
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_written_is_the_clients_fault(defaults, body, kind, accept, code):
    outcome = asked(defaults, bytearray(body), kind, accept=accept)
    assert outcome.failure.code == code


def test_a_pickle_in_an_npy_file_is_not_loaded(defaults):
    stream = io.BytesIO()
    np.save(stream, np.array([print], dtype=object), allow_pickle=True)
    outcome = asked(defaults, bytearray(stream.getvalue()), "application/x-npy")
    assert outcome.failure.code == 400
    assert "numbers" in outcome.failure.message


def run_once(folder, files, body, *, traced=False, kind="application/json", **headers):
    source = write(saved(folder / "m", traced=traced), {"code/network.py": NETWORK, **files})
    with load(mar_core.archive(source=source, export_path=folder)) as predictor:
        return asked(predictor, body, kind, **headers)


def test_transform_fn_and_functions_that_take_the_context(tmp_path):
    script = f"""{MODEL_FN.replace("(model_dir)", "(model_dir, context)")}
    def transform_fn(model, data, content_type, accept, context):
        gpu = context.system_properties["gpu_id"]
        return f"{{data}} {{content_type}} {{accept}} {{gpu}}", "text/x-told"
    """
    outcome = run_once(tmp_path, {"code/inference.py": script}, [1, 2], accept="a/b")
    assert outcome.result == b"[1, 2] application/json a/b None"
    assert outcome.response.content_type == "text/x-told"


def test_without_a_model_fn_the_model_is_the_only_one_there(tmp_path):
    script = "def output_fn(prediction, accept):\n    return str(prediction.shape)\n"
    outcome = run_once(tmp_path, {"code/inference.py": script}, VALUES, traced=True)
    assert outcome.result == b"torch.Size([2, 2])"


def test_a_script_for_hugging_faces_container_gets_objects(tmp_path):
    script = """
    def model_fn(model_dir):
        return lambda inputs, top_k=1: [{"label": inputs.upper(), "score": 1.0}] * top_k
    """
    body = {"inputs": "yes", "parameters": {"top_k": 2}}
    outcome = run_once(tmp_path, {"code/inference.py": script}, body)
    assert json.loads(outcome.result) == [{"label": "YES", "score": 1.0}] * 2


def test_a_script_of_another_name_is_found_by_its_functions(tmp_path):
    more = {"code/serve.py": MODEL_FN, "code/train.py": "raise SystemExit\n"}
    outcome = run_once(tmp_path, more, VALUES)
    np.testing.assert_allclose(json.loads(outcome.result), answer(), **EXACT)


def test_warming_up(tmp_path):
    script = f"""{MODEL_FN}
    told = []

    def pre_model_fn(model_dir):
        told.append("before")

    def model_warmup_fn(model_dir, model):
        told.append(type(model).__name__)

    def output_fn(prediction, accept):
        return " ".join(told)
    """
    assert run_once(tmp_path, {"code/inference.py": script}, VALUES).result == b"before Net"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"code/inference.py": "def input_fn(a, b):\n    pass\n"}, "there is none"),
        ({"code/a.py": "def model_fn(d): pass\n", "code/b.py": "def input_fn(d, t): pass\n"},
         r"Both a\.py and b\.py"),
        ({"code/network.py": NETWORK, "model.pth": b""}, "No importer knows"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_a_sentence(tmp_path, files, words):
    source = write(tmp_path / "m", files)
    with pytest.raises(UsageError, match=words):
        mar_core.archive(source=source, export_path=tmp_path)


def test_functions_that_do_not_go_together_or_take_something_else(tmp_path):
    both = f"{MODEL_FN}\n    def transform_fn(m, d, c, a): pass\n    def input_fn(d, c): pass\n"
    with pytest.raises(mar_core.HandlerError, match="transform_fn and input_fn"):
        run_once(tmp_path, {"code/inference.py": both}, VALUES)
    wrong = f"{MODEL_FN}\n    def input_fn(data): pass\n"
    outcome = run_once(tmp_path / "other", {"code/inference.py": wrong}, VALUES)
    assert "input_fn takes 1 arguments" in outcome.failure.message


def test_looking_runs_nothing_and_another_handler_is_the_users(tmp_path):
    script = "raise SystemExit('imported')\ndef model_fn(model_dir):\n    pass\n"
    source = write(saved(tmp_path / "m"), {"code/inference.py": script})
    mar_core.archive(source=source, export_path=tmp_path)
    with pytest.raises(UsageError, match="No importer knows"):
        mar_core.archive("other", source=source, handler="image_classifier")


SUBCLASS = """
    from mar_endpoints.sagemaker import InferenceScript

    class Handler(InferenceScript):
        pass
"""


def test_a_file_for_torchserve_too(tmp_path):
    """TorchServe imports the file from the unpacked archive, makes its class, and calls that."""
    files = {"code/inference.py": MODEL_FN, "code/network.py": NETWORK}
    source = write(saved(tmp_path / "m"), files)
    write(tmp_path, {"serve.py": SUBCLASS})
    path = mar_core.archive(
        source=source,
        handler=tmp_path / "serve.py",
        export_path=tmp_path / "store",
        archive_format="no-archive",
    )
    manifest = json.loads((path / "MAR-INF" / "MANIFEST.json").read_text())
    assert manifest["model"]["handler"] == "serve.py"
    spec = importlib.util.spec_from_file_location("serve", path / "serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = mar_core.Context("m", str(path), manifest, 1, None, "0.12.0")
    handler = module.Handler()
    handler.initialize(context)
    context.request_processor = [RequestProcessor({"Content-Type": "application/json"})]
    (result,) = handler.handle([{"body": VALUES}], context)
    np.testing.assert_allclose(json.loads(result), answer(), **EXACT)


def test_invocations_of_mar_serve(sagemaker, endpoint):
    words = (sagemaker, endpoint, "--batch-size", "2")
    with running(*words, folder=sagemaker.parent) as server, server.client() as client:
        sent = {"content": json.dumps({"instances": VALUES}), "params": {"model_name": "model"}}
        headers = {"content-type": "application/json", "accept": "application/json"}
        got = client.post("/invocations", headers=headers, **sent)
        assert (got.status_code, got.headers["content-type"]) == (200, "application/json")
        np.testing.assert_allclose(got.json()["predictions"], answer(), **EXACT)
        got = client.post(
            "/invocations",
            content=picture(2),
            headers={"content-type": "image/png"},
            params={"model_name": "repository", "top": "3"},
        )
        assert got.json() == [{"size": [2, 5], "mode": "RGB", "parameters": {"top": 3}}]


# --- Hugging Face --------------------------------------------------------------------------------

HANDLER = """
    import os
    from typing import Any, Dict, List

    from labels import LABELS

    class EndpointHandler:
        def __init__(self, path=""):
            with open(os.path.join(path, "scale.txt")) as file:
                self.scale = float(file.read())

        def __call__(self, data: Dict[str, Any]) -> List[Dict[str, Any]]:
            inputs = data.pop("inputs", data)
            parameters = data.pop("parameters", None)
            if hasattr(inputs, "mode"):
                return [{"size": list(inputs.size), "mode": inputs.mode, "parameters": parameters}]
            if isinstance(inputs, bytes):
                return [{"bytes": len(inputs)}]
            return [{"label": LABELS[len(inputs)], "score": self.scale * len(inputs),
                     "parameters": parameters}]
"""


def picture(width):
    stream = io.BytesIO()
    Image.new("RGBA", (width, 5)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """A repository with a handler, archived."""
    folder = tmp_path_factory.mktemp("endpoint")
    source = write(
        folder / "repository",
        {
            "handler.py": HANDLER,
            "labels.py": "LABELS = dict(enumerate('abcdefgh'))\n",
            "scale.txt": "0.5",
            "config.json": '{"model_type": "bert", "architectures": ["BertModel"]}',
            "requirements.txt": "pillow\n",
            "README.md": "# A repository\n",
        },
    )
    return mar_core.archive(source=source, export_path=folder)


class TestHuggingFace(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, endpoint):
        rows = [{"body": {"inputs": "four"}}, {"body": {"inputs": "me", "parameters": {"k": 1}}}]
        return HandlerCase(archive=endpoint, inputs=rows, bad={"body": {"text": "four"}})


def test_an_endpoint_gets_what_hugging_face_gives_it(endpoint):
    with load(endpoint) as predictor:
        told = {"label": "c", "score": 1.0, "parameters": None}
        for body in ({"inputs": "me"}, bytearray(b'{"inputs": "me"}')):
            assert asked(predictor, body, "application/json").result == [told]
        assert asked(predictor, "me", "text/plain").result == [told]
        assert asked(predictor, bytearray(b"RIFF"), "audio/wav").result == [{"bytes": 4}]
        got = asked(predictor, bytearray(picture(7)), "image/PNG").result
        assert got == [{"size": [7, 5], "mode": "RGB", "parameters": None}]
        for body, kind in ((b"x", "image/png"), (b"{", "application/json"), (b"x", "a/b")):
            assert asked(predictor, bytearray(body), kind).failure.code == 400


@pytest.mark.parametrize("config", ['{"architecture": "resnet18", "pretrained_cfg": {}}', "{"])
def test_an_endpoint_is_that_even_where_others_know_the_folder(tmp_path, config):
    files = {"handler.py": HANDLER, "config.json": config, "modules.json": "[]"}
    source = write(tmp_path / "repository", files)
    path = mar_core.archive(source=source, export_path=tmp_path)
    with mar_core.open_archive(path) as archive:
        assert archive.manifest.handler == "huggingface_endpoint"


def test_an_endpoint_comes_before_what_others_make_of_its_config(endpoint):
    with mar_core.open_archive(endpoint) as archive:
        assert archive.manifest.handler == "huggingface_endpoint"
        assert archive.manifest.data["model"]["requirementsFile"] == "requirements.txt"
        assert {"handler.py", "labels.py", "config.json"} < set(archive.members)
