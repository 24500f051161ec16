"""``archive(model=module, example=…)``: what a network in Python is saved as, tried before it is.

The file of its class and safetensors, where that file alone makes the network again: people can
read it, and loading it needs nobody's word. Else TorchScript, which is a program of tensors that
cannot reach Python. Never a pickle, nor ``torch.export``, which unpickles when it is loaded.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mar_core.build.convert import save_tensors
from mar_core.build.importing import VERSION
from mar_core.build.module_source import NoSource, source_file
from mar_core.build.request import Imported
from mar_core.errors import ModelError, UsageError
from mar_core.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from mar_core.build.request import ArchiveRequest

__all__ = ["FORMS", "imported_module"]

FORMS = ("auto", "source", "torchscript")
HANDLER = "base_handler"
_CLOSE = 1e-5


def imported_module(
    model: torch.nn.Module, example: Any, asked: ArchiveRequest, folder: Path, *, save_as: str
) -> Imported:
    """Save a network and say what an archive of it holds.

    Args:
        model: The network; it is saved in evaluation mode and left as it was.
        example: What one call of it takes: a tensor with a batch of at least one, or a tuple of
            arguments.
        asked: What else was asked for.
        folder: Where files go.
        save_as: ``source``, ``torchscript``, or ``auto`` for the first of them that will do.

    Raises:
        UsageError: There is no example, or a file is given too.
        ModelError: The network cannot be saved so, or would answer otherwise when it is loaded.
    """
    import torch

    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"model is a {type(model).__name__}, not a torch.nn.Module.")
    if save_as not in FORMS:
        raise UsageError(f"save_as is {save_as!r}.", hint=f"It is one of {', '.join(FORMS)}.")
    if asked.serialized_file is not None or asked.model_file is not None:
        raise UsageError("model is given, and a file of weights or a model file too.")
    if example is None:
        raise UsageError(
            "archive(model=…) needs an example.",
            hint="Give what one call of the network takes, such as example=torch.zeros(1, 3).",
        )
    arguments = example if isinstance(example, tuple) else (example,)
    asked = replace(
        asked,
        model_name=asked.model_name or type(model).__name__,
        handler=asked.handler or HANDLER,
        version=VERSION if asked.version is None else asked.version,
    )
    with _evaluating(model) as ready, torch.random.fork_rng(devices=[]), torch.no_grad():
        return _saved(ready, _on_cpu(arguments), asked, folder, save_as)


def _saved(
    model: torch.nn.Module, arguments: Any, asked: ArchiveRequest, folder: Path, save_as: str
) -> Imported:
    name = type(model).__name__
    reason = ""
    if save_as != "torchscript":
        try:
            source, weights = _as_source(model, arguments, folder)
        except NoSource as error:
            if save_as == "source":
                raise ModelError(f"{name} cannot be saved with its source: {error}.") from error
            reason = f", as {error}"
        else:
            request = replace(asked, model_file=source, serialized_file=weights)
            reasons = (f"{source.name} makes it, and model.safetensors are its weights",)
            return Imported(what=f"the network {name}", request=request, reasons=reasons)
    weights = _as_torchscript(model, arguments, folder, reason)
    request = replace(asked, serialized_file=weights)
    told = (f"{weights.name} is TorchScript{reason}",)
    return Imported(what=f"the network {name}", request=request, reasons=told)


@contextlib.contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The network on the CPU, in evaluation mode; afterwards the user's own is as it was."""
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.device.type != "cpu" for tensor in tensors):
        yield copy.deepcopy(model).cpu().eval()
        return
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield model.eval()
    finally:
        for module, mode in modes:
            module.training = mode


def _as_source(model: torch.nn.Module, arguments: Any, folder: Path) -> tuple[Path, Path]:
    """The file of the class, and its weights in another.

    Raises:
        NoSource: What the class makes does not answer as the network does.
    """
    path = source_file(model)
    state = model.state_dict()
    try:
        again = type(model)().eval()
        again.load_state_dict(state)
        fault = _difference(model, again, arguments)
    except Exception as error:
        raise NoSource(
            f"{type(model).__name__}() is another network: {first_line(error)}"
        ) from error
    if fault is not None:
        raise NoSource(f"{type(model).__name__}() answers otherwise: {fault}")
    weights = folder / "model.safetensors"
    try:
        save_tensors(state, weights)
    except ModelError as error:
        raise NoSource(error.message.rstrip(".")) from error
    return path, weights


def _as_torchscript(model: torch.nn.Module, arguments: Any, folder: Path, reason: str) -> Path:
    """The network as a program.

    Raises:
        ModelError: It cannot be made into one, or that answers otherwise.
    """
    import torch

    name = type(model).__name__
    jit: Any = torch.jit
    with warnings.catch_warnings(record=True) as told:
        # That TorchScript is deprecated is for us to mind: nothing else loads without trust.
        warnings.simplefilter("always")
        try:
            program = jit.trace(model, arguments, check_trace=False, strict=False)
            if any(issubclass(one.category, jit.TracerWarning) for one in told):
                program = jit.script(model)
            fault = _difference(model, program, arguments)
            if fault is None:
                jit.save(program, str(folder / "model.pt"))
        except Exception as error:
            raise ModelError(
                f"{name} cannot be saved as TorchScript: {first_line(error)}{reason}.",
                hint="Put its class alone into a file, with defaults for all arguments; or save it "
                "with torch.export, and archive that file with `mar archive --from`.",
            ) from error
    if fault is not None:
        raise ModelError(f"{name} answers otherwise as TorchScript: {fault}{reason}.")
    return folder / "model.pt"


def _difference(one: Any, other: Any, arguments: Any) -> str | None:
    """How two networks differ, asked for the example and for a batch of twice its size."""
    import torch

    for given in (arguments, _twice(arguments)):
        try:
            expected = one(*given)
        except Exception:
            if given is arguments:
                raise
            continue  # its batch has a fixed size
        try:
            torch.testing.assert_close(
                other(*given), expected, rtol=_CLOSE, atol=_CLOSE, equal_nan=True
            )
        except AssertionError as error:
            return first_line(error)
    return None


def _twice(arguments: Any) -> Any:
    import torch

    tensors = all(isinstance(value, torch.Tensor) and value.dim() for value in arguments)
    return tuple(torch.cat([value, value]) for value in arguments) if tensors else arguments


def _on_cpu(arguments: Any) -> Any:
    import torch

    return tuple(
        value.detach().cpu() if isinstance(value, torch.Tensor) else value for value in arguments
    )
