"""Says more of its answers than their content: status, headers, content types."""

import io

import torch
from ts.context import Context, RequestProcessor


class StatusHandler:
    def initialize(self, context):
        assert isinstance(context, Context)

    def handle(self, data, context):
        assert all(isinstance(one, RequestProcessor) for one in context.request_processor)
        context.set_all_response_status(200, "fine")
        context.set_response_status(code=418, phrase="I'm a teapot", idx=1)
        context.set_response_content_type(0, "application/json")
        context.set_response_header(2, "X-Length", str(len(data)))
        seen = [context.get_all_request_header(idx) for idx in range(len(data))]
        results = [seen[0], {"a": [1, None, True]}, b"\x00\xff", bytearray(b"ab"), "text", 3, None]
        results.append([context.get_response_status(1), context.get_response_content_type(0)])
        return results[: len(data)]
