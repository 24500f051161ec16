"""The zoo: handlers in TorchServe's style, each an archive's folder, with the requests they get."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ZOO = Path(__file__).resolve().parents[1] / "handlers_zoo"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One handler and how it is called.

    Attributes:
        name: Its folder in the zoo.
        handler: The handler as the manifest names it.
        batches: Batches of requests.
        headers: For each batch the headers of each request; none where it is shorter.
        weights: ``state`` for a state dict, ``script`` for TorchScript, ``whole`` for a pickled
            module, or None.
        config: The config file, or None.
        envelope: The request envelope, or None.
        golden: Whether TorchServe's own loader can run it too, with the same results.
        differs: What differs from TorchServe on purpose, for readers.
    """

    name: str
    handler: str = "handler.py"
    batches: list[list[Any]]
    headers: list[list[dict[str, Any]]] = field(default_factory=list)
    weights: str | None = None
    config: str | None = None
    envelope: str | None = None
    golden: bool = True
    differs: str = ""

    @property
    def id(self) -> str:
        return f"{self.name}-{self.envelope}" if self.envelope else f"{self.name}-{self.handler}"


def picture(value: int) -> bytes:
    """A grey PNG of 28 by 28 with a bright square."""
    from PIL import Image

    image = Image.new("L", (28, 28), value)
    image.paste(255 - value, (value % 14, 4, value % 14 + 8, 20))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


THREE = [[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0], [0.0, 0.0, 1.0], [4.0, -3.0, 0.25], [9.0, 1.0, 1.0]]


def rows(count: int, *, key: str = "body") -> list[dict[str, Any]]:
    """Requests with three numbers each."""
    return [{key: values} for values in THREE[:count]]


def instances(*lists: Any) -> list[dict[str, Any]]:
    """Requests of TensorFlow Serving's kind."""
    return [{"body": {"instances": list(values)}} for values in lists]


V2 = {
    "id": "abc",
    "inputs": [
        {"name": "input-0", "shape": [3], "datatype": "FP32", "data": THREE[0]},
        {"name": "input-1", "shape": [3], "datatype": "FP32", "data": THREE[1]},
    ],
}
SEQUENCE = "ts_request_sequence_id"
START, END = "ts_request_sequence_start", "ts_request_sequence_end"

CASES = [
    Case(
        name="function", batches=[[{"data": "hello"}], [{"data": b"a"}, {"body": bytearray(b"b")}]]
    ),
    Case(name="function", handler="handler", batches=[[{"body": "x"}, {"data": {"k": [1]}}]]),
    Case(name="function", handler="handler:handle", batches=[[{"body": "x"}]]),
    Case(
        name="two_phase",
        handler="service:predict",
        weights="state",
        batches=[rows(1), rows(5), rows(2, key="data")],
    ),
    Case(
        name="own_handle",
        handler="model_handler.py",
        batches=[[{"data": "four"}, {"body": b"12345"}], [{"body": ""}]],
        golden=True,
    ),
    Case(
        name="noop_service",
        handler="service.py",
        batches=[[{"data": "a"}, {"data": "b"}], [{"body": b"c"}]],
        headers=[[{"Content-type": "image/png"}, {}]],
    ),
    Case(name="noop_service", handler="service:handle", batches=[[{"data": "a"}]]),
    Case(name="metrics", weights="state", batches=[rows(2), rows(3)]),
    Case(name="dimensions", weights="state", batches=[rows(3), rows(1, key="data")]),
    Case(name="envelope", weights="state", envelope="body", batches=[rows(2), rows(1, key="data")]),
    Case(
        name="envelope",
        weights="state",
        envelope="json",
        batches=[instances(THREE[:2], THREE[2:3]), [{"instances": THREE[:4]}]],
    ),
    Case(
        name="envelope",
        weights="state",
        envelope="kserve",
        batches=[
            instances(THREE[:3]),
            [{"data": bytearray(json.dumps({"instances": THREE}).encode())}],
        ],
    ),
    Case(
        name="envelope",
        weights="state",
        envelope="kservev2",
        batches=[[{"body": V2}], [{"data": json.dumps({**V2, "id": " "}).encode()}]],
    ),
    Case(
        name="micro_batching",
        weights="state",
        config="model-config.yaml",
        batches=[rows(5), rows(1), rows(2, key="data")],
    ),
    Case(
        name="streaming",
        config="model-config.yaml",
        batches=[[{"data": "a"}, {"body": "b"}], [{"body": "c"}]],
    ),
    Case(name="streaming_old", batches=[[{"data": "abc"}, {"body": "def"}]]),
    Case(name="compiled", weights="state", config="model-config.yaml", batches=[rows(4), rows(1)]),
    Case(name="local_package", batches=[[{"body": 3}, {"body": 5}]]),
    Case(name="code_at_run_time", batches=[[{"body": "one two"}, {"data": "three"}]]),
    Case(name="config", weights="state", config="model-config.yaml", batches=[rows(5)]),
    Case(name="refusal", batches=[[{"data": 3}], [{"body": 1}, {"body": -1}], [{"body": 2}]]),
    Case(
        name="sequences",
        handler="stateful_handler.py",
        batches=[[{"data": 1}, {"data": 10}], [{"data": 2}], [{"body": b"5"}], [{"data": 3}]],
        headers=[
            [{SEQUENCE: "s1", START: "true"}, {SEQUENCE: "s2", START: "true"}],
            [{SEQUENCE: "s1"}],
            [{SEQUENCE: "s2", END: "true"}],
            [{SEQUENCE: "s2", START: "true"}],
        ],
    ),
    Case(
        name="asynchronous",
        batches=[[{"data": 1}, {"body": "x"}], [{"body": 2}]],
        golden=False,
        differs="TorchServe runs it in its asynchronous worker only.",
    ),
    Case(name="plain", weights="state", batches=[rows(3), rows(1)]),
    Case(
        name="status",
        batches=[[{"data": index} for index in range(8)], [{"data": 1}, {"data": 2}, {"data": 3}]],
        headers=[[{"X-Name": "me", "url_path": "a/b"}]],
    ),
    Case(
        name="explain",
        weights="state",
        batches=[rows(1), rows(1), [{"data": THREE[1], "target": 1}], rows(1)],
        headers=[[], [{"explain": "True"}], [{"explain": "True"}], [{"describe": "True"}]],
    ),
    Case(name="own_loading", weights="script", batches=[rows(5), rows(1, key="data")]),
    Case(name="overridden_loading", weights="state", batches=[rows(5)]),
    Case(name="pickled", weights="whole", batches=[rows(2)]),
    Case(
        name="image",
        weights="state",
        batches=[
            [{"data": picture(30)}, {"body": bytearray(picture(200))}],
            [{"body": picture(90)}],
        ],
    ),
]


def manifest_of(case: Case) -> dict[str, Any]:
    """The case's manifest, as torch-model-archiver writes it."""
    folder = ZOO / case.name
    model: dict[str, Any] = {"modelName": case.name, "handler": case.handler, "modelVersion": "1.0"}
    if case.weights == "state":
        model["modelFile"] = "model.py"
    if case.weights:
        model["serializedFile"] = "weights.pt"
    if case.weights == "whole":
        model["serializedFile"] = "whole.bin"
    if case.config:
        assert (folder / case.config).is_file()
        model["configFile"] = case.config
    return {
        "createdOn": "22/11/2026 06:45:27",
        "runtime": "python",
        "model": model,
        "archiverVersion": "0.12.0",
    }


def unpacked(case: Case, folder: Path) -> Path:
    """Lay the case's archive out in a folder, weights included."""
    shutil.copytree(ZOO / case.name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "MAR-INF").mkdir()
    text = json.dumps(manifest_of(case), indent=2)
    (folder / "MAR-INF" / "MANIFEST.json").write_text(text)
    if case.weights:
        _save_weights(case, folder)
    return folder


def _save_weights(case: Case, folder: Path) -> None:
    import torch

    torch.manual_seed(7)
    if case.weights == "script":
        network: torch.nn.Module = torch.nn.Linear(3, 2)
        torch.jit.trace(network, torch.zeros(1, 3)).save(folder / "weights.pt")
        return
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = next(
        value()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, torch.nn.Module)
    )
    if case.weights == "state":
        torch.save(network.state_dict(), folder / "weights.pt")
        return
    sys.modules["model"] = module  # pickle writes down where it finds the class
    try:
        torch.save(network, folder / "whole.bin")
    finally:
        del sys.modules["model"]
