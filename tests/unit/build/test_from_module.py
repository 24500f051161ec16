"""A network in Python becomes an archive that answers as it does, in a fresh process too."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import warnings

import pytest
import torch

import mar_core
from mar_core import ModelError, UsageError

PLAIN = """
import math
import torch
from torch import nn

SCALE = 2.0


class Net(nn.Module):
    def __init__(self, size=4):
        super().__init__()
        self.layer = nn.Linear(3, size)
        self.tied = nn.Linear(3, size)
        self.tied.weight = self.layer.weight

    def forward(self, values):
        return self.tied(values) * SCALE + self.layer(values)


if __name__ == "__main__":
    print(Net())
"""
VALUES = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]])
ASK = """
import json, sys
import mar_core
with mar_core.load(sys.argv[1]) as model:
    print(json.dumps(model.predict(json.loads(sys.argv[2]))))
"""


@pytest.fixture
def defined(tmp_path, monkeypatch):
    """Import a module from a folder that is nobody's package."""
    made = []

    def define(text=PLAIN, name="plain_network", **more):
        folder = tmp_path / "code"
        folder.mkdir(exist_ok=True)
        for file, content in {name: text, **more}.items():
            (folder / f"{file}.py").write_text(content)
            made.append(file)
        monkeypatch.syspath_prepend(str(folder))
        torch.manual_seed(7)
        return importlib.import_module(name)

    yield define
    for name in made:
        sys.modules.pop(name, None)


def archived(model, folder, **more):
    more.setdefault("example", VALUES)
    return mar_core.archive(model=model, export_path=folder, **more)


def parts(path):
    with mar_core.open_archive(path) as archive:
        return archive.manifest.data["model"], set(archive.members)


def same_answers(path, model):
    with mar_core.load(path, batch_size=2) as loaded, torch.no_grad():
        got = loaded.predict([row.tolist() for row in VALUES])
        torch.testing.assert_close(torch.tensor(got), model.eval()(VALUES), rtol=1e-5, atol=1e-5)


def test_a_class_in_a_file_of_its_own_is_saved_as_that(tmp_path, defined):
    model = defined().Net().train()
    path = archived(model, tmp_path)
    told, members = parts(path)
    assert path.name == "Net.mar"
    assert told["modelFile"] == "plain_network.py"
    assert told["serializedFile"] == "model.safetensors"
    assert told["handler"] == "base_handler"
    assert members == {"plain_network.py", "model.safetensors", "MAR-INF/MANIFEST.json"}
    assert model.training, "the user's network is left as it was"
    assert model.layer.training
    same_answers(path, model)


def test_it_answers_the_same_in_a_fresh_process(tmp_path, defined):
    model = defined().Net().eval()
    path = archived(model, tmp_path, model_name="net", version="2.0")
    words = [sys.executable, "-P", "-c", ASK, str(path), json.dumps(VALUES.tolist())]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    with torch.no_grad():
        expected = model(VALUES)
    got = torch.tensor(json.loads(done.stdout))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_torchvision_model(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model = resnet18(num_classes=5).eval()
    pictures = torch.rand(1, 3, 32, 32)
    path = archived(model, tmp_path, model_name="resnet", example=pictures)
    told, members = parts(path)
    assert told["serializedFile"] == "model.pt"
    assert members == {"model.pt", "MAR-INF/MANIFEST.json"}
    with mar_core.load(path, batch_size=2) as loaded, torch.no_grad():
        got = loaded.predict([pictures[0].tolist(), pictures[0].flip(1).tolist()])
        both = torch.cat([pictures, pictures.flip(2)])
        torch.testing.assert_close(torch.tensor(got), model(both), rtol=1e-5, atol=1e-5)


SCALED = PLAIN.replace("* SCALE", "* self.scale").replace(
    "        self.tied = ", "        self.scale = 2.0\n        self.tied = "
)
OTHER = {
    "arguments": (PLAIN.replace("size=4", "size"), "made with arguments"),
    "two networks": (f"{PLAIN}\n\nclass More(nn.Module):\n    pass\n", "defines 2 networks"),
    "a script": (f"{PLAIN}\nprint(math.pi)\n", "does something when it is imported"),
    "a loop": (f"{PLAIN}\nfor _ in ():\n    SCALE = 3.0\n", "does something when it is imported"),
    "a file beside it": (f"import beside_it\n{PLAIN}", "beside_it, which lies beside it"),
    "another size": (PLAIN, "another network"),
    "another state": (SCALED, "answers otherwise"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER)
def test_where_the_file_alone_does_not_make_it_again_torchscript_does(tmp_path, defined, case):
    text, reason = OTHER[case]
    module = defined(text, beside_it="VALUE = 1\n")
    model = module.Net(6 if case in {"another size", "arguments"} else 4)
    model.scale = 3.0
    with pytest.raises(ModelError, match=reason):
        archived(model, tmp_path, save_as="source")
    path = archived(model, tmp_path)
    assert parts(path)[0]["serializedFile"] == "model.pt"
    same_answers(path, model)


def test_a_network_that_branches_on_its_values_is_not_traced_wrongly(tmp_path):
    class Branches(torch.nn.Module):
        def forward(self, values):
            if values.sum() > 0:
                return values * 2
            return values

    path = archived(Branches(), tmp_path)
    with mar_core.load(path) as loaded:
        assert loaded.predict([[1.0, 1.0], [-1.0, -1.0]]) == [[2.0, 2.0], [-1.0, -1.0]]


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"example": None}, UsageError, "needs an example"),
        ({"save_as": "pickle"}, UsageError, "one of auto, source"),
        ({"source": "."}, UsageError, "source or convert too"),
        ({"serialized_file": "w.pt"}, UsageError, "a file of weights"),
        ({"model": torch.ones(1)}, UsageError, "is a Tensor"),
        ({"example": torch.ones(1, 9)}, ModelError, "cannot be saved as TorchScript"),
        ({"handler": "no_such"}, UsageError, "no_such"),
        ({"export_path": "."}, UsageError, "exists already"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch, more, error, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Linear.mar").write_bytes(b"")
    arguments = {"model": torch.nn.Linear(3, 2), "example": VALUES, "export_path": "new", **more}
    with pytest.raises((error, mar_core.ArchiveError), match=words):
        mar_core.archive(**arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["Linear.mar"]


def test_nothing_is_said_on_the_way(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        archived(torch.nn.Sequential(torch.nn.Linear(3, 2)), tmp_path)


def test_without_any_of_them_something_is_missing():
    with pytest.raises(UsageError, match="needs model_name"):
        mar_core.archive()
    with pytest.raises(UsageError, match="needs handler"):
        mar_core.archive("name")
