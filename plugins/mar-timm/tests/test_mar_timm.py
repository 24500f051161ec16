"""Archives answer as timm does on the same picture: one by one, in batches, beside bad items."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import serving
import timm
import torch
from mar_timm.importing import import_folder
from PIL import Image
from timm.models import save_for_hf

import mar_core
from mar_core import ArchiveRequest, Failure, ModelError, UsageError, load, open_archive
from mar_core.testing import HandlerCase, HandlerContract, make_archive

pytestmark = pytest.mark.xdist_group("timm")
NAMES = ["cat", "dog", "crane", "crane"]
SHOWN = ["cat", "dog", "crane (2)", "crane (3)"]
CLOSE = {"rtol": 0, "atol": 1e-5}


def made(folder, name="test_resnet", *, labels=None, safe=True, **arguments):
    """A small model with a fixed seed, far from zero, as timm itself saves it."""
    torch.manual_seed(5)
    model = timm.create_model(name, **arguments).eval()
    with torch.no_grad():
        model.get_classifier().weight.normal_(std=2.0)
    config = None if labels is None else {"label_names": labels}
    save_for_hf(model, folder, safe_serialization=safe, model_config=config)
    return model


def picture(seed, size=(200, 170), mode="RGB"):
    numbers = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(numbers).resize(size).convert(mode)


def encoded(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


PICTURES = [picture(1), picture(2, (160, 220)), picture(3, (300, 300))]
ROWS = [{"data": encoded(image)} for image in PICTURES]


def transformed(model, images):
    """The pictures as timm's documentation prepares them."""
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    return torch.stack([transform(image.convert("RGB")) for image in images])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    return folder, made(folder, num_classes=4, labels=NAMES)


def archived(folder, source, *, config=None, files=None, **flags):
    path = None
    if config is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "model-config.yaml"
        path.write_text(json.dumps({"handler": config}))
    extra = []
    for name, content in (files or {}).items():
        (folder / name).write_text(content)
        extra.append(folder / name)
    return mar_core.archive(
        source=source, export_path=folder, config_file=path, extra_files=extra, force=True, **flags
    )


class TestContract(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory, saved):
        archive = archived(tmp_path_factory.mktemp("contract"), saved[0])
        return HandlerCase(archive=archive, inputs=ROWS, bad={"data": b"no picture"})


def test_the_most_probable_classes_are_those_of_timm(tmp_path, saved):
    folder, own = saved
    with torch.inference_mode():
        expected = own(transformed(own, PICTURES)).softmax(1)
    with load(archived(tmp_path, folder, config={"topk": 3}), batch_size=4) as model:
        together = model.predict([ROWS[0], {"data": "!"}, *ROWS[1:]], on_error="return")
        assert isinstance(together.pop(1), Failure)
        alone = [model.predict([row])[0] for row in ROWS]
    for found in (together, alone):
        for row, scores in zip(found, expected, strict=True):
            best = scores.argsort(descending=True)[:3].tolist()
            assert list(row) == [SHOWN[at] for at in best]
            np.testing.assert_allclose(list(row.values()), scores[best], **CLOSE)


def test_pictures_are_made_upright_and_rgb(tmp_path, saved):
    turned = PICTURES[0].transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    stream = io.BytesIO()
    turned.save(stream, "PNG", exif=exif)
    clear = PICTURES[1].convert("RGBA")
    with load(archived(tmp_path, saved[0]), batch_size=4) as model:
        rows = [stream.getvalue(), ROWS[0]["data"], encoded(clear), ROWS[1]["data"]]
        found = model.predict([{"data": row} for row in rows])
        prepared = transformed(saved[1], PICTURES[:1])[0].tolist()
        (numbers,) = model.predict([{"data": prepared}])
    for one, other in ((0, 1), (2, 3)):
        assert found[one] == pytest.approx(found[other], abs=1e-5)
    assert numbers == pytest.approx(found[1], abs=1e-5)


def test_features_are_those_of_timm(tmp_path, saved):
    folder, own = saved
    bare = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.inference_mode():
        inner = bare.forward_features(transformed(own, PICTURES))
        expected = bare.forward_head(inner, pre_logits=True)
    config = {"output": "features", "channels_last": True}
    with load(archived(tmp_path, folder, config=config), batch_size=4) as model:
        found = model.predict(ROWS)
    assert [tuple(one.shape) for one in found] == [(96,)] * 3
    np.testing.assert_allclose(torch.stack(found), expected, **CLOSE)


def test_names_may_come_with_the_archive_and_scores_may_be_for_each_class(tmp_path, saved):
    folder, own = saved
    names = {"index_to_name.json": json.dumps({"0": "chat", "2": ["n1", "grue"]})}
    with torch.inference_mode():
        expected = own(transformed(own, PICTURES[:1])).sigmoid()[0]
    archive = archived(tmp_path, folder, config={"activation": "sigmoid"}, files=names)
    with load(archive) as model:
        (found,) = model.predict(ROWS[:1])
    named = dict(zip(["chat", "dog", "grue", "crane"], expected.tolist(), strict=True))
    assert found == pytest.approx(named, abs=1e-5)


def test_imagenets_classes_have_its_names_and_no_two_are_alike(tmp_path):
    own = made(tmp_path / "model")
    with torch.inference_mode():
        best = own(transformed(own, PICTURES[:1])).argmax().item()
    with load(archived(tmp_path, tmp_path / "model", config={"topk": 1000})) as model:
        (found,) = model.predict(ROWS[:1])
    info = timm.data.ImageNetInfo("imagenet-1k")
    assert next(iter(found)).startswith(info.index_to_description(best))
    assert len(found) == 1000
    assert {"tench, Tinca tinca", "crane (134)", "crane (517)"} <= set(found)


def test_a_model_of_one_channel_gets_grey_and_others_numbers(tmp_path):
    for channels in (1, 4):
        made(tmp_path / str(channels), num_classes=3, in_chans=channels)
        with load(archived(tmp_path, tmp_path / str(channels))) as model:
            if channels == 1:
                own = timm.create_model(f"local-dir:{tmp_path / '1'}", pretrained=True).eval()
                config = timm.data.resolve_model_data_config(own)
                assert len(config["mean"]) == 1
                transform = timm.data.create_transform(**config, is_training=False)
                grey = transform(PICTURES[0].convert("L"))[None]
                with torch.inference_mode():
                    expected = own(grey).softmax(1).sort(descending=True).values[0]
                (found,) = model.predict(ROWS[:1])
                assert sorted(found) == ["0", "1", "2"]
                np.testing.assert_allclose(list(found.values()), expected, **CLOSE)
                continue
            (refused,) = model.predict(ROWS[:1], on_error="return")
            assert "takes 4 channels" in refused.message
            numbers = torch.zeros(4, 160, 160).tolist()
            assert len(model.predict([{"data": numbers}])[0]) == 3


def test_weights_alone_run_where_the_config_names_their_model(tmp_path, saved):
    weights = tmp_path / "tuned.safetensors"
    weights.write_bytes((saved[0] / "model.safetensors").read_bytes())
    folder = tmp_path / "out"

    def archive(**handler):
        return make_archive(
            folder, handler="timm", serialized_file=weights, config={"handler": handler}, force=True
        )

    with torch.inference_mode():
        expected = saved[1](transformed(saved[1], PICTURES[:1])).softmax(1)
    with load(archive(architecture="test_resnet", num_classes=4)) as model:
        (found,) = model.predict(ROWS[:1])
    ordered = [found[str(at)] for at in range(4)]
    np.testing.assert_allclose(ordered, expected[0], **CLOSE)
    made(tmp_path / "grey", num_classes=4, in_chans=1)
    weights.write_bytes((tmp_path / "grey" / "model.safetensors").read_bytes())
    grey = {"architecture": "test_resnet", "num_classes": 4, "model_args": {"in_chans": 1}}
    with load(archive(**grey)) as model:
        assert len(model.predict(ROWS[:1])[0]) == 4
    made(tmp_path / "small", "test_vit", num_classes=2, img_size=96)
    weights.write_bytes((tmp_path / "small" / "model.safetensors").read_bytes())
    small = {"architecture": "test_vit", "num_classes": 2, "model_args": {"img_size": 96}}
    with load(archive(**small)) as model:
        assert len(model.predict(ROWS[:1])[0]) == 2
    weights.write_bytes((saved[0] / "model.safetensors").read_bytes())
    for handler, sentence in (
        ({"architecture": "test_resnet", "num_classes": 5}, "size mismatch for fc.weight"),
        ({"architecture": "test_resnet"}, "size mismatch for fc.weight"),
        ({"architecture": "resnet5000"}, "Unknown model"),
        ({"num_classes": 4}, "has no config.json"),
        ({"architecture": 5}, "handler.architecture is 5"),
        ({"top_k": 5}, "is 'topk' meant"),
    ):
        with pytest.raises(ModelError, match=sentence):
            load(archive(**handler))


def test_what_is_missing_or_elsewhere_is_named(tmp_path, saved):
    config = json.loads((saved[0] / "config.json").read_text())
    config["pretrained_cfg"] |= {"url": "http://127.0.0.1:9/w.pth", "hf_hub_id": "org/model"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="and no weights"):
        mar_core.archive(source=tmp_path, export_path=tmp_path)
    bare = make_archive(tmp_path / "a", handler="timm", extra_files=[str(tmp_path / "config.json")])
    with pytest.raises(ModelError, match="The archive has no weights"):
        load(bare)
    # A hub and a URL in the config are not asked where the weights are there.
    (tmp_path / "model.safetensors").write_bytes((saved[0] / "model.safetensors").read_bytes())
    with load(archived(tmp_path / "b", tmp_path)) as model:
        assert list(model.predict(ROWS[:1])[0])
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(mar_core.MarError):
        load(archived(tmp_path / "c", tmp_path))
    other = {"model_type": "timm_wrapper", "architecture": "resnet18"}
    for text in (json.dumps(other), "{", "[]", "{}"):
        (tmp_path / "config.json").write_text(text)
        assert import_folder(tmp_path, ArchiveRequest(model_name="m", handler="")) is None
    os.truncate(tmp_path / "config.json", 1 << 32)  # is not read whole
    assert import_folder(tmp_path, ArchiveRequest(model_name="m", handler="")) is None


def test_pickled_weights_become_safetensors(tmp_path):
    own = made(tmp_path / "old", num_classes=4, labels=NAMES, safe=False)
    archive = archived(tmp_path, tmp_path / "old", convert="safetensors")
    with open_archive(archive) as opened:
        assert opened.manifest.serialized_file == "model.safetensors"
    with torch.inference_mode():
        best = own(transformed(own, PICTURES)).argmax(1).tolist()
    with load(archive, batch_size=3) as model:
        assert [next(iter(row)) for row in model.predict(ROWS)] == [SHOWN[at] for at in best]


def test_the_command_line_and_the_server(tmp_path, saved):
    command = [sys.executable, "-m", "mar_core"]

    def done(*words):
        return subprocess.run(
            [*command, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        ).stdout

    done("archive", "--from", saved[0], "--model-name", "animals")
    (tmp_path / "one.png").write_bytes(ROWS[0]["data"])
    ran = json.loads(done("run", "animals.mar", "one.png", "--quiet"))["result"]
    with torch.inference_mode():
        scores = saved[1](transformed(saved[1], PICTURES[:1])).softmax(1)[0].tolist()
    assert ran == pytest.approx(dict(zip(SHOWN, scores, strict=True)), abs=1e-5)
    with (
        serving.running(tmp_path / "animals.mar", folder=tmp_path) as server,
        server.client() as client,
    ):
        answer = client.post("/predictions/animals", content=ROWS[0]["data"])
        assert answer.json() == pytest.approx(ran, abs=1e-5)
        assert client.post("/predictions/animals", content=b"no picture").status_code == 400
