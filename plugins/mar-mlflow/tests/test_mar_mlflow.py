"""MLflow's folders become archives that answer as MLflow does; mlflow is asked for pyfunc alone."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys

import pytest
import torch
import yaml

import mar_core
from mar_core import Input, ModelError, UsageError, ValidationError, load
from mar_core.testing import HandlerCase, HandlerContract

# As mlflow 3.17 writes it for `mlflow.pytorch.save_model(model, path, code_paths=[…])`.
MLMODEL = {
    "flavors": {
        "python_function": {
            "code": "code",
            "data": "data",
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "mlflow.pytorch",
            "pickle_module_name": "mlflow.pytorch.pickle_module",
            "python_version": "3.11.7",
        },
        "pytorch": {"code": "code", "model_data": "data", "pytorch_version": "2.15.0"},
    },
    "mlflow_version": "3.17.2",
    "signature": {
        "inputs": json.dumps(
            [{"type": "double", "name": name, "required": True} for name in "abc"]
        ),
        "outputs": None,
        "params": None,
    },
}
NETWORK = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, values, scale=1):
        return self.layer(values) * scale
"""
VALUES = [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]]
EXACT = {"rtol": 0, "atol": 1e-5}


def laid_out(folder, mlmodel=MLMODEL):
    """A model's folder without the model."""
    for name, text in {
        "MLmodel": yaml.safe_dump(mlmodel),
        "conda.yaml": "name: mlflow-env\n",
        "python_env.yaml": "python: 3.11.7\n",
        "requirements.txt": "torch\n",
        "code/networks.py": NETWORK,
        "data/pickle_module_info.txt": "mlflow.pytorch.pickle_module",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def made(source):
    """The network of a folder, as its own module makes it."""
    spec = importlib.util.spec_from_file_location("networks", source / "code" / "networks.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["networks"] = module
    spec.loader.exec_module(module)
    torch.manual_seed(5)
    return module.Net().eval()


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    """A folder whose model is pickled whole, as mlflow's was by default; and the network."""
    source = laid_out(tmp_path_factory.mktemp("mlflow") / "pickled")
    model = made(source)
    torch.save(model, source / "data" / "model.pth")
    del sys.modules["networks"]
    return source, model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An archive of what newer versions save: a ``torch.export`` program."""
    folder = tmp_path_factory.mktemp("exported")
    source = laid_out(folder / "exported")
    torch.manual_seed(6)
    model = torch.nn.Linear(3, 2).eval()
    rows = {0: torch.export.Dim("rows")}
    program = torch.export.export(model, (torch.ones(2, 3),), dynamic_shapes=(rows,))
    torch.export.save(program, source / "data" / "model.pt2")
    return mar_core.archive(source=source, export_path=folder, allow_pickle=True), model


@pytest.fixture(scope="module")
def archived(pickled):
    source, _ = pickled
    return mar_core.archive(source=source, export_path=source.parent, allow_pickle=True)


@pytest.fixture(scope="module")
def loaded(archived):
    with load(archived, allow_pickle=True) as predictor:
        yield predictor


def asked(predictor, body, content_type=None):
    headers = {} if content_type is None else {"Content-Type": content_type}
    (outcome,) = predictor.run(
        [Input(id="0", read=functools.partial(dict, body=body), headers=headers)]
    )
    return outcome


def same(outcome, model, values=VALUES):
    assert outcome.failure is None, outcome.failure
    with torch.no_grad():
        expected = model(torch.tensor(values))
    got = outcome.result["predictions"]
    if isinstance(got[0], dict):  # a table is answered by rows, as pandas writes them
        assert list(got[0]) == ["0", "1"]
        got = [list(row.values()) for row in got]
    torch.testing.assert_close(torch.tensor(got), expected, **EXACT)


class TestContract(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, scripted):
        return HandlerCase(
            archive=scripted[0],
            inputs=[{"body": {"inputs": [row]}} for row in VALUES],
            bad={"body": {"inputs": "four"}},
        )


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    """TorchScript, which mlflow saves as that, and which needs nobody's trust."""
    import warnings

    folder = tmp_path_factory.mktemp("scripted")
    source = laid_out(folder / "scripted")
    torch.manual_seed(7)
    model = torch.nn.Linear(3, 2).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and what people have
        program = torch.jit.trace(model, torch.ones(1, 3))
        torch.jit.save(program, str(source / "data" / "model.pth"))
    return mar_core.archive(source=source, export_path=folder), model


def test_what_is_packed(archived):
    with mar_core.open_archive(archived) as archive:
        told = archive.manifest.data["model"]
        members = set(archive.members)
    assert told["handler"] == "mlflow_pytorch"
    assert told["serializedFile"] == "model.pth"
    assert told["requirementsFile"] == "requirements.txt"
    assert {"model.pth", "MLmodel", "networks.py", "requirements.txt"} < members
    assert not any(name.startswith("data/") for name in members), "the weights are there once"


SWAPPED = [[row[2], row[0], row[1]] for row in VALUES]
BODIES = {
    "split": {"dataframe_split": {"columns": ["c", "a", "b"], "data": SWAPPED}},
    "split without names": {"dataframe_split": {"data": VALUES}},
    "records": {"dataframe_records": [dict(zip("cab", row, strict=True)) for row in SWAPPED]},
    "inputs": {"inputs": VALUES},
    "named inputs": {"inputs": {"x": VALUES}},
    "instances": {"instances": VALUES},
    "named instances": {"instances": [{"x": row} for row in VALUES]},
    "a list": VALUES,
    "bytes": bytearray(json.dumps({"inputs": VALUES}).encode()),
}


@pytest.mark.parametrize("form", BODIES)
def test_every_form_of_mlflows_scoring_protocol(pickled, loaded, form):
    same(asked(loaded, BODIES[form]), pickled[1])


def test_csv_and_one_row_of_a_table(pickled, loaded):
    text = "c,a,b\n" + "".join(f"{','.join(map(str, row))}\n" for row in SWAPPED)
    for body in (text, bytearray(text.encode())):
        same(asked(loaded, body, "text/csv; charset=utf-8"), pickled[1])
    same(asked(loaded, {"b": 2, "c": "3", "a": 1.0}), pickled[1], VALUES[:1])


def test_params(pickled, loaded):
    (double,) = asked(loaded, {"inputs": VALUES[:1], "params": {"scale": 2}}).result["predictions"]
    (single,) = asked(loaded, {"inputs": VALUES[:1]}).result["predictions"]
    assert double == pytest.approx([2 * value for value in single], abs=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        "text", 7, {}, {"inputs": [[1], [2, 3]]}, {"inputs": 1, "instances": 2},
        {"inputs": {"a": [1], "b": [2]}}, {"dataframe_split": [1]}, {"dataframe_records": [1]},
        {"dataframe_records": [{"a": 1}, {"b": 1}]}, {"a": 1, "b": 2}, bytearray(b"{"),
        {"instances": [{"a": 1}, {"b": 1}]}, {"a": "x", "b": 1, "c": 2},
        {"dataframe_split": {"columns": ["b", "a", "c"], "data": []}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_none_is_the_clients_fault(loaded, body):
    outcome = asked(loaded, body)
    assert outcome.failure is not None
    assert outcome.failure.code == 400


def test_a_torch_export_program(exported):
    path, model = exported
    with load(path, allow_pickle=True) as predictor:
        same(asked(predictor, {"inputs": VALUES}), model)


def test_a_pickle_needs_the_users_trust(pickled, tmp_path):
    source, _ = pickled
    with pytest.raises(ValidationError, match="--trust"):
        mar_core.archive(source=source, export_path=tmp_path)
    path = mar_core.archive(source=source, export_path=tmp_path, allow_pickle=True)
    with pytest.raises((ValidationError, ModelError), match="--trust"):
        load(path)


@pytest.fixture
def pyfunc(tmp_path):
    """A folder of the pyfunc flavour alone."""
    flavors = {"python_function": {"loader_module": "mlflow.pyfunc.model", "data": "."}}
    return laid_out(tmp_path / "func", {"flavors": flavors})


def test_pyfunc_says_that_it_needs_trust_and_mlflow(pyfunc, tmp_path, monkeypatch):
    path = mar_core.archive(source=pyfunc, export_path=tmp_path, allow_pickle=True)
    with pytest.raises(mar_core.HandlerError, match="--trust"):
        load(path)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(mar_core.HandlerError, match="needs mlflow, which cannot be imported"):
        load(path, allow_pickle=True)


def test_looking_imports_neither_mlflow_nor_torch(pyfunc):
    probe = (
        "import sys; sys.argv[0] = 'mar'; from mar_core.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(1 if {'mlflow', 'torch', 'numpy'} & set(sys.modules) else 0)"
    )
    words = [sys.executable, "-P", "-c", probe, "archive", "--from", str(pyfunc), "--dry-run"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "an MLflow model of the flavour pyfunc" in done.stdout
    assert "mlflow must be installed" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not plain YAML"),
        ("!!python/object/apply:os.system ['x']", "not plain YAML"),
        ("flavors: 3", "names no flavors"),
        ("flavors: {sklearn: {}}", "flavours sklearn"),
        ("flavors: {pytorch: {model_data: ../../etc}}", "outside of the model"),
        ("flavors: {pytorch: {model_data: /etc}}", "outside of the model"),
        ("flavors: {pytorch: {}}", "no model.pth or model.pt2"),
        ("x" * (1 << 21), "has more than"),
        ('flavors: {pytorch: {}}\na: !!int ""', "does not fit its tag"),
        ("flavors: {pytorch: {}}\na: !!bool x", "does not fit its tag"),
        ("flavors: {pytorch: {}}\na: !!timestamp x", "does not fit its tag"),
        ('flavors: {pytorch: {}}\nsignature: {inputs: "5"}', "no model.pth or model.pt2"),
        (f"flavors: {{pytorch: {{model_data: {'x' * 300}}}}}", "File name too long"),
    ],
)
def test_a_bad_mlmodel_is_a_sentence(tmp_path, text, words):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "MLmodel").write_text(text)
    with pytest.raises(UsageError, match=words):
        mar_core.archive(source=tmp_path / "m", export_path=tmp_path)


def test_yaml_that_grows_is_not_built(tmp_path):
    lines = ["a0: &a0 {x: 1, y: 2, z: 3}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 3)}]}}" for n in range(1, 30)]
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "MLmodel").write_text("\n".join(lines))
    with pytest.raises(UsageError, match="not plain YAML"):
        mar_core.archive(source=tmp_path / "m", export_path=tmp_path)


def test_with_mlflow_itself(pickled):
    """Runs where mlflow is installed: its own answer, on the same rows."""
    mlflow = pytest.importorskip("mlflow.pytorch", reason="mlflow is not installed")
    source, model = pickled
    again = mlflow.load_model(str(source), weights_only=False)
    with torch.no_grad():
        torch.testing.assert_close(again(torch.tensor(VALUES)), model(torch.tensor(VALUES)))
