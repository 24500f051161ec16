"""Loads its model itself, from a path relative to the archive's folder, and picks its device."""

import os

import torch
from ts.torch_handler.base_handler import BaseHandler


class OwnLoadingHandler(BaseHandler):
    def __init__(self):
        self.initialized = False

    def initialize(self, ctx):
        properties = ctx.system_properties
        self.map_location = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(
            self.map_location + ":" + str(properties.get("gpu_id"))
            if torch.cuda.is_available() and properties.get("gpu_id") is not None
            else self.map_location
        )
        self.manifest = ctx.manifest
        serialized = self.manifest["model"]["serializedFile"]
        self.model = torch.jit.load(os.path.join(properties["model_dir"], serialized))
        self.model.to(self.device)
        self.model.eval()
        with open("labels.txt") as labels:
            self.labels = labels.read().split()
        self.initialized = True

    def handle(self, data, context):
        rows = [row.get("data") or row.get("body") for row in data]
        with torch.no_grad():
            out = self.model(torch.tensor(rows, dtype=torch.float32).to(self.device))
        return [self.labels[index] for index in out.argmax(1).tolist()]
