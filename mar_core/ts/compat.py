"""The ``ts.*`` names: what handlers made for TorchServe import, found here.

A handler out of an archive finds them whatever is installed. For all other code they are found only
where nothing on this machine is called ``ts``: an installed torchserve, or another package of that
name, is left alone.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mar_core.ts.passing import in_passing, passing_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "PATH", "ROOT", "MissingNameError", "find_spec", "home_of", "install_finder", "is_absent",
    "load", "means_ours", "missing", "offers", "said",
]  # fmt: skip

ROOT = "ts"
# For `sys.path` and PYTHONPATH of processes that a handler starts: holds a module `ts`.
PATH = Path(__file__).with_name("path")

# TorchServe's modules and ours that stand for them.
_HOMES = {
    "ts.async_service": "mar_core.ts.async_service",
    "ts.context": "mar_core.ts.context",
    "ts.handler_utils.hf_batch_streamer": "mar_core.ts.streaming",
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
    "ts.metrics.metric_collector": "mar_core.ts.metrics.collector",
    "ts.metrics.metric_encoder": "mar_core.ts.metrics.legacy",
    "ts.metrics.metric_type_enum": "mar_core.ts.metrics.metric",
    "ts.metrics.metrics_store": "mar_core.ts.metrics.legacy",
    "ts.metrics.process_memory_metric": "mar_core.ts.metrics.collector",
    "ts.metrics.system_metrics": "mar_core.ts.metrics.system",
    "ts.metrics.unit": "mar_core.ts.metrics.legacy",
    "ts.model_loader": "mar_core.handlers.model_loader",
    "ts.model_service.model_service": "mar_core.ts.model_service",
    "ts.protocol.otf_message_handler": "mar_core.ts.otf_message_handler",
    "ts.service": "mar_core.ts.service",
    "ts.torch_handler.base_handler": "mar_core.ts.base_handler",
    "ts.torch_handler.contractions": "builtin_handlers.contractions",
    "ts.torch_handler.densenet_handler": "builtin_handlers.densenet_handler",
    "ts.torch_handler.image_classifier": "builtin_handlers.image_classifier",
    "ts.torch_handler.image_segmenter": "builtin_handlers.image_segmenter",
    "ts.torch_handler.object_detector": "builtin_handlers.object_detector",
    "ts.torch_handler.request_envelope.base": "mar_core.ts.envelopes",
    "ts.torch_handler.request_envelope.body": "mar_core.ts.envelopes",
    "ts.torch_handler.request_envelope.json": "mar_core.ts.envelopes",
    "ts.torch_handler.request_envelope.kserve": "mar_core.ts.envelopes",
    "ts.torch_handler.request_envelope.kservev2": "mar_core.ts.envelopes",
    "ts.torch_handler.text_classifier": "builtin_handlers.text_classifier",
    "ts.torch_handler.text_handler": "builtin_handlers.text_handler",
    "ts.torch_handler.unit_tests.test_utils.mock_context": "mar_core.ts.mock_context",
    "ts.torch_handler.unit_tests.test_utils.model_dir": "mar_core.ts.model_dir",
    "ts.torch_handler.vision_handler": "builtin_handlers.vision_handler",
    "ts.utils.hf_utils": "mar_core.ts.hf_utils",
    "ts.utils.timeit_decorator": "mar_core.ts.timer",
    "ts.utils.util": "mar_core.ts.util",
    "ts.version": "mar_core.ts.version",
}
# What exists in TorchServe and not here, and what to do about it.
_DISTRIBUTED = (
    "Load the model in the handler's initialize with the library itself, one process for each GPU, "
    "by accelerate, DeepSpeed or torch.distributed."
)
_SERVER = "Start the server with `mar serve`."
_ABSENT = {
    "ts.arg_parser": _SERVER,
    "ts.handler_utils.distributed": _DISTRIBUTED,
    "ts.handler_utils.preprocess": "Build the DALI pipeline in the handler with nvidia.dali.",
    "ts.launcher": f"{_SERVER} In tests, `mar_core.load` runs an archive without one.",
    "ts.llm_launcher": f"{_SERVER} The archive's handler loads the LLM.",
    "ts.model_server": _SERVER,
    "ts.model_service_worker": f"{_SERVER} It starts its own workers.",
    "ts.torch_handler.dali_handler": "Derive from ImageClassifier and decode with nvidia.dali in "
    "preprocess.",
    "ts.torch_handler.dali_image_classifier": "Use image_classifier.",
    "ts.torch_handler.distributed": _DISTRIBUTED,
    "ts.torch_handler.trt_llm_handler": "Call tensorrt_llm in a handler of your own.",
    "ts.torch_handler.vllm_handler": "Call vllm in a handler of your own.",
    "ts.utils.setup_model_venv": "Make an environment with `python -m venv`.",
}


class MissingNameError(ModuleNotFoundError):
    """A module of TorchServe's that mar does not have."""


@functools.cache
def _packages() -> frozenset[str]:
    """The packages that the modules above are in."""
    parts = [name.split(".") for name in _HOMES]
    return frozenset(".".join(p[:depth]) for p in parts for depth in range(1, len(p)))


_modules: dict[str, ModuleType] = {}
_lock = threading.RLock()


def offers(name: str) -> bool:
    """Whether mar has TorchServe's module of that name."""
    return name in _HOMES or name in _packages()


def means_ours(name: str) -> bool:
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
    return _instead_of(name) is not None


def said(home: str) -> str | None:
    """TorchServe's name for one of our modules, or None."""
    return next((name for name, ours in _HOMES.items() if ours == home), None)


def home_of(name: str) -> str | None:
    """The module of ours that stands for one of TorchServe's, or None."""
    return _HOMES.get(name)


def install_finder() -> None:
    """Make the ``ts.*`` names importable for code that comes from no archive."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def _other() -> importlib.machinery.ModuleSpec | None:
    """The package called ``ts`` that is installed here, if one is."""
    spec = importlib.machinery.PathFinder.find_spec(ROOT)
    ours = spec is not None and spec.origin is not None and Path(spec.origin).parent == PATH
    return None if ours else spec


def _is_torchserve(spec: importlib.machinery.ModuleSpec) -> bool:
    return any(
        Path(place, "torch_handler").is_dir() for place in spec.submodule_search_locations or ()
    )


def _make(name: str) -> ModuleType:
    if name in _HOMES:
        module = importlib.import_module(_HOMES[name])
        vars(module).setdefault("__getattr__", _PassingNames(module.__name__))
        return module
    if name not in _packages():
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


class _PassingNames:
    """The ``__getattr__`` of a module that stands for one or several of TorchServe's."""

    def __init__(self, home: str) -> None:
        self._home = home

    def __call__(self, attribute: str) -> object:
        if not attribute.startswith("__"):
            for name in [one for one, home in _HOMES.items() if home == self._home]:
                if attribute in passing_names(name):
                    return in_passing(name, attribute, load=load)
        raise AttributeError(f"module {self._home!r} has no attribute {attribute!r}")


def missing(name: str) -> MissingNameError:
    """The error for a name that mar does not have."""
    hint = _instead_of(name) or "See the list of names in the reference."
    return MissingNameError(f"mar does not have TorchServe's {name}. {hint}", name=name)


def _instead_of(name: str) -> str | None:
    """What to do about a module that mar has not on purpose, or about what is in it."""
    for absent, hint in _ABSENT.items():
        if name == absent or name.startswith(f"{absent}."):
            return hint
    return None


class _Finder:
    """Finds ``ts.*`` where nothing before it has."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        return find_spec(fullname) if fullname.partition(".")[0] == ROOT else None


def find_spec(fullname: str) -> importlib.machinery.ModuleSpec | None:
    """How to import one of TorchServe's modules; None where another package has that name.

    Raises:
        MissingNameError: mar does not have it.
    """
    if not offers(fullname):
        if sys.modules.get(ROOT) is not _modules.get(ROOT):
            return None  # an installed package of that name, asked for what it has not
        raise missing(fullname)
    is_package = fullname in _packages()
    return importlib.util.spec_from_loader(fullname, _Loader(), is_package=is_package)


class _Loader(importlib.abc.Loader):
    """Gives the module that stands for one of TorchServe's; it is made and run already."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = load(spec.name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
