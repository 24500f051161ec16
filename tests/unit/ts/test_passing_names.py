"""The names that TorchServe's modules have in passing, and the modules that are small."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import io
import json
import logging
import sys
from pathlib import Path

import pytest
from handlerdirs import ask, loaded

from mar_core.ts import compat
from mar_core.ts.passing import in_passing, passing_names

TORCHSERVE = Path(sys.prefix) / "torchserve"
# What belongs to the inside of one module, to its script, or to a library that is not here.
NOT_OURS = {
    "ts.handler_utils.micro_batching": {"execute_call"},
    "ts.metrics.metric_collector": {"arguments", "parser"},
    "ts.torch_handler.base_handler": {"ipex", "openvino", "torch_tensorrt", "xm"},
    "ts.torch_handler.text_handler": {"CONTRACTIONS_PATTERN"},
    "ts.torch_handler.unit_tests.test_utils.model_dir": {"REPO_DIR"},
    "ts.version": {"version_path"},
}
OPTIONAL = {"transformers", "captum", "onnxruntime", "huggingface_hub", "psutil"}


def bound(body):
    """The names that a module's code binds."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Import):
            yield from (one.asname or one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (one.asname or one.name for one in node.names)
        elif isinstance(node, (ast.If, ast.Try)):
            yield from bound([*node.body, *node.orelse])


@pytest.mark.parametrize("name", sorted(compat._HOMES))
def test_every_name_of_the_real_module_is_here(name):
    path = TORCHSERVE.joinpath(*name.split(".")).with_suffix(".py")
    theirs = {one for one in bound(ast.parse(path.read_text()).body) if one[0] != "_"}
    theirs -= NOT_OURS.get(name, set()) | set(dir(builtins))
    ours, from_elsewhere = compat.load(name), passing_names(name)
    for one in sorted(theirs):
        library = from_elsewhere.get(one, "").partition(":")[0].partition(".")[0]
        if library in OPTIONAL and importlib.util.find_spec(library) is None:
            continue
        assert hasattr(ours, one), f"{name} has no {one}"


@pytest.mark.parametrize("name", sorted(compat._HOMES))
def test_no_name_is_made_up(name):
    path = TORCHSERVE.joinpath(*name.split(".")).with_suffix(".py")
    text = path.read_text()
    later = {"torch"} if name == "ts.metrics.system_metrics" else set()  # after 0.12.0
    for one in passing_names(name):
        assert one in text or one in {"List", "Tuple", "Optional", "Dict", *later}, one


def test_a_name_in_passing_is_what_it_is_there():
    import torchvision.transforms

    module = compat.load("ts.torch_handler.image_classifier")
    assert module.transforms is torchvision.transforms
    assert compat.load("ts.torch_handler.vision_handler").io is io
    logger = compat.load("ts.torch_handler.base_handler").logger
    assert isinstance(logger, logging.Logger)
    response = compat.load("ts.handler_utils.utils").create_predict_response
    assert response is compat.load("ts.protocol.otf_message_handler").create_predict_response
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018 - raises
    with pytest.raises(AttributeError, match=r"no attribute 'xm': No module named 'torch_xla'"):
        in_passing("ts.torch_handler.base_handler", "xm", load=compat.load)
    with pytest.raises(AttributeError):
        in_passing("ts.version", "nothing", load=compat.load)


HANDLER = """
from ts.torch_handler.image_classifier import F, ImageClassifier, transforms
from ts.torch_handler.base_handler import logger, os, torch
from ts.torch_handler.text_handler import CONTRACTION_MAP, CONTRACTIONS_PATTERN
from ts.utils.timeit_decorator import timeit

class H(ImageClassifier):
    image_processing = transforms.Compose([transforms.ToTensor()])
    def initialize(self, context):
        logger.info("here")
    def handle(self, data, context):
        found = CONTRACTIONS_PATTERN.findall("I CAN'T, y'all")
        return [CONTRACTION_MAP["can't"], found, F.relu(torch.tensor(-1.0)).item()]
"""


def test_a_handler_uses_names_in_passing(tmp_path):
    with loaded(tmp_path / "m", {"handler.py": HANDLER}) as handler:
        assert ask(handler, [1, 2]) == ["cannot", ["CAN'T", "y'all"], 0.0]


def test_contractions():
    ours = compat.load("ts.torch_handler.contractions").CONTRACTION_MAP
    path = TORCHSERVE / "ts" / "torch_handler" / "contractions.py"
    (theirs,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
    ]
    both = set(ours) & set(theirs)
    assert len(both) > 90
    wrong = {word for word in both if ours[word] != theirs[word]}
    # Theirs says "he he will have", "it is so", "madam", and a few more of their own.
    assert len(wrong) < 8, {word: (ours[word], theirs[word]) for word in wrong}


def test_timeit(capsys):
    timeit = compat.load("ts.utils.timeit_decorator").timeit

    @timeit
    def add(a, b=1):
        """Adds."""
        return a + b

    assert add(1, b=2) == 3
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert capsys.readouterr().out.startswith("add took 0.")


def test_system_metrics(caplog):
    module = compat.load("ts.metrics.system_metrics")
    module.system_metrics.clear()
    caplog.set_level(logging.INFO)
    module.collect_all(module, 0)
    expected = {
        "CPUUtilization": "Percent", "MemoryUsed": "Megabytes", "MemoryAvailable": "Megabytes",
        "MemoryUtilization": "Percent", "DiskUsage": "Gigabytes", "DiskUtilization": "Percent",
        "DiskAvailable": "Gigabytes",
    }  # fmt: skip
    assert {metric.name: metric.unit for metric in module.system_metrics} == expected
    assert all(metric.value >= 0 for metric in module.system_metrics)
    assert all(
        message.partition("|")[2].startswith("#Level:Host|") for message in caplog.messages[:-1]
    )
    module.system_metrics.clear()


def test_metric_encoder():
    module = compat.load("ts.metrics.metric_encoder")
    dimension = compat.load("ts.metrics.dimension").Dimension("Level", "Host")
    metric = compat.load("ts.metrics.metric").Metric("A", 1, "ms", [dimension])
    parsed = json.loads(json.dumps({"m": metric}, cls=module.MetricEncoder))
    assert parsed["m"]["MetricName"] == "A"
    assert parsed["m"]["Dimensions"] == [{"Name": "Level", "Value": "Host"}]
    with pytest.raises(TypeError):
        json.dumps(object(), cls=module.MetricEncoder)


def test_model_dir(tmp_path, monkeypatch):
    module = compat.load("ts.torch_handler.unit_tests.test_utils.model_dir")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pt").write_bytes(b"weights")
    (tmp_path / "m").mkdir()
    url = (tmp_path / "net.pt").as_uri()
    module.download_model(url, tmp_path / "m")
    (tmp_path / "net.pt").unlink()
    module.download_model(url, tmp_path / "m")  # from the cache
    assert (tmp_path / "m" / "model.pt").read_bytes() == b"weights"
    module.copy_files(tmp_path / "m", tmp_path, {"model.pt": "again.pt"})
    assert (tmp_path / "again.pt").read_bytes() == b"weights"
    with pytest.raises(Exception, match="no https, http or file URL"):
        module.download_model("ftp://x/y.pt", tmp_path)
