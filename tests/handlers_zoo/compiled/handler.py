"""torch.compile from the config; nothing in the handler says so."""

import torch
from ts.torch_handler.base_handler import BaseHandler


class CompiledHandler(BaseHandler):
    def preprocess(self, data):
        rows = [row.get("data") or row.get("body") for row in data]
        return torch.as_tensor(rows, dtype=torch.float32, device=self.device)

    def postprocess(self, data):
        compiled = type(self.model).__name__ == "OptimizedModule"
        return [[compiled, row] for row in data.tolist()]
