"""The command lines of ``deploy/``, run outside a container, with other ports and folders."""

from __future__ import annotations

import json
import shlex
import time

import pytest
import yaml
from dropin import SECONDS, DropIn, started
from tree import ROOT

from mar_core.testing import make_archive

DEPLOY = ROOT / "deploy"
HANDLER = """
def handle(data, context):
    return [row.get("data", row.get("body")) for row in data] if data else None
"""
# What an InferenceService's storage holds.
KSERVE = """\
inference_address=http://0.0.0.0:8085
management_address=http://0.0.0.0:8085
metrics_address=http://0.0.0.0:8082
grpc_inference_port=7070
grpc_management_port=7071
enable_envvars_config=true
install_py_dep_per_model=true
enable_metrics_api=true
metrics_mode=prometheus
NUM_WORKERS=1
number_of_netty_threads=4
job_queue_size=10
model_store=/mnt/models/model-store
model_snapshot={"name":"startup.cfg","modelCount":1,"models":{"echo":{"1.0":{"defaultVersion":true,\
"marName":"echo.mar","minWorkers":1,"maxWorkers":5,"batchSize":1,"maxBatchDelay":10,"responseTimeout":60}}}}
"""
# What a user may write for the unit of systemd.
LOCAL = """\
inference_address=http://127.0.0.1:8080
management_address=http://127.0.0.1:8081
metrics_address=http://127.0.0.1:8082
load_models=all
"""
PLACES = ("/mnt/models", "/home/model-server", "/var/lib/mar")


@pytest.fixture
def drop_in(tmp_path):
    made = DropIn(tmp_path)
    (tmp_path / "model-store").mkdir()
    (tmp_path / "wf-store").mkdir()
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    make_archive(tmp_path / "model-store", handler=handler, model_name="echo")
    yield made
    made.close()


def moved(drop_in, text):
    """A text with the ports that are free here, and the folders that the test has."""
    names = ("8080", "8081", "8082", "7070", "7071")
    for name, port in zip(names, drop_in.ports, strict=True):
        text = text.replace(name, str(port))
    text = text.replace("8085", str(drop_in.ports[0]))
    for place in PLACES:
        text = text.replace(place, str(drop_in.folder))
    return text


def words_of(drop_in, command, config):
    """The words behind ``torchserve --start --foreground``, with the configuration in its place."""
    if "grpc_inference_port" not in config:
        config += "\ngrpc_inference_port=7070\ngrpc_management_port=7071\n"
    path = drop_in.folder / "config.properties"
    path.write_text(moved(drop_in, config), encoding="utf-8")
    assert command[:3] == ["torchserve", "--start", "--foreground"]
    words = [moved(drop_in, word) for word in command[3:]]
    named = next(word for word in words if word.endswith("config.properties"))
    return [word.replace(named.rpartition("=")[2], str(path)) for word in words]


def container_of(path):
    document = yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))
    spec = document["spec"]
    (container,) = spec.get("template", document)["spec"]["containers"]
    return container


def of_the_image():
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    command = text.rpartition("\nCMD ")[2]
    return json.loads(command), (DEPLOY / "config.properties").read_text(encoding="utf-8")


def of_kubernetes():
    config = yaml.safe_load((DEPLOY / "kubernetes" / "config.yaml").read_text(encoding="utf-8"))
    return container_of("kubernetes/deployment.yaml")["args"], config["data"]["config.properties"]


@pytest.mark.parametrize("files", [of_the_image, of_kubernetes])
def test_the_container_answers_its_probes_and_predicts(drop_in, files):
    words = words_of(drop_in, *files())
    with started(drop_in, *words), drop_in.client() as client:
        assert client.get("/ping").json() == {"status": "Healthy"}
        assert client.post("/predictions/echo", json=7).text == "7"


def test_the_unit_of_systemd_asks_for_tokens(drop_in):
    text = (DEPLOY / "systemd" / "mar.service").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    command = shlex.split(line.removeprefix("ExecStart=/opt/mar/bin/"))
    with started(drop_in, *words_of(drop_in, command, LOCAL)):
        key = json.loads((drop_in.folder / "key_file.json").read_text())["inference"]["key"]
        with drop_in.client(headers={"Authorization": f"Bearer {key}"}) as client:
            end = time.monotonic() + SECONDS
            # The start is over when something answers, and without a token that is at once.
            while (said := client.post("/predictions/echo", json=7)).status_code == 404:
                assert time.monotonic() < end, drop_in.log()
                time.sleep(0.1)
            assert said.text == "7"


@pytest.mark.parametrize(
    ("envelope", "path", "body", "key", "value"),
    [
        ("kserve", "/v1/models/echo:predict", {"instances": [{"data": 7}]}, "predictions", [7]),
        (
            "kservev2",
            "/v2/models/echo/infer",
            {"inputs": [{"name": "x", "shape": [2], "datatype": "INT64", "data": [1, 2]}]},
            "model_name",
            "echo",
        ),
    ],
)
def test_the_runtime_of_kserve_speaks_both_protocols(drop_in, envelope, path, body, key, value):
    container = container_of("kserve/cluster-serving-runtime.yaml")
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["TS_SERVICE_ENVELOPE"] == "{{.Labels.serviceEnvelope}}"
    environment["TS_SERVICE_ENVELOPE"] = envelope
    words = words_of(drop_in, [*container["command"], *container["args"]], KSERVE)
    with started(drop_in, *words, environment=environment), drop_in.client() as client:
        for probe in ("startupProbe", "livenessProbe"):
            assert client.get(container[probe]["httpGet"]["path"]).status_code == 200
        assert client.post(path, json=body).json()[key] == value
        assert f"gRPC inference API: 0.0.0.0:{drop_in.ports[3]}" in drop_in.log()
