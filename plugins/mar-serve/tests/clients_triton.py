"""What NVIDIA's own client does with the server; run with the packages of ``.venv/clients``."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tritonclient.http as triton

host = sys.argv[1].removeprefix("http://")
client = triton.InferenceServerClient(host)
assert client.is_server_live()
assert client.is_server_ready()
assert client.is_model_ready("sums")
assert client.is_model_ready("sums", "1.0")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
assert client.get_model_metadata("sums")["name"] == "sums"

numbers = np.arange(6, dtype=np.float32).reshape(3, 2)
for sent_as_bytes in (False, True):
    for asked_as_bytes in (False, True):
        given = triton.InferInput("numbers", [3, 2], "FP32")
        given.set_data_from_numpy(numbers, binary_data=sent_as_bytes)
        wanted = triton.InferRequestedOutput("total", binary_data=asked_as_bytes)
        answer = client.infer("sums", [given], outputs=[wanted], request_id="r-1")
        assert answer.get_response()["id"] == "r-1"
        assert answer.get_response()["model_version"] == "1.0"
        np.testing.assert_allclose(answer.as_numpy("total").ravel(), [1.0, 5.0, 9.0])

words = triton.InferInput("words", [2], "BYTES")
words.set_data_from_numpy(np.array(["a", "Grüße"], dtype=object))
answer = client.infer("sums", [words])
found = [one.decode() for one in answer.as_numpy("words").ravel()]
assert found == ["A", "GRÜSSE"], found

pending = []
for number in range(20):
    given = triton.InferInput("numbers", [1, 2], "INT64")
    given.set_data_from_numpy(np.array([[number, 1]], dtype=np.int64))
    pending.append(client.async_infer("sums", [given], request_id=str(number)))
for number, one in enumerate(pending):
    result = one.get_result()
    assert result.get_response()["id"] == str(number)
    assert result.as_numpy("numbers").ravel().tolist() == [number + 1]

with pytest.raises(triton.InferenceServerException, match="nobody"):
    client.infer("nobody", [given])
print("fine")
