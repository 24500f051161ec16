"""What OpenAI's own client does with the server; run with the packages of ``.venv/clients``."""

from __future__ import annotations

import json
import sys

import openai

base, expected = sys.argv[1], json.loads(sys.argv[2])
client = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
texts = expected["texts"]


def close(found: list[float], wanted: list[float]) -> bool:
    same = len(found) == len(wanted)
    return same and all(abs(one - other) < 1e-5 for one, other in zip(found, wanted, strict=True))


def refused(kind: type[openai.APIStatusError], sentence: str, **asked: object) -> None:
    found = None
    try:
        client.embeddings.create(**{"model": "words", "input": "a", **asked})
    except kind as error:
        found = error
    assert found is not None, sentence
    assert sentence in found.message, found.message
    assert found.type == "invalid_request_error", found.type


# The client asks for base64 by itself, and unpacks it.
for more in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
    answer = client.embeddings.create(model="words", input=texts, **more)
    assert (answer.object, answer.model) == ("list", "words")
    assert [one.index for one in answer.data] == list(range(len(texts)))
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == expected["tokens"]
    if "base64" not in more.values():
        for one, wanted in zip(answer.data, expected["plain"], strict=True):
            assert close(one.embedding, wanted), (one.embedding, wanted)
one = client.embeddings.create(model="words", input=texts[0], dimensions=4)
assert close(one.data[0].embedding, expected["plain"][0][:4])
asked = {"prompt_name": "query"}
one = client.embeddings.create(model="words", input=texts[0], extra_body=asked)
assert close(one.data[0].embedding, expected["query"])
bad = openai.BadRequestError
refused(bad, "holds tokens", input=[1, 2, 3])
refused(bad, "holds tokens", input=[[1], [2]])
refused(bad, "not empty", input=["a", ""])
refused(bad, "a text or a list of texts", input=[])
refused(bad, "float or base64", encoding_format="hex")
refused(bad, "'dimensions' must be", dimensions=0)
refused(bad, "embeddings have 16", dimensions=17)
refused(bad, "no prompt 'nobody'", extra_body={"prompt_name": "nobody"})
refused(bad, "gives no embeddings", model="echo")
refused(openai.NotFoundError, "nowhere", model="nowhere")
print("fine")
