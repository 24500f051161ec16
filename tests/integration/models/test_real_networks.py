"""torchvision's networks, archived and run, answer as they do in plain PyTorch."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image
from torchvision import transforms
from unpacked import NETWORKS, network
from weightsfiles import saved

from mar_core import load
from mar_core.testing import make_archive

PICTURES = [
    Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")
]
IMAGENET = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)
EXACT = {"rtol": 0, "atol": 1e-6}


def archived(tmp_path, name, **more):
    model = network(name)
    weights = tmp_path / "weights.pth"
    weights.write_bytes(saved(model.state_dict()))
    archive = make_archive(
        tmp_path, model_file=NETWORKS / f"{name}.py", serialized_file=weights, **more
    )
    return archive, model


def batch():
    return torch.stack([IMAGENET(Image.open(path)) for path in PICTURES])


def test_resnet18_classifies(tmp_path):
    archive, model = archived(tmp_path, "resnet18", handler="image_classifier")
    with load(archive, batch_size=2) as served:
        results = served.predict(PICTURES)
    with torch.inference_mode():
        values, indices = torch.softmax(model(batch()), 1).topk(5)
    for result, row, classes in zip(results, values, indices.tolist(), strict=True):
        assert list(result) == [str(index) for index in classes]
        torch.testing.assert_close(torch.tensor(list(result.values())), row, **EXACT)


def test_densenet121_is_the_middle_of_a_workflow(tmp_path):
    archive, model = archived(tmp_path, "densenet121", handler="densenet_handler")
    images = batch()[:, :, 64:160, 64:160]
    with load(archive, batch_size=2) as served:
        results = served.predict([{"data": saved(image.clone())} for image in images])
    with torch.inference_mode():
        torch.testing.assert_close(torch.cat(results), model(images), **EXACT)


DETECTOR = """
from ts.torch_handler.object_detector import ObjectDetector

class Doubtful(ObjectDetector):
    threshold = 0.2
"""


def test_faster_rcnn_detects_in_images_of_different_sizes(tmp_path):
    handler = tmp_path / "doubtful.py"
    handler.write_text(DETECTOR)
    labels = {"index_to_name.json": '{"1": "cat", "2": "dog", "3": "hen"}'}
    archive, model = archived(tmp_path, "faster_rcnn", handler=handler, files=labels)
    tall = tmp_path / "tall.png"
    Image.open(PICTURES[1]).resize((120, 200)).save(tall)
    paths = [PICTURES[0], tall]
    with load(archive, batch_size=2) as served:
        results = served.predict(paths)
    names = ["", "cat", "dog", "hen"]
    for path, result in zip(paths, results, strict=True):
        with torch.inference_mode():
            (expected,) = model([transforms.ToTensor()(Image.open(path))])
        kept = expected["scores"] >= 0.2
        assert kept.any()
        got = [{**found} for found in result]
        scores = torch.tensor([found.pop("score") for found in got])
        torch.testing.assert_close(scores, expected["scores"][kept], **EXACT)
        assert [next(iter(found)) for found in got] == [
            names[label] for label in expected["labels"][kept].tolist()
        ]
        boxes = torch.tensor([next(iter(found.values())) for found in got])
        torch.testing.assert_close(boxes, expected["boxes"][kept], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["lraspp", "fcn"])
def test_segmentation(tmp_path, name):
    archive, model = archived(tmp_path, name, handler="image_segmenter")
    image = batch()[0, :, 50:146, 30:158]
    with load(archive) as served:
        (result,) = served.predict([{"data": image}])
    with torch.inference_mode():
        probabilities, classes = torch.softmax(model(image[None])["out"], 1).max(1)
    expected = torch.stack([classes.float(), probabilities], 3)[0]
    torch.testing.assert_close(torch.tensor(result), expected, **EXACT)


def test_segmentation_as_class_maps(tmp_path):
    config = {"handler": {"output": "png"}}
    archive, model = archived(tmp_path, "lraspp", handler="image_segmenter", config=config)
    with load(archive, batch_size=2) as served:
        results = served.predict(PICTURES)
    with torch.inference_mode():
        expected = model(batch())["out"].argmax(1).numpy()
    for raw, classes in zip(results, expected, strict=True):
        assert (np.asarray(Image.open(io.BytesIO(raw))) == classes).all()


SMALL = """
from torchvision import transforms
from builtin_handlers.image_classifier import ImageClassifier

class Small(ImageClassifier):
    image_processing = transforms.Compose([transforms.Resize((48, 64)), transforms.ToTensor()])
"""


def test_explanations_of_images(tmp_path):
    captum = importlib.import_module("captum.attr")
    handler = tmp_path / "small.py"
    handler.write_text(SMALL)
    archive, model = archived(tmp_path, "resnet18", handler=handler)
    with load(archive, batch_size=2) as served:
        requests = [{"data": PICTURES[0].read_bytes(), "target": 3}, PICTURES[1]]
        results = served.predict(requests, explain=True)
        (best,) = served.predict(PICTURES[1:])
    assert [found["target"] for found in results] == [3, int(next(iter(best)))]
    to_input = transforms.Compose([transforms.Resize((48, 64)), transforms.ToTensor()])
    expected = captum.IntegratedGradients(model).attribute(
        torch.stack([to_input(Image.open(path)) for path in PICTURES]),
        target=[found["target"] for found in results],
        n_steps=15,
    )
    got = torch.stack([found["attributions"] for found in results])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
    for found in results:
        picture = np.asarray(Image.open(io.BytesIO(found["heatmap"]))).astype(int)
        assert picture.shape == (48, 64, 3)
        total = found["attributions"].sum(0).numpy()
        red, _, blue = picture.reshape(-1, 3)[total.argmax()]
        assert red > blue
        red, _, blue = picture.reshape(-1, 3)[total.argmin()]
        assert blue > red
