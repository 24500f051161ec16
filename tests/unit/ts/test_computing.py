"""How a network computes as `handler:` says: dtypes, memory formats, CUDA graphs."""

from __future__ import annotations

import io
import pickle

import pytest
import torch
from PIL import Image
from unpacked import initialized, network, network_source, unpack
from weightsfiles import saved

from builtin_handlers.image_classifier import ImageClassifier
from builtin_handlers.object_detector import ObjectDetector
from builtin_handlers.vision_handler import VisionHandler
from mar_core import BaseHandler, ModelError
from mar_core.ts.compile import keeps_outputs
from mar_core.ts.computing import MOST_SHAPES, Computing, Graphed, ModelOptions, computing

# What docs/reference/model-config.md promises of probabilities and scores.
TOLERANCE = {"bfloat16": 0.02, "float16": 0.005, "float32": 1e-5}


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(0)
    found = []
    for shade in (40, 120, 200):
        pixels = (torch.rand(240, 250, 3) * 50 + shade).to(torch.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels.numpy()).save(stream, "PNG")
        found.append({"data": stream.getvalue()})
    return found


def handler_of(folder, cls, name="colours", **options):
    files = {"w.pt": saved(network(name).state_dict()), "model.py": network_source(name)}
    context = unpack(
        folder, files, config={"handler": options}, serializedFile="w.pt", modelFile="model.py"
    )
    return initialized(cls(), context)


def answer(handler, rows):
    return handler.postprocess(handler.inference(handler.preprocess(rows)))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_answers_in_another_dtype_are_within_its_tolerance(
    tmp_path, pictures, dtype, channels_last
):
    plain = answer(handler_of(tmp_path / "a", ImageClassifier), pictures)
    options = {"dtype": dtype, "channels_last": channels_last}
    handler = handler_of(tmp_path / "b", ImageClassifier, **options)
    assert {one.dtype for one in handler.model.parameters()} == {getattr(torch, dtype)}
    weight = handler.model.features.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    for got, expected in zip(answer(handler, pictures), plain, strict=True):
        assert got == pytest.approx(expected, abs=TOLERANCE[dtype])
    assert handler.inference(handler.preprocess(pictures)).dtype is torch.float32


def test_explanations_too(tmp_path, pictures):
    handler = handler_of(tmp_path, ImageClassifier, dtype="bfloat16", channels_last=True)
    data = handler.preprocess(pictures[:1])
    (found,) = handler.explain_handle(data, [{}])
    assert found["attributions"].dtype is torch.float32
    assert torch.isfinite(found["attributions"]).all()


def test_whole_numbers_stay_whole(tmp_path):
    class Look(torch.nn.Module):
        def forward(self, numbers, *, words):
            return {"numbers": numbers, "words": (words, numbers * 0.5)}

    made = computing(Look(), ModelOptions(dtype="bfloat16"), device="cpu")
    found = made(torch.tensor([1, 2]), words="as they are")
    assert found["numbers"].dtype is torch.int64
    assert found["words"][0] == "as they are"
    assert found["words"][1].dtype is torch.float32


def test_a_detector_keeps_its_weights(tmp_path, pictures):
    handler = handler_of(tmp_path, ObjectDetector, "spots", dtype="bfloat16")
    assert {one.dtype for one in handler.model.parameters()} == {torch.float32}
    assert len(answer(handler, pictures)) == len(pictures)


def test_a_detector_of_torchvisions_in_bfloat16():
    detection = pytest.importorskip("torchvision.models.detection")
    torch.manual_seed(0)
    network = detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4
    ).eval()
    options = ModelOptions(dtype="bfloat16")
    made = computing(network, options, device="cpu", autocast=True)
    with torch.inference_mode():
        (found,) = made(torch.rand(1, 3, 40, 40))
    assert found["boxes"].dtype is torch.float32
    assert found["boxes"].shape[1] == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "int8"}, "handler.dtype is 'int8', where one of bfloat16"),
        ({"dtype": 16}, "handler.dtype is 16"),
        ({"channels_last": "yes"}, "handler.channels_last is 'yes', where true or false"),
        ({"cuda_graphs": 1}, "handler.cuda_graphs is 1"),
    ],
)
def test_an_option_that_is_not_what_it_may_be(tmp_path, options, sentence):
    with pytest.raises(ModelError, match=sentence):
        handler_of(tmp_path, VisionHandler, **options)


def test_a_class_of_ones_own_says_anew_that_it_has_them(tmp_path):
    class Own(VisionHandler):
        pass

    class Saying(VisionHandler):
        model_options = True

    own = handler_of(tmp_path / "a", Own, dtype="whatever it means there")
    assert own.model.features.weight.dtype is torch.float32
    saying = handler_of(tmp_path / "b", Saying, dtype="float16")
    assert saying.model.features.weight.dtype is torch.float16


def test_base_handler_has_them(tmp_path):
    handler = handler_of(tmp_path, BaseHandler, dtype="bfloat16")
    data = torch.rand(2, 3, 8, 8).tolist()
    plain = network("colours")(torch.tensor(data))
    torch.testing.assert_close(torch.tensor(answer(handler, data)), plain, atol=0.05, rtol=0.05)


def test_what_was_exported_keeps_its_dtype():
    class Exported:
        def __call__(self, numbers):
            return numbers

    with pytest.raises(ModelError, match=r"handler\.dtype, and the model is a Exported"):
        computing(Exported(), ModelOptions(dtype="bfloat16"), device="cpu")


def test_nothing_said_is_the_network_itself():
    model = network("colours")
    assert computing(model, ModelOptions(), device="cpu") is model
    assert computing(model, ModelOptions(cuda_graphs=True), device="cpu") is model
    assert computing(model, ModelOptions(), device="cpu", keeps_outputs=True) is model


def test_it_pickles():
    made = computing(network("colours"), ModelOptions(dtype="bfloat16"), device="cpu")
    again = pickle.loads(pickle.dumps(made))
    with torch.inference_mode():
        assert torch.equal(again(torch.ones(1, 3, 8, 8)), made(torch.ones(1, 3, 8, 8)))


@pytest.mark.parametrize(
    ("pt2", "kept"),
    [
        ("inductor", False),
        ({"mode": "reduce-overhead"}, True),
        ({"options": {"triton.cudagraphs": True}}, True),
        ({"compile": {"enable": True, "mode": "max-autotune"}}, True),
        ({"compile": {"enable": False, "mode": "max-autotune"}}, False),
        (None, False),
    ],
)
def test_which_compiled_models_overwrite_their_outputs(pt2, kept):
    assert keeps_outputs({"pt2": pt2}) is kept


def test_what_overwrites_its_outputs_is_copied():
    place = torch.zeros(2)

    def network(number):
        return place.fill_(number)

    made = Computing(network, dtype=None, clones=True)
    first, second = made(1), made(2)
    assert (first.tolist(), second.tolist()) == ([1, 1], [2, 2])


class Tape:
    """A recording that is played on the CPU."""

    def __init__(self, network, leaves, spec):
        if any(leaf.dim() == 3 for leaf in leaves):
            raise RuntimeError("operation not permitted when stream is capturing")
        self.network = network
        self.played = 0

    def play(self, leaves):
        self.played += 1
        return self.network(*leaves)


def test_recordings_by_shape(caplog):
    tapes, direct = [], []

    def network(numbers):
        direct.append(tuple(numbers.shape))
        return numbers * 2

    def record(*given):
        tapes.append(Tape(*given))
        return tapes[-1]

    graphed = Graphed(network, record=record)
    with torch.inference_mode():
        for size in (4, 4, 3, 4):
            assert torch.equal(graphed(torch.ones(size)), torch.full((size,), 2.0))
        assert [tape.played for tape in tapes] == [3, 1]
        for size in range(10, 10 + MOST_SHAPES):
            graphed(torch.ones(size))
        assert len(tapes) == MOST_SHAPES
        graphed(torch.ones(1, 1, 1))
        graphed(torch.ones(4, dtype=torch.float64))
    assert len(tapes) == MOST_SHAPES
    graphed(torch.ones(4))  # with gradients
    assert tapes[0].played == 3


def test_what_cannot_be_recorded_is_run(caplog):
    graphed = Graphed(lambda numbers: numbers + 1, record=Tape)
    with torch.inference_mode():
        for _ in range(2):
            assert graphed(torch.zeros(1, 1, 1)).item() == 1
    assert len(caplog.messages) == 1
    assert "handler.cuda_graphs has no effect on this shape" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recordings_on_a_device():
    model = network("colours").cuda()
    graphed = computing(model, ModelOptions(cuda_graphs=True), device="cuda")
    with torch.inference_mode():
        batches = [torch.rand(size, 3, 32, 32, device="cuda") for size in (4, 4, 2, 4)]
        outputs = [graphed(batch) for batch in batches]
        for batch, output in zip(batches, outputs, strict=True):
            torch.testing.assert_close(output, model(batch))
