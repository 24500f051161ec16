"""Overrides nothing but the output."""

from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import map_class_to_label


class PlainHandler(BaseHandler):
    def preprocess(self, data):
        return super().preprocess([row.get("data") or row.get("body") for row in data])

    def postprocess(self, data):
        return map_class_to_label(data.softmax(1).tolist(), self.mapping)
