"""A class that inherits from nothing and does everything itself."""

import logging

logger = logging.getLogger(__name__)


class ModelHandler(object):
    def __init__(self):
        self._context = None
        self.initialized = False

    def initialize(self, context):
        self._context = context
        self.initialized = True
        self.version = context.system_properties.get("server_version")
        print("initialized in", type(self).__name__)

    def preprocess(self, batch):
        return [row.get("data") or row.get("body") for row in batch]

    def inference(self, inputs):
        return [len(value) for value in inputs]

    def postprocess(self, outputs):
        return ["%d of %s" % (value, self._context.model_name) for value in outputs]

    def handle(self, data, context):
        return self.postprocess(self.inference(self.preprocess(data)))
