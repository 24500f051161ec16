"""Refuses what it does not like, with a status of its own."""

from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException


class RefusingHandler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        values = [row.get("data", row.get("body")) for row in data]
        if any(value < 0 for value in values):
            raise PredictionException("Negative numbers are not served", 513)
        return values

    def inference(self, data):
        return data

    def postprocess(self, data):
        return data
