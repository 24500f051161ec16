"""A metric with dimensions of its own, made known once and recorded for each request."""

import torch
from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes
from ts.torch_handler.base_handler import BaseHandler


class DimensionsHandler(BaseHandler):
    def __init__(self):
        super(DimensionsHandler, self).__init__()
        self.requests = 0

    def preprocess(self, data):
        metrics = self.context.metrics
        rows = []
        for idx, row in enumerate(data):
            value = row.get("data") or row.get("body")
            metrics.add_size(
                name="SizeOfRequest", value=len(value), idx=idx, unit="B",
                dimensions=[Dimension("Kind", "list"), Dimension("Index", idx)],
            )
            self.requests += 1
            rows.append(value)
        gauge = metrics.add_metric_to_cache(
            "RequestsSoFar", "count", ["ModelName", "Host"], MetricTypes.GAUGE
        )
        gauge.add_or_update(self.requests, [self.context.model_name, "here"])
        gauge.add_or_update(self.requests, ["one value too few"])
        return torch.tensor(rows, dtype=torch.float32, device=self.device)
