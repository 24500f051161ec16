"""A process ends, whatever a handler has left running, and what it registered for its end runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest

LEAVING = """
import atexit, concurrent.futures, os, threading
atexit.register(print, "atexit", flush=True)

{left}
from mar_core.runtime.leaving import run_exit_functions
run_exit_functions()
os._exit(7)
"""
# joblib's processes would be waited for until they have been idle for minutes.
IDLE_PROCESSES = """
import joblib
print(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(x) for x in (-3, -4)))
"""
BUSY_THREADS = """
pool = concurrent.futures.ThreadPoolExecutor()
pool.submit(threading.Event().wait)
threading.Thread(target=threading.Event().wait).start()
print([3, 4])
"""
RAISING = """
atexit.register(lambda: 1 / 0)
threading._register_atexit(lambda: 1 / 0)
print([3, 4])
"""


@pytest.mark.parametrize(
    "left", [IDLE_PROCESSES, BUSY_THREADS, RAISING], ids=["processes", "threads", "raising"]
)
def test_it_ends(left, tmp_path):
    if left is IDLE_PROCESSES:
        _ = find_spec("joblib") or pytest.skip("joblib is not installed")
    code = textwrap.dedent(LEAVING).format(left=left)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=200,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "[3, 4]\natexit\n"), done.stderr
