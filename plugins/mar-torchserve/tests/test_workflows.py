"""Workflows: archived, registered, asked, listed and removed, with TorchServe's answers."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest
from dropin import DropIn, started
from mar_torchserve.workflows.archive import unpacked
from mar_torchserve.workflows.described import PATH_ITEMS
from mar_torchserve.workflows.specification import read_specification

from mar_core import ArchiveError
from mar_core.testing import make_archive

MODEL = """
def handle(data, context):
    if data is None:
        return None
    return [str(sorted(row)) for row in data]
"""
FUNCTIONS = """
import json
import os


def pre(data, context):
    if data is None:
        return None
    return [b"pre:" + bytes(row.get("data") or row.get("body")) for row in data]


def post(data, context):
    if data is None:
        return None
    here = json.load(open(os.path.join(context.system_properties["model_dir"], "more/names.json")))
    return [{"got": str(row), "names": here} for row in data]


def agg(data, context):
    if data is None:
        return None
    return [{key: str(value) for key, value in row.items()} for row in data]


def bad(data, context):
    if data is None:
        return None
    raise ValueError("no")
"""
DESCRIBED = ["/workflows", "/workflows/{workflow}"]
NUMBERS = "  min-workers: 1\n  max-workers: 2\n  retry-attempts: 1\n  timeout-ms: 30000\n"
ONE, TWO = "  m1:\n    url: echo.mar\n", "  m2:\n    url: echo.mar\n"
SPECS = {
    "seq": f"models:\n{NUMBERS}{ONE}dag:\n  pre: [m1]\n  m1: [post]\n",
    "par": f"models:\n{NUMBERS}{ONE}{TWO}dag:\n  pre: [m1, m2]\n",
    "agg": f"models:\n{NUMBERS}{ONE}{TWO}dag:\n  pre: [m1, m2]\n  m1: [agg]\n  m2: [agg]\n",
    "bad": f"models:\n{NUMBERS}{ONE}dag:\n  pre: [bad]\n",
    "gone": "models:\n  m1:\n    url: nowhere.mar\ndag:\n  pre: [m1]\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = DropIn(tmp_path_factory.mktemp("workflows"))
    folder = made.folder
    (folder / "handler.py").write_text(MODEL)
    make_archive(made.store, handler=folder / "handler.py", model_name="echo", version="1.0")
    (folder / "functions.py").write_text(FUNCTIONS)
    (folder / "names.json").write_text('["a"]')
    for name, text in SPECS.items():
        (folder / f"{name}.yaml").write_text(text)
        archive(folder, name)
        with zipfile.ZipFile(made.store / f"{name}.war", "a") as war:
            war.writestr("more/names.json", '["a"]')
    config = made.configure()
    words = ["--model-store", "store", "--ts-config", config, "--ncs", "--disable-token-auth"]
    with started(made, *words):
        yield made


def archive(folder, name):
    words = ["--workflow-name", name, "--spec-file", f"{name}.yaml", "--handler", "functions.py"]
    subprocess.run(
        [sys.executable, "-P", "-m", "workflow_archiver.workflow_packaging", *words,
         "--export-path", "store"],
        cwd=folder, check=True,
    )  # fmt: skip


@pytest.fixture
def management(server):
    with server.client("management") as client:
        yield client
        for one in client.get("/workflows").json()["workflows"]:
            client.delete(f"/workflows/{one['workflowName']}")


def register(management, *names):
    for name in names:
        answer = management.post(f"/workflows?url={name}.war")
        assert answer.json() == {
            "status": f"Workflow {name} has been registered and scaled successfully."
        }


def ask(server, name, **more):
    with server.client() as client:
        return client.post(f"/wfpredict/{name}", **(more or {"files": {"data": b"hello"}}))


def test_one_node_after_the_other(server, management):
    register(management, "seq")
    answer = ask(server, "seq")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    row = str({"body": bytearray(b"['body']")})
    assert answer.json() == {"got": row, "names": ["a"]}


def test_several_last_nodes_answer_under_their_names(server, management):
    register(management, "par")
    assert ask(server, "par").json() == {"m1": "['body']", "m2": "['body']"}


def test_a_node_that_several_feed_gets_each_under_its_name(server, management):
    register(management, "agg")
    row = str(bytearray(b"['body']"))
    assert ask(server, "agg").json() == {"m1": row, "m2": row}


def test_a_node_that_fails_is_named(server, management):
    register(management, "bad")
    answer = ask(server, "bad")
    assert answer.status_code == 500
    assert answer.json()["message"] == "Error executing bad"
    assert server.log().count("at bad failed") == 2, "it is tried again, once"


def test_it_is_described_and_listed(server, management):
    register(management, "seq", "par", "agg")
    assert management.get("/workflows/seq").json() == [
        {
            "workflowName": "seq",
            "workflowUrl": "seq.war",
            "minWorkers": 1,
            "maxWorkers": 2,
            "batchSize": 1,
            "maxBatchDelay": 50,
            "workflowDag": "{pre=[m1], m1=[post]}",
        }
    ]
    page = management.get("/workflows?limit=2").json()
    assert [one["workflowName"] for one in page["workflows"]] == ["agg", "par"]
    assert page["nextPageToken"] == "2"
    last = management.get("/workflows?limit=2&next_page_token=2").json()
    assert [one["workflowName"] for one in last["workflows"]] == ["seq"]
    assert "nextPageToken" not in last
    listed = [one["modelName"] for one in management.get("/models").json()["models"]]
    assert listed == ["agg__m1", "agg__m2", "par__m1", "par__m2", "seq__m1"]


def test_its_paths_are_described_and_answered(server, management):
    with server.client() as client:
        for one, added in ((client, ["/wfpredict/{workflow}"]), (management, DESCRIBED)):
            paths = one.get("/openapi.json").json()["paths"]
            assert [path for path in paths if path in PATH_ITEMS] == added
            for path in added:
                for method in set(PATH_ITEMS[path]) - {"parameters"}:
                    answer = one.request(method, path.replace("{workflow}", "none"))
                    said = str(answer.status_code)
                    assert said in PATH_ITEMS[path][method]["responses"], (method, path, said)
                    assert "please refer to API document" not in answer.text


def test_removing_it_ends_its_models(server, management):
    register(management, "seq")
    answer = management.delete("/workflows/seq")
    assert answer.json() == {"status": 'Workflow "seq" unregistered'}
    assert management.get("/models").json() == {"models": []}
    assert ask(server, "seq").json()["type"] == "WorkflowNotFoundException"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "message"),
    [
        ("POST", "/workflows", 400, "BadRequestException", "Parameter url is required."),
        (
            "POST", "/workflows?url=no.war", 404, "WorkflowNotFoundException",
            "Workflow not found in workflow store: no.war",
        ),
        (
            "POST", "/workflows?url=../store/seq.war", 404, "WorkflowNotFoundException",
            "Relative path is not allowed in url: ../store/seq.war",
        ),
        ("GET", "/workflows/no", 404, "WorkflowNotFoundException", "Workflow not found: no"),
        ("DELETE", "/workflows/no", 404, "WorkflowNotFoundException", "Workflow not found: no"),
        (
            "PUT", "/workflows/no", 405, "MethodNotAllowedException",
            "Requested method is not allowed, please refer to API document.",
        ),
    ],
)  # fmt: skip
def test_errors_are_torchserves(management, method, path, status, kind, message):
    answer = management.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {"code": status, "type": kind, "message": message}


def test_registering_twice_is_a_conflict(management):
    register(management, "seq")
    answer = management.post("/workflows?url=seq.war")
    assert answer.status_code == 409
    assert answer.json()["message"] == "Workflow seq is already registered."


def test_a_node_that_cannot_be_loaded_takes_the_others_away(management):
    answer = management.post("/workflows?url=gone.war")
    assert answer.status_code == 500
    assert "gone__m1" in answer.json()["message"]
    assert management.get("/models").json() == {"models": []}
    assert management.get("/workflows").json() == {"workflows": []}


# --- what cannot be a workflow --------------------------------------------------------------------


def war(path, members, manifest=None):
    told = {"workflow": {"workflowName": "w", "specFile": "s.yaml", "handler": "h.py"}}
    with zipfile.ZipFile(path, "w") as made:
        for name, text in {"s.yaml": SPECS["bad"], "h.py": FUNCTIONS, **members}.items():
            if text is not None:
                made.writestr(name, text)
        made.writestr("WAR-INF/MANIFEST.json", json.dumps(told if manifest is None else manifest))
    return path


@pytest.mark.parametrize(
    ("members", "manifest", "said"),
    [
        ({"../evil.py": ""}, None, "'../evil.py' is no plain file"),
        ({"/evil.py": ""}, None, "'/evil.py' is no plain file"),
        ({"a\\b.py": ""}, None, "is no plain file"),
        ({"H.PY": ""}, None, "'H.PY' is there twice"),
        ({"h.py": None}, None, "handler is 'h.py', which is not in the archive"),
        ({}, {"workflow": 1}, "`workflow` in WAR-INF/MANIFEST.json must be an object"),
        ({}, {}, "has no WAR-INF/MANIFEST.json with a `workflow`"),
        ({}, {"workflow": {"workflowName": "a/b", "specFile": "s.yaml"}}, "'a/b' cannot be"),
    ],
)
def test_an_archive_that_is_none_is_refused(tmp_path, members, manifest, said):
    path = war(tmp_path / "w.war", members, manifest)
    with pytest.raises(ArchiveError, match=r"w\.war") as caught:
        unpacked(path)
    assert said in str(caught.value)
    assert not (tmp_path.parent / "evil.py").exists()


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "w.war").write_bytes(b"nothing")
    with pytest.raises(ArchiveError, match=r"w\.war cannot be read as a workflow archive"):
        unpacked(tmp_path / "w.war")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1", "is not YAML"),
        ("- 1", "must be a mapping"),
        ("models: {}\ndag: {}", "must have a mapping `models`"),
        ("models: {m: {url: a}}", "must have a mapping `dag`"),
        ("models: {m: {url: a}}\ndag: {a: [b], b: [a]}", "goes in a circle: "),
        ("models: {m: {url: a}}\ndag: {a: [b], c: [d]}", "one node that nothing feeds, not 2"),
        ("models: {m: {url: 1}}\ndag: {m: []}", "models.m must be a mapping with a `url`"),
        ("models: {batch-size: x, m: {url: a}}\ndag: {m: []}", "batch-size must be an integer"),
        ("models: {m: {url: a}}\ndag: {m: [1]}", "dag.m must be a list of nodes"),
    ],
)
def test_a_specification_that_makes_no_sense_is_refused(text, said):
    with pytest.raises(ArchiveError, match=r"w\.yaml") as caught:
        read_specification(text, file="w.yaml", has_functions=True)
    assert said in str(caught.value)


def test_a_function_needs_a_file():
    with pytest.raises(ArchiveError, match="the node f is no model"):
        read_specification(
            "models: {m: {url: a}}\ndag: {f: [m]}", file="w.yaml", has_functions=False
        )
