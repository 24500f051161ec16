"""LitServe with one worker, as its documentation shows it; the environment says what and where.

It takes JSON and forms, no other bodies: bytes come as base64.
"""

from __future__ import annotations

import base64
import os

import litserve
from served_models import encoded, function_for
from starlette.responses import Response

SIZE = int(os.environ["BENCH_SIZE"])


class One(litserve.LitAPI):
    """A request at a time."""

    def setup(self, device):  # noqa: ARG002 - LitServe's signature
        self.run = function_for(os.environ["BENCH_KIND"], os.environ["BENCH_WEIGHTS"])

    def decode_request(self, request):
        return base64.b64decode(request["data"])

    def predict(self, body):
        return self.run([body])[0]

    def encode_response(self, output):
        return Response(encoded(output))


class Many(One):
    """Batches."""

    def batch(self, inputs):
        return inputs

    def predict(self, bodies):
        return self.run(bodies)

    def unbatch(self, output):
        return output


if __name__ == "__main__":
    delay = int(os.environ["BENCH_DELAY"]) / 1000
    api = Many(max_batch_size=SIZE, batch_timeout=delay) if SIZE > 1 else One()
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
