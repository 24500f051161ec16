"""``torch.compile`` as model-config.yaml asks for it under ``pt2``."""

from __future__ import annotations

import logging
from typing import Any

from mar_core.errors import ModelError
from mar_core.ts.util import check_valid_pt2_backend

__all__ = ["compile_options", "compiled", "keeps_outputs"]

logger = logging.getLogger(__name__)


def compile_options(config: dict[str, Any] | None) -> dict[str, Any] | None:
    """The arguments of ``torch.compile`` that a config asks for, in any of its three forms.

    The forms are ``pt2: BACKEND``, ``pt2: {argument: value, …}`` and
    ``pt2: {compile: {enable: true, argument: value, …}}``.

    Args:
        config: The archive's model-config.yaml.

    Returns:
        The arguments; None where nothing is to be compiled.

    Raises:
        ModelError: ``pt2`` is neither text nor a mapping.
    """
    wanted = (config or {}).get("pt2")
    if wanted is None or wanted is False:
        return None
    if isinstance(wanted, str):
        return {"backend": wanted}
    if not isinstance(wanted, dict):
        raise ModelError(
            f"model-config.yaml: pt2 must be a backend or a mapping, not {wanted!r}.",
            hint="Write `pt2: {compile: {enable: true, backend: inductor}}`.",
        )
    if "compile" not in wanted:
        return None if "export" in wanted else dict(wanted)
    options = wanted["compile"]
    if not isinstance(options, dict):
        raise ModelError(
            f"model-config.yaml: pt2.compile must be a mapping, not {options!r}.",
            hint="Write `pt2: {compile: {enable: true, backend: inductor}}`.",
        )
    if options.get("enable") is not True:
        return None
    return {name: value for name, value in options.items() if name != "enable"}


def compiled(model: Any, config: dict[str, Any] | None) -> Any:
    """A model, compiled where its config asks for it.

    What cannot be compiled is used as it is, with a warning in the log, as in TorchServe.

    Args:
        model: The loaded model.
        config: The archive's model-config.yaml.
    """
    import torch

    options = compile_options(config)
    if options is None or not _known(options.get("backend")):
        return model
    if not isinstance(model, torch.nn.Module) or isinstance(model, torch.jit.ScriptModule):
        kind = type(model).__name__
        logger.warning("A %s cannot be compiled; it runs as it is.", kind)
        return model
    try:
        result = torch.compile(model, **options)
    except Exception as error:  # noqa: BLE001 - backends raise what they like
        logger.warning("The model could not be compiled and runs as it is: %s", error)
        return model
    logger.info("The model is compiled with %s.", options or "the defaults")
    return result


def keeps_outputs(config: dict[str, Any] | None) -> bool:
    """Whether a model compiled so may overwrite, on CUDA, the outputs of its call before.

    Args:
        config: The archive's model-config.yaml.
    """
    options = compile_options(config) or {}
    graphs = (options.get("options") or {}).get("triton.cudagraphs", False)
    return bool(graphs) or options.get("mode") in {"reduce-overhead", "max-autotune"}


def _known(backend: Any) -> bool:
    """Whether TorchServe or this torch knows a backend."""
    import torch

    if backend is None or backend in torch.compiler.list_backends(exclude_tags=()):
        return True
    return check_valid_pt2_backend(backend)
