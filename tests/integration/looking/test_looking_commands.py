"""``mar validate``, ``inspect``, ``diff`` and ``cache`` as users type them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
from packs import archive_words, mar, mar_here, model_folder

from mar_core import archive

HANDLER = "def handle(data, context):\n    return data\n"
NEEDS = "numpy\n--extra-index-url https://me:secret@example.com/simple\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return model_folder(tmp_path)


def tensors(path, **arrays):
    safetensors.numpy.save_file(arrays, path)
    return path


def packed(folder, name, **arrays):
    net = folder / "net.py"
    weights = tensors(folder / f"{name}.safetensors", **arrays)
    return archive(
        name, handler="base_handler", version="1.0", model_file=net,
        serialized_file=weights, export_path=folder,
    )  # fmt: skip


def test_validate_says_that_an_archive_is_sound(folder):
    mar_here(*archive_words())
    done = mar("validate", "model.mar", cwd=folder)
    assert (done.stdout, done.stderr) == ("model.mar: sound\n", "")


def test_validate_looks_at_every_archive_and_says_what_is_wrong_with_each(folder):
    mar_here(*archive_words())
    whole = (folder / "model.mar").read_bytes()
    (folder / "cut.mar").write_bytes(whole[: len(whole) // 2])
    (folder / "page.mar").write_text("<html>")
    names = ("cut.mar", "page.mar", "gone.mar", "model.mar")
    done = mar("validate", *names, cwd=folder, code=2)
    assert done.stdout.endswith("model.mar: sound\n")
    for name, words in (("cut", "MAR-A005"), ("page", "MAR-A001"), ("gone", "gone.mar")):
        assert f"{name}.mar" in done.stdout
        assert words in done.stdout
    found = json.loads(mar("validate", "--json", *names, cwd=folder, code=2).stdout)
    assert [one["archive"] for one in found] == list(names)
    assert [one["sound"] for one in found] == [False, False, False, True]
    assert found[0]["findings"][0].keys() >= {"code", "severity", "member", "message", "hint"}
    assert found[2]["failure"]


def test_validate_goes_on_with_warnings(folder):
    (folder / "requirements.txt").write_text(NEEDS)
    done = mar(*archive_words(), cwd=folder)
    assert "MAR-Q004" in done.stderr
    done = mar("validate", "model.mar", cwd=folder)
    assert "MAR-Q004" in done.stdout
    assert "requirements.txt" in done.stdout
    assert "https://…@example.com/simple" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_validate_takes_all_formats(folder):
    for name in ("default", "zip-store", "tgz", "no-archive"):
        mar_here(*archive_words("--archive-format", name, "-f", name=f"m-{name}"))
    names = ("m-default.mar", "m-zip-store.mar", "m-tgz.tar.gz", "m-no-archive")
    done = mar("validate", *names, cwd=folder)
    assert done.stdout.splitlines() == [f"{name}: sound" for name in names]


def test_inspect_shows_what_a_run_would_execute(folder):
    mar_here(*archive_words())
    told = json.loads(mar("inspect", "--json", "model.mar", cwd=folder).stdout)
    assert told["handler"]["entry"] == "handle"
    assert (told["handler"]["origin"], told["handler"]["member"]) == ("archive", "handler.py")
    assert told["weights"] == {
        "member": "weights.safetensors", "format": "safetensors", "parameters": 1 << 14,
        "dtypes": {"float32": 1 << 14}, "tensors": 1, "imports": [], "faults": [],
    }  # fmt: skip
    assert told["requirements"] == ["numpy>=1.26"]
    assert told["config"] == {"batchSize": 4}
    assert {"handler.py", "pkg/sub/data.bin"} <= {member["name"] for member in told["members"]}
    text = mar("inspect", "model.mar", cwd=folder).stdout
    for words in (told["digest"], "handler.py → handle", "16,384 parameters", "numpy>=1.26"):
        assert words in text


def test_inspect_gives_one_digest_for_all_formats(folder):
    digests = set()
    for name in ("default", "zip-store", "tgz", "no-archive"):
        mar_here(*archive_words("--archive-format", name, "-f"))
        path = {"tgz": "model.tar.gz", "no-archive": "model"}.get(name, "model.mar")
        digests.add(json.loads(mar("inspect", "--json", path, cwd=folder).stdout)["digest"])
    assert len(digests) == 1


def test_diff_goes_down_to_the_tensors(folder):
    one = np.arange(6, dtype=np.float32).reshape(2, 3)
    step = np.array([0, 0, 0.25])
    same, wide = np.zeros(4, np.int64), np.zeros((3, 3), np.float32)
    packed(folder, "a", moved=one, same=same, shape=one, kind=one, gone=one)
    packed(folder, "b", moved=one + step, same=same, shape=wide, kind=one.astype(np.float16),
           new=one)  # fmt: skip
    told = json.loads(mar("diff", "--json", "a.mar", "b.mar", cwd=folder).stdout)
    found = {tensor.pop("name"): tensor for tensor in told["tensors"]}
    assert found == {
        "moved": {"before": "float32[2, 3]", "after": "float64[2, 3]", "largest": 0.25},
        "shape": {"before": "float32[2, 3]", "after": "float32[3, 3]", "largest": None},
        "kind": {"before": "float32[2, 3]", "after": "float16[2, 3]", "largest": 0.0},
        "gone": {"before": "float32[2, 3]", "after": None, "largest": None},
        "new": {"before": None, "after": "float32[2, 3]", "largest": None},
    }
    assert told["same_tensors"] == 1
    assert [change["name"] for change in told["added"]] == ["b.safetensors"]
    assert [change["name"] for change in told["removed"]] == ["a.safetensors"]
    text = mar("diff", "a.mar", "b.mar", cwd=folder).stdout
    assert "largest difference 0.25" in text


def test_diff_compares_weights_of_two_formats(folder):
    import torch

    array = np.arange(6, dtype=np.float32)
    packed(folder, "a", weight=array)
    torch.save({"weight": torch.from_numpy(array)}, folder / "w.pt")
    archive("b", handler="base_handler", version="1.0", model_file=folder / "net.py",
            serialized_file=folder / "w.pt", export_path=folder)  # fmt: skip
    told = json.loads(mar("diff", "--json", "a.mar", "b.mar", cwd=folder).stdout)
    assert told["tensors"] == []
    assert told["same_tensors"] == 1


def test_diff_says_when_nothing_differs_and_by_its_exit_code_when_asked(folder):
    packed(folder, "a", weight=np.zeros(3, np.float32))
    packed(folder, "b", weight=np.ones(3, np.float32))
    assert "are the same" in mar("diff", "--exit-code", "a.mar", "a.mar", cwd=folder).stdout
    mar("diff", "--exit-code", "a.mar", "b.mar", cwd=folder, code=1)
    mar("diff", "a.mar", "b.mar", cwd=folder)
    assert "gone.mar" in mar("diff", "a.mar", "gone.mar", cwd=folder, code=2).stderr


def test_diff_names_what_it_cannot_compare(folder):
    for name, text in (("a", "x"), ("b", "y")):
        (folder / "w.txt").write_text(text)
        archive(name, handler=folder / "handler.py", version="1", serialized_file=folder / "w.txt",
                export_path=folder)  # fmt: skip
    told = json.loads(mar("diff", "--json", "a.mar", "b.mar", cwd=folder).stdout)
    assert [change["name"] for change in told["changed"]] == ["w.txt"]
    assert "text files do not list" in told["note"]


def test_cache_shows_what_runs_left_there_and_clears_it(folder):
    place = {"MAR_CACHE_DIR": str(folder / "cache")}
    mar_here(*archive_words())
    (folder / "in.txt").write_text("x")
    for _ in range(2):
        mar("run", "model.mar", "in.txt", cwd=folder, **place)
    told = json.loads(mar("cache", "--json", cwd=folder, **place).stdout)
    (entry,) = told["entries"]
    made_from = str(folder / "model.mar")
    assert (entry["name"], entry["source"], entry["in_use"]) == ("model", made_from, False)
    assert 0 < entry["size"] == told["size"] < (folder / "model.mar").stat().st_size
    assert "1 archive" in mar("cache", cwd=folder, **place).stdout
    mar("cache", "--clear", "--older-than", "1", cwd=folder, **place)
    assert json.loads(mar("cache", "--json", cwd=folder, **place).stdout)["entries"]
    assert "Removed 1 archive" in mar("cache", "--clear", cwd=folder, **place).stdout
    assert not json.loads(mar("cache", "--json", cwd=folder, **place).stdout)["entries"]
    assert not list((folder / "cache").rglob("handler.py"))


@pytest.mark.parametrize("words", [["validate"], ["inspect"], ["diff", "a.mar"]])
def test_without_an_archive(words, folder):
    assert "Traceback" not in mar(*words, cwd=folder, code=2).stderr
