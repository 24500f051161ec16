"""``metrics_config``: what a handler finds, through the real command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mar_core.testing import make_archive

HANDLER = """
from ts.metrics.metric_type_enum import MetricTypes
from ts.torch_handler.base_handler import BaseHandler


class H(BaseHandler):
    def initialize(self, context):
        self.metrics = context.metrics

    def handle(self, data, context):
        found = self.metrics.get_metric("SizeOfImage", MetricTypes.GAUGE)
        found.add_or_update(len(data), [context.model_name])
        known = self.metrics.get_metric("HandlerTime", MetricTypes.GAUGE)
        return [[found.unit, found.dimension_names, known.dimension_names]] * len(data)
"""
METRICS = """
dimensions: [&model "ModelName"]
model_metrics:
  gauge:
    - {name: SizeOfImage, unit: UNIT, dimensions: [*model]}
"""


def run(archive, folder, *words, **environment):
    command = [sys.executable, "-m", "mar_core", "run", str(archive), "-", "--json", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        input="1\n",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("own", [False, True])
def test_a_configuration_is_found_where_the_user_stands(tmp_path, own):
    (tmp_path / "handler.py").write_text(HANDLER)
    files = {"metrics.yaml": METRICS.replace("UNIT", "kB")} if own else {}
    archive = make_archive(tmp_path, handler=tmp_path / "handler.py", files=files)
    (tmp_path / "mine.yaml").write_text(METRICS.replace("UNIT", "MB"))
    done = run(archive, tmp_path, TS_METRICS_CONFIG="mine.yaml")
    expected = '[["Megabytes", ["ModelName"], ["ModelName", "Level"]]'
    assert expected[1:] in done.stdout, done.stdout + done.stderr
    for here in ((), ("--in-process",)):
        named = run(archive, tmp_path, "--metrics-config", "mine.yaml", *here)
        assert expected[1:] in named.stdout, named.stdout + named.stderr
    if own:
        done = run(archive, tmp_path)
        assert expected[1:].replace("Megabytes", "Kilobytes") in done.stdout, done.stderr


def test_a_configuration_that_is_not_there_is_said(tmp_path):
    (tmp_path / "handler.py").write_text(HANDLER)
    archive = make_archive(tmp_path, handler=tmp_path / "handler.py")
    done = run(archive, tmp_path, TS_METRICS_CONFIG="none.yaml")
    assert done.returncode == 2
    assert "The metrics configuration none.yaml cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    named = run(archive, tmp_path, "--metrics-config", "none.yaml", TS_METRICS_CONFIG="mine.yaml")
    assert named.returncode == 2
    assert "The metrics configuration none.yaml cannot be used" in named.stderr
