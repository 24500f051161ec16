"""Whether an archive can run on this machine: every reason is said, with its remedy."""

from __future__ import annotations

import json

import hostile_pickles
import onnx
import pytest
import torch
from handlerdirs import lay_out

from mar_core.reports.doctor.archive import check_here
from mar_core.reports.doctor.packages import statuses
from mar_core.testing import make_archive

ECHO = "def handle(data, context):\n    return data\n"
BASE = "from ts.torch_handler.base_handler import BaseHandler\n\nclass H(BaseHandler):\n    pass\n"


def said(path, *, only, found=()):
    """The states and sentences of the checks of these names."""
    return [(c.state.value, str(c)) for c in check_here(path, found) if c.name in only]


def folder(tmp_path, files=None, **model):
    return lay_out(tmp_path / "m", {"handler.py": ECHO, **(files or {})}, **model)[1]


def test_a_good_archive_has_nothing_to_mend(tmp_path):
    archive = make_archive(tmp_path, handler="base_handler", model=torch.nn.Identity(),
                           model_file=_identity(tmp_path))  # fmt: skip
    checks = list(check_here(archive, []))
    assert {check.state.value for check in checks} == {"ok"}
    assert [str(check) for check in checks] == [
        "handler: builtin_handlers.base_handler:BaseHandler of mar-core 0.1.0",
        "weights: weights.pt is torch",
    ]


def _identity(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import torch\n\nclass Net(torch.nn.Identity):\n    pass\n")
    return path


@pytest.mark.parametrize("name", ["nothing.mar", "text.mar", "cut.mar"])
def test_what_is_no_archive_is_one_error(tmp_path, name):
    (tmp_path / "text.mar").write_text("hello")
    good = make_archive(tmp_path, handler="base_handler", model_file=_identity(tmp_path))
    (tmp_path / "cut.mar").write_bytes(good.read_bytes()[:-9])
    (check,) = check_here(tmp_path / name, [])
    assert check.state.value == "error"
    assert "\n" not in str(check)


def test_what_validation_finds_is_said_once(tmp_path):
    (tmp_path / "m" / "weights").mkdir(parents=True)
    path = folder(tmp_path, serializedFile="w.pt")
    (path / "w.pt").write_bytes(hostile_pickles.pickled(hostile_pickles.load("os", "system", "x")))
    (error,) = [c for c in check_here(path, []) if c.name == "MAR-W003"]
    assert error.state.value == "error"
    assert "w.pt: Loading the pickle imports or calls os.system" in error.message
    assert error.hint


def test_a_handler_that_nobody_has(tmp_path):
    path = folder(tmp_path, handler="not_here")
    (found,) = said(path, only={"handler", "MAR-R003"})
    assert found[0] == "error"
    assert "There is no handler 'not_here'" in found[1]


def test_a_handler_of_a_distribution_that_is_not_installed(tmp_path):
    path = folder(tmp_path, handler="shout")
    manifest = json.loads((path / "MAR-INF/MANIFEST.json").read_text())
    manifest["mar"] = {"handler": {"distribution": "dist-shout", "version": "1.0"}}
    (path / "MAR-INF/MANIFEST.json").write_text(json.dumps(manifest))
    assert said(path, only={"handler", "MAR-R004"}) == [
        (
            "error",
            (
                "handler: The handler 'shout' comes with dist-shout, which is not installed. "
                "Install it: `pip install dist-shout==1.0`."
            ),
        )
    ]


def test_a_handler_of_another_version_than_the_archive_was_made_with(tmp_path):
    path = folder(tmp_path, handler="base_handler")
    manifest = json.loads((path / "MAR-INF/MANIFEST.json").read_text())
    manifest["mar"] = {"handler": {"distribution": "mar-core", "version": "0.0.1"}}
    (path / "MAR-INF/MANIFEST.json").write_text(json.dumps(manifest))
    _, (state, text) = said(path, only={"handler"})
    assert state == "warning"
    assert "made with mar-core 0.0.1; here is " in text
    assert "For the same results, install mar 0.0.1." in text


def test_handlers_of_torchserve_alone(tmp_path):
    ((state, text),) = said(folder(tmp_path, handler="vllm_handler"), only={"handler"})
    assert (state, "mar does not have TorchServe's" in text) == ("error", True)


def test_a_handler_in_another_language(tmp_path):
    path = folder(tmp_path, handler="libx:Handler")
    manifest = json.loads((path / "MAR-INF/MANIFEST.json").read_text())
    (path / "MAR-INF/MANIFEST.json").write_text(json.dumps({**manifest, "runtime": "LSP"}))
    ((state, text),) = said(path, only={"handler"})
    assert (state, "written in C++" in text) == ("error", True)


def test_requirements_are_held_against_what_is_installed(tmp_path):
    lines = (
        "pluggy>=99  # too new\nabsent-one==1 --hash=sha256:" + "0" * 64 + "\n"
        "torch\nabsent-two; python_version < '3'\n"
    )
    path = folder(tmp_path, {"requirements.txt": lines}, requirementsFile="requirements.txt")
    (newer, absent) = said(path, only={"requirements"})
    assert newer[0] == absent[0] == "error"
    assert "needs pluggy>=99 (" in newer[1]
    assert " is installed). Install it: `pip install 'pluggy>=99'`." in newer[1]
    assert (
        "needs absent-one==1 (not installed). Install it: `pip install 'absent-one==1'`."
        in (absent[1])
    )


def test_folders_that_distributions_share_lack_nothing(tmp_path, monkeypatch):
    """As google, google.cloud and nvidia are: another distribution would put a package there."""
    for name in ("real/__init__.py", "inner/real/__init__.py"):
        path = tmp_path / "site" / "shared" / name
        path.parent.mkdir(parents=True)
        path.write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    text = (
        "import shared.real, shared.inner.real\nimport shared.inner.absent\nimport shared.real.x\n"
    )
    files = {"handler.py": f"{text}import own.absent\n{ECHO}", "own/there.py": ""}
    checks = said(folder(tmp_path, files), only={"imports"})
    assert [state for state, _ in checks] == ["error", "warning", "error"]
    assert "(line 2) needs the package shared.inner.absent, which is not installed" in checks[0][1]
    assert "(line 3) needs the module shared.real.x, which shared.real seems" in checks[1][1]
    assert "(line 4) needs the module own.absent, which is not in the archive" in checks[2][1]


def test_packages_that_the_code_imports(tmp_path):
    text = "import absent_one\nimport json\nimport yaml\n\ndef f():\n    import sklearn.absent\n"
    text += "    import bs4.element\n    import PIL.Image\n"
    checks = said(folder(tmp_path, {"handler.py": text + ECHO}), only={"imports"})
    assert [state for state, _ in checks] == ["error", "warning", "warning"]
    assert "handler.py (line 1) needs the package absent_one" in checks[0][1]
    assert "archive it with --extra-files" in checks[0][1]
    assert "sklearn seems not to have" in checks[1][1]
    assert "`pip install beautifulsoup4`" in checks[2][1]


def test_a_package_is_missed_once(tmp_path):
    files = {"handler.py": "import absent_one, absent_one.deep\n" + ECHO,
             "requirements.txt": "absent.one"}  # fmt: skip
    path = folder(tmp_path, files, requirementsFile="requirements.txt")
    (only,) = said(path, only={"imports", "requirements"})
    assert "requirements: The archive needs absent.one (not installed)" in only[1]


def test_names_of_torchserve(tmp_path):
    text = "import ts.llm_launcher\nfrom ts.utils.util import load_label_mapping\n"
    ((state, text),) = said(folder(tmp_path, {"handler.py": text + ECHO}), only={"imports"})
    assert state == "error"
    assert "handler.py (line 1): mar does not have TorchServe's ts.llm_launcher" in text


def test_a_device_that_is_not_here(tmp_path):
    path = folder(tmp_path, {"c.yaml": "deviceType: gpu\n"}, configFile="c.yaml")
    checks = said(path, only={"device"})
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        assert checks == []
    else:
        ((state, text),) = checks
        assert state == "warning"
        assert "PyTorch sees no accelerators here, and the archive runs on the CPU" in text


def test_weights_that_only_a_plugin_loads(tmp_path, monkeypatch):
    path = folder(tmp_path, {"handler.py": BASE}, serializedFile="w.onnx")
    (path / "w.onnx").write_bytes(_onnx())
    assert said(path, only={"weights"}) == [("ok", "weights: w.onnx is onnx")]
    monkeypatch.setenv("MAR_DISABLED_PLUGINS", "mar-onnx")
    ((state, text),) = said(path, only={"weights"})
    assert state == "error"
    assert "w.onnx is in no format that mar or an installed plugin knows" in text
    assert "install the plugin for its format" in text


def _onnx():
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    return helper.make_model(graph).SerializeToString()


def test_a_plugin_that_is_broken_is_not_loaded(tmp_path, monkeypatch):
    """One that would end the process when it is imported does not end the doctor."""
    site = tmp_path / "site"
    info = site / "dist_killer-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "dist_killer.py").write_text("import os\nos._exit(9)\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dist-killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mar.plugins]\nkiller = dist_killer\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("MAR_DISABLED_PLUGINS", "mar-metrics,mar-provenance,mar-onnx")
    found = statuses()
    assert [s.state for s in found if s.name == "killer"] == ["broken"]
    assert said(folder(tmp_path), only={"handler"}, found=found) == [
        ("ok", "handler: handler.py of the archive")
    ]
