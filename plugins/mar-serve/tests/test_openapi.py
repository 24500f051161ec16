"""The OpenAPI documents: that they are sound, and that the server does what they say."""

from __future__ import annotations

import re
import subprocess
import sys

import httpx
import pytest
import serving
import serving_handlers as handlers
from mar_serve import openapi
from mar_serve.api import OPERATIONS

LISTENERS = ("inference", "management", "metrics")
PARAMETERS = '[parameters]\n"path.model_name" = "echo"\n"path.model_version" = "1.0"\n'
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance"
CHECKS += ",response_schema_conformance"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    store = folder / "store"
    store.mkdir()
    archive = handlers.make(store, "echo", batchSize=8)
    words = [archive, "--model-store", store, "--enable-model-api"]
    with serving.running(*words, folder=folder) as running:
        yield running


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("path", ["/openapi.json", "/api-description"])
def test_each_address_describes_itself(server, listener, path):
    answer = httpx.get(getattr(server, listener) + path, trust_env=False)
    shown, own = answer.json(), openapi.document({listener})
    added = {path: item for path, item in shown["paths"].items() if path not in own["paths"]}
    assert shown == {**own, "paths": {**own["paths"], **added}}  # plugins may describe theirs
    assert answer.json()["openapi"] == "3.0.1"
    assert answer.json() == httpx.options(getattr(server, listener) + "/", trust_env=False).json()


def test_every_operation_is_described_once():
    paths = openapi.document(set(LISTENERS))["paths"]
    described = {(path, method.upper()) for path, item in paths.items() for method in item}
    meant = {(p, m) for one in OPERATIONS for p in one.paths for m in one.methods}
    assert described == meant
    names = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_every_path_that_is_described_is_answered(server):
    """By something else than `there is nothing here`, whatever the model is called."""
    for operation in OPERATIONS:
        base = getattr(server, operation.listener)
        for path in operation.paths:
            url = re.sub(r"{model_name}", "echo", path).replace("{model_version}", "9.9")
            for method in operation.methods:
                if method == "DELETE" or operation.id == "token":  # there are no tokens here
                    continue
                answer = httpx.request(method, base + url, trust_env=False, timeout=60)
                nothing = answer.status_code in {404, 405} and answer.json()["message"] in {
                    "Requested resource is not found, please refer to API document.",
                    "Requested method is not allowed, please refer to API document.",
                }
                assert not nothing, (method, path)


def test_a_model_describes_how_it_is_asked(server):
    answer = httpx.options(f"{server.inference}/predictions/echo", trust_env=False)
    (path,) = answer.json()["paths"]
    assert path == "/predictions/echo/1.0"
    assert httpx.post(server.inference + path, trust_env=False).status_code == 200


@pytest.mark.parametrize("query", ["min_worker=2000000000", "min_worker=1&max_worker=1000000"])
def test_a_slip_of_the_finger_does_not_fill_the_machine(server, query):
    answer = httpx.put(f"{server.management}/models/echo?{query}", trust_env=False, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["message"] == "A model may have 256 workers at most."


@pytest.mark.slow
@pytest.mark.parametrize("listener", LISTENERS)
def test_the_server_keeps_what_its_document_says(server, listener, tmp_path):
    """Requests that schemathesis makes from the document, sound and not."""
    base = getattr(server, listener)
    (tmp_path / "schemathesis.toml").write_text(PARAMETERS)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{base}/openapi.json", "--url", base),
        *("--checks", CHECKS, "--max-examples", "15", "--seed", "1", "--phases"),
        *("examples,coverage,fuzzing", "--no-color", "--request-timeout", "60"),
        # These would start hundreds of workers, and remove the model that the others ask.
        *("--exclude-operation-id-regex", "^scale|^register|^unregister"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
