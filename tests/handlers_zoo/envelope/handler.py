"""A handler that expects bare values, as envelopes hand them over."""

import torch
from ts.torch_handler.base_handler import BaseHandler


class BareHandler(BaseHandler):
    def preprocess(self, data):
        rows = [row["data"] if isinstance(row, dict) else row for row in data]
        return torch.as_tensor(rows, dtype=torch.float32, device=self.device)
