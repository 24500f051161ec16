"""Runs any MLflow model that has the pyfunc flavour, with mlflow."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from mar_core import HandlerError, PredictionException
from mar_mlflow.scoring import BAD_REQUEST, Asked, Scoring, rows_of

if TYPE_CHECKING:
    from mar_core import Context

__all__ = ["PyfuncFlavor"]

_SERVERS_FAULT = 500


class PyfuncFlavor(Scoring):
    """Serves an MLflow model through ``mlflow.pyfunc``, and answers ``{"predictions": …}``.

    Takes MLflow's scoring protocol: CSV, ``dataframe_split``, ``dataframe_records``, ``instances``
    or ``inputs``, with ``params``. mlflow and what the model needs must be installed; loading it
    may run any code, so that the archive must be trusted.
    """

    signature = "mar_mlflow.signatures:signature_of"

    def __init__(self) -> None:
        self.initialized = False
        self._model: Any = None

    def initialize(self, context: Context) -> None:
        """Load the model.

        Raises:
            HandlerError: mlflow is not installed, or the archive is not trusted.
        """
        if not context.system_properties.get("allow_pickle"):
            raise HandlerError(
                "An MLflow model of the flavour pyfunc may run any code when it is loaded.",
                stage="initialize",
                hint="Pass --trust (or --allow-pickle) if you trust whoever made it.",
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what mlflow says of its own source
                import mlflow.pyfunc
        except ImportError as error:
            raise HandlerError(
                f"This MLflow model needs mlflow, which cannot be imported here: {error}.",
                stage="initialize",
                hint="Install it, and what the model's requirements.txt names.",
            ) from error
        self._model = mlflow.pyfunc.load_model(str(context.system_properties["model_dir"]))
        self.initialized = True

    def answer(self, asked: Asked) -> dict[str, Any]:
        """See ``Scoring.answer``."""
        from mlflow.exceptions import MlflowException

        value = self._value(asked)
        more = {"params": asked.params} if asked.params else {}
        try:
            answer = self._model.predict(value, **more)
        except MlflowException as error:  # above all, what does not fit the signature
            status = error.get_http_status_code()
            if not BAD_REQUEST <= status < _SERVERS_FAULT:
                raise
            raise PredictionException(" ".join(str(error).split()), status) from error
        return {"predictions": _plain(answer)}

    def _value(self, asked: Asked) -> Any:
        """What ``predict`` takes: a table, an array, or arrays by name."""
        import io

        import pandas as pd

        try:
            if asked.form == "csv":
                return pd.read_csv(io.StringIO(asked.value), dtype=self._columns())
            if asked.form in {"dataframe_split", "dataframe_records"}:
                columns, rows = rows_of(asked)
                frame = pd.DataFrame(rows, columns=columns)
                types = self._columns()
                return frame.astype({name: types[name] for name in frame if name in types})
            return self._arrays(asked)
        except (ValueError, TypeError, KeyError) as error:
            message = f"The {asked.form} cannot be read: {error}."
            raise PredictionException(message, BAD_REQUEST) from error

    def _columns(self) -> dict[str, Any]:
        """The types of the columns that the signature names."""
        schema = self._model.metadata.get_input_schema()
        if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
            return {}
        return dict(zip(schema.input_names(), schema.pandas_types(), strict=True))

    def _arrays(self, asked: Asked) -> Any:
        import numpy as np

        value = asked.value
        if asked.form == "instances" and value and all(isinstance(item, dict) for item in value):
            value = {name: [item[name] for item in value] for name in value[0]}
        schema = self._model.metadata.get_input_schema()
        if schema is None or not schema.is_tensor_spec():
            return value
        types = dict(schema.input_dict()) if schema.has_input_names() else {}
        if isinstance(value, dict):
            return {
                name: np.array(one, dtype=_dtype(types.get(name))) for name, one in value.items()
            }
        return np.array(value, dtype=_dtype(schema.inputs[0]))


def _dtype(spec: Any) -> Any:
    return None if spec is None else spec.type


def _plain(answer: Any) -> Any:
    """An answer as JSON values; a table as MLflow's own server writes it, as records."""
    if hasattr(answer, "to_dict") and hasattr(answer, "columns"):
        return _plain(answer.to_dict(orient="records"))
    if hasattr(answer, "tolist"):
        return answer.tolist()
    if isinstance(answer, dict):
        return {str(key): _plain(value) for key, value in answer.items()}
    return [_plain(value) for value in answer] if isinstance(answer, (list, tuple)) else answer
