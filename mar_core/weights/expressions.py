"""The small expressions inside ``torch.export`` programs, which torch evaluates as Python.

Symbolic sizes go through ``sympy.sympify``, guards become the source of a function, operators are
looked up by name. All three run what they are given, so what is not of the form that torch writes
is refused.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["odd_parts"]

_MAX_EXPRESSION = 10_000
_MAX_NODES = 5_000_000
_OPERATORS = "and|or|xor|lshift|rshift"
_TARGET = re.compile(
    rf"torch\.ops\.[A-Za-z]\w*\.(?:[A-Za-z]\w*|_[A-Za-z]\w*|__i?(?:{_OPERATORS})__)(?:\.[A-Za-z]\w*)?"
    r"|torch\.ops\.higher_order\.\w+|_operator\.[a-z]\w*_?|math\.[a-z]\w*"
    r"|torch\.sym_\w+|torch\._sym_\w+|torch\._higher_order_ops\.[a-z_]\w*\.\w+"
    r"|torch\.utils\._sympy\.functions\.[A-Za-z]\w*|#\w+:[\w.]+"
)
_PLAIN = re.compile(r"[\w.\[\]'\" ]*")
_FUNCTION = re.compile(
    r"Symbol|Integer|Float|Rational|Mul|Add|Pow|Max|Min|Mod|FloorDiv|ModularIndexing|Where"
    r"|PythonMod|CleanDiv|CeilToInt|FloorToInt|CeilDiv|RoundToInt|RoundDecimal|TruncToInt"
    r"|TruncToFloat|ToFloat|IntTrueDiv|FloatTrueDiv|LShift|RShift|PowByNatural|FloatPow|Identity"
    r"|IsNonOverlappingAndDenseIndicator|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|StrictLessThan"
    r"|LessThan|StrictGreaterThan|GreaterThan|And|Or|Not|Abs|max|min|floor|ceiling|int|float|abs"
    r"|OpaqueUnaryFn_\w+|BitwiseFn_\w+"
)
_METHODS = {"size", "stride", "storage_offset", "dim", "numel", "shape", "item"}
_NODES = (
    ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name,
    ast.Constant, ast.Subscript, ast.Attribute, ast.Tuple, ast.List, ast.IfExp, ast.keyword,
    ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


def odd_parts(program: Any) -> Iterator[str]:
    """What a parsed ``models/*.json`` holds that torch would not have written.

    Args:
        program: The parsed document.

    Yields:
        A description of each odd part.
    """
    todo = [program]
    for _ in range(_MAX_NODES):
        if not todo:
            return
        value = todo.pop()
        if isinstance(value, dict):
            yield from _odd_fields(value)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    yield "more parts than can be checked"


def _odd_fields(record: dict[str, Any]) -> Iterator[str]:
    expression, target = record.get("expr_str"), record.get("target")
    if expression is not None and not _is_plain_expression(expression):
        yield f"the expression {_short(expression)}"
    for guard in record.get("guards_code") or ():
        if not _is_plain_expression(guard):
            yield f"the guard {_short(guard)}"
    if "inputs" in record and target is not None and not _is_operator(target):
        yield f"the operator {_short(target)}"


def _is_operator(target: Any) -> bool:
    return isinstance(target, str) and _TARGET.fullmatch(target) is not None


def _is_plain_expression(text: Any) -> bool:
    if not isinstance(text, str) or len(text) > _MAX_EXPRESSION:
        return False
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(_is_plain_node(node) for node in ast.walk(tree))


def _is_plain_node(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        function = node.func
        return isinstance(function, ast.Attribute) or (
            isinstance(function, ast.Name) and _FUNCTION.fullmatch(function.id) is not None
        )
    if isinstance(node, ast.Attribute):
        return node.attr in _METHODS
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _PLAIN.fullmatch(node.value) is not None
    return isinstance(node, _NODES)


def _short(value: Any) -> str:
    return repr(value)[:80]
