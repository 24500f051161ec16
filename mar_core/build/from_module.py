"""``archive(model=module, example=…)``: what a network in Python is saved as, tried before it is.

The file of its class and safetensors, where that file alone makes the network again: people can
read it, and loading it needs nobody's word. Else TorchScript, which is a program of tensors that
cannot reach Python. Never a pickle, nor ``torch.export``, which unpickles when it is loaded.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib.util
import inspect
import sys
import sysconfig
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.build.convert import save_tensors
from mar_core.build.importing import VERSION
from mar_core.build.request import Imported
from mar_core.errors import ModelError, UsageError
from mar_core.handlers.source import Module, parse_module
from mar_core.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from mar_core.build.request import ArchiveRequest

__all__ = ["FORMS", "NoSource", "imported_module", "source_file"]

FORMS = ("auto", "source", "torchscript")
HANDLER = "base_handler"
_CLOSE = 1e-5
_QUIET = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Pass)
_VALUES = (ast.Expr, ast.Assign, ast.AnnAssign)
_MAIN = "__name__ == '__main__'"


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


class NoSource(Exception):  # noqa: N818 - a reason, which is told
    """Why a network cannot be made again from the file of its class."""


def source_file(model: torch.nn.Module) -> Path:
    """The file that defines a network's class, where that file alone makes it again.

    Args:
        model: The network.

    Raises:
        NoSource: It does not, as far as its text and the class show; the reason.
    """
    cls = type(model)
    path = _file_of(cls)
    if cls.__qualname__ != cls.__name__:
        raise NoSource(f"{cls.__name__} is defined inside of something else")
    needed = _required(cls)
    if needed:
        raise NoSource(f"{cls.__name__} is made with arguments ({needed})")
    source = path.read_bytes()
    parsed = parse_module(source)
    if not isinstance(parsed, Module):
        raise NoSource(f"{path.name} cannot be parsed")
    networks = _networks(cls, parsed)
    if networks != [cls.__name__]:
        raise NoSource(f"{path.name} defines {len(networks)} networks")
    _check_statements(ast.parse(source), path.name)
    _check_imports(parsed, path.name)
    return path


def _file_of(cls: type) -> Path:
    try:
        file = inspect.getsourcefile(cls)
    except (TypeError, OSError):
        file = None
    if file is None or not Path(file).is_file():
        raise NoSource(f"{cls.__name__} is defined in no file")
    if _is_installed(Path(file)) or "." in cls.__module__:
        raise NoSource(f"{cls.__name__} belongs to the package {cls.__module__.split('.')[0]}")
    return Path(file)


def _is_installed(path: Path) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in _installed_folders())


def _installed_folders() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(sysconfig.get_path(name)).resolve() for name in names]


def _required(cls: type) -> str:
    empty, kinds = inspect.Parameter.empty, inspect.Parameter
    return ", ".join(
        one.name
        for one in inspect.signature(cls).parameters.values()
        if one.default is empty and one.kind not in {kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD}
    )


def _networks(cls: type, parsed: Module) -> list[str]:
    """The classes of the file that are networks, of which a model file holds one."""
    import torch

    module = sys.modules.get(cls.__module__)
    classes = {name: getattr(module, name, None) for name in parsed.classes}
    return [
        name
        for name, value in classes.items()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module)
    ]


def _check_statements(tree: ast.Module, name: str) -> None:
    """Refuse a script, which would do its work again wherever the file is imported."""
    for statement in tree.body:
        main = isinstance(statement, ast.If) and ast.unparse(statement.test) == _MAIN
        if not isinstance(statement, _QUIET) and not main and not _is_constant(statement):
            raise NoSource(f"line {statement.lineno} of {name} does something when it is imported")


def _is_constant(statement: ast.stmt) -> bool:
    calls = any(isinstance(node, ast.Call) for node in ast.walk(statement))
    return isinstance(statement, _VALUES) and not calls


def _check_imports(parsed: Module, name: str) -> None:
    """Refuse a file that imports others which are not installed: they would be missing."""
    origins = [*parsed.imports.values(), *parsed.star_imports]
    for origin in origins:
        top = origin.partition(".")[0]
        if not top:
            raise NoSource(f"{name} imports what lies beside it")
        if top in sys.stdlib_module_names or top in parsed.names - parsed.imports.keys():
            continue
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            continue
        place = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
        if place and Path(place).exists() and not _is_installed(Path(place)):
            raise NoSource(f"{name} imports {top}, which lies beside it")
