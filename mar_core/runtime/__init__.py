"""A loaded archive: ``with load("model.mar") as model: model.predict([...])``."""

from __future__ import annotations

from mar_core.runtime.predictor import Predictor, load
from mar_core.runtime.recipe import Recipe

__all__ = ["Predictor", "Recipe", "load"]
