"""TorchServe's management API, over real sockets."""

from __future__ import annotations

import shutil
import stat
import zipfile

import costly
import memory_archive
import pytest
import serving
import serving_handlers as handlers

TEXT = {"content-type": "text/plain"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("management")
    store = folder / "store"
    store.mkdir()
    echo = handlers.make(store, "echo")
    shutil.move(handlers.make(folder / "two", "echo", version="2.0"), store / "echo2.mar")
    handlers.make(store, "sick", handlers.SICK)
    handlers.make(store, "wished", minWorkers=1, maxWorkers=2, batchSize=4)
    handlers.make(store, "classy", handlers.CLASS)
    (store / "broken.mar").write_bytes(b"PK\x03\x04 this is no archive")
    (folder / "outside.mar").write_bytes(echo.read_bytes())
    (store / "link.mar").symlink_to(folder / "outside.mar")
    words = ["--model-store", store, "--enable-model-api", echo]
    with serving.running(*words, folder=folder) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server):
    with server.admin() as admin:
        yield admin


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def said(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["status"]


def refused(answer, status, kind):
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == status
    assert answer.json()["type"] == kind
    return answer.json()["message"]


def test_a_model_comes_is_scaled_and_goes(admin, client):
    text = said(admin.post("/models", params={"url": "echo.mar", "model_name": "come"}), 200)
    scale = "Use scale workers API to add workers for the model."
    assert text == f'Model "come" Version: 1.0 registered with 0 initial workers. {scale}'
    message = refused(
        client.post("/predictions/come", content=b"x"), 503, "ServiceUnavailableException"
    )
    assert message.startswith('Model "come" has no worker to serve inference request. Please use')
    assert said(admin.put("/models/come", params={"min_worker": 1}), 202) == (
        "Processing worker updates..."
    )
    text = said(admin.put("/models/come", params={"min_worker": 2, "synchronous": "true"}), 200)
    assert text == "Workers scaled to 2 for model: come"
    text = said(admin.put("/models/come/1.0", params={"min_worker": 1, "synchronous": "true"}), 200)
    assert text == "Workers scaled to 1 for model: come, version: 1.0"
    assert client.post("/predictions/come", content=b"x").status_code == 200
    assert said(admin.delete("/models/come"), 200) == 'Model "come" unregistered'
    assert client.get("/predictions/come").status_code == 404


def test_json_registers_too_and_the_archives_own_numbers_count(admin):
    asked = {"url": "wished.mar", "synchronous": True}
    text = said(admin.post("/models", json=asked), 200)
    assert text == 'Model "wished" Version: 1.0 registered with 1 initial workers'
    (shown,) = admin.get("/models/wished").json()
    assert (shown["minWorkers"], shown["maxWorkers"], shown["batchSize"]) == (1, 2, 4)
    said(admin.delete("/models/wished"), 200)


def test_numbers_in_the_request_win_and_those_that_do_not_parse_fall_back(admin):
    params = {"url": "wished.mar", "batch_size": "7", "max_batch_delay": "x", "model_name": "won"}
    said(admin.post("/models", params=params), 200)
    (shown,) = admin.get("/models/won").json()
    assert (shown["batchSize"], shown["maxBatchDelay"]) == (7, 100)
    said(admin.delete("/models/won"), 200)


def test_two_versions_and_their_default(admin, client):
    params = {"url": "echo2.mar", "initial_workers": 1}
    text = said(admin.post("/models", params=params), 200)
    assert text == 'Model "echo" Version: 2.0 registered with 1 initial workers'
    assert client.get("/predictions/echo").json()["version"] == "1.0"
    text = said(admin.put("/models/echo/2.0/set-default"), 200)
    assert text == 'Default version successfully updated for model "echo" to "2.0"'
    assert client.get("/predictions/echo").json()["version"] == "2.0"
    versions = [one["modelVersion"] for one in admin.get("/models/echo/all").json()]
    assert versions == ["2.0", "1.0"]
    message = refused(admin.delete("/models/echo/2.0"), 403, "InvalidModelVersionException")
    assert message == "Cannot remove default version for model echo"
    said(admin.put("/models/echo/1.0/set-default"), 200)
    said(admin.delete("/models/echo/2.0"), 200)
    message = refused(admin.put("/models/echo/9/set-default"), 404, "ModelVersionNotFoundException")
    assert message == "Model version 9 does not exist for model echo"


@pytest.mark.parametrize(
    ("params", "status", "kind", "message"),
    [
        ({}, 400, "BadRequestException", "Parameter url is required."),
        ({"url": ""}, 404, "ModelNotFoundException", "empty url"),
        ({"url": "no.mar"}, 404, "ModelNotFoundException", "Model not found at: no.mar"),
        ({"url": "/etc/passwd"}, 404, "ModelNotFoundException", "Model not found at: /etc/passwd"),
        ({"url": "link.mar"}, 404, "ModelNotFoundException", "Model not found at: link.mar"),
        (
            {"url": "../outside.mar"},
            404,
            "ModelNotFoundException",
            "Relative path is not allowed in url: ../outside.mar",
        ),
        (
            {"url": "http://127.0.0.1:1/x.mar"},
            404,
            "ModelNotFoundException",
            "Given URL http://127.0.0.1:1/x.mar does not match any allowed URL(s)",
        ),
        (
            {"url": "echo.mar"},
            409,
            "ConflictStatusException",
            "Model version 1.0 is already registered for model echo",
        ),
        (
            {"url": "echo.mar", "runtime": "perl"},
            400,
            "BadRequestException",
            "Invalid RuntimeType value: perl",
        ),
        (
            {"url": "broken.mar"},
            400,
            "InvalidModelException",
            "Model name is not defined.",
        ),
        (
            {"url": "sick.mar", "initial_workers": "1"},
            500,
            "InternalServerException",
            "Failed to start workers for model sick version: 1.0",
        ),
    ],
)
def test_what_is_refused(server, admin, params, status, kind, message):
    answer = admin.post("/models", params=params)
    assert refused(answer, status, kind) == message
    assert str(server.folder) not in answer.text
    names = [one["modelName"] for one in admin.get("/models").json()["models"]]
    assert names == ["echo"]


def test_scaling_that_makes_no_sense(admin):
    answer = admin.put("/models/echo", params={"min_worker": 3, "max_worker": 1})
    message = refused(answer, 400, "BadRequestException")
    assert message == "max_worker cannot be less than min_worker."
    assert refused(admin.put("/models/no"), 404, "ModelNotFoundException") == "Model not found: no"


def test_the_description_has_torchserves_keys(admin):
    (shown,) = admin.get("/models/echo").json()
    assert shown["modelName"] == "echo"
    assert shown["modelUrl"] == "echo.mar"
    assert shown["loadedAtStartup"] is True
    assert shown["jobQueueStatus"] == {"remainingCapacity": 100, "pendingRequests": 0}
    (worker,) = shown["workers"]
    assert worker["status"] == "READY"
    assert worker["pid"] > 0
    assert worker["memoryUsage"] > 0
    assert {"id", "startTime", "gpu", "gpuUsage"} < set(worker)
    wanted = {
        "runtime", "minWorkers", "maxWorkers", "batchSize", "maxBatchDelay", "responseTimeout",
        "startupTimeout", "maxRetryTimeoutInSec", "clientTimeoutInMills", "parallelType",
        "parallelLevel", "deviceType", "deviceIds", "continuousBatching", "useJobTicket", "useVenv",
        "stateful", "sequenceMaxIdleMSec", "sequenceTimeoutMSec", "maxNumSequence",
        "maxSequenceJobQueueSize",
    }  # fmt: skip
    assert wanted < set(shown)


def test_a_handler_describes_itself(admin):
    said(admin.post("/models", params={"url": "classy.mar", "initial_workers": 1}), 200)
    (shown,) = admin.get("/models/classy", params={"customized": "true"}).json()
    assert shown["customizedMetadata"] == {"customizedMetadata": "mine"}
    said(admin.delete("/models/classy"), 200)


def test_the_list_comes_in_pages(admin):
    for name in "abc":
        said(admin.post("/models", params={"url": "echo.mar", "model_name": name}), 200)
    first = admin.get("/models", params={"limit": 2}).json()
    assert [one["modelName"] for one in first["models"]] == ["a", "b"]
    assert first["nextPageToken"] == "2"
    second = admin.get("/models", params={"limit": 2, "next_page_token": "2"}).json()
    assert [one["modelName"] for one in second["models"]] == ["c", "echo"]
    assert "nextPageToken" not in second
    for name in "abc":
        said(admin.delete(f"/models/{name}"), 200)


def test_an_archive_is_uploaded(server, admin, client):
    body = (server.folder / "store" / "echo.mar").read_bytes()
    text = said(admin.put("/models/up", content=body), 200)
    assert text == 'Model "up" Version: 1.0 registered with 1 initial workers'
    assert client.post("/predictions/up", content="x", headers=TEXT).json()["value"] == "x"
    refused(admin.put("/models/up", content=body), 409, "ConflictStatusException")
    assert client.post("/predictions/up", content="x", headers=TEXT).status_code == 200
    said(admin.delete("/models/up"), 200)


def test_an_upload_that_fails_validation_is_refused_with_its_findings(
    server, admin, client, tmp_path
):
    bad = tmp_path / "bad.mar"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr(
            "MAR-INF/MANIFEST.json", '{"model": {"modelName": "bad", "handler": "no.py"}}'
        )
    before = {path.name for path in (server.folder / "store").iterdir()}
    answer = admin.put("/models/bad", content=bad.read_bytes())
    refused(answer, 400, "InvalidModelException")
    assert {finding["severity"] for finding in answer.json()["findings"]} >= {"error"}
    assert all(finding["code"].startswith("MAR-") for finding in answer.json()["findings"])
    assert {path.name for path in (server.folder / "store").iterdir()} == before
    assert client.post("/predictions/echo", content="x", headers=TEXT).status_code == 200
    answer = admin.put("/models/bad", content=b"no archive at all")
    refused(answer, 400, "BadRequestException")
    assert admin.put("/models/..%2Fbad", content=b"PK").status_code == 404


def test_an_archive_that_costs_too_much_to_examine_is_refused(tmp_path):
    echo = handlers.make(tmp_path, "echo")
    other = handlers.make(tmp_path / "other", "other")
    env = {"MAR_MAX_SECONDS": "0.000001"}
    words = [echo, "--enable-model-api"]
    with serving.running(*words, folder=tmp_path) as server, server.admin() as admin:
        said(admin.put("/models/other", content=other.read_bytes()), 200)
    with serving.running(words[1], folder=tmp_path, env=env) as server, server.admin() as admin:
        answer = admin.put("/models/other", content=other.read_bytes())
        refused(answer, 400, "InvalidModelException")
        codes = {finding["code"] for finding in answer.json()["findings"]}
        assert any(code.startswith("MAR-L") for code in codes)


def test_without_the_model_api_models_do_not_change(tmp_path):
    echo = handlers.make(tmp_path, "echo")
    with (
        serving.running(echo, "--model-store", tmp_path, folder=tmp_path) as server,
        server.admin() as admin,
    ):
        for answer in (
            admin.post("/models", params={"url": "echo.mar"}),
            admin.delete("/models/echo"),
            admin.put("/models/new", content=echo.read_bytes()),
        ):
            refused(answer, 405, "MethodNotAllowedException")


def test_tokens(tmp_path):
    echo = handlers.make(tmp_path, "echo")
    with serving.running(echo, "--tokens", folder=tmp_path) as server:
        file = tmp_path / "key_file.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        keys = _keys(file)
        assert all(len(key) == 8 for key in keys.values())
        with server.client() as client, server.admin() as admin:
            message = refused(client.get("/predictions/echo"), 400, "InvalidKeyException")
            assert message == (
                "Token Authorization failed. Token either incorrect, expired, or not provided "
                "correctly"
            )
            refused(client.get("/ping"), 400, "InvalidKeyException")
            inference = {"Authorization": f"Bearer {keys['inference']}"}
            management = {"Authorization": f"Bearer {keys['management']}"}
            assert client.get("/predictions/echo", headers=inference).status_code == 200
            refused(client.get("/ping", headers=management), 400, "InvalidKeyException")
            refused(admin.get("/models", headers=inference), 400, "InvalidKeyException")
            assert admin.get("/models", headers=management).status_code == 200
            assert client.options("/").status_code == 200
            api = {"Authorization": f"Bearer {keys['API']}"}
            refused(admin.get("/token?type=inference"), 400, "InvalidKeyException")
            assert admin.get("/token?type=inference", headers=api).status_code == 200
            refused(admin.get("/token?type=wrong", headers=api), 400, "InvalidKeyException")
            fresh = _keys(file)
            assert fresh["inference"] != keys["inference"]
            assert fresh["API"] == keys["API"]
            refused(client.get("/ping", headers=inference), 400, "InvalidKeyException")
            headers = {"Authorization": f"Bearer {fresh['inference']}"}
            assert client.get("/ping", headers=headers).status_code == 200
        assert server.end() == 0
        assert not file.exists()


def _keys(file):
    import json

    return {kind: entry["key"] for kind, entry in json.loads(file.read_text()).items()}


def test_what_costs_too_much_to_look_at_is_refused(server, admin, client):
    files = costly.COSTLY["20,000 classes each derived from the next"]()
    memory_archive.write_zip(server.folder / "store" / "greedy.mar", files)
    answer = admin.post("/models", params={"url": "greedy.mar"})
    assert answer.status_code == 400, answer.text
    assert "MAR-L003" in answer.text
    assert str(server.folder) not in answer.text
    assert client.get("/ping").json()["status"] == "Healthy"
