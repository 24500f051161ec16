"""mosec with one worker, as its documentation shows it; the environment says what and where."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mosec
import mosec.runtime
from served_models import encoded, function_for

SIZE = int(os.environ["BENCH_SIZE"])


class ModelWorker(mosec.Worker):
    """Bytes in, bytes out."""

    def __init__(self) -> None:
        super().__init__()
        self.run = function_for(os.environ["BENCH_KIND"], os.environ["BENCH_WEIGHTS"])

    def deserialize(self, data):
        return data

    def serialize(self, data):
        return encoded(data)

    def forward(self, data):
        return self.run(data) if SIZE > 1 else self.run([data])[0]


if __name__ == "__main__":
    sys.argv = ["mosec", "--port", os.environ["BENCH_PORT"], "--address", "127.0.0.1"]
    # Its own default gives a request three seconds.
    sys.argv += ["--log-level", "warning", "--timeout", "60000"]
    # It looks for its Rust half in the environment's own bin folder only.
    rust = Path(mosec.__file__).parents[1] / "bin" / "mosec"
    mosec.runtime.get_mosec_path = lambda: rust
    server = mosec.Server()
    delay = int(os.environ["BENCH_DELAY"])
    server.append_worker(ModelWorker, num=1, max_batch_size=SIZE, max_wait_time=delay)
    server.run()
