"""Where a worker's ``torch.compile`` keeps what it compiles."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.errors import MarError
from mar_core.ts.compile import compile_options
from mar_core.ts.device import choose_gpu_id

if TYPE_CHECKING:
    from mar_core.cache.compiled import CompiledCode
    from mar_core.runtime.prepared import Prepared

__all__ = ["keep_compiled"]

logger = logging.getLogger(__name__)

# The compiler's own variable; who sets it knows where its files belong.
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def keep_compiled(prepared: Prepared, device: str | None) -> CompiledCode | None:
    """Let this process compile into the cache, beside the archive, where its config has it compile.

    The process must be the worker's own: the place is a variable of its environment.

    Args:
        prepared: The archive.
        device: Where its model goes, as the user said it.

    Returns:
        The entry, for whoever closes it; None where nothing is compiled, or nothing can be kept.
    """
    from mar_core.cache.compiled import CompiledCode

    try:
        if compile_options(prepared.config) is None or _is_said():
            return None
        made_for = _made_for(choose_gpu_id(device, prepared.config))
        kept = CompiledCode(prepared.digest, made_for, name=prepared.name)
    except (MarError, OSError) as error:
        # What is wrong with the config or the device, whoever loads the model says.
        logger.info("What is compiled is not kept: %s", error)
        return None
    os.environ[VARIABLE] = str(kept.path)
    return kept


def _is_said() -> bool:
    """Whether the user has said where the compiler's files belong.

    The compiler sets its variable itself, to its usual place, in a process that it is used in: a
    parent's value of that kind says nothing.
    """
    said = os.environ.get(VARIABLE)
    if not said:
        return False
    usual = Path(tempfile.gettempdir()).absolute()
    return Path(said).parent != usual or not Path(said).name.startswith("torchinductor_")


def _made_for(gpu: int | None) -> str:
    """What compiled code depends on, beside the model."""
    import torch

    if gpu is None or not torch.cuda.is_available():
        device = _processor()
    else:
        device = f"{torch.cuda.get_device_name(gpu)} {torch.cuda.get_device_capability(gpu)}"
    toolkit = torch.version.cuda or torch.version.hip or "cpu"
    return f"{device}, torch {torch.__version__} {toolkit}, Python {platform.python_version()}"


def _processor() -> str:
    """The processor: code is compiled for the very one that is there."""
    named = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for key in ("model name", "flags", "Features"):
        found = next((line for line in lines if line.startswith(key)), "")
        named += found.partition(":")[2].strip() + " "
    digest = hashlib.sha256(named.encode()).hexdigest()[:12]
    return f"{platform.machine()} {digest}" if named.strip() else platform.processor()
