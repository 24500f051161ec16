"""From files to a model: what is missing is named, what would run code asks, options count."""

from __future__ import annotations

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_transformers
import torch
from tiny_transformers import close

from mar_core import (
    ArchiveRequest,
    MarError,
    ModelError,
    UsageError,
    ValidationError,
    archive,
    load,
    open_archive,
    validate,
)

TEXT = "the cat sat on the mat"


@pytest.fixture
def folder(saved, tmp_path):
    """Give a copy of a saved model that a test may spoil."""

    def copy(name="text-classification"):
        return Path(shutil.copytree(saved(name), tmp_path / name))

    return copy


def packed_from(source, tmp_path, **flags):
    return archive(source=source, export_path=tmp_path, force=True, **flags)


def refusal(found):
    with pytest.raises(ValidationError) as caught:
        found()
    return "\n".join(str(finding) for finding in caught.value.findings)


def test_a_folder_is_an_archive(folder, tmp_path, loaded):
    made = packed_from(folder(), tmp_path)
    with open_archive(made) as opened:
        assert opened.manifest.handler == "transformers"
        assert opened.manifest.serialized_file == "model.safetensors"
        assert {"config.json", "tokenizer.json"} <= set(opened.members)
    with load(made, device="cpu") as predictor:
        assert predictor.predict([TEXT]) == loaded("text-classification").predict([TEXT])


def test_parts_of_weights_stay_parts(tmp_path, loaded):
    source = tiny_transformers.save("text-generation", tmp_path / "m", max_shard_size="10KB")
    made = packed_from(source, tmp_path)
    with open_archive(made) as opened:
        parts = [name for name in opened.members if name.endswith(".safetensors")]
        assert len(parts) > 2
        assert opened.manifest.serialized_file is None
    request = {"inputs": TEXT, "parameters": {"do_sample": False, "max_new_tokens": 4}}
    with load(made, device="cpu") as predictor:
        assert predictor.predict([request]) == loaded("text-generation").predict([request])
    (source / parts[1]).unlink()
    assert f"names {parts[1]}, which is not there" in refusal(lambda: packed_from(source, tmp_path))


def test_what_training_left_behind_stays_behind(folder, tmp_path):
    source = folder()
    for name in ("training_args.bin", "optimizer.pt", "model.onnx", "tf_model.h5", "train.py"):
        (source / name).write_bytes(b"not needed")
    (source / "checkpoint-7").mkdir()
    with open_archive(packed_from(source, tmp_path)) as opened:
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(opened.members)
        assert not [name for name in opened.members if name.endswith((".bin", ".pt", ".py", ".h5"))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", "[]"),
        ("handler.py", "class EndpointHandler:\n    pass\n"),
        ("config.json", '{"architecture": "resnet18", "pretrained_cfg": {}}'),
        ("config.json", "{}"),
    ],
)
def test_folders_of_others_are_left_to_them(folder, name, content):
    from mar_transformers.importing import import_folder

    source = folder()
    (source / name).write_text(content, encoding="utf-8")
    assert import_folder(source, ArchiveRequest(model_name="x", handler=""), source) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("no JSON", "config.json is not valid JSON: Expecting value"),
        ("[" * 100_000, "config.json is not valid JSON"),
        ("[1]", "config.json holds no JSON object"),
        (None, "config.json has more than"),
    ],
)
def test_a_damaged_config_beside_weights_is_named(folder, tmp_path, content, says):
    from mar_transformers.importing import import_folder

    source, request = folder(), ArchiveRequest(model_name="x", handler="")
    if content is None:
        os.truncate(source / "config.json", 1 << 32)  # is not read whole
    else:
        (source / "config.json").write_text(content)
    with pytest.raises(ModelError, match=says):
        import_folder(source, request, tmp_path)
    (source / "model.safetensors").unlink()
    assert import_folder(source, request, tmp_path) is None, "it may be anybody's"


def test_the_card_says_what_the_class_cannot(folder, tmp_path):
    source = folder("zero-shot-classification")
    card = "---\nlicense: mit\npipeline_tag: zero-shot-classification\n---\n# A model\n"
    (source / "README.md").write_text(card, encoding="utf-8")
    request = {"inputs": TEXT, "parameters": {"candidate_labels": ["good", "bad"]}}
    with load(packed_from(source, tmp_path), device="cpu") as predictor:
        (answer,) = predictor.predict([request])
    assert set(answer["labels"]) == {"good", "bad"}


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ("config.json", "There is no config.json"),
        ("model.safetensors", "There are no weights"),
    ],
)
def test_a_missing_file_is_named_before_anything_is_written(packed, tmp_path, gone, says):
    with open_archive(packed("text-classification")) as opened:
        for name in opened.members:
            if name != gone and not name.startswith("MAR-INF"):
                (tmp_path / name).write_bytes(opened.read(name))
    files = [path for path in tmp_path.iterdir() if path.name != "model.safetensors"]
    weights = None if gone == "model.safetensors" else tmp_path / "model.safetensors"
    found = refusal(
        lambda: archive(
            model_name="m", handler="transformers", version="1", serialized_file=weights,
            extra_files=files, export_path=tmp_path,
        )
    )  # fmt: skip
    assert says in found
    assert "TRANSFORMERS-001" in found


@pytest.mark.parametrize(
    ("name", "gone", "says"),
    [
        ("text-classification", "tokenizer.json", "no tokenizer for text-classification"),
        ("image-classification", "preprocessor_config.json", "no preprocessor_config.json"),
    ],
)
def test_a_missing_part_is_named_and_not_asked_of_the_hub(folder, tmp_path, name, gone, says):
    source = folder(name)
    (source / gone).unlink()
    with pytest.raises(ModelError, match=says):
        load(packed_from(source, tmp_path), device="cpu")


def test_an_adapter_without_its_model_says_which_is_missing(tmp_path):
    source = tmp_path / "adapter"
    source.mkdir()
    (source / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}')
    assert "'acme/base', is not there" in refusal(lambda: packed_from(source, tmp_path))


OWN = """
from transformers import BertConfig, BertForSequenceClassification


class OwnConfig(BertConfig):
    model_type = "own"


class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
"""


def with_code(source):
    """A model whose classes are in a file of its own."""
    config = json.loads((source / "config.json").read_text())
    config["model_type"] = "own"
    config["architectures"] = ["OwnModel"]
    config["auto_map"] = {
        "AutoConfig": "own.OwnConfig",
        "AutoModelForSequenceClassification": "own.OwnModel",
    }
    (source / "config.json").write_text(json.dumps(config))
    (source / "own.py").write_text(OWN, encoding="utf-8")
    return source


def test_code_of_the_model_asks_for_two_words(folder, tmp_path, loaded, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "hub"))
    monkeypatch.syspath_prepend(str(tmp_path / "hub"))
    source, config = with_code(folder()), tmp_path / "model-config.yaml"
    config.write_text("handler: {task: text-classification}\n")
    made = packed_from(source, tmp_path, config_file=config)
    with pytest.raises(ModelError, match="Python files of its own"):
        load(made, device="cpu", allow_pickle=True)
    config.write_text("handler: {task: text-classification, trust_remote_code: true}\n")
    made = packed_from(source, tmp_path, config_file=config)
    with pytest.raises(ModelError, match="asks for trust_remote_code") as caught:
        load(made, device="cpu")
    assert "--trust" in (caught.value.hint or "")
    with load(made, device="cpu", allow_pickle=True) as predictor:
        assert type(predictor.loaded.instance.model).__name__ == "OwnModel"
        assert predictor.predict([TEXT]) == loaded("text-classification").predict([TEXT])


def test_code_in_another_repository_is_not_fetched(folder, tmp_path):
    source = folder()
    config = json.loads((source / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "acme/code--modeling.Net"}
    (source / "config.json").write_text(json.dumps(config))
    assert "in another repository, acme/code" in refusal(lambda: packed_from(source, tmp_path))


def test_a_head_that_is_not_there_is_not_made_up(packed):
    with pytest.raises(ModelError, match=r"no classifier\.bias and 1 more"):
        load(packed("feature-extraction", task="text-classification"), device="cpu")


def test_what_the_library_says_of_weights_is_not_in_the_way_of_results(packed, capfd, caplog):
    """The head of the classifier is left over; transformers reports it in a table."""
    with caplog.at_level("INFO", logger="mar_transformers"):
        load(packed("text-classification", task="feature-extraction"), device="cpu").close()
    assert "classifier" in caplog.text
    assert "classifier" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task": "text-clasification"}, "is 'text-classification' meant?"),
        ({"task": 7}, "handler.task is 7"),
        ({"stream": "yes"}, "handler.stream is 'yes'"),
        ({"output": "jpeg"}, "one of png, numbers or segments"),
        ({"dtyp": "float16"}, "is 'dtype' meant?"),
        ({"parameters": 3}, "handler.parameters is 3"),
        ({"task": "image-classification"}, "no preprocessor_config.json"),
        ({"attn_implementation": "none_such"}, "cannot load the model"),
        ({"dtype": "float17"}, "cannot load the model"),
    ],
)
def test_options_that_are_none_are_named(packed, options, says):
    with pytest.raises(MarError, match=says):
        load(packed("text-classification", **options), device="cpu")


def test_dtype_attention_and_compilation(packed, loaded):
    (expected,) = loaded("text-classification").predict([TEXT])
    made = packed("text-classification", dtype="bfloat16", attn_implementation="eager")
    with load(made, device="cpu") as predictor:
        model = predictor.loaded.instance.model
        assert (model.dtype, model.config._attn_implementation) == (torch.bfloat16, "eager")
        assert close(predictor.predict([TEXT]), [expected], tolerance=0.01)


def test_a_tokenizer_that_knows_no_length_learns_the_models(folder, tmp_path):
    source = folder("token-classification")
    path = source / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["model_max_length"]
    path.write_text(json.dumps(config))
    with load(packed_from(source, tmp_path), device="cpu") as predictor:
        assert predictor.loaded.instance.loaded.pipe.tokenizer.model_max_length == 64
        assert len(predictor.predict(["the cat " * 60])[0]) <= 64


@pytest.mark.parametrize(
    ("pt2", "compiles"),
    [("{compile: {enable: true}}", True), ("{compile: {enable: false}}", False)],
)
def test_pt2_means_what_it_means_everywhere(saved, tmp_path, pt2, compiles):
    config = tmp_path / "model-config.yaml"
    config.write_text(f"pt2: {pt2}\n")
    source = saved("text-classification")
    with load(packed_from(source, tmp_path, config_file=config), device="cpu") as predictor:
        model = predictor.loaded.instance.model
        assert (model._compiled_call_impl is not None) is compiles


def test_pt2_compiles_the_model_in_place(saved, tmp_path):
    config = tmp_path / "model-config.yaml"
    config.write_text("pt2: {compile: {enable: true, backend: eager}}\n")
    source = saved("text-classification")
    with load(packed_from(source, tmp_path, config_file=config), device="cpu") as predictor:
        assert predictor.loaded.instance.model._compiled_call_impl is not None
        assert predictor.predict([TEXT])


@pytest.mark.skipif(find_spec("accelerate") is not None, reason="accelerate is installed")
def test_a_device_map_needs_accelerate(packed):
    with pytest.raises(ModelError, match="needs accelerate") as caught:
        load(packed("text-classification", device_map="auto"), device="cpu")
    assert "mar-transformers[device-map]" in (caught.value.hint or "")


def test_a_sound_archive_has_no_findings(packed):
    with open_archive(packed("text-classification")) as opened:
        assert not [one for one in validate(opened) if one.code.startswith("TRANSFORMERS")]


def test_an_empty_folder_is_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="No importer knows"):
        packed_from(tmp_path / "empty", tmp_path)
