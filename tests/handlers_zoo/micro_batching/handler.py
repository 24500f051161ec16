"""Micro-batching as its example sets it up: handle is replaced in the constructor."""

from ts.handler_utils.micro_batching import MicroBatching
from ts.torch_handler.base_handler import BaseHandler


class MicroBatchingHandler(BaseHandler):
    def __init__(self):
        super().__init__()
        self.handle = MicroBatching(self)

    def initialize(self, context):
        super().initialize(context)
        config = context.model_yaml_config["micro_batching"]
        self.handle.parallelism = config["parallelism"]
        self.handle.micro_batch_size = config["micro_batch_size"]

    def preprocess(self, data):
        return super().preprocess([row.get("data") or row.get("body") for row in data])

    def postprocess(self, data):
        return [[self.handle.get_micro_batch_idx(), len(data), row] for row in data.tolist()]
