"""The messages: made from the ``.proto`` files, with TorchServe's names and numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ("inference", "management", "open_inference")
PRINT = """
import sys
sys.path.insert(0, sys.argv[1])
from mar_torchserve.grpc_api.protos import {name}_pb2 as made
sys.stdout.buffer.write(made.DESCRIPTOR.serialized_pb)
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The modules, made anew."""
    folder = tmp_path_factory.mktemp("protos")
    script = HERE / "generate_protos.py"
    subprocess.run([sys.executable, "-P", str(script), str(folder)], check=True)
    package = folder / "mar_torchserve" / "grpc_api" / "protos"
    for path in (package, package.parent, package.parent.parent):
        (path / "__init__.py").touch()
    return folder


@pytest.mark.parametrize("name", FILES)
def test_the_modules_are_those_of_the_proto_files(generated, name):
    sources = HERE.parent / "src"
    shown = [
        subprocess.run(
            [sys.executable, "-P", "-c", PRINT.format(name=name), str(folder)],
            capture_output=True, check=True,
        ).stdout
        for folder in (generated, sources)
    ]  # fmt: skip
    assert shown[0]
    assert shown[0] == shown[1]


def test_names_and_numbers_are_torchserves():
    from mar_torchserve.grpc_api.protos import inference_pb2, management_pb2, open_inference_pb2

    def numbers(message):
        return {field.name: field.number for field in message.DESCRIPTOR.fields}

    assert inference_pb2.DESCRIPTOR.package == "org.pytorch.serve.grpc.inference"
    assert numbers(inference_pb2.PredictionsRequest) == {
        "model_name": 1, "model_version": 2, "input": 3, "sequence_id": 4,
    }  # fmt: skip
    assert numbers(inference_pb2.PredictionResponse) == {
        "prediction": 1, "sequence_id": 2, "status": 3,
    }  # fmt: skip
    assert management_pb2.DESCRIPTOR.package == "org.pytorch.serve.grpc.management"
    assert numbers(management_pb2.RegisterModelRequest) == {
        "batch_size": 1, "handler": 2, "initial_workers": 3, "max_batch_delay": 4,
        "model_name": 5, "response_timeout": 6, "runtime": 7, "synchronous": 8, "url": 9,
        "s3_sse_kms": 10, "startup_timeout": 11,
    }  # fmt: skip
    assert numbers(management_pb2.ScaleWorkerRequest) == {
        "model_name": 1, "model_version": 2, "max_worker": 3, "min_worker": 4, "number_gpu": 5,
        "synchronous": 6, "timeout": 7,
    }  # fmt: skip
    assert open_inference_pb2.DESCRIPTOR.package == "org.pytorch.serve.grpc.openinference"
    assert numbers(open_inference_pb2.ModelInferRequest) == {
        "model_name": 1, "model_version": 2, "id": 3, "parameters": 4, "inputs": 5, "outputs": 6,
        "raw_input_contents": 7,
    }  # fmt: skip
    assert numbers(open_inference_pb2.InferTensorContents) == {
        "bool_contents": 1, "int_contents": 2, "int64_contents": 3, "uint_contents": 4,
        "uint64_contents": 5, "fp32_contents": 6, "fp64_contents": 7, "bytes_contents": 8,
    }  # fmt: skip
    services = {
        f"{service.full_name}/{method.name}"
        for module in (inference_pb2, management_pb2, open_inference_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert len(services) == 4 + 6 + 6
