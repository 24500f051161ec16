"""Answers in parts: all but the last are sent ahead."""

from ts.handler_utils.utils import send_intermediate_predict_response


class StreamingHandler:
    def initialize(self, ctx):
        self.words = ctx.model_yaml_config["handler"]["words"]

    def handle(self, data, context):
        for word in self.words[:-1]:
            part = ["%s %s" % (row.get("body") or row.get("data"), word) for row in data]
            send_intermediate_predict_response(
                part, context.request_ids, "Intermediate Prediction success", 200, context
            )
        return [self.words[-1]] * len(data)
