"""What KServe's own client does with the server; run with the packages of ``.venv/clients``."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def first(base: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    answer = await client.infer(base, {"instances": [[1, 2], [3, 4]]}, model_name="sums")
    assert answer == {"predictions": [3.0, 7.0]}, answer
    assert await client.is_model_ready(base, "sums")
    answer = await client.explain(base, model_name="sums", data={"instances": [[1, 2]]})
    assert answer == {"explanations": [[1, 2]]}, answer


async def second(base: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(base)
    assert await client.is_server_ready(base)
    assert await client.is_model_ready(base, "sums")
    numbers = np.arange(6, dtype=np.float32).reshape(3, 2)
    for binary in (False, True):
        given = InferInput("numbers", [3, 2], "FP32")
        given.set_data_from_numpy(numbers, binary_data=binary)
        request = InferRequest("sums", [given], request_id="r-1")
        answer = await client.infer(base, request, model_name="sums")
        assert answer.id == "r-1"
        np.testing.assert_allclose(answer.outputs[0].as_numpy().ravel(), [1.0, 5.0, 9.0])


asyncio.run(first(sys.argv[1]))
asyncio.run(second(sys.argv[1]))
print("fine")
