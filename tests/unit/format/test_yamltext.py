"""model-config.yaml of an archive that may come from anybody."""

from __future__ import annotations

import pytest

from mar_core import ArchiveError, read_model_config
from mar_core.format.manifest import Manifest
from mar_core.format.sources import Sources


def read(tmp_path, content, name="model-config.yaml"):
    model = {"modelName": "m", "handler": "h", **({"configFile": name} if name else {})}
    members = {}
    if content is not None:
        path = tmp_path / "model-config.yaml"
        path.write_bytes(content)
        members["model-config.yaml"] = path
    return read_model_config(Sources(Manifest({"model": model}), members))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"handler: {topk: 3}", {"handler": {"topk": 3}}), (b"", {}), (b"# nothing", {}),
        (None, {}),
    ],
)  # fmt: skip
def test_what_it_holds(tmp_path, content, found):
    assert read(tmp_path, content) == found
    assert read(tmp_path, content, None) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[1]", "is no mapping"),
        (b"a: [", "model-config.yaml: The file is not plain YAML"),
        (b"a: !!python/object:os.x {}", "has the tag"),
        (b"a: &a [1]\nb: &b [" + b"*a," * 90 + b"]\nc: [" + b"*b," * 9 + b"]", None),
        (b"x: " + b"y" * (1 << 20), "has more than 1,048,576 bytes"),
    ],
)
def test_what_is_none_says_so(tmp_path, content, says):
    if says is None:
        assert len(read(tmp_path, content)["c"]) == 9
        return
    with pytest.raises(ArchiveError, match=says):
        read(tmp_path, content)
