"""Runs MLflow's pytorch flavour, without mlflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mar_core import BaseHandler, PredictionException
from mar_mlflow.mlmodel import Column, read_mlmodel
from mar_mlflow.scoring import BAD_REQUEST, Asked, Scoring, rows_of

if TYPE_CHECKING:
    from mar_core import Context

__all__ = ["PytorchFlavor"]

_TABLES = frozenset({"csv", "dataframe_split", "dataframe_records"})


class PytorchFlavor(Scoring, BaseHandler):
    """Serves a model that ``mlflow.pytorch`` saved, and answers as ``mlflow models serve`` does.

    Takes MLflow's scoring protocol: CSV, ``dataframe_split``, ``dataframe_records``, ``instances``
    or ``inputs``, with ``params``. A table becomes a float32 tensor with its columns in the order
    of the signature and is answered by rows, ``{"predictions": [{"0": …, "1": …}]}``; other values
    take the type of the signature and are answered by lists.
    """

    signature = "mar_mlflow.signatures:signature_of"

    def __init__(self) -> None:
        super().__init__()
        self._inputs: tuple[Column, ...] = ()

    def initialize(self, context: Context) -> None:
        """Load the model, and read what it takes.

        Raises:
            ModelError: It cannot be loaded; a pickle needs the user's trust.
        """
        super().initialize(context)
        told = read_mlmodel(Path(str(context.system_properties["model_dir"])))
        self._inputs = told.inputs if told is not None else ()

    def answer(self, asked: Asked) -> dict[str, Any]:
        """See ``Scoring.answer``."""
        tensor = self._tensor(asked).to(self.device)
        with torch.no_grad():
            output = self.model(tensor, **asked.params)
        if not isinstance(output, torch.Tensor):
            kind = type(output).__name__
            raise TypeError(f"MLflow's pytorch flavour answers one tensor; the model gave {kind}")
        values = output.detach().cpu().tolist()
        table = asked.form in _TABLES and output.dim() in {1, 2}
        return {"predictions": [_record(row) for row in values] if table else values}

    def _tensor(self, asked: Asked) -> torch.Tensor:
        try:
            if asked.form in _TABLES:
                columns, rows = rows_of(asked)
                table = np.array(rows, dtype=np.float32)
                return torch.from_numpy(self._ordered(table, columns))
            return torch.from_numpy(self._values(asked))
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            message = f"The {asked.form} hold no numbers of one shape: {error}."
            raise PredictionException(message, BAD_REQUEST) from error

    def _ordered(self, table: Any, columns: list[str] | None) -> Any:
        """A table with its columns in the order of the signature."""
        wanted = [column.name for column in self._inputs]
        if columns is None or not wanted or None in wanted or wanted == columns:
            return table
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise PredictionException(f"The column {missing[0]!r} is missing.", BAD_REQUEST)
        return np.ascontiguousarray(table[:, [columns.index(str(name)) for name in wanted]])

    def _values(self, asked: Asked) -> Any:
        """The array of ``inputs`` or ``instances``, by itself or under its name."""
        value = asked.value
        if asked.form == "instances" and _is_records(value):
            value = {name: [item[name] for item in value] for name in value[0]}
        if isinstance(value, dict):
            if len(value) != 1:
                raise PredictionException("The model takes one tensor.", BAD_REQUEST)
            (value,) = value.values()
        dtype = self._inputs[0].dtype if len(self._inputs) == 1 else None
        array = np.array(value, dtype=dtype)
        if array.dtype.kind not in "biuf":
            raise ValueError("they are no numbers")
        narrow = dtype is None and array.dtype == np.float64
        return array.astype(np.float32) if narrow else array


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _record(row: Any) -> dict[str, Any]:
    """A row of a table without names, as pandas and so MLflow write it."""
    cells = row if isinstance(row, list) else [row]
    return {str(number): cell for number, cell in enumerate(cells)}
