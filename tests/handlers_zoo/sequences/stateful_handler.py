"""Adds up numbers by sequence; what it remembers hangs on the context."""

from abc import ABC

from ts.context import Context
from ts.torch_handler.base_handler import BaseHandler


class StatefulHandler(BaseHandler, ABC):
    def initialize(self, ctx: Context):
        self.context = ctx
        ctx.cache = {}
        self.initialized = True

    def preprocess(self, data):
        results = []
        for idx, row in enumerate(data):
            sequence_id = self.context.get_sequence_id(idx)
            if self.context.get_request_header(idx, self.context.header_key_sequence_start) == "true":
                self.context.cache[sequence_id] = 0
            self.context.cache[sequence_id] += int(row.get("data") or row.get("body"))
            end = self.context.get_request_header(idx, self.context.header_key_sequence_end)
            self.context.set_response_header(
                idx, self.context.header_key_sequence_id, sequence_id or "none"
            )
            results.append((self.context.cache[sequence_id], self.context.get_request_id(idx)))
            if end == "true":
                del self.context.cache[sequence_id]
        return results

    def inference(self, data, *args, **kwargs):
        return data

    def postprocess(self, data):
        return [list(row) for row in data] + []
