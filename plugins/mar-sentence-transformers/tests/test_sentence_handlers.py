"""Archives answer as sentence-transformers does: one by one, in batches, beside bad items."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from mar_core import ArchiveRequest, Failure, ModelError, UsageError, archive, load, open_archive
from mar_core.testing import HandlerCase, HandlerContract, make_archive

sys.path.insert(0, str(Path(__file__).parent))
import sentence_models as models
from mar_sentence_transformers.importing import import_folder

# The library takes seconds to import: one process does it.
pytestmark = pytest.mark.xdist_group("sentence-transformers")
TEXTS = ["the cat sat on the mat", "the dog ran far", "a", "cat dog mat " * 5, "the dog sat"]
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    """A saved model, and the library's own object of it."""
    from sentence_transformers import SentenceTransformer

    folder = models.sentence_transformer(tmp_path_factory.mktemp("embedder"))
    return folder, SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.fixture(scope="session")
def reranker(tmp_path_factory):
    """Likewise, one that scores pairs."""
    from sentence_transformers import CrossEncoder

    folder = models.cross_encoder(tmp_path_factory.mktemp("reranker"))
    return folder, CrossEncoder(str(folder), device="cpu", local_files_only=True)


def archived(folder, model, handler="sentence_transformer", *, config=None, files=None):
    return make_archive(
        folder,
        handler=handler,
        extra_files=[str(model)],
        config={"handler": config or {}},
        files=files,
    )


class TestEmbeddingContract(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory, embedder):
        return HandlerCase(
            archive=archived(tmp_path_factory.mktemp("contract"), embedder[0]),
            inputs=[{"data": text} for text in TEXTS[:3]],
            bad={"data": 7},
        )


class TestRerankContract(HandlerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory, reranker):
        return HandlerCase(
            archive=archived(tmp_path_factory.mktemp("contract"), reranker[0], "cross_encoder"),
            inputs=[{"query": "the cat", "documents": TEXTS[at:]} for at in range(3)],
            bad={"query": "the cat", "documents": []},
        )


@pytest.fixture(scope="module")
def ranges(embedder):
    found = embedder[1].encode(TEXTS)
    return np.stack([found.min(0), found.max(0)])


@pytest.fixture(scope="module")
def served(tmp_path_factory, embedder, ranges):
    folder = tmp_path_factory.mktemp("served")
    np.save(folder / "ranges.npy", ranges)
    config = {"ranges": "ranges.npy", "batch_size": 2}
    files = {"ranges.npy": (folder / "ranges.npy").read_bytes()}
    with load(archived(folder, embedder[0], config=config, files=files), batch_size=8) as model:
        yield model


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, {}),
        ({"normalize": True}, {"normalize_embeddings": True}),
        ({"dimensions": 6}, {"truncate_dim": 6}),
        (
            {"parameters": {"dimensions": 5, "normalize": "true"}},
            {"truncate_dim": 5, "normalize_embeddings": True},
        ),
        ({"prompt_name": "passage"}, {"prompt_name": "passage"}),
        ({"prompt": b"mat: "}, {"prompt": "mat: "}),
        ({"precision": "binary"}, {"precision": "binary"}),
        ({"precision": "ubinary", "dimensions": "8"}, {"precision": "ubinary", "truncate_dim": 8}),
    ],
)
def test_embeddings_are_those_of_encode(served, embedder, asked, said):
    expected = embedder[1].encode(TEXTS, **said)
    together = served.predict([{"text": text, **asked} for text in TEXTS])
    (listed,) = served.predict([{"data": {"inputs": TEXTS, **asked}}])
    alone = [served.predict([{"body": {"text": text, **asked}}])[0] for text in TEXTS]
    for found in (together, listed, alone):
        np.testing.assert_allclose(found, expected, **CLOSE)
        assert np.asarray(found).dtype == expected.dtype


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_whole_numbers_are_scaled_by_the_ranges_of_the_archive(served, embedder, ranges, precision):
    from sentence_transformers.util import quantize_embeddings

    expected = quantize_embeddings(embedder[1].encode(TEXTS), precision, ranges=ranges)
    found = served.predict([{"text": text, "precision": precision} for text in TEXTS])
    assert np.abs(np.asarray(found, dtype=int) - expected.astype(int)).max() <= 1
    assert found[0].dtype == expected.dtype
    for row in ({"dimensions": 4}, {"normalize": True, "dimensions": 4}):
        (refused,) = served.predict(
            [{"text": "a", "precision": precision, **row}], on_error="return"
        )
        assert "are for 16 dimensions, not 4" in refused.message


def test_queries_and_documents_are_those_of_the_library(served, embedder):
    for task, own in (("query", "encode_query"), ("document", "encode_document")):
        found = served.predict([{"text": text, "task": task} for text in TEXTS])
        np.testing.assert_allclose(found, getattr(embedder[1], own)(TEXTS), **CLOSE)


def test_texts_of_different_prompts_share_a_batch_beside_a_bad_one(served, embedder):
    rows = [
        {"text": TEXTS[0]},
        {"text": TEXTS[1], "prompt_name": "query"},
        {"text": TEXTS[2], "prompt_name": "nobody"},
        {"data": b"\xff"},
        {"body": TEXTS[3].encode()},
        {"text": TEXTS[:2], "usage": True},
    ]
    found = served.predict(rows, on_error="return")
    own = embedder[1]
    np.testing.assert_allclose(found[0], own.encode(TEXTS[0]), **CLOSE)
    np.testing.assert_allclose(found[1], own.encode(TEXTS[1], prompt_name="query"), **CLOSE)
    assert isinstance(found[2], Failure)
    assert "the model has no prompt 'nobody'" in found[2].message.lower()
    assert "not UTF-8" in found[3].message
    np.testing.assert_allclose(found[4], own.encode(TEXTS[3]), **CLOSE)
    np.testing.assert_allclose(found[5]["embedding"], own.encode(TEXTS[:2]), **CLOSE)
    assert found[5]["tokens"] == own.preprocess(TEXTS[:2])["attention_mask"].sum()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"data": 7}, "The text is of type int"),
        ({"data": [1, 2]}, "texts are taken, not tokens"),
        ({"data": ["a", None]}, "Text 1 is of type NoneType"),
        ({"data": []}, "holds no text"),
        ({"data": "a\ud800"}, "holds half of a character"),
        ({"other": "a"}, "holds no text"),
        ({"text": ["a", ""]}, "Text 1 is empty"),
        ({"text": "a", "dimensions": 17}, "the model's embeddings have 16"),
        ({"text": "a", "dimensions": 0}, "Dimensions is 0, where a whole number"),
        ({"text": "a", "prompt": "\ud800"}, "where a text is expected"),
        ({"text": "a", "precision": "int4"}, "one of float32, int8"),
        ({"text": "a", "parameters": {"normalise": True}}, "is 'normalize' meant?"),
        ({"text": "a", "parameters": 3}, "where a mapping is expected"),
    ],
)
def test_what_cannot_be_embedded_says_why(served, row, sentence):
    (found,) = served.predict([row], on_error="return")
    assert sentence in found.message
    assert found.code == 400


def test_the_config_says_what_holds_without_a_word(tmp_path, embedder):
    config = {"prompt_name": "query", "normalize": True, "dimensions": 8, "max_length": 6}
    with load(archived(tmp_path, embedder[0], config=config), batch_size=4) as model:
        embedder[1].max_seq_length, before = 6, embedder[1].max_seq_length
        try:
            said = {"normalize_embeddings": True, "truncate_dim": 8}
            expected = embedder[1].encode(TEXTS[3:], prompt_name="query", **said)
            np.testing.assert_allclose(model.predict(TEXTS[3:]), expected, **CLOSE)
            # A request's own way of prompting takes the place of the config's.
            found = model.predict([{"text": TEXTS[0], "prompt": "", "normalize": False}])
            expected = embedder[1].encode(TEXTS[:1], prompt="", truncate_dim=8)
            np.testing.assert_allclose(found, expected, **CLOSE)
        finally:
            embedder[1].max_seq_length = before


def test_dimensions_that_were_saved_with_the_model_hold_unless_others_are_asked_for(
    tmp_path, embedder
):
    folder = shutil.copytree(embedder[0], tmp_path / "cut")
    config = json.loads((folder / "config_sentence_transformers.json").read_text())
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({**config, "truncate_dim": 6, "default_prompt_name": "passage"})
    )
    with load(archived(tmp_path, folder)) as model:
        expected = embedder[1].encode(TEXTS[:1], prompt_name="passage")
        np.testing.assert_allclose(model.predict(TEXTS[:1]), expected[:, :6], **CLOSE)
        found = model.predict([{"text": TEXTS[0], "dimensions": 16}])
        np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"normalise": True}, "is 'normalize' meant?"),
        ({"dimensions": "many"}, "handler.dimensions is 'many'"),
        ({"dimensions": 99}, "embeddings have 16"),
        ({"prompt_name": "nobody"}, "handler.prompt_name is 'nobody'"),
        ({"precision": "int8"}, "names none as handler.ranges"),
        ({"ranges": "nowhere.npy"}, "has no nowhere.npy"),
        ({"trust_remote_code": True}, "would run code of its own"),
    ],
)
def test_a_config_that_makes_no_sense_is_an_error(tmp_path, embedder, config, sentence):
    with pytest.raises(ModelError, match=sentence):
        load(archived(tmp_path, embedder[0], config=config))


def test_scores_and_rankings_are_those_of_the_library(tmp_path, reranker):
    folder, own = reranker
    pairs = [(TEXTS[0], text) for text in TEXTS]
    with load(archived(tmp_path, folder, "cross_encoder"), batch_size=8) as model:
        scores = own.predict(pairs)
        rows = [{"query": query, "document": text} for query, text in pairs]
        np.testing.assert_allclose(model.predict(rows), scores, **CLOSE)
        np.testing.assert_allclose(model.predict([{"data": pairs}])[0], scores, **CLOSE)
        np.testing.assert_allclose(model.predict([{"data": pairs[1]}])[0], scores[1], **CLOSE)
        asked = {"query": TEXTS[0], "documents": TEXTS, "top_k": 3, "return_documents": True}
        bad = {"query": TEXTS[0], "documents": ["a", 7]}
        ranked, refused = model.predict([asked, bad], on_error="return")
        expected = own.rank(TEXTS[0], TEXTS, top_k=3, return_documents=True)
        assert [one["index"] for one in ranked] == [one["corpus_id"] for one in expected]
        assert [one["text"] for one in ranked] == [one["text"] for one in expected]
        found = [one["score"] for one in ranked]
        np.testing.assert_allclose(found, [one["score"] for one in expected], **CLOSE)
        assert "Document 1 is of type int" in refused.message
        for row in ({"query": "a"}, {"data": "a"}, {"data": ["a", "b", "c"]}):
            (refused,) = model.predict([row], on_error="return")
            assert refused.code == 400
    raw = {"activation": "identity"}
    with load(archived(tmp_path / "raw", folder, "cross_encoder", config=raw)) as model:
        expected = own.predict(pairs[:1], activation_fn=torch.nn.Identity())
        np.testing.assert_allclose(model.predict([{"data": pairs[0]}]), expected, **CLOSE)


def test_a_model_of_several_labels_scores_each_and_ranks_nothing(tmp_path):
    from sentence_transformers import CrossEncoder

    folder = models.cross_encoder(tmp_path / "made", labels=3)
    with load(archived(tmp_path, folder, "cross_encoder")) as model:
        (found,) = model.predict([{"data": [TEXTS[0], TEXTS[1]]}])
        own = CrossEncoder(str(folder), device="cpu", local_files_only=True)
        np.testing.assert_allclose(found, own.predict([(TEXTS[0], TEXTS[1])])[0], **CLOSE)
        asked = {"query": "a", "documents": ["b"]}
        (refused,) = model.predict([asked], on_error="return")
        assert "3 scores for a pair" in refused.message


@pytest.mark.parametrize(
    ("gone", "sentence"),
    [
        ("modules.json config.json", "neither modules.json nor config.json"),
        ("config.json", "lacks config.json"),
        ("model.safetensors", "lacks model.safetensors"),
        ("tokenizer.json", "lacks tokenizer.json"),
        ("1_Pooling/config.json", "lacks 1_Pooling/config.json"),
    ],
)
def test_what_is_missing_is_named(tmp_path, embedder, gone, sentence):
    folder = shutil.copytree(embedder[0], tmp_path / "model")
    for name in gone.split():
        (folder / name).unlink()
        if not any((folder / name).parent.iterdir()):
            (folder / name).parent.rmdir()
    with pytest.raises(ModelError, match=sentence):
        load(archived(tmp_path, folder))


def test_what_would_be_fetched_or_made_up_is_refused(tmp_path, embedder, reranker):
    with pytest.raises(ModelError, match="is a CrossEncoder, which this handler does not run"):
        load(archived(tmp_path / "kind", reranker[0]))
    adapter = shutil.copytree(embedder[0], tmp_path / "adapter")
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    with pytest.raises(ModelError, match="adapter for org/base"):
        load(archived(tmp_path / "a", adapter))
    headless = models.bert(tmp_path / "headless", "BertModel", seed=3)
    with pytest.raises(ModelError, match="no head that scores pairs"):
        load(archived(tmp_path / "h", headless, "cross_encoder"))
    away = shutil.copytree(embedder[0], tmp_path / "away")
    (away / "modules.json").write_text('[{"type": "x.Transformer", "path": "../bert"}]')
    with pytest.raises(ModelError, match="outside the model"):
        load(archived(tmp_path / "b", away))
    broken = shutil.copytree(embedder[0], tmp_path / "broken")
    whole = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**whole, "hidden_size": 32}))
    with pytest.raises(ModelError, match=r"sentence-transformers .* cannot load the model"):
        load(archived(tmp_path / "c", broken))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("modules.json", "[]", "names no module"),
        ("modules.json", '{"a": 1}', "is no list of modules"),
        ("modules.json", "[" * 100_000, "not valid JSON"),
        ("config_sentence_transformers.json", "[]", "holds no JSON object"),
        ("config.json", "\0", "cannot load the model"),
        ("adapter_config.json", "7", "holds no JSON object"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "b.safetensors"}}', None),
    ],
)
def test_files_that_are_not_what_they_should_be(tmp_path, embedder, name, text, sentence):
    folder = shutil.copytree(embedder[0], tmp_path / "model")
    (folder / name).write_text(text)
    if sentence is None:  # the weights are whole, and what lists parts of others is beside them
        load(archived(tmp_path, folder)).close()
        (folder / "model.safetensors").unlink()
        sentence = r"lacks b\.safetensors"
    with pytest.raises(ModelError, match=sentence):
        load(archived(tmp_path / "again", folder))


def test_a_file_that_is_far_too_large_is_not_read_whole(tmp_path):
    (tmp_path / "modules.json").touch()
    os.truncate(tmp_path / "modules.json", 1 << 32)
    with pytest.raises(ModelError, match=r"modules\.json has more than"):
        archive(source=tmp_path, export_path=tmp_path)


def test_code_of_the_model_runs_only_where_it_is_trusted(tmp_path, embedder):
    folder = shutil.copytree(embedder[0], tmp_path / "custom")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "2_Twice", "type": "twice.Twice"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "2_Twice").mkdir()
    (folder / "2_Twice" / "config.json").write_text("{}")
    (folder / "twice.py").write_text(
        "import torch\n"
        "class Twice(torch.nn.Module):\n"
        "    @staticmethod\n"
        "    def load(path):\n"
        "        return Twice()\n"
        "    def forward(self, features):\n"
        "        features['sentence_embedding'] = 2 * features['sentence_embedding']\n"
        "        return features\n"
    )
    with pytest.raises(ModelError, match=r"names twice\.Twice: code of the model's own"):
        load(archived(tmp_path / "un", folder), allow_pickle=True)
    trusting = archived(tmp_path, folder, config={"trust_remote_code": True})
    with pytest.raises(ModelError, match="would run code of its own"):
        load(trusting)
    with load(trusting, allow_pickle=True) as model:
        np.testing.assert_allclose(model.predict(["a"])[0], 2 * embedder[1].encode("a"), **CLOSE)


@pytest.fixture
def littered(tmp_path, embedder):
    """A model's folder as hubs have them, in a folder whose name is no easy one."""
    folder = shutil.copytree(embedder[0], tmp_path / "a b, c=d")
    (folder / "onnx").mkdir()
    for name in ("onnx/model.onnx", "pytorch_model.bin", ".gitattributes", "tf_model.h5"):
        (folder / name).write_bytes(b"not read")
    return folder


def test_an_archive_is_made_from_the_folder(tmp_path, littered, reranker):
    with open_archive(archive(source=littered, export_path=tmp_path)) as made:
        assert set(made.members) - {"MAR-INF/MANIFEST.json"} == {
            "1_Pooling/config.json", "README.md", "config.json",
            "config_sentence_transformers.json", "model.safetensors", "modules.json",
            "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json",
        }  # fmt: skip
        assert made.manifest.handler == "sentence_transformer"
        assert made.manifest.serialized_file == "model.safetensors"
        assert made.manifest.model_name == "a_b_c_d"
    with open_archive(archive("ranks", source=reranker[0], export_path=tmp_path)) as made:
        assert made.manifest.handler == "cross_encoder"


def test_pickled_weights_become_safetensors(tmp_path, embedder):
    folder = shutil.copytree(embedder[0], tmp_path / "old")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    for convert in (None, "safetensors"):
        made = archive(source=folder, export_path=tmp_path, convert=convert, force=True)
        with open_archive(made) as opened:
            pickled = "pytorch_model.bin" in opened.members
        assert pickled == (convert is None)
        with load(made) as model:
            expected = embedder[1].encode(TEXTS[:2])
            np.testing.assert_allclose(model.predict(TEXTS[:2]), expected, **CLOSE)


def test_what_is_no_folder_of_the_librarys_is_told_apart(tmp_path, littered, reranker):
    # Before version 6 a CrossEncoder was a transformer with a word in its config.
    old = shutil.copytree(reranker[0], tmp_path / "old")
    for name in ("modules.json", "config_sentence_transformers.json"):
        (old / name).unlink()
    request = ArchiveRequest(model_name="m", handler="")
    assert import_folder(old, request) is None
    asked = import_folder(old, dataclasses.replace(request, handler="cross_encoder"))
    assert asked.request.handler == "cross_encoder"
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps({**config, "sentence_transformers": {}}))
    assert import_folder(old, request).request.handler == "cross_encoder"
    assert import_folder(littered / "model.safetensors", request) is None
    assert import_folder(tmp_path, request) is None
    (littered / "config_sentence_transformers.json").write_text('{"model_type": "SparseEncoder"}')
    with pytest.raises(UsageError, match="is a SparseEncoder"):
        import_folder(littered, request)
    (old / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"lacks tokenizer\.json"):
        import_folder(old, request)


def test_the_command_line_embeds_and_asks_no_hub(tmp_path, embedder):
    command = [sys.executable, "-m", "mar_core"]
    made = subprocess.run(
        [
            *command,
            "archive",
            "--from",
            embedder[0],
            "--model-name",
            "m",
            "--export-path",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    rows = [{"text": text, "prompt_name": "query"} for text in TEXTS] + [{"text": 7}]
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    done = subprocess.run(
        [*command, "run", tmp_path / "m.mar", source, "--quiet"],
        env={**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = embedder[1].encode(TEXTS, prompt_name="query")
    np.testing.assert_allclose([one["result"] for one in found[:5]], expected, **CLOSE)
    assert found[5]["error"]["code"] == 400
    assert "Loading weights" not in done.stderr
