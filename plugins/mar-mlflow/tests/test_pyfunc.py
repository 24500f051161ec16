"""Models of the flavour pyfunc, laid out as MLflow publishes it, and what MLmodel says of them.

Those that run need mlflow, or mlflow-skinny with pandas; the others do not.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys

import cloudpickle
import pytest
import yaml

import mar_core
from mar_core import Input, load, open_archive, read_signature

# As mlflow 3 writes it for `mlflow.pyfunc.save_model(path, python_model=…, code_paths=["code"])`.
PYFUNC = {
    "cloudpickle_version": cloudpickle.__version__,
    "code": "code",
    "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
    "loader_module": "mlflow.pyfunc.model",
    "python_model": "python_model.pkl",
    "python_version": "3.11.7",
    "streamable": False,
}
CODE = """
try:
    from mlflow.pyfunc import PythonModel
except ImportError:  # it is packed, and not run
    PythonModel = object


class Model(PythonModel):
    def load_context(self, context):
        self.offset = 10

    def predict(self, context, model_input, params=None):
        factor = (params or {}).get("factor", 1)
        if isinstance(model_input, dict):
            return {"sum": [float(a + b) for a, b in zip(*model_input.values())]}
        if hasattr(model_input, "columns"):
            table = model_input[["width"]] * model_input[["height"]].values * factor + self.offset
            return table.rename(columns={"width": "area"})
        return model_input * factor
"""
TABLE = [{"type": "double", "name": "height", "required": True},
         {"type": "long", "name": "width", "required": True}]  # fmt: skip
TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]
NAMED = [{"name": name, "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}
         for name in "ab"]  # fmt: skip
FACTOR = [{"name": "factor", "type": "long", "default": 1, "shape": None}]
# mlflow's own, of its own source and of type hints.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("pandas") is None,
    reason="mlflow is not installed",
)


def saved(folder, inputs=None, outputs=None, *, flavor=PYFUNC, code=CODE):
    """A folder as `mlflow.pyfunc.save_model` leaves it, with its class in `code/`."""
    told = {
        "flavors": {"python_function": flavor},
        "mlflow_version": "3.17.2",
        "model_uuid": "00000000000000000000000000000000",
        "utc_time_created": "2026-01-01 00:00:00.000000",
    }
    if inputs is not None:
        told["signature"] = {"inputs": json.dumps(inputs), "params": json.dumps(FACTOR),
                             "outputs": json.dumps(outputs) if outputs else None}  # fmt: skip
    name = f"pyfunc_{folder.name}"
    (folder / "code").mkdir(parents=True)
    (folder / "MLmodel").write_text(yaml.safe_dump(told))
    (folder / "requirements.txt").write_text("mlflow\n")
    (folder / "conda.yaml").write_text("name: mlflow-env\n")
    (folder / "python_env.yaml").write_text("python: 3.11.7\n")
    (folder / "code" / f"{name}.py").write_text(code)
    spec = importlib.util.spec_from_file_location(name, folder / "code" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with (folder / "python_model.pkl").open("wb") as stream:
        cloudpickle.dump(module.Model(), stream)
    del sys.modules[name]
    return folder


def archived(folder, *signature, **flags):
    source = saved(folder, *signature)
    return mar_core.archive(source=source, export_path=folder.parent, allow_pickle=True, **flags)


def answered(predictor, body, content_type=None, **row):
    headers = {} if content_type is None else {"Content-Type": content_type}
    asked = row or {"body": body}
    (outcome,) = predictor.run(
        [Input(id="0", read=functools.partial(dict, asked), headers=headers)]
    )
    assert outcome.failure is None, outcome.failure
    return outcome.result["predictions"]


def shown(path):
    with open_archive(path) as archive:
        found = read_signature(archive)
        assert archive.manifest.mar["signature"] == found.to_dict()
    both = found.inputs, found.outputs
    return ["; ".join(f"{one.name}: {one}" for one in fields) for fields in both]


@pytest.mark.parametrize(
    ("inputs", "outputs", "takes", "gives"),
    [
        (None, None, "data: json", "answer: {predictions: json}"),
        (TABLE, None, "height: float64; width: int64", "answer: {predictions: json}"),
        (TABLE[:1], None, "data: {height: float64}", "answer: {predictions: json}"),
        (TENSOR, TENSOR, "inputs: float32[*, 2]", "answer: {predictions: float32[*, 2]}"),
        (NAMED, None, "data: {inputs: {a: float64[*], b: float64[*]}}",
         "answer: {predictions: json}"),
        ([{"type": "double"}, {"type": "long"}], None, "data: json", "answer: {predictions: json}"),
        ([{"type": "datetime", "name": "at"}, {"type": "array", "name": "of", "items": {}}], None,
         "at: string; of: json", "answer: {predictions: json}"),
        ([{"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}], None, "data: json",
         "answer: {predictions: json}"),
        ([{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": "x"}}], None,
         "inputs: uint8[…]", "answer: {predictions: json}"),
    ],
)  # fmt: skip
def test_mlmodel_says_what_is_taken_and_given(tmp_path, inputs, outputs, takes, gives):
    assert shown(archived(tmp_path / "m", inputs, outputs)) == [takes, gives]


def test_a_damaged_mlmodel_in_an_archive_is_no_signature(tmp_path):
    from mar_mlflow.signatures import signature_of

    from mar_core import UsageError

    (tmp_path / "h.py").write_text("def handle(data, context): ...\n")
    (tmp_path / "MLmodel").write_text("flavors: [")
    files = {"extra_files": str(tmp_path / "MLmodel"), "export_path": tmp_path}
    path = mar_core.archive("m", handler=str(tmp_path / "h.py"), **files)
    damaged = pytest.raises(UsageError, match="MLmodel is not plain YAML")
    with open_archive(path) as archive, damaged:
        signature_of(archive, {})
    with open_archive(mar_core.archive("n", handler="mlflow_pytorch", **files)) as archive:
        assert read_signature(archive) is None


def test_what_is_packed(tmp_path):
    with open_archive(archived(tmp_path / "packed", TABLE)) as archive:
        names = set(archive.members)
        model = archive.manifest.data["model"]
    assert {"MLmodel", "python_model.pkl", "code/pyfunc_packed.py", "conda.yaml"} <= names
    assert (model["handler"], model["requirementsFile"]) == ("mlflow_pyfunc", "requirements.txt")


@mlflow
def test_a_table_in_every_form(tmp_path):
    with load(archived(tmp_path / "table", TABLE), allow_pickle=True) as model:
        split = {"columns": ["width", "height"], "data": [[2, 3.5], [4, 1.0]]}
        records = [{"height": 3.5, "width": 2}, {"height": 1.0, "width": 4}]
        expected = [{"area": 17.0}, {"area": 14.0}]
        assert answered(model, {"dataframe_split": split}) == expected
        assert answered(model, {"dataframe_records": records}) == expected
        assert answered(model, "width,height\n2,3.5\n4,1\n", "text/csv") == expected
        assert answered(model, b"width,height\n2,3.5\n", "text/csv; charset=utf-8") == expected[:1]
        assert answered(model, {"width": 2, "height": "3.5"}) == expected[:1], "a row by itself"
        assert answered(model, None, width=b"2", height=b"3.5") == expected[:1], "a form"
        double = {"dataframe_records": records, "params": {"factor": 2}}
        assert answered(model, double) == [{"area": 24.0}, {"area": 18.0}]


@mlflow
def test_tensors(tmp_path):
    with load(archived(tmp_path / "tensor", TENSOR, TENSOR), allow_pickle=True) as model:
        asked = {"inputs": [[1, 2], [3, 4.5]], "params": {"factor": 2}}
        assert answered(model, asked) == [[2.0, 4.0], [6.0, 9.0]]
        assert answered(model, {"instances": [[1, 2]]}) == [[1.0, 2.0]]
    with load(archived(tmp_path / "named", NAMED), allow_pickle=True) as model:
        assert answered(model, {"inputs": {"a": [1, 2], "b": [3, 4]}}) == {"sum": [4.0, 6.0]}
        rows = [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
        assert answered(model, {"instances": rows}) == {"sum": [4.0, 6.0]}


@mlflow
def test_what_does_not_fit_the_signature_is_the_clients_fault(tmp_path):
    with load(archived(tmp_path / "faults", TABLE), allow_pickle=True) as model:
        for body in (
            {"dataframe_records": [{"height": 1.0}]},
            {"dataframe_records": [{"height": "tall", "width": 1}]},
            {"dataframe_split": {"columns": ["height"], "data": [[1.0]]}},
            {"height": 1.0, "width": None},
        ):
            (found,) = model.predict([{"body": body}], on_error="return")
            assert found.code == 400, found


@mlflow
def test_the_answers_are_mlflows_own(tmp_path):
    import pandas as pd
    from mlflow import pyfunc

    path = archived(tmp_path / "same", TABLE)
    own = pyfunc.load_model(str(tmp_path / "same"))
    rows = [{"height": 0.1 * number, "width": number} for number in range(5)]
    expected = own.predict(pd.DataFrame(rows)).to_dict(orient="records")
    with load(path, allow_pickle=True) as model:
        assert answered(model, {"dataframe_records": rows}) == expected


@mlflow
def test_a_folder_that_mlflow_saves_itself(tmp_path):
    """A model from its code, which is no pickle."""
    from mlflow import pyfunc

    (tmp_path / "code.py").write_text(
        "import mlflow\n"
        "class Up(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input: list[str], params=None):\n"
        "        return [one.upper() for one in model_input]\n"
        "mlflow.models.set_model(Up())\n"
    )
    pyfunc.save_model(str(tmp_path / "up"), python_model=str(tmp_path / "code.py"),
                      pip_requirements=["mlflow"])  # fmt: skip
    path = mar_core.archive(source=tmp_path / "up", export_path=tmp_path, allow_pickle=True)
    with load(path, allow_pickle=True) as model:
        assert answered(model, {"inputs": ["a", "\u00e9"]}) == ["A", "\u00c9"]
