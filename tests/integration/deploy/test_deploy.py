"""What ``deploy/`` holds, checked as far as a machine without a container engine can."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tree import ROOT

DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
KUBERNETES = ("config.yaml", "deployment.yaml", "service.yaml", "model-store.yaml")


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_the_containerfile_has_no_fault_that_hadolint_knows():
    result = run(BIN / "hadolint", DEPLOY / "Containerfile")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_containerfile_copies_what_is_there():
    lines = (DEPLOY / "Containerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]
    for path in (Path(name) for names in copied for name in names):
        assert (ROOT / path).exists(), path


def test_the_image_runs_as_an_ordinary_user():
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    assert "\nUSER 1000\n" in text
    assert text.index("\nUSER 1000\n") < text.index("\nCMD ")


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes_knows_each_field(name):
    result = run(BIN / "kubernetes-validate", "--strict", DEPLOY / "kubernetes" / name)
    assert result.returncode == 0, result.stdout + result.stderr


def test_kustomize_names_every_file():
    folder = DEPLOY / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed["resources"]) == files == set(KUBERNETES)


def test_compose_fits_its_schema():
    result = run(
        BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_runtime_of_kserve_holds_a_container_that_kubernetes_knows(tmp_path):
    """KServe's own fields have no schema here; its container is Kubernetes' own."""
    path = DEPLOY / "kserve" / "cluster-serving-runtime.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["kind"] == "ClusterServingRuntime"
    (container,) = document["spec"]["containers"]
    assert container["name"] == "kserve-container", "KServe looks for the container of that name"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {"containers": [container]},
    }
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    result = run(BIN / "kubernetes-validate", "--strict", tmp_path / "pod.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path):
    text = (DEPLOY / "systemd" / "mar.service").read_text(encoding="utf-8")
    # The program is there on the machine that the unit is for; here another has to stand for it.
    unit = tmp_path / "mar.service"
    unit.write_text(text.replace("/opt/mar/bin/torchserve", shutil.which("true") or ""))
    result = run("systemd-analyze", "verify", unit)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "mar.service" not in result.stderr, result.stderr
