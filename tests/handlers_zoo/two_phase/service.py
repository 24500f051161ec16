"""A function with another name; it makes its model when it is called without data."""

import os

import torch
from model import Scale

model = None


def predict(data, context):
    global model
    properties = context.system_properties
    if not data:
        path = os.path.join(properties.get("model_dir"), context.manifest["model"]["serializedFile"])
        model = Scale()
        model.load_state_dict(torch.load(path))
        model.eval()
        return None
    with torch.no_grad():
        batch = torch.tensor([row.get("body") or row.get("data") for row in data], dtype=torch.float32)
        return model(batch).tolist()
