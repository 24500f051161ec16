"""From a folder to answers, as the README says it: the real commands, and a real server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import serving

MAR = [sys.executable, "-m", "mar_core"]
PATIENCE = 240
WRITES = {"do_sample": False, "max_new_tokens": 6}


def mar(*words, folder):
    done = subprocess.run(
        [*MAR, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(saved, tmp_path_factory):
    """A folder with an archive, made by the command."""
    folder = tmp_path_factory.mktemp("place")
    code, said, told = mar("archive", "--from", saved("text-generation"), folder=folder)
    assert (code, said.partition(" ")[0]) == (0, "text-generation.mar"), told
    return folder


def test_a_run(place):
    rows = [
        {"inputs": "the cat sat", "parameters": WRITES, "stream": True},
        {"inputs": "the cat sat", "parameters": WRITES},
        {"inputs": 7},
    ]
    (place / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    code, said, told = mar(
        "run", "text-generation.mar", "rows.jsonl", "--batch-size", "4", folder=place
    )
    assert code == 1, told
    streamed, whole, failed = map(json.loads, said.splitlines())
    text = "".join([*streamed["streamed"], streamed["result"]])
    assert len(streamed["streamed"]) > 1
    assert whole["result"] == [{"generated_text": f"the cat sat{text}"}]
    assert failed["error"]["code"] == 400


def test_a_server(place):
    with (
        serving.running("text-generation.mar", folder=place) as server,
        server.client(timeout=PATIENCE) as client,
    ):
        path, body = "/predictions/text-generation", {"inputs": "the cat sat", "parameters": WRITES}
        whole = client.post(path, json=body).json()
        with client.stream("POST", path, json={**body, "stream": True}) as answer:
            text = b"".join(answer.iter_raw()).decode()
        assert text
        assert whole == [{"generated_text": f"the cat sat{text}"}]
        refused = client.post(path, json={"inputs": 7})
        assert refused.status_code == 400
        assert "where a text" in refused.json()["message"]
