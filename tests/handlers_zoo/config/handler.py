"""Everything that decides comes from model-config.yaml; stages are timed."""

import logging

import torch
from ts.context import Context
from ts.handler_utils.timer import timed
from ts.torch_handler.base_handler import BaseHandler

logger = logging.getLogger(__name__)


class ConfigHandler(BaseHandler):
    def __init__(self):
        super().__init__()
        self.initialized = False

    def initialize(self, ctx: Context):
        super().initialize(ctx)
        config = ctx.model_yaml_config["handler"]
        torch.manual_seed(int(config["manual_seed"]))
        self.scale = config["scale"]
        self.labels = config.get("labels", {})
        assert self.model_yaml_config is ctx.model_yaml_config
        logger.info("scale is %s", self.scale)

    @timed
    def preprocess(self, requests):
        rows = [r.get("data") or r.get("body") for r in requests]
        return torch.tensor(rows, dtype=torch.float32, device=self.device) * self.scale

    @timed
    def inference(self, data, *args, **kwargs):
        return super().inference(data, *args, **kwargs).argmax(1)

    @timed
    def postprocess(self, data):
        return [self.labels.get(index, str(index)) for index in data.tolist()]
