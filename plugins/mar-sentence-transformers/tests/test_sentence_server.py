"""The real ``mar serve``: OpenAI's client and KServe's tensors get what the library says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import serving
import serving_handlers as handlers

from mar_core.testing import make_archive

sys.path.insert(0, str(Path(__file__).parent))
import sentence_models as models

pytestmark = pytest.mark.xdist_group("sentence-transformers")
TEXTS = ["the cat sat on the mat", "the dog ran far", "a"]
HERE = Path(__file__).parent
PACKAGES = Path(sys.prefix) / "clients"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    from sentence_transformers import SentenceTransformer

    folder = models.sentence_transformer(tmp_path_factory.mktemp("words"))
    return folder, SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory, library):
    folder = tmp_path_factory.mktemp("serving")
    words = make_archive(
        folder, handler="sentence_transformer", model_name="words", extra_files=[str(library[0])]
    )
    with serving.running(words, handlers.make(folder, "echo"), folder=folder) as running:
        yield running


@pytest.mark.skipif(not PACKAGES.exists(), reason="needs the clients that `make env` puts there")
def test_the_client_of_openai(server, library):
    own = library[1]
    expected = {
        "texts": TEXTS,
        "plain": own.encode(TEXTS).tolist(),
        "query": own.encode(TEXTS[0], prompt_name="query").tolist(),
        "tokens": int(own.preprocess(TEXTS)["attention_mask"].sum()),
    }
    command = [sys.executable, "-W", "ignore", HERE / "clients_openai.py", server.inference]
    done = subprocess.run(
        [*command, json.dumps(expected)],
        env={**os.environ, "PYTHONPATH": str(PACKAGES), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.strip() == "fine", done.stderr


def test_openai_by_hand_and_its_errors(server, library):
    with server.client() as client:
        answer = client.post("/v1/embeddings", json={"model": "words", "input": TEXTS})
        found = [one["embedding"] for one in answer.json()["data"]]
        np.testing.assert_allclose(found, library[1].encode(TEXTS), rtol=0, atol=1e-5)
        assert client.get("/v1/embeddings").status_code == 405
        for body in (b"", b"{", b"[]", b'{"input": "a"}', b'{"model": 3, "input": "a"}'):
            answer = client.post("/v1/embeddings", content=body)
            assert answer.status_code == 400
            assert answer.json()["error"]["type"] == "invalid_request_error"
        for odd in ({"encoding_format": ["base64"]}, {"encoding_format": ""}, {"prompt": "\ud800"}):
            raw = json.dumps({"model": "words", "input": "a", **odd})
            assert client.post("/v1/embeddings", content=raw).status_code == 400
        many = {"model": "words", "input": ["a"] * 2049}
        assert "2048" in client.post("/v1/embeddings", json=many).json()["error"]["message"]
    assert "could not be answered" not in server.log


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"input": TEXTS}, 200),
        ({"input": TEXTS[0], "encoding_format": "base64", "dimensions": 4, "prompt": "p"}, 200),
        ({"input": []}, 400),
        ({"input": "a", "dimensions": 0}, 400),
        ({"input": "a", "model": "none"}, 404),
    ],
)
def test_openapi_says_what_is_asked_and_answered(server, more, status):
    import jsonschema

    body = {"model": "words", **more}
    with server.client() as client:
        document = client.get("/openapi.json").json()
        answer = client.post("/v1/embeddings", json=body)
    assert answer.status_code == status
    operation = document["paths"]["/v1/embeddings"]["post"]

    def fits(value, holder):
        schema = holder["content"]["application/json"]["schema"]
        rooted = {**schema, "components": document["components"]}
        return jsonschema.Draft202012Validator(rooted).is_valid(value)

    assert fits(body, operation["requestBody"]) is (status != 400)
    assert fits(answer.json(), operation["responses"][str(status)])


@pytest.mark.parametrize(
    ("answer", "packs"),
    [
        ({"embedding": ["x"]}, False),
        ({"embedding": [[1.0]]}, True),
        ({"embedding": [1e300]}, True),
        ({"other": 1}, False),
        ([1.0], False),
    ],
)
def test_what_is_no_embedding_is_not_given_as_one(answer, packs):
    from mar_sentence_transformers.openai import _answer, _Asked
    from mar_serve import ServeError

    reply = SimpleNamespace(body=json.dumps(answer).encode())
    with pytest.raises(ServeError) as caught:
        _answer(_Asked("m", ["a"], packs, {}), [reply])
    assert caught.value.status == 400


def test_tensors_of_kserve(server, library):
    text = {"name": "text", "datatype": "BYTES", "shape": [3], "data": TEXTS}
    prompt = {"name": "prompt_name", "datatype": "BYTES", "shape": [3], "data": ["query"] * 3}
    with server.client() as client:
        for inputs, said in (([text], {}), ([text, prompt], {"prompt_name": "query"})):
            answer = client.post("/v2/models/words/infer", json={"inputs": inputs}).json()
            (found,) = answer["outputs"]
            assert (found["datatype"], found["shape"]) == ("FP32", [3, 16])  # as its signature says
            expected = library[1].encode(TEXTS, **said).ravel()
            np.testing.assert_allclose(found["data"], expected, rtol=0, atol=1e-5)
