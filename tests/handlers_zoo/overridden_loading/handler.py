"""Overrides how the model is loaded, and keeps the rest of initialize."""

import importlib
import os

import torch
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import list_classes_from_module


class OverriddenLoadingHandler(BaseHandler):
    def _load_pickled_model(self, model_dir, model_file, model_pt_path):
        assert os.path.isfile(os.path.join(model_dir, model_file))
        module = importlib.import_module(model_file.split(".")[0])
        classes = list_classes_from_module(module)
        model = classes[0](bias=False)
        state = torch.load(model_pt_path, map_location=self.device)
        model.load_state_dict({k: v for k, v in state.items() if "bias" not in k})
        return model

    def preprocess(self, data):
        rows = [row.get("data") or row.get("body") for row in data]
        return torch.as_tensor(rows, dtype=torch.float32, device=self.device)
