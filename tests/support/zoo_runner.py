"""Runs cases of the zoo through the real TorchServe 0.12: a script of its own, for a subprocess.

Usage: ``python zoo_runner.py CASES RESULTS``, both pickles; ``PYTHONPATH`` has torchserve. Each
case runs in a fork of its own, as each model of TorchServe's has a process of its own.
"""

from __future__ import annotations

import copy
import io
import logging
import os
import pickle
import struct
import sys
from pathlib import Path


class Wire:
    """Stands for the socket to the server and keeps the parts that a handler sends ahead."""

    def __init__(self):
        self.parts = []

    def sendall(self, message):
        self.parts.append(_values(bytes(message)))


def main(cases, results):
    import ts.model_loader  # the slow imports happen once, before the forks
    import ts.torch_handler.image_classifier  # noqa: F401

    assert "mar_core" not in sys.modules
    answers = {
        name: _in_fork(case) for name, case in pickle.loads(Path(cases).read_bytes()).items()
    }
    Path(results).write_bytes(pickle.dumps(answers))


def _in_fork(case):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            answer = _run(**case)
        except BaseException as error:  # noqa: BLE001 - the parent tells of it
            answer = {"load_error": repr(error)}
        with os.fdopen(write, "wb") as stream:
            pickle.dump(answer, stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        answer = pickle.load(stream)
    os.waitpid(child, 0)
    return answer


def _run(*, folder, name, handler, envelope, batches, headers):
    import ts
    from ts.context import RequestProcessor
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
    from ts.model_loader import ModelLoaderFactory

    os.chdir(folder)
    sys.path.insert(0, folder)
    metrics = MetricsCacheYamlImpl(str(Path(ts.__file__).parent / "configs" / "metrics.yaml"))
    metrics.initialize_cache()
    metrics.model_name = name
    lines = _listen()
    service = ModelLoaderFactory.get_model_loader().load(
        name, folder, handler, None, 8, envelope, True, metrics
    )
    context = service.context
    answers = []
    for batch, told in zip(batches, headers, strict=True):
        context.request_ids = {index: f"r{index}" for index in range(len(batch))}
        context.request_processor = [RequestProcessor(dict(header)) for header in told]
        context.metrics.request_ids = context.request_ids
        context.cl_socket = Wire()
        answers.append(_answer(service, copy.deepcopy(batch), context))
    return {"answers": answers, "metrics": lines}


def _answer(service, batch, context):
    try:
        result = service._entry_point(batch, context)
    except Exception as error:  # noqa: BLE001 - it is compared with ours
        answer = {"error": (type(error).__name__, getattr(error, "error_code", None), str(error))}
    else:
        answer = {"result": result}
    answer["status"] = [context.get_response_status(index) for index in range(len(batch))]
    answer["headers"] = [dict(context.get_response_headers(index)) for index in range(len(batch))]
    answer["parts"] = context.cl_socket.parts
    return answer


def _listen():
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            if record.levelno == logging.INFO:
                lines.append(record.getMessage())

    logger = logging.getLogger("ts.metrics.caching_metric")
    logger.setLevel(logging.INFO)
    logger.addHandler(Keep())
    return lines


def _values(message):
    """The values in one message of TorchServe's protocol between worker and server."""
    stream = io.BytesIO(message)

    def number():
        return struct.unpack("!i", stream.read(4))[0]

    number(), stream.read(number())  # code and message
    values = []
    while (length := number()) != -1:
        stream.read(length)  # request id
        stream.read(number())  # content type
        number(), stream.read(number())  # status and phrase
        for _ in range(number()):
            stream.read(number()), stream.read(number())
        values.append(stream.read(number()).decode())
    return values


if __name__ == "__main__":
    main(*sys.argv[1:])
