"""The command ``torchserve``: TorchServe's own command lines, each run for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import javaproperties
import pytest
import serving
import wheels
from dropin import COMMAND, DropIn, started

from mar_core.testing import make_archive

HANDLER = """
import os


def handle(data, context):
    if data is None:
        return None
    print("said by the handler")
    context.metrics.add_counter("Seen", len(data))
    return [{"keys": sorted(row), "env": os.environ.get("SECRET")} for row in data]
"""


@pytest.fixture
def drop_in(tmp_path):
    made = DropIn(tmp_path)
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    for version in ("1.0", "2.0"):
        make_archive(
            made.store, handler=handler, model_name="echo", version=version, force=True
        ).rename(made.store / f"echo-{version}.mar")
    yield made
    made.close()


def test_the_version_is_torchserves(drop_in):
    assert drop_in.run("--version").stdout == "TorchServe Version is 0.12.0\n"


def test_stopping_nothing_is_no_error(drop_in):
    done = drop_in.run("--stop")
    assert (done.returncode, done.stdout) == (0, "TorchServe is not currently running.\n")


def test_a_model_store_is_a_must(drop_in):
    done = drop_in.run("--start")
    assert (done.returncode, done.stdout) == (1, "Missing mandatory parameter --model-store\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model-store", "nowhere"], "--model-store directory not found: nowhere"),
        (
            ["--model-store", "store", "--workflow-store", "nowhere"],
            "--workflow-store directory not found: nowhere",
        ),
        (["--model-store", "store", "--ts-config", "no.txt"], "--ts-config file not found: no.txt"),
        (
            ["--model-store", "store", "--log-config", "no.xml"],
            "--log-config file not found: no.xml",
        ),
    ],
)
def test_what_is_not_there_is_named(drop_in, words, said):
    done = drop_in.run("--start", *words)
    assert done.returncode == 1
    assert said in done.stdout


def test_a_value_that_makes_no_sense_is_named_with_its_key_and_file(drop_in):
    path = drop_in.configure("job_queue_size=many")
    done = drop_in.run("--start", "--model-store", "store", "--ts-config", path)
    assert done.returncode == 1
    assert f"{path}: job_queue_size is 'many', which is not an integer." in done.stdout


def test_it_starts_in_the_background_answers_and_stops(drop_in):
    config = drop_in.configure()
    words = ["--model-store", "store", "--ts-config", config, "--models", "echo=echo-1.0.mar"]
    with started(drop_in, *words, "--disable-token-auth"):
        again = drop_in.run("--start", "--model-store", "store")
        assert again.returncode == 1
        assert again.stdout.splitlines()[-1] == (
            "TorchServe is already running, please use torchserve --stop to stop TorchServe."
        )
        with drop_in.client() as client:
            answer = client.post("/predictions/echo", content=b"x")
        assert answer.json() == {"keys": ["body"], "env": None}
        pid = drop_in.pid
        done = drop_in.run("--stop")
        assert (done.returncode, done.stdout) == (0, "TorchServe has stopped.\n")
        assert drop_in.pid is None
        end = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()


def test_the_logs_have_torchserves_names_and_forms(drop_in):
    config = drop_in.configure()
    words = ["--model-store", "store", "--ts-config", config, "--models", "echo=echo-1.0.mar"]
    with started(drop_in, *words, "--disable-token-auth"):
        with drop_in.client() as client:
            client.post("/predictions/echo?a=1", content=b"x")
            client.get("/predictions/nobody")
        assert "[INFO ] MainThread mar_torchserve.server - Model server started." in drop_in.log()
        lines = drop_in.log("access_log.log").splitlines()
        assert any('"POST /predictions/echo?a=1 HTTP/1.1" 200 ' in line for line in lines)
        assert any('"GET /predictions/nobody HTTP/1.1" 404 ' in line for line in lines)
        assert "said by the handler" in drop_in.log("model_log.log")
        assert "Seen.Count:1.0|#" in drop_in.log("model_metrics.log")
        serving.eventually(lambda: "MemoryUsed" in drop_in.log("ts_metrics.log"))


def test_tokens_are_asked_for_unless_switched_off(drop_in):
    config = drop_in.configure()
    words = ["--model-store", "store", "--ts-config", config, "--models", "echo=echo-1.0.mar"]
    with started(drop_in, *words):
        path = drop_in.folder / "key_file.json"
        assert path.stat().st_mode & 0o777 == 0o600
        with drop_in.client() as client:
            assert client.post("/predictions/echo", content=b"x").status_code == 400
        drop_in.run("--stop")
        assert not path.exists()


def test_a_snapshot_is_taken_up_by_a_start_without_a_configuration(drop_in):
    drop_in.configure("enable_model_api=true")
    words = ["--model-store", "store", "--disable-token-auth"]
    elsewhere = (drop_in.store / "echo-1.0.mar").rename(drop_in.folder / "far.mar")
    shutil.copy(elsewhere, drop_in.store / "echo-1.0.mar")
    first = [*words, "--models", f"far={elsewhere}"]
    with started(drop_in, *first), drop_in.client("management") as management:
        for version in ("1.0", "2.0"):
            answer = management.post(f"/models?url=echo-{version}.mar&initial_workers=1")
            assert answer.status_code == 200, answer.text
        management.put("/models/echo/2.0/set-default").raise_for_status()
    newest = max((drop_in.folder / "logs" / "config").iterdir())
    assert newest.name.endswith("-shutdown.cfg")
    values = javaproperties.loads(newest.read_text(encoding="utf-8"))
    assert '"modelCount": 3' in values["model_snapshot"]
    (drop_in.folder / "config.properties").unlink()
    with started(drop_in, *words), drop_in.client("management") as management:
        described = management.get("/models/echo/all").json()
        assert [one["modelVersion"] for one in described] == ["2.0", "1.0"]
        assert management.get("/models/far").status_code == 200
        assert management.get("/models/echo").json()[0]["modelVersion"] == "2.0"


def test_no_snapshots_are_written_or_taken_up_with_ncs(drop_in):
    drop_in.configure()
    with started(drop_in, "--model-store", "store", "--ncs", "--disable-token-auth"):
        pass
    assert not (drop_in.folder / "logs" / "config").exists()


def test_in_the_foreground_a_signal_ends_it(drop_in):
    config = drop_in.configure()
    process = subprocess.Popen(
        [*COMMAND, "--start", "--foreground", "--model-store", "store", "--ts-config", str(config)],
        cwd=drop_in.folder, env=drop_in.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        drop_in.wait()
        assert drop_in.pid == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_the_environment_sets_what_the_file_lets_it(drop_in):
    config = drop_in.configure("enable_envvars_config=true", "blacklist_env_vars=SEC.*")
    environment = {"TS_LOAD_MODELS": "echo-2.0.mar", "SECRET": "secret"}
    words = ["--model-store", "store", "--ts-config", config, "--disable-token-auth"]
    with started(drop_in, *words, environment=environment), drop_in.client() as client:
        assert client.post("/predictions/echo/2.0", content=b"x").json()["env"] is None


def test_models_of_config_properties_have_their_numbers(drop_in):
    config = drop_in.configure(
        "load_models=all",
        "default_response_timeout=77",
        'models={"echo": {"2.0": {"minWorkers": 2, "maxWorkers": 3, "batchSize": 8}}}',
    )
    words = ["--model-store", "store", "--ts-config", config, "--disable-token-auth"]
    with started(drop_in, *words), drop_in.client("management") as management:
        by_version = {one["modelVersion"]: one for one in management.get("/models/echo/all").json()}
    shown = {key: by_version["2.0"][key] for key in ("minWorkers", "maxWorkers", "batchSize")}
    assert shown == {"minWorkers": 2, "maxWorkers": 3, "batchSize": 8}
    assert by_version["1.0"]["batchSize"] == 1
    assert {one["responseTimeout"] for one in by_version.values()} == {77}


def test_they_keep_them_when_they_are_loaded_again(drop_in):
    config = drop_in.configure(
        "load_models=echo=echo-2.0.mar", 'models={"echo": {"2.0": {"maxWorkers": 3}}}'
    )
    words = ["--model-store", "store", "--ts-config", config, "--disable-token-auth"]
    with started(drop_in, *words), drop_in.client("management") as management:
        assert management.get("/models/echo").json()[0]["maxWorkers"] == 3
        handler = drop_in.folder / "other.py"
        handler.write_text(HANDLER + "# another\n")
        fresh = make_archive(
            drop_in.folder / "new", handler=handler, model_name="echo", version="2.0"
        )
        fresh.rename(drop_in.store / "echo-2.0.mar")
        os.kill(drop_in.pid, signal.SIGHUP)
        serving.eventually(lambda: "replaced by" in drop_in.log())
        assert management.get("/models/echo").json()[0]["maxWorkers"] == 3


def test_https_without_a_certificate_makes_one(drop_in):
    config = drop_in.configure(scheme="https")
    done = drop_in.run(
        "--start", "--model-store", "store", "--ts-config", config, "--disable-token-auth"
    )
    assert done.returncode == 0, done.stdout
    drop_in.wait(scheme="https")
    with drop_in.client(scheme="https", verify=False) as client:
        assert client.get("/ping").json() == {"status": "Healthy"}


NEEDY = """
import pebble
import rich  # of the server's environment


def handle(data, context):
    return [pebble.VERSION for _ in data] if data else None
"""


def test_each_model_has_the_packages_of_its_requirements(drop_in, tmp_path):
    (tmp_path / "needy.py").write_text(NEEDY)
    for name, version in (("old", "1.0"), ("new", "2.0")):
        wheels.wheel(tmp_path, "pebble", version)
        requirements = tmp_path / f"{name}.txt"
        requirements.write_text(f"pebble=={version}\n")
        make_archive(
            drop_in.store, handler=tmp_path / "needy.py", model_name=name,
            requirements_file=requirements, config={"useVenv": True},
        )  # fmt: skip
    config = drop_in.configure("install_py_dep_per_model=true", "load_models=old.mar,new.mar")
    words = ["--model-store", "store", "--ts-config", config, "--disable-token-auth"]
    environment = wheels.alone(tmp_path, cache=tmp_path / "uv")
    with started(drop_in, *words, environment=environment), drop_in.client() as client:
        found = [client.post(f"/predictions/{name}", content="x").text for name in ("old", "new")]
    assert found == ["1.0", "2.0"]
    assert "Making the environment of old: 1 package." in drop_in.log()


def test_what_has_no_effect_is_named_once(drop_in):
    config = drop_in.configure("vmargs=-Xmx1g", "number_of_netty_threads=4", "zebra=1")
    words = ["--model-store", "store", "--ts-config", config, "--disable-token-auth"]
    with started(drop_in, *words):
        log = drop_in.log()
    assert log.count("vmargs (") == 1
    assert log.count("number_of_netty_threads (") == 1
    assert "zebra (" in log


def test_kserves_command_line(drop_in):
    """Its runtime's own words: both addresses equal, the store and the file below one folder."""
    models = drop_in.folder / "mnt" / "models"
    (models / "config").mkdir(parents=True)
    (models / "model-store").mkdir()
    (drop_in.store / "echo-1.0.mar").rename(models / "model-store" / "echo.mar")
    port = drop_in.ports[0]
    drop_in.ports[1] = port
    snapshot = (
        'model_snapshot={"name":"startup.cfg","modelCount":1,"models":{"echo":{"1.0":'
        '{"defaultVersion":true,"marName":"echo.mar","minWorkers":1,"maxWorkers":5,"batchSize":1,'
        '"maxBatchDelay":10,"responseTimeout":60}}}}'
    )
    config = drop_in.configure(
        f"inference_address=http://127.0.0.1:{port}",
        f"management_address=http://127.0.0.1:{port}",
        "enable_envvars_config=true", "install_py_dep_per_model=true", "metrics_mode=prometheus",
        "NUM_WORKERS=1", "number_of_netty_threads=4", "job_queue_size=10",
        f"model_store={models}/model-store", snapshot,
    )  # fmt: skip
    config = config.rename(models / "config" / "config.properties")
    words = [f"--model-store={models}/model-store", f"--ts-config={config}", "--disable-token-auth"]
    environment = {"TS_SERVICE_ENVELOPE": "json"}
    with started(drop_in, *words, environment=environment), drop_in.client() as client:
        assert client.get("/v1/models/echo").json() == {"name": "echo", "ready": True}
        assert client.get("/models/echo").json()[0]["maxWorkers"] == 5
        answer = client.post("/v1/models/echo:predict", json={"instances": [{"a": 1}, {"b": 2}]})
        assert [one["keys"] for one in answer.json()["predictions"]] == [["a"], ["b"]]
        assert client.get("/v2/health/ready").status_code == 404
