"""The ``ts.*`` names: what handlers made for TorchServe import, found here.

A handler out of an archive finds them whatever is installed. For all other code they are found only
where nothing on this machine is called ``ts``: an installed torchserve, or another package of that
name, is left alone.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ROOT",
    "MissingNameError",
    "home_of",
    "install",
    "is_absent",
    "load",
    "missing",
    "offers",
    "said",
    "wanted",
]

ROOT = "ts"

# TorchServe's modules and ours that stand for them.
_HOMES = {
    "ts.context": "mar_core.ts.context",
    "ts.handler_utils.hf_batch_streamer": "mar_core.ts.hf_batch_streamer",
    "ts.handler_utils.micro_batching": "mar_core.ts.micro_batching",
    "ts.handler_utils.text_utils": "builtin_handlers.text_utils",
    "ts.handler_utils.timer": "mar_core.ts.timer",
    "ts.handler_utils.utils": "mar_core.ts.streaming",
    "ts.metrics.caching_metric": "mar_core.ts.metrics.metric",
    "ts.metrics.dimension": "mar_core.ts.metrics.metric",
    "ts.metrics.metric": "mar_core.ts.metrics.legacy",
    "ts.metrics.metric_abstract": "mar_core.ts.metrics.legacy",
    "ts.metrics.metric_cache_abstract": "mar_core.ts.metrics.config",
    "ts.metrics.metric_cache_errors": "mar_core.ts.metrics.config",
    "ts.metrics.metric_cache_yaml_impl": "mar_core.ts.metrics.config",
    "ts.metrics.metric_type_enum": "mar_core.ts.metrics.metric",
    "ts.metrics.metrics_store": "mar_core.ts.metrics.legacy",
    "ts.metrics.process_memory_metric": "mar_core.ts.metrics.system",
    "ts.metrics.unit": "mar_core.ts.metrics.legacy",
    "ts.model_loader": "mar_core.handlers.model_loader",
    "ts.model_service.model_service": "mar_core.ts.model_service",
    "ts.protocol.otf_message_handler": "mar_core.ts.otf_message_handler",
    "ts.service": "mar_core.ts.service",
    "ts.torch_handler.base_handler": "mar_core.ts.base_handler",
    "ts.torch_handler.densenet_handler": "builtin_handlers.densenet_handler",
    "ts.torch_handler.image_classifier": "builtin_handlers.image_classifier",
    "ts.torch_handler.image_segmenter": "builtin_handlers.image_segmenter",
    "ts.torch_handler.object_detector": "builtin_handlers.object_detector",
    "ts.torch_handler.request_envelope.base": "mar_core.ts.envelopes.base",
    "ts.torch_handler.request_envelope.body": "mar_core.ts.envelopes.body",
    "ts.torch_handler.request_envelope.json": "mar_core.ts.envelopes.json",
    "ts.torch_handler.request_envelope.kserve": "mar_core.ts.envelopes.kserve",
    "ts.torch_handler.request_envelope.kservev2": "mar_core.ts.envelopes.kservev2",
    "ts.torch_handler.text_classifier": "builtin_handlers.text_classifier",
    "ts.torch_handler.text_handler": "builtin_handlers.text_handler",
    "ts.torch_handler.unit_tests.test_utils.mock_context": "mar_core.ts.mock_context",
    "ts.torch_handler.vision_handler": "builtin_handlers.vision_handler",
    "ts.utils.util": "mar_core.ts.util",
    "ts.version": "mar_core.ts.version",
}
# What exists in TorchServe and not here, and what to do about it.
_ABSENT = {
    "ts.async_service": "A handler with `async def handle` runs without it.",
    "ts.arg_parser": "Use `mar run`; there is no server.",
    "ts.handler_utils.distributed": "Load the model in the handler's initialize with the library "
    "itself (PiPPy, DeepSpeed), or run with torchserve.",
    "ts.handler_utils.preprocess": "Build the DALI pipeline in the handler with nvidia.dali.",
    "ts.launcher": "It starts a server; use `mar run`, or `mar_core.load` in Python.",
    "ts.llm_launcher": "It starts a server; use the LLM engine's own.",
    "ts.metrics.metric_collector": "It watches a server.",
    "ts.metrics.metric_encoder": "It belongs to a server.",
    "ts.metrics.system_metrics": "It watches a server; use psutil.",
    "ts.model_server": "It starts a server; use `mar run`.",
    "ts.model_service_worker": "It is a worker of a server; use `mar run --workers N`.",
    "ts.torch_handler.contractions": "Call TextHandler._expand_contractions(text).",
    "ts.torch_handler.dali_handler": "Derive from ImageClassifier and decode with nvidia.dali in "
    "preprocess.",
    "ts.torch_handler.dali_image_classifier": "Use image_classifier.",
    "ts.torch_handler.distributed": "Load the model in the handler's initialize with the library "
    "itself (PiPPy, DeepSpeed), or run with torchserve.",
    "ts.torch_handler.trt_llm_handler": "Call tensorrt_llm in a handler of your own.",
    "ts.torch_handler.unit_tests.test_utils.model_dir": "Download the model with urllib.",
    "ts.torch_handler.vllm_handler": "Call vllm in a handler of your own.",
    "ts.utils.hf_utils": "Call huggingface_hub.snapshot_download.",
    "ts.utils.setup_model_venv": "Make an environment with `python -m venv`.",
    "ts.utils.timeit_decorator": "Use ts.handler_utils.timer.timed.",
}


class MissingNameError(ModuleNotFoundError):
    """A module of TorchServe's that mar does not have."""


def _packages(names: Sequence[str]) -> frozenset[str]:
    parts = [name.split(".") for name in names]
    return frozenset(".".join(p[:depth]) for p in parts for depth in range(1, len(p)))


_PACKAGES = _packages([*_HOMES])
_modules: dict[str, ModuleType] = {}
_lock = threading.RLock()


def offers(name: str) -> bool:
    """Whether mar has TorchServe's module of that name."""
    return name in _HOMES or name in _PACKAGES


def wanted(name: str) -> bool:
    """Whether an archive's ``import name`` means ours.

    It does, unless a package that is not torchserve has the name ``ts`` on this machine and has
    this module, or what is asked for is something that only an installed torchserve has.
    """
    other = _other()
    if other is None:
        return True
    if _is_torchserve(other):
        return offers(name)
    return offers(name) and importlib.util.find_spec(name) is None


def load(name: str) -> ModuleType:
    """Our module for one of TorchServe's, with the packages above it.

    Args:
        name: The full name, such as ``ts.context``.

    Raises:
        MissingNameError: mar has no such module; the sentence says what to do.
    """
    with _lock:
        if name not in _modules:
            _modules[name] = _make(name)
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(load(parent), child, _modules[name])
        return _modules[name]


def is_absent(name: str) -> bool:
    """Whether TorchServe has a module of that name which mar has not, on purpose."""
    return any(name == absent or name.startswith(f"{absent}.") for absent in _ABSENT)


def said(home: str) -> str | None:
    """TorchServe's name for one of our modules, or None."""
    return next((name for name, ours in _HOMES.items() if ours == home), None)


def home_of(name: str) -> str | None:
    """The module of ours that stands for one of TorchServe's, or None."""
    return _HOMES.get(name)


def install() -> None:
    """Make the ``ts.*`` names importable for code that comes from no archive."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def _other() -> importlib.machinery.ModuleSpec | None:
    """The package called ``ts`` that is installed here, if one is."""
    return importlib.machinery.PathFinder.find_spec(ROOT)


def _is_torchserve(spec: importlib.machinery.ModuleSpec) -> bool:
    return any(
        Path(place, "torch_handler").is_dir() for place in spec.submodule_search_locations or ()
    )


def _make(name: str) -> ModuleType:
    if name in _HOMES:
        return importlib.import_module(_HOMES[name])
    if name not in _PACKAGES:
        raise missing(name)
    package = ModuleType(name, "Names of TorchServe's, found in mar.")
    package.__path__ = []

    def attribute(child: str) -> object:
        """Submodules need no import of their own, as in TorchServe, which imports them itself."""
        if name == ROOT and child == "__version__":
            return load("ts.version").__version__
        if offers(f"{name}.{child}"):
            return load(f"{name}.{child}")
        raise AttributeError(f"module {name!r} has no attribute {child!r}")

    package.__getattr__ = attribute  # type: ignore[method-assign]
    return package


def missing(name: str) -> MissingNameError:
    """The error for a name that mar does not have."""
    known = [absent for absent in _ABSENT if name == absent or name.startswith(f"{absent}.")]
    hint = _ABSENT[known[0]] if known else "See the list of names in the reference."
    return MissingNameError(f"mar does not have TorchServe's {name}. {hint}", name=name)


class _Finder:
    """Finds ``ts.*`` where nothing before it has."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != ROOT:
            return None
        if not offers(fullname):
            if sys.modules.get(ROOT) is not _modules.get(ROOT):
                return None  # an installed package of that name, asked for what it has not
            raise missing(fullname)
        is_package = fullname in _PACKAGES
        return importlib.util.spec_from_loader(fullname, _Loader(), is_package=is_package)


class _Loader(importlib.abc.Loader):
    """Gives the module that stands for one of TorchServe's; it is made and run already."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = load(spec.name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
