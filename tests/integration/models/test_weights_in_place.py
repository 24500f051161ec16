"""Weights are read where they lie in the archive; what asks for a path gets one that is there."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import warnings
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from cacheplace import own_cache
from packs import mar
from unpacked import NETWORKS, network
from weightsfiles import saved

from mar_core import ArchiveError, ModelError, ValidationError, load, open_archive
from mar_core.cache import entries as cache
from mar_core.cache.location import memory_place
from mar_core.records import Input, RunOptions, RunSummary
from mar_core.run.local import LocalEngine
from mar_core.runtime.needed import files_for
from mar_core.runtime.recipe import Recipe
from mar_core.testing import make_archive
from mar_core.weights.loading import model_source

PICTURES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
PLAIN = "from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler):\n"


@pytest.fixture(scope="module")
def model():
    return network("colours")


@pytest.fixture(scope="module")
def contents(model):
    """The weights in each format that is read in place."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(model, PICTURES), stream)
    return {
        "w.pt": saved(model.state_dict()),
        "checkpoint.bin": saved({"state_dict": model.state_dict(), "epoch": 3}),
        "w.safetensors": safetensors.torch.save(model.state_dict()),
        "script.pt": stream.getvalue(),
    }


@pytest.fixture
def place(tmp_path, monkeypatch):
    with own_cache(tmp_path, monkeypatch) as place:
        yield place


def made(folder, name, content, *, handler="base_handler", **more):
    """An archive of the network with these weights."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    if "\n" in handler:
        (folder / "handler.py").write_text(handler)
        handler = folder / "handler.py"
    if name != "script.pt":
        more["model_file"] = NETWORKS / "colours.py"
    return make_archive(folder, handler=handler, serialized_file=folder / name, **more)


def answers(archive, **options):
    with load(archive, **options) as served:
        return served.predict([{"data": picture.tolist()} for picture in PICTURES])


def unpacked(place):
    return {path.name for path in place.rglob("*") if path.is_file()} - {"entry.json"}


@pytest.mark.parametrize("name", ["w.pt", "checkpoint.bin", "w.safetensors", "script.pt"])
def test_a_view_answers_as_the_file_does_and_nothing_is_written(
    name, contents, model, place, tmp_path
):
    archive = made(tmp_path, name, contents[name])
    results = answers(archive)
    with torch.inference_mode():
        torch.testing.assert_close(torch.tensor(results), model(PICTURES), rtol=0, atol=1e-6)
    assert unpacked(place) == (set() if name == "script.pt" else {"colours.py", "MANIFEST.json"})


def test_parameters_are_pages_of_the_archive_and_stay_so_when_written_to(contents, place, tmp_path):
    archive = made(tmp_path, "w.safetensors", contents["w.safetensors"])
    before = archive.read_bytes()
    with load(archive) as served:
        parameter = next(served.loaded.instance.model.parameters())
        start, *_ = next(
            line.split()
            for line in Path("/proc/self/maps").read_text().splitlines()
            if str(archive) in line
        )
        low, high = (int(part, 16) for part in start.split("-"))
        assert low <= parameter.data_ptr() < high
        with torch.no_grad():
            parameter.add_(1)
    assert archive.read_bytes() == before


def test_an_archive_that_is_cut_off_ends_what_has_it_mapped_with_a_sentence(
    contents, place, tmp_path
):
    """Not with the signal that Python dies of where it touches a page that is no more."""
    archive = made(tmp_path, "w.safetensors", contents["w.safetensors"])
    row = {"data": PICTURES[0].tolist()}
    with load(archive) as served:
        served.predict([row])
        os.truncate(archive, 100)
        with pytest.raises(ArchiveError, match="has changed since"):
            served.predict([row])


def test_the_same_without_workers(contents, place, tmp_path):
    archive = made(tmp_path, "w.safetensors", contents["w.safetensors"])

    def first():
        return {"data": PICTURES[0].tolist()}

    def rows():
        yield Input(id="0", read=first)
        with archive.open("r+b") as file:
            file.seek(200)
            file.write(b"x")
        yield Input(id="1", read=first)

    options = RunOptions(workers=0, batch_size=1)
    with pytest.raises(ArchiveError, match="has changed since"):
        list(LocalEngine().run(Recipe(source=archive), rows(), options, RunSummary(model="m")))


@pytest.mark.parametrize("shift", [1, 4])
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_weights_at_any_address(name, shift, contents, model, place, tmp_path):
    """As torch-model-archiver's zip-store leaves them: what lies oddly is copied."""
    ours, odd = made(tmp_path, name, contents[name]), tmp_path / "odd.mar"
    with zipfile.ZipFile(ours) as source, zipfile.ZipFile(odd, "w") as target:
        manifest = source.read("MAR-INF/MANIFEST.json")
        target.writestr("pad" + "d" * shift, b"x")
        for member in (name, "colours.py"):
            target.writestr(member, source.read(member))
        target.writestr("MAR-INF/MANIFEST.json", manifest.replace(b'"mar"', b'"was"'))
    with open_archive(odd) as archive:
        assert archive.members[name].offset % 64
    with torch.inference_mode():
        expected = model(PICTURES)
    torch.testing.assert_close(torch.tensor(answers(odd)), expected, rtol=0, atol=1e-6)
    assert name not in unpacked(place)


@pytest.mark.parametrize("value", [{"a": Path("x")}, {"a": [1, 2]}, torch.zeros(2)])
def test_what_torch_refuses_is_refused_alike(value, place, tmp_path):
    archive = made(tmp_path, "w.pt", saved(value), allow_pickle=True)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as source:
        source.extractall(folder)
    said = []
    for form in (archive, folder):
        with pytest.raises((ModelError, ValidationError)) as error, load(form):
            pass
        said.append(error.value.message.replace(str(form), ""))
    assert said[0] == said[1]


POSTPROCESS = "    def postprocess(self, out):\n"
INITIALIZE = "    def initialize(self, context):\n        super().initialize(context)\n"
HANDLERS = {
    "nothing": (PLAIN + "    pass\n", True),
    "stage": (PLAIN + POSTPROCESS + "        return out.tolist()\n", True),
    "initialize": (PLAIN + INITIALIZE, True),
    "manifest": (PLAIN + "    name = 'serializedFile'\n", False),
    "name": (PLAIN + "    name = 'w.pt'\n", False),
    "ending": (PLAIN + "    name = '{}.pt'.format('w')\n", False),
    "beside": (PLAIN + "    import os; name = os.path.dirname(__file__)\n", False),
    "here": (PLAIN + "    name = '.'\n", False),
    "library": (PLAIN + "    make = getattr(dict, 'from_pretrained', None)\n", False),
    "path": (PLAIN + POSTPROCESS + "        return [self.model_pt_path for _ in out]\n", False),
}


@pytest.mark.parametrize("which", HANDLERS)
def test_weights_are_unpacked_where_code_may_look_for_them(which, contents, place, tmp_path):
    handler, apart = HANDLERS[which]
    path = made(tmp_path, "w.pt", contents["w.pt"], handler=handler)
    with open_archive(path) as archive:
        files = files_for(archive, archive.manifest)
    assert files.lies_apart("w.pt") is apart
    small = {"handler.py", "colours.py", "MANIFEST.json"}
    assert unpacked(place) == (small if apart else small | {"w.pt"})


def test_who_asks_for_the_folder_finds_the_weights_in_it(contents, place, tmp_path):
    handler = PLAIN + (
        "    def initialize(self, context):\n"
        "        super().initialize(context)\n"
        "        self.folder = context.system_properties.get('model_dir')\n"
        "    def postprocess(self, out):\n"
        "        return [self.folder for _ in out]\n"
    )
    archive = made(tmp_path, "w.pt", contents["w.pt"], handler=handler)
    with open_archive(archive) as opened:
        assert files_for(opened, opened.manifest).lies_apart("w.pt")
    folder = Path(answers(archive)[0])
    assert (folder / "w.pt").read_bytes() == contents["w.pt"]
    assert (folder / "handler.py").is_file()
    assert len(list(place.iterdir())) == 1


def test_copies_of_the_properties_have_the_folder(contents, place, tmp_path):
    archive = made(tmp_path, "script.pt", contents["script.pt"])
    for how in (dict, pickle.dumps, lambda p: p.copy(), lambda p: {**p}):
        with load(archive) as served:
            assert not unpacked(place)
            copied = how(served.context.system_properties)
            folder = served.context.system_properties["model_dir"]
            assert Path(folder, "script.pt").is_file()
            if isinstance(copied, dict):
                assert copied["model_dir"] == folder
        shutil.rmtree(place)


def test_the_path_is_there_when_it_is_asked_for(contents, place, tmp_path):
    archive = made(tmp_path, "script.pt", contents["script.pt"])
    with load(archive) as served:
        assert not unpacked(place)
        path = Path(served.loaded.instance.model_pt_path)
        assert path.read_bytes() == contents["script.pt"]


def test_a_loader_that_looks_into_the_folder_finds_everything(contents, place, tmp_path):
    """As those of plugins do; what asks for the folder's name alone has not unpacked it."""
    archive = made(tmp_path, "w.safetensors", contents["w.safetensors"])
    with load(archive) as served:
        source = model_source(served.loaded.instance, served.context)
        assert source.in_place
        assert "w.safetensors" not in unpacked(place)
        assert (source.model_dir / "w.safetensors").is_file()
        assert not source.in_place
        assert source.path == source.model_dir / "w.safetensors"
        assert bytes(source.view()) == contents["w.safetensors"]


def test_an_overridden_loader_gets_a_file(contents, model, place, tmp_path):
    handler = PLAIN + (
        "    def _load_pickled_model(self, folder, file, path):\n"
        "        import os\n"
        "        assert os.path.isfile(path)\n"
        "        return super()._load_pickled_model(folder, file, path)\n"
    )
    archive = made(tmp_path, "w.safetensors", contents["w.safetensors"], handler=handler)
    assert len(answers(archive)) == 2
    assert "w.safetensors" in unpacked(place)


def test_no_disk_takes_anything(contents, tmp_path, monkeypatch):
    """A read-only machine: what is built in needs nothing, and small files go to memory."""
    monkeypatch.setenv("MAR_CACHE_DIR", "/dev/null/cache")
    memory = memory_place()
    shutil.rmtree(memory.parent, ignore_errors=True)
    nowhere = {"MAR_CACHE_DIR": "/dev/null/cache", "TMPDIR": "/dev/null"}
    (tmp_path / "rows.jsonl").write_text(f'{{"data": {PICTURES[0].tolist()}}}\n')
    (tmp_path / "h.py").write_text(PLAIN + "    pass\n")
    built_in = made(tmp_path / "a", "script.pt", contents["script.pt"])
    own = made(tmp_path / "b", "w.pt", contents["w.pt"], handler=PLAIN + "    pass\n")
    try:
        for path, files in ((built_in, set()), (own, {"handler.py", "colours.py"})):
            said = mar("run", path, "rows.jsonl", "--quiet", cwd=tmp_path, **nowhere).stdout
            assert '"result"' in said
            assert unpacked(memory) - {"MANIFEST.json"} == files
    finally:
        shutil.rmtree(memory.parent, ignore_errors=True)


def test_damage_is_found_once_for_each_file(contents, place, tmp_path):
    path = made(tmp_path, "w.safetensors", contents["w.safetensors"])
    records = place.parent / "verified-1"
    answers(path)
    (record,) = records.iterdir()
    before = record.stat()
    answers(path)
    assert record.stat() == before
    with open_archive(path) as archive:
        offset = archive.members["w.safetensors"].offset
    content = bytearray(path.read_bytes())
    content[offset + len(contents["w.safetensors"]) - 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValidationError, match="CRC-32 differs"):
        answers(path)
    assert len(list(records.iterdir())) == 1
    cache.clear()
    assert not list(records.iterdir())


def test_an_archive_that_is_replaced_is_read_on_and_one_that_is_edited_is_noticed(
    contents, place, tmp_path
):
    path = made(tmp_path, "w.safetensors", contents["w.safetensors"])
    first, other = path.read_bytes(), tmp_path / "other.mar"
    prepared = Recipe(source=path).prepare()
    other.write_bytes(b"another archive")
    other.replace(path)
    prepared.check_unchanged()
    elsewhere = pickle.loads(pickle.dumps(prepared.files))
    assert bytes(elsewhere.view("w.safetensors")) == contents["w.safetensors"]
    elsewhere.check_views()

    path.write_bytes(first)
    prepared = Recipe(source=path).prepare()
    prepared.files.view("w.safetensors")
    prepared.files.check_views()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    for check in (prepared.files.check_views, prepared.check_unchanged):
        with pytest.raises(ArchiveError, match="has changed since"):
            check()
