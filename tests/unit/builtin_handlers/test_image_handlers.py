"""The handlers for images: what they take, what they answer, and what they say of bad images."""

from __future__ import annotations

import base64
import io
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image
from torchvision import transforms
from unpacked import initialized, network, network_source, unpack
from weightsfiles import saved

from builtin_handlers.explain import heat_map
from builtin_handlers.image_classifier import ImageClassifier
from builtin_handlers.image_segmenter import ImageSegmenter
from builtin_handlers.object_detector import ObjectDetector
from builtin_handlers.vision_handler import VisionHandler
from mar_core import ModelError, PredictionException

SAMPLES = Path(sklearn.datasets.__file__).parent / "images"
CHINA = (SAMPLES / "china.jpg").read_bytes()
FLOWER = (SAMPLES / "flower.jpg").read_bytes()
PLAIN = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


@pytest.fixture
def model():
    return network("colours")


def served(tmp_path, model, cls=ImageClassifier, *, labels=None, config=None, **system):
    files = {"w.pt": saved(model.state_dict()), "model.py": network_source("colours")}
    if labels:
        files["index_to_name.json"] = labels
    context = unpack(tmp_path, files, config=config, serializedFile="w.pt", modelFile="model.py")
    context.system_properties.update(system)
    return initialized(cls(), context)


def answer(handler, rows):
    return handler.postprocess(handler.inference(handler.preprocess(rows)))


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (300, 260)) -> Image.Image:
    return Image.open(io.BytesIO(CHINA)).resize(size).convert(mode)


def test_results_equal_plain_pytorch(tmp_path, model):
    handler = served(tmp_path, model)
    results = answer(handler, [{"data": CHINA}, {"body": bytearray(FLOWER)}])
    batch = torch.stack([PLAIN(Image.open(io.BytesIO(raw))) for raw in (CHINA, FLOWER)])
    with torch.inference_mode():
        expected = torch.softmax(model(batch), dim=1)
    for result, row in zip(results, expected, strict=True):
        got = torch.tensor([result[str(index)] for index in range(3)])
        torch.testing.assert_close(got, row, rtol=0, atol=1e-6)
        assert list(result.values()) == sorted(result.values(), reverse=True)


def test_labels_and_topk(tmp_path, model):
    handler = served(tmp_path, model, labels='{"0": "red", "1": ["n1", "green"]}')
    (result,) = answer(handler, [{"data": CHINA}])
    assert set(result) == {"red", "green", "2"}  # a class without a name keeps its number
    handler.set_max_result_classes(1)
    assert handler.get_max_result_classes() == 1
    (best,) = answer(handler, [{"data": CHINA}])
    assert best == dict([max(result.items(), key=lambda item: item[1])])


def test_every_way_to_send_an_image(tmp_path, model):
    handler = served(tmp_path, model)
    text = base64.b64encode(CHINA).decode()
    ways = [
        CHINA,
        bytearray(CHINA),
        memoryview(CHINA),
        text,
        "\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
        f"data:image/jpeg;base64,{text}",
        f"DATA:image/jpeg;base64,{urllib.parse.quote(text)}",
        f"data:image/jpeg,{urllib.parse.quote_from_bytes(CHINA)}",
        Image.open(io.BytesIO(CHINA)),
    ]
    batch = handler.preprocess([{"data": way} for way in ways] + ways[:1])
    for image in batch:
        assert torch.equal(image, batch[0])


def test_numbers_skip_the_transforms(tmp_path, model):
    handler = served(tmp_path, model)
    numbers = torch.rand(3, 4, 5)
    batch = handler.preprocess(
        [{"data": numbers.tolist()}, {"body": numbers}, {"data": numbers.numpy()}]
    )
    assert batch.shape == (3, 3, 4, 5)
    assert all(torch.equal(image, numbers) for image in batch)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGB", "RGBA", "YCbCr", "LA"])
def test_every_kind_of_colours_becomes_rgb(tmp_path, model, mode):
    handler = served(tmp_path, model)
    image = picture(mode) if mode != "LA" else picture("L").convert("LA")
    raw = encoded(image, "PNG" if mode not in {"CMYK", "YCbCr"} else "TIFF")
    got = handler.preprocess([{"data": raw}])
    reopened = Image.open(io.BytesIO(raw))
    assert reopened.mode == mode
    torch.testing.assert_close(got[0], PLAIN(reopened.convert("RGB")))


def test_transparency_lies_on_white(tmp_path, model):
    clear = Image.new("RGBA", (224, 224), (255, 0, 0, 0))
    palette = Image.new("P", (224, 224))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    white = PLAIN(Image.new("RGB", (224, 224), "white"))
    handler = served(tmp_path, model)
    for raw in (encoded(clear), encoded(palette, transparency=0)):
        torch.testing.assert_close(handler.preprocess([{"data": raw}])[0], white)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_sixteen_bits_are_scaled_not_cut(tmp_path, model, dtype):
    grey = np.linspace(0, 65535, 224 * 224).reshape(224, 224)
    raw = encoded(Image.fromarray(grey.astype(dtype)), "TIFF")
    assert Image.open(io.BytesIO(raw)).mode.startswith("I")
    expected = Image.fromarray((grey.astype(dtype) / 257).round().astype(np.uint8)).convert("RGB")
    got = served(tmp_path, model).preprocess([{"data": raw}])
    torch.testing.assert_close(got[0], PLAIN(expected))


def test_the_cameras_rotation_is_applied(tmp_path, model):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the left: to be turned back
    raw = encoded(picture(), "PNG", exif=exif)
    got = served(tmp_path, model).preprocess([{"data": raw}])
    torch.testing.assert_close(got[0], PLAIN(picture().transpose(Image.Transpose.ROTATE_270)))


def test_a_subclass_with_transforms_of_its_own_gets_the_image_as_decoded(tmp_path, model):
    seen = []

    class Own(ImageClassifier):
        @staticmethod
        def image_processing(image):
            seen.append((image.mode, image.size, image.getexif().get(0x0112)))
            return torch.zeros(3, 8, 8)

    exif = Image.Exif()
    exif[0x0112] = 6
    handler = served(tmp_path, model, Own)
    handler.preprocess([{"data": encoded(picture("L"), exif=exif)}])
    assert seen == [("L", (300, 260), 6)]


def test_transforms_set_on_the_instance_count_too(tmp_path, model):
    handler = served(tmp_path, model)
    handler.image_processing = transforms.Compose([transforms.PILToTensor()])
    assert handler.preprocess([{"data": encoded(picture("L"))}]).shape == (1, 1, 260, 300)


def test_the_default_transforms_are_torchvisions():
    steps = [type(step).__name__ for step in ImageClassifier.image_processing.transforms]
    assert steps == ["Resize", "CenterCrop", "ToTensor", "Normalize"]
    assert ImageClassifier.image_processing is ImageClassifier().image_processing
    assert len(ObjectDetector.image_processing.transforms) == 1


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"data": "hello, world"}, "The text 'hello, world' is no image in base64"),
        ({"data": "x" * 99}, "The text 'xxxxxxxxxxxxxxxxxxxxxxxx…' is no image in base64"),
        ({"data": "data:image/png;base64"}, "The data: URI has no comma"),
        ({"data": b"GIF89a"}, "These 6 bytes are no image that Pillow knows"),
        ({"data": CHINA[:5000]}, "The image cannot be decoded: image file is truncated"),
        ({"data": b""}, "The request is empty"),
        ({"image": CHINA}, "The request has 'image', where 'data' or 'body' is expected"),
        ({}, "The request has nothing, where 'data' or 'body' is expected"),
        ({"data": {"b64": "x"}}, "A dict is neither an image nor nested lists of numbers"),
        ({"data": [[1], [1, 2]]}, "A list is neither an image nor nested lists of numbers"),
    ],
)
def test_what_is_no_image_says_so(tmp_path, model, row, sentence):
    handler = served(tmp_path, model)
    with pytest.raises(PredictionException) as caught:
        handler.preprocess([row])
    assert caught.value.message.startswith(sentence)
    assert caught.value.error_code == 400
    with pytest.raises(PredictionException, match=f"Item 1 of the batch: {sentence[:9]}"):
        handler.preprocess([{"data": CHINA}, row])


def test_images_of_different_sizes_cannot_be_one_batch(tmp_path, model):
    handler = served(tmp_path, model, VisionHandler)
    rows = [{"data": encoded(picture(size=size))} for size in ((8, 9), (9, 8))]
    with pytest.raises(PredictionException, match=r"differ in size \(3×8×9, 3×9×8\)"):
        handler.preprocess(rows)


def test_decompression_bombs_are_refused_unless_the_limit_is_lifted(tmp_path, model, monkeypatch):
    raw = encoded(picture(size=(30, 20)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PredictionException, match=r"too large to be safe.*600 pixels"):
        served(tmp_path, model).preprocess([{"data": raw}])
    handler = served(tmp_path, model, limit_max_image_pixels=False)
    assert handler.preprocess([{"data": raw}]).shape == (1, 3, 224, 224)


def test_vision_handler_answers_with_what_the_model_says(tmp_path, model):
    handler = served(tmp_path, model, VisionHandler)
    raw = encoded(picture(size=(20, 20)))
    with torch.inference_mode():
        expected = model(transforms.ToTensor()(picture(size=(20, 20)))[None])
    torch.testing.assert_close(torch.tensor(answer(handler, [{"data": raw}])), expected)


def test_stages_of_ours_may_overlap():
    from mar_core.ts.adapter import stages_independent

    class Transformed(ImageClassifier):
        image_processing = None

    class Changed(ImageClassifier):
        def postprocess(self, data):
            return data.tolist()

    assert all(map(stages_independent, (ImageClassifier, ObjectDetector, ImageSegmenter)))
    assert stages_independent(Transformed)
    assert not stages_independent(Changed)


class Boxes(torch.nn.Module):
    """Finds one box a corner, as large as the image and with what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[object] = []

    def forward(self, images):
        self.calls.append(tuple(images.shape))
        return [
            {
                "boxes": torch.tensor([[0.0, 0.0, *image.shape[1:]], [0.0, 0.0, 1.0, 1.0]]),
                "labels": torch.tensor([1, 2]),
                "scores": torch.tensor([0.5, 0.4]),
            }
            for image in images
        ]


def test_detection_of_images_of_different_sizes(tmp_path, model):
    handler = served(tmp_path, model, ObjectDetector, labels='{"1": "cat", "2": "dog"}')
    handler.model = Boxes()
    sizes = [(30, 20), (10, 40), (30, 20)]
    results = answer(handler, [{"data": encoded(picture(size=size))} for size in sizes])
    assert results == [[{"cat": [0, 0, height, width], "score": 0.5}] for width, height in sizes]
    assert handler.model.calls == [(2, 3, 20, 30), (1, 3, 40, 10)]
    handler.threshold = 0.1
    (row,) = answer(handler, [{"data": encoded(picture(size=(30, 20)))}])
    assert [next(iter(found)) for found in row] == ["cat", "dog"]
    assert handler.model.calls[-1] == (1, 3, 20, 30)  # a stacked tensor, as in TorchServe


def test_an_object_detector_cannot_explain(tmp_path, model):
    handler = served(tmp_path, model, ObjectDetector)
    with pytest.raises(PredictionException, match="cannot explain"):
        handler.explain_handle(None, [{}])


class Pixels(torch.nn.Module):
    def forward(self, images):
        return {"out": torch.cat([images, -images], dim=1) * 3}


@pytest.mark.parametrize("config", [None, {"handler": {"output": "numbers"}}])
def test_segmentation_in_numbers(tmp_path, model, config):
    handler = served(tmp_path, model, ImageSegmenter, config=config)
    handler.model = Pixels()
    results = answer(handler, [{"data": CHINA}, {"data": FLOWER}])
    batch = torch.stack([PLAIN(Image.open(io.BytesIO(raw))) for raw in (CHINA, FLOWER)])
    probabilities, classes = torch.softmax(Pixels()(batch)["out"], 1).max(1)
    expected = torch.stack([classes.float(), probabilities], 3)
    torch.testing.assert_close(torch.tensor(results), expected, rtol=0, atol=1e-6)


def test_segmentation_as_a_picture(tmp_path, model):
    handler = served(tmp_path, model, ImageSegmenter, config={"handler": {"output": "png"}})
    handler.model = Pixels()
    (raw,) = answer(handler, [{"data": CHINA}])
    image = Image.open(io.BytesIO(raw))
    expected = Pixels()(PLAIN(Image.open(io.BytesIO(CHINA)))[None])["out"].argmax(1)[0]
    assert (np.asarray(image) == expected.numpy()).all()
    assert image.mode == "P"
    assert image.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
    assert len(raw) < 20_000


def test_more_classes_than_a_palette_has_colours(tmp_path, model):
    handler = served(tmp_path, model, ImageSegmenter, config={"handler": {"output": "png"}})
    scores = torch.zeros(1, 300, 2, 2)
    scores[0, 299, 0, 1] = 1
    (raw,) = handler.postprocess({"out": scores})
    assert np.asarray(Image.open(io.BytesIO(raw))).tolist() == [[0, 299], [0, 0]]


def test_an_unknown_output_is_refused(tmp_path, model):
    with pytest.raises(ModelError, match=r"handler\.output is 'jpeg', where numbers or png is"):
        served(tmp_path, model, ImageSegmenter, config={"handler": {"output": "jpeg"}})

    class Own(ImageSegmenter):
        pass

    handler = served(tmp_path / "own", model, Own, config={"handler": {"output": "jpeg"}})
    with pytest.raises(ModelError, match=r"handler\.output is 'jpeg', where numbers or png is"):
        handler.postprocess({"out": torch.zeros(1, 2, 2, 2)})


def test_a_heat_map_of_an_image_too_large_for_quantiles():
    """PyTorch's quantile refuses more than 16 million values."""
    values = torch.zeros(1, 4200, 4000)
    values[0, :100] = 1.0  # more than the strongest hundredth
    picture = Image.open(io.BytesIO(heat_map(values)))
    assert picture.size == (4000, 4200)
    assert picture.getpixel((0, 0)) == (255, 0, 0)
    assert picture.getpixel((0, 4199)) == (255, 255, 255)


# --- what model-config.yaml says


def shape_of(handler, size=(300, 260)):
    return tuple(handler.preprocess([{"data": encoded(picture(size=size))}]).shape[2:])


def configured(tmp_path, model, cls=ImageClassifier, **options):
    return served(tmp_path, model, cls, config={"handler": options})


@pytest.mark.parametrize(
    ("cls", "options", "expected"),
    [
        (ImageClassifier, {}, (224, 224)),
        (ImageClassifier, {"size": 112}, (112, 112)),
        (ImageClassifier, {"size": [100, 150]}, (100, 150)),
        (ImageClassifier, {"size": 112, "resize": 112}, (112, 112)),
        (ImageClassifier, {"resize": 300}, (224, 224)),
        (ImageSegmenter, {"size": 64}, (64, 64)),
        (VisionHandler, {}, (260, 300)),
        (VisionHandler, {"resize": 130}, (130, 150)),
        (VisionHandler, {"size": 128}, (128, 128)),
    ],
)
def test_sizes_come_from_the_config(tmp_path, model, cls, options, expected):
    assert shape_of(configured(tmp_path, model, cls, **options)) == expected


def test_a_size_takes_the_resizing_along(tmp_path, model):
    handler = configured(tmp_path, model, size=112)
    expected = transforms.Compose(
        [
            transforms.Resize(128),
            transforms.CenterCrop(112),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    got = handler.preprocess([{"data": CHINA}])[0]
    torch.testing.assert_close(got, expected(Image.open(io.BytesIO(CHINA))))


@pytest.mark.parametrize(
    ("mean", "std"), [([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]), (0.5, 0.25), (0, None), (None, 2)]
)
@pytest.mark.parametrize("cls", [ImageClassifier, VisionHandler])
def test_means_come_from_the_config(tmp_path, model, cls, mean, std):
    said = {"mean": mean, "std": std}
    options = {name: value for name, value in said.items() if value is not None}
    handler = configured(tmp_path, model, cls, **options, size=224, resize=256)
    imagenet = cls is ImageClassifier
    known = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3}
    wanted = {**(known if imagenet else plain), **options}
    values = {
        name: value if isinstance(value, list) else [value] * 3 for name, value in wanted.items()
    }
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    expected = transforms.Compose([*steps, transforms.Normalize(**values)])
    got = handler.preprocess([{"data": CHINA}])[0]
    torch.testing.assert_close(got, expected(Image.open(io.BytesIO(CHINA))))


def test_pictures_become_rgb_whatever_the_config_says(tmp_path, model):
    handler = configured(tmp_path, model, size=64)
    assert handler.preprocess([{"data": encoded(picture("L"))}]).shape == (1, 3, 64, 64)


def test_topk_comes_from_the_config(tmp_path, model):
    handler = configured(tmp_path, model, topk=2)
    assert len(answer(handler, [{"data": CHINA}])[0]) == 2
    assert handler.get_max_result_classes() == 2
    assert ImageClassifier.topk == 5


def test_the_threshold_comes_from_the_config(tmp_path, model):
    handler = configured(tmp_path, model, ObjectDetector, threshold=0.25)
    assert handler.threshold == 0.25
    row = {
        "boxes": torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 2),
        "labels": torch.tensor([1, 2]),
        "scores": torch.tensor([0.5, 0.2]),
    }
    assert handler.postprocess([row]) == [[{"1": [0.0, 1.0, 2.0, 3.0], "score": 0.5}]]


@pytest.mark.parametrize(
    ("cls", "option", "value"),
    [
        (ImageClassifier, "size", value)
        for value in (0, -1, "224", 2.5, True, [1], [1, 2, 3], [1, 0], None, {"a": 1})
    ]
    + [(ImageSegmenter, "resize", value) for value in (0, "x", [])]
    + [(VisionHandler, "mean", value) for value in ([1, 2], "x", [1, 2, "3"], None, True)]
    + [(VisionHandler, "std", value) for value in (0, [1, 1, 0], -1)]
    + [(ImageClassifier, "topk", value) for value in (0, 1.5, "5", False)]
    + [(ObjectDetector, "threshold", value) for value in (-0.1, 1.1, "0.5", True)]
    + [(ImageSegmenter, "output", value) for value in ("jpg", 1, None, [1])],
)
def test_an_option_that_is_not_what_it_may_be(tmp_path, model, cls, option, value):
    sentence = rf"handler\.{option} is .*, where .* is expected\. It is "
    with pytest.raises(ModelError, match=sentence):
        configured(tmp_path, model, cls, **{option: value})


def test_a_class_of_ones_own_has_keys_of_its_own(tmp_path, model):
    class Own(ImageClassifier):
        topk = 1

    handler = configured(tmp_path, model, Own, size="large", topk="all", mean=0)
    assert handler.options == {}
    assert shape_of(handler) == (224, 224)
    assert len(answer(handler, [{"data": CHINA}])[0]) == 1


def test_a_misspelt_option_is_named(tmp_path, model, caplog):
    configured(tmp_path, model, profile=True, mapping="x")
    assert "has no option" not in caplog.text
    configured(tmp_path / "other", model, top_k=3)
    found = "model-config.yaml: image_classifier has no option 'top_k'; is 'topk' meant?"
    assert found in caplog.messages
