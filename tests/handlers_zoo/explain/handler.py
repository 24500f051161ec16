"""Describes itself and explains its answers when a header asks."""

from ts.torch_handler.base_handler import BaseHandler


class ExplainHandler(BaseHandler):
    def preprocess(self, data):
        return super().preprocess([row.get("data") or row.get("body") for row in data])

    def describe_handle(self):
        return {"handler": type(self).__name__, "explain": self.explain}

    def get_insights(self, tensor_data, raw_data, target=0):
        weight = self.model.linear.weight[target]
        return [[(tensor_data * weight).tolist(), list(raw_data), target, self.explain]]
