"""The same with the older name of the function."""

from abc import ABC

from ts.protocol.otf_message_handler import send_intermediate_predict_response
from ts.torch_handler.base_handler import BaseHandler


class OldStreamingHandler(BaseHandler, ABC):
    def initialize(self, ctx):
        self.initialized = True

    def preprocess(self, requests):
        return [r.get("data") or r.get("body") for r in requests]

    def inference(self, data):
        for count in (1, 2):
            send_intermediate_predict_response(
                [text[:count] for text in data], self.context.request_ids, "part", 200, self.context
            )
        return data

    def postprocess(self, data):
        return data
