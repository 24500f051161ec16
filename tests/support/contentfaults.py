"""What the files of an archive can hold that they must not, and the rule that says so."""

from __future__ import annotations

import json

import memory_archive

__all__ = [
    "CONFIGS", "MANIFESTS", "REQUIREMENTS", "SOUND_MANIFEST", "changed", "with_model",
    "without_model",
]  # fmt: skip

SOUND_MANIFEST = json.loads(memory_archive.manifest())


def changed(**top: object) -> bytes:
    """The sound manifest with keys at the top replaced; None takes one out."""
    data = {**SOUND_MANIFEST, **top}
    return json.dumps({key: value for key, value in data.items() if value is not None}).encode()


def with_model(**model: object) -> bytes:
    return changed(model={**SOUND_MANIFEST["model"], **model})


def without_model(key: str) -> bytes:
    return changed(
        model={name: value for name, value in SOUND_MANIFEST["model"].items() if name != key}
    )


MANIFESTS = {
    "not JSON": (b"{", "MAR-M002"),
    "empty": (b"", "MAR-M002"),
    "a list": (b"[]", "MAR-M002"),
    "NaN": (b'{"model": NaN}', "MAR-M002"),
    "a key twice": (b'{"model": {}, "model": {}}', "MAR-M002"),
    "a byte order mark": (b"\xef\xbb\xbf" + changed(), "MAR-M002"),
    "UTF-16": (changed().decode().encode("utf-16"), "MAR-M002"),
    "not UTF-8": (b'{"model": "\xff"}', "MAR-M002"),
    "nested deeply": (b'{"model": ' + b"[" * 5000 + b"]" * 5000 + b"}", "MAR-M002"),
    "endless digits": (b'{"model": ' + b"1" * 5000 + b"}", "MAR-M002"),
    "single quotes": (b"{'model': {}}", "MAR-M002"),
    "too large": (b'{"x": "' + b"y" * (1 << 20) + b'"}', "MAR-M002"),
    "no model": (changed(model=None), "MAR-M003"),
    "no name": (without_model("modelName"), "MAR-M003"),
    "an empty name": (with_model(modelName=""), "MAR-M003"),
    "no handler": (without_model("handler"), "MAR-M003"),
    "a null handler": (with_model(handler=None), "MAR-M003"),
    "an empty handler": (with_model(handler=""), "MAR-M003"),
    "model is a list": (changed(model=[]), "MAR-M004"),
    "model is a text": (changed(model="x"), "MAR-M004"),
    "the name is a number": (with_model(modelName=1), "MAR-M004"),
    "the name is true": (with_model(modelName=True), "MAR-M004"),
    "the handler is a list": (with_model(handler=["handler.py"]), "MAR-M004"),
    "the version is a number": (with_model(modelVersion=1.0), "MAR-M004"),
    "a file is an object": (with_model(serializedFile={}), "MAR-M004"),
    "the runtime is a number": (changed(runtime=3), "MAR-M004"),
    "our key is a list": (changed(mar=[]), "MAR-M004"),
    "our members are a list": (changed(mar={"members": []}), "MAR-M004"),
    "a member's entry is a text": (changed(mar={"members": {"a": "b"}}), "MAR-M004"),
    "a digest is a number": (changed(mar={"members": {"a": {"sha256": 1}}}), "MAR-M004"),
    "a size is a text": (changed(mar={"members": {"a": {"size": "1"}}}), "MAR-M004"),
    "our handler is a text": (changed(mar={"handler": "x"}), "MAR-M004"),
    "a name with a slash": (with_model(modelName="a/b"), "MAR-M005"),
    "a name that leads out": (with_model(modelName="../a"), "MAR-M005"),
    "a name with a space": (with_model(modelName="a b"), "MAR-M005"),
    "a name with a line end": (with_model(modelName="a\n"), "MAR-M005"),
    "a name that begins with a dot": (with_model(modelName=".a"), "MAR-M005"),
    "a version with a slash": (with_model(modelVersion="1/../2"), "MAR-M005"),
    "a version that controls": (with_model(modelVersion="1\x1b[2J"), "MAR-M005"),
    "an endless version": (with_model(modelVersion="1" * 200), "MAR-M005"),
    "an unknown runtime": (changed(runtime="java"), "MAR-M006"),
}
NINE_TIMES_NINE = "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 9)
)
MERGES = "".join(
    f"m{level}: &m{level} {{<<: [{', '.join([f'*m{level - 1}'] * 9)}]}}\n" for level in range(1, 9)
)
CONFIGS = {
    "a Python object": (b"a: !!python/object/apply:os.system [true]", "MAR-Y001"),
    "a Java object": (b"a: !!javax.script.ScriptEngineManager []", "MAR-Y001"),
    "a tag of its own": (b"a: !mine 1", "MAR-Y001"),
    "no YAML": (b"a: [1", "MAR-Y001"),
    "a tab": (b"a:\n\t- 1", "MAR-Y001"),
    "two documents": (b"a: 1\n---\nb: 2\n", "MAR-Y001"),
    "not UTF-8": (b"a: \xff", "MAR-Y001"),
    "an impossible date": (b"a: 2024-99-99", "MAR-Y001"),
    "an alias bomb": (f"a0: &a0 [x]\n{NINE_TIMES_NINE}".encode(), "MAR-Y002"),
    "a merge bomb": (f"m0: &m0 {{k: 1}}\n{MERGES}".encode(), "MAR-Y002"),
    "an alias of itself": (b"a: &x [*x]", "MAR-Y002"),
    "many aliases": (b"a: &x 1\nb: [" + b"*x, " * 101 + b"1]", "MAR-Y002"),
    "deep": (b"a: " + b"[" * 100 + b"]" * 100, "MAR-Y002"),
    "many parts": (b"a: [" + b"1, " * 60_000 + b"1]", "MAR-Y002"),
    "endless digits": (b"a: " + b"1" * 5000, "MAR-Y002"),
    "too large": (b"a: " + b"x" * (1 << 20), "MAR-Y002"),
    "a list": (b"[1, 2]", "MAR-Y003"),
    "a text": (b"hello", "MAR-Y003"),
    "a key twice": (b"batchSize: 1\nbatchSize: 2\n", "MAR-Y005"),
    "an inner key twice": (b"handler:\n  a: 1\n  a: 2\n", "MAR-Y005"),
}
REQUIREMENTS = {
    "not UTF-8": (b"numpy\xff\n", "MAR-Q001"),
    "a coding comment": (b"# -*- coding: utf-7 -*-\nnumpy\n", "MAR-Q001"),
    "a control character": (b"numpy\x0b\x00\n", "MAR-Q001"),
    "a direction character": ("numpy\u202e\n".encode(), "MAR-Q001"),
    "a URL": (b"https://example.com/x-1.whl", "MAR-Q002"),
    "a file URL": (b"file:///tmp/x.whl", "MAR-Q002"),
    "a name at a URL": (b"x @ https://example.com/x.whl", "MAR-Q002"),
    "a name at a URL, tight": (b"x@https://example.com/x.whl", "MAR-Q002"),
    "git": (b"git+https://example.com/x.git", "MAR-Q002"),
    "a path": (b"./x", "MAR-Q002"),
    "a path upwards": (b"../x", "MAR-Q002"),
    "an absolute path": (b"/tmp/x", "MAR-Q002"),
    "a windows path": (b"C:\\x", "MAR-Q002"),
    "a wheel of nowhere": (b"x-1.0-py3-none-any.whl", "MAR-Q002"),
    "editable": (b"-e .", "MAR-Q003"),
    "editable, long": (b"--editable=.", "MAR-Q003"),
    "another file": (b"-r other.txt", "MAR-Q003"),
    "constraints": (b"-c other.txt", "MAR-Q003"),
    "an index": (b"--index-url https://example.com/simple", "MAR-Q003"),
    "a short index": (b"-i https://example.com/simple", "MAR-Q003"),
    "links": (b"--find-links https://example.com", "MAR-Q003"),
    "an insecure index": (b"--extra-index-url http://example.com/simple", "MAR-Q003"),
    "a trusted host": (b"--trusted-host example.com", "MAR-Q003"),
    "no index": (b"--no-index", "MAR-Q003"),
    "an option of a package": (b"numpy --global-option=x", "MAR-Q003"),
    "config settings": (b'numpy --config-settings "a=b"', "MAR-Q003"),
    "an option on the next line": (b"numpy \\\n  --global-option=x", "MAR-Q003"),
    "a variable": (b"numpy==${VERSION}", "MAR-Q005"),
    "a windows variable": (b"%HOME%", "MAR-Q005"),
    "two names": (b"numpy pillow", "MAR-Q006"),
    "a sign": (b"!!", "MAR-Q006"),
    "too large": (b"#" * ((1 << 20) + 1), "MAR-Q006"),
    "too many lines": (b"a\n" * 10_002, "MAR-Q001"),
}
