"""TorchServe's own Postman collections, through the real ``newman``, against the drop-in.

They come from a checkout of pytorch/serve: give its folder in ``MAR_TORCHSERVE_CHECKOUT``. The
models that they name are out of reach, so stand-ins answer what the collections expect of them:
what is measured is the server, not the networks.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dropin import DropIn, started

from mar_core.testing import make_archive

CHECKOUT = Path(os.environ.get("MAR_TORCHSERVE_CHECKOUT", "nowhere"))
POSTMAN = CHECKOUT / "test" / "postman"
NEWMAN = shutil.which("newman")
HOSTS = re.compile(r"https://torchserve\.(?:pytorch\.org|s3\.amazonaws\.com)")

pytestmark = [
    pytest.mark.skipif(
        not POSTMAN.is_dir(), reason="MAR_TORCHSERVE_CHECKOUT names no checkout of pytorch/serve"
    ),
    pytest.mark.skipif(NEWMAN is None, reason="newman is not installed (npm install -g newman)"),
]

HANDLER = """
import json
import os


class StandIn:
    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        with open(os.path.join(folder, "answers.json")) as file:
            self.answers = json.load(file)
        self.initialized = True

    def handle(self, data, context):
        explain = context.get_request_header(0, "explain") == "True"
        return [self.answers["explain" if explain else "predict"]] * len(data)
"""
FUNCTIONS = """
def pre_processing(data, context):
    return None if data is None else [bytes(row.get("data") or row.get("body")) for row in data]


def post_processing(data, context):
    return None if data is None else [bytes(row.get("data") or row.get("body")) for row in data]


def slow(data, context):
    if data is not None:
        import time
        time.sleep(5)
        return ["late"] * len(data)


def broken(data, context):
    if data is None:
        raise MemoryError("there is not enough")
"""


class Postman:
    """The stand-ins, the server that hands them out, and newman."""

    def __init__(self, drop_in: DropIn) -> None:
        self.drop_in = drop_in
        self.remote = drop_in.folder / "remote"
        (self.remote / "mar_files").mkdir(parents=True)
        (self.remote / "war_files").mkdir()
        serve = functools.partial(_Quiet, directory=str(self.remote))
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.httpd.server_port}"

    def entries(self, name):
        """A data file, with its remote archives at hand here."""
        text = HOSTS.sub(self.base, (POSTMAN / name).read_text(encoding="utf-8"))
        return json.loads(text)

    def stand_in(self, url, name, *, predict="ok", explain="why"):
        """An archive where the collection looks for it."""
        stem = url.strip("{}").removeprefix("mar_path_")
        folder = self.drop_in.store
        if "/" in stem:
            stem = stem.rpartition("/")[2].removesuffix(".mar")
            folder = self.remote / "mar_files"
        scratch = self.drop_in.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        (scratch / "handler.py").write_text(HANDLER)
        answers = {"predict": predict, "explain": explain}
        (scratch / "answers.json").write_text(json.dumps(answers))
        made = make_archive(
            scratch, handler=scratch / "handler.py", model_name=name, version="1.0",
            extra_files=[scratch / "answers.json"], force=True,
        )  # fmt: skip
        made.rename(folder / f"{stem}.mar")

    def workflow(self, name, specification, workflow_name):
        """A workflow archive at the remote place."""
        folder = self.drop_in.folder
        (folder / "spec.yaml").write_text(specification)
        (folder / "functions.py").write_text(FUNCTIONS)
        words = ["--workflow-name", workflow_name, "--spec-file", "spec.yaml", "--force"]
        subprocess.run(
            [sys.executable, "-P", "-m", "workflow_archiver.workflow_packaging", *words,
             "--handler", "functions.py", "--export-path", str(folder)],
            cwd=folder, check=True,
        )  # fmt: skip
        (folder / f"{workflow_name}.war").rename(self.remote / "war_files" / name)

    def run(self, collection, entries=None):
        """Run a collection; what newman counted, and what it says of failures."""
        folder, ports = self.drop_in.folder, self.drop_in.ports
        text = (POSTMAN / collection).read_text(encoding="utf-8")
        # The one address that the collections write out.
        text = text.replace("localhost:8082", f"127.0.0.1:{ports[2]}")
        (folder / collection).write_text(text.replace('"port": "8082"', f'"port": "{ports[2]}"'))
        environment = json.loads((POSTMAN / "environment.json").read_text(encoding="utf-8"))
        own = {
            "hostname": "127.0.0.1", "pred-port": ports[0], "mgmt-port": ports[1],
            "metric-port": ports[2], "sec-pred-port": ports[0], "sec-mgmt-port": ports[1],
            "sec-metric-port": ports[2],
        }  # fmt: skip
        for value in environment["values"]:
            value["value"] = str(own.get(value["key"], value["value"]))
            if value["key"].startswith("mar_path_"):
                value["value"] = value["key"].removeprefix("mar_path_") + ".mar"
        (folder / "environment.json").write_text(json.dumps(environment))
        words = [NEWMAN, "run", folder / collection, "-e", folder / "environment.json"]
        words += ["--insecure", "-r", "json", "--reporter-json-export", folder / "report.json"]
        words += ["--working-dir", CHECKOUT / "test", "--suppress-exit-code"]
        if entries is not None:
            (folder / "data.json").write_text(json.dumps(entries))
            words += ["-d", folder / "data.json"]
        done = subprocess.run(
            [*map(str, words)], cwd=CHECKOUT / "test", capture_output=True, text=True, check=False,
            timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))["run"]
        failures = [
            f"{one['source'].get('name')} (iteration {one['cursor']['iteration']}): "
            f"{one['error']['message']}"
            for one in report["failures"]
        ]
        return report["stats"], failures


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def postman(tmp_path):
    made = Postman(DropIn(tmp_path))
    yield made
    made.httpd.shutdown()
    made.httpd.server_close()
    made.drop_in.close()


def serving(postman, *lines, scheme="http"):
    config = postman.drop_in.configure(
        "disable_token_authorization=true", "enable_model_api=true", "metrics_mode=prometheus",
        f"allowed_urls=file://.*,{re.escape(postman.base)}/.*", *lines, scheme=scheme,
    )  # fmt: skip
    return ["--model-store", "store", "--ts-config", config, "--ncs"]


@pytest.mark.parametrize("envelope", ["", "service_envelope=kserve", "service_envelope=kservev2"])
def test_management(postman, envelope):
    entries = postman.entries("management_data.json")
    for one in entries:
        for url in re.findall(r"\{\{mar_path_[^}]+\}\}", one.get("path", "")):
            postman.stand_in(url, url.strip("{}").removeprefix("mar_path_"))
    with started(postman.drop_in, *serving(postman, *filter(None, [envelope]))):
        stats, failures = postman.run("management_api_test_collection.json", entries)
    assert not failures, "\n".join(failures)
    assert stats["requests"]["total"] == len(entries) == 82


def test_inference(postman):
    entries = postman.entries("inference_data.json")
    for one in entries:
        postman.stand_in(one["url"], one["model_name"], predict=one.get("expected", "ok"))
    with started(postman.drop_in, *serving(postman)):
        stats, failures = postman.run("inference_api_test_collection.json", entries)
    assert not failures, "\n".join(failures)
    assert stats["iterations"]["total"] == len(entries) == 22


def test_explanations(postman):
    entries = postman.entries("explanation_data.json")
    for one in entries:
        name = one["model_name"]
        answers = {"predict": one["expected"], "explain": one["expected_explain"]}
        postman.stand_in(one["url"], name, **answers)
    with started(postman.drop_in, *serving(postman)):
        stats, failures = postman.run("explanation_api_test_collection.json", entries)
    assert not failures, "\n".join(failures)
    assert stats["iterations"]["total"] == len(entries) == 1


@pytest.mark.parametrize(
    ("data", "collection", "lines"),
    [
        (
            "kf_inference_data.json", "kf_api_test_collection.json",
            ["service_envelope=kserve"],
        ),
        (
            "kfv2_inference_data.json", "kfv2_api_test_collection.json",
            ["service_envelope=kservev2", "ts_open_inference_protocol=true"],
        ),
    ],
)  # fmt: skip
def test_kserve(postman, data, collection, lines):
    entries = postman.entries(data)
    for one in entries:
        expected = one["expected"]
        answer = expected["outputs"][0]["data"][0] if "outputs" in expected else 2
        postman.stand_in(one["url"], one["model_name"], predict=answer, explain=[0.5])
    with started(postman.drop_in, *serving(postman, *lines)):
        stats, failures = postman.run(collection, entries)
    assert not failures, "\n".join(failures)
    assert stats["iterations"]["total"] == len(entries) == 1


def test_https(postman):
    postman.stand_in("{{mar_path_squeezenet1_1}}", "squeezenet1_1")
    drop_in = postman.drop_in
    done = drop_in.run("--start", *serving(postman, scheme="https"))
    assert done.returncode == 0, done.stdout
    drop_in.wait(scheme="https")
    stats, failures = postman.run("https_test_collection.json")
    assert not failures, "\n".join(failures)
    assert stats["requests"]["total"] == 9


def one_model(url="densenet161_wf"):
    models = f"models:\n  m:\n    url: {url}.mar\n"
    return models + "dag:\n  pre_processing: [m]\n  m: [post_processing]\n"


def test_workflow_management(postman):
    entries = postman.entries("workflow_data.json")
    postman.stand_in("densenet161_wf", "densenet161_wf")
    postman.workflow("densenet_wf.war", one_model(), "densenet")
    broken = "models:\n  m:\n    url: densenet161_wf.mar\ndag:\n  broken: [m]\n"
    for name in ("custom_python_dep", "loading-memory-error"):
        postman.workflow(f"{name}.war", broken, name)
    with started(postman.drop_in, *serving(postman)):
        stats, failures = postman.run("workflow_api_test_collection.json", entries)
    assert not failures, "\n".join(failures)
    assert stats["requests"]["total"] == len(entries) == 11


def test_workflow_inference(postman):
    entries = postman.entries("workflow_inference_data.json")
    for at, one in enumerate(entries):
        model = f"wf{at}"
        postman.stand_in(model, model, predict=one["expected"])
        late = "models:\n  timeout-ms: 500\n  retry-attempts: 1\n  m:\n"
        late += f"    url: {model}.mar\ndag:\n  slow: [m]\n"
        specification = late if one.get("status_code") == 500 else one_model(model)
        name = one["workflow_url"].rpartition("/")[2]
        postman.workflow(name, specification, one["workflow_name"])
    with started(postman.drop_in, *serving(postman)):
        stats, failures = postman.run("workflow_inference_collection.json", entries)
    assert not failures, "\n".join(failures)
    assert stats["iterations"]["total"] == len(entries) == 3
