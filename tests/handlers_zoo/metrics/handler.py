"""Every call of the metrics API that handlers use."""

from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes
from ts.torch_handler.base_handler import BaseHandler


class MetricsHandler(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        metrics = context.metrics
        metrics.add_metric_to_cache(
            metric_name="InitializeCallCount",
            unit="count",
            dimension_names=["ModelName"],
            metric_type=MetricTypes.COUNTER,
        )
        metrics.get_metric("InitializeCallCount", MetricTypes.COUNTER).add_or_update(
            value=1, dimension_values=[context.model_name]
        )

    def preprocess(self, data):
        metrics = self.context.metrics
        metrics.add_counter("PreprocessCallCount", len(data))
        metrics.add_counter("PerRequest", 1, 0)
        metrics.add_time("Fixed", 12.5, None, "ms")
        metrics.add_time("FixedSeconds", 3, 1, "s", [Dimension("Stage", "pre")])
        metrics.add_size("SizeOfImage", 42, None, "kB", [], MetricTypes.GAUGE)
        metrics.add_percent("Used", 7.5)
        metrics.add_error("SomeError", 1)
        metrics.add_metric(
            "HistogramOfSums", 4, "unit of mine", 0,
            dimensions=[Dimension("Level", "Own")], metric_type=MetricTypes.HISTOGRAM,
        )
        for _ in range(2):
            metrics.add_counter("Twice", 2, None, [Dimension("Colour", "red")])
        metrics.add_counter("Negative", -1)
        return super().preprocess([row["body"] for row in data])

    def postprocess(self, data):
        known = sorted(
            key for key in self.context.metrics.cache_keys() if key.endswith(("Twice", "Used"))
        )
        return [[known, row] for row in data.tolist()]
