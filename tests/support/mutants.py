"""Which changes to a module do its tests not notice? ``python mutants.py MODULE -- TESTS...``.

A mutant changes one operator, number, call, ``raise`` or ``return`` of a function. pytest collects
once; each mutant is put into the functions of a forked child, which runs the tests that reach the
changed lines, the quickest first, until one fails. What survives is printed, after ``!`` where no
test reaches it. Processes that tests start do not have the mutant. ``--sample N`` takes N, evenly.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import itertools
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import types
from pathlib import Path

import pytest

OTHER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
         ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot,
         ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add,
         ast.Mult: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr}  # fmt: skip
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
LEFT, UNTOUCHED = (ast.arguments, ast.JoinedStr), {"annotation", "returns", "decorator_list"}
LEFT_OUT, MOST_MEMORY = 99, 6 << 30


def replacements(node):
    """What may stand in place of a node."""
    match node:
        case ast.Compare(left, ops, right):
            for i, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:i], OTHER[type(op)](), *ops[i + 1 :]], right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(OTHER[type(op)](), values)
            rests = ([*values[:i], *values[i + 1 :]] for i in range(len(values)))
            yield from (ast.BoolOp(op, rest) if rest[1:] else rest[0] for rest in rests)
        case ast.BinOp(left, op, right) if type(op) in OTHER:
            yield ast.BinOp(left, OTHER[type(op)](), right)
        case ast.Constant(bool() | int() as value):
            yield ast.Constant(not value if isinstance(value, bool) else value + 1)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.Raise() | ast.Expr(ast.Call() | ast.Await()):
            yield ast.Pass()
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(None)


def mutants(node, lines=()):
    """Change the tree, yield the lines concerned and the change, and change it back, for each."""
    for field, value in ast.iter_fields(node):
        several = isinstance(value, list)
        for i, child in enumerate(value if several else [value]):
            if field in UNTOUCHED or not isinstance(child, ast.AST) or isinstance(child, LEFT):
                continue
            where = lines
            statement = isinstance(node, FUNCTION) or (lines and isinstance(node, ast.stmt))
            if statement and isinstance(child, (ast.expr, ast.stmt)):
                where = range(child.lineno, child.end_lineno + 1)
            for new in replacements(child) if where else ():
                ast.fix_missing_locations(ast.copy_location(new, child))
                setattr(node, field, [*value[:i], new, *value[i + 1 :]] if several else new)
                yield where, f"{ast.unparse(child)}  ->  {ast.unparse(new)}"
                setattr(node, field, value)
            yield from mutants(child, where)


def parts(tree, file):
    """The code of each function in a tree, in order."""
    todo, found = [compile(tree, file, "exec", dont_inherit=True)], []
    while todo:
        inner = [part for part in todo.pop().co_consts if isinstance(part, types.CodeType)]
        todo += inner
        found += inner
    return found


def run(items):
    """Run tests of pytest's."""
    for item, then in itertools.zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=then)


class Tester:
    """A plugin of pytest that runs tests for each mutant, each time in a child."""

    def __init__(self, module, sample, place):
        self.module, self.sample, self.place, self.reached = module, sample, place, {}

    def pytest_runtestloop(self, session):
        """Instead of pytest's own."""
        self.file = importlib.import_module(self.module).__file__
        self.source = Path(self.file).read_bytes()
        if self.child(self.trace, session.items):
            sys.exit("The tests fail without a mutant.")
        self.reached = pickle.loads((self.place / "reached").read_bytes())
        functions = [f for f in gc.get_objects() if type(f) is types.FunctionType]
        self.functions = [f for f in functions if f.__code__.co_filename == self.file]
        gc.freeze()
        found = list(mutants(ast.parse(self.source)))
        numbers = range(0, len(found), max(1, round(len(found) / self.sample)))
        ends = [self.judge(number, *found[number], session.items) for number in numbers]
        out = ends.count(LEFT_OUT << 8)
        print(f"{len(found)} mutants, {len(ends)} run, {ends.count(0)} survive, {out} left out")
        return True

    def pytest_runtest_logreport(self, report):
        """One failure is enough."""
        if report.failed:
            os._exit(1)

    def trace(self, items):
        """Note how long each test takes, and which lines of the file it reaches."""

        def tracer(frame, *_):
            if frame.f_code.co_filename == self.file:
                lines.add(frame.f_lineno)
                return tracer
            return None

        for item, then in itertools.zip_longest(items, items[1:]):
            lines, begun = set(), time.monotonic()
            sys.settrace(tracer)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=then)
            sys.settrace(None)
            self.reached[item.nodeid] = time.monotonic() - begun, lines
        (self.place / "reached").write_bytes(pickle.dumps(self.reached))

    def judge(self, number, lines, change, items):
        """What the tests of a mutant end with: 0 where it lives."""
        items = [item for item in items if self.reached[item.nodeid][1].intersection(lines)]
        items.sort(key=lambda item: self.reached[item.nodeid][0])
        seconds = 20 + 4 * sum(self.reached[item.nodeid][0] for item in items)
        end = self.child(lambda items: self.test(number, items), items, seconds) if items else 0
        if not end:
            print(f"{'' if items else '!'}{self.module}:{lines[0]}: {change}"[:300], flush=True)
        return end

    def test(self, number, items):
        """Put a mutant into the functions that there are, and run tests."""
        before = parts(ast.parse(self.source), self.file)
        tree = ast.parse(self.source)
        next(itertools.islice(mutants(tree), number, None))
        after = parts(tree, self.file)
        codes = dict(zip(before, after, strict=len(before) == len(after)))
        for function in self.functions:
            code = codes.get(function.__code__)
            if code is None or code.co_freevars != function.__code__.co_freevars:
                os._exit(LEFT_OUT)  # a closure keeps what it refers to
            function.__code__ = code
        run(items)

    def child(self, work, items, seconds=3600.0):
        """Do it in a child: what it ends with, 0 where no test fails."""
        pid = os.fork()
        if not pid:
            os.setpgid(0, 0)
            if self.reached:
                os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.environ["MAR_CACHE_DIR"] = str(self.place / "cache")
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
            try:
                work(items)
                os._exit(0)
            finally:
                os._exit(1)
        select.select([os.pidfd_open(pid)], [], [], seconds)
        os.killpg(pid, signal.SIGKILL)
        for name in ("tests", "cache"):
            shutil.rmtree(self.place / name, ignore_errors=True)
        return os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--sample", type=int, default=1_000_000)
    asked = parser.parse_args(sys.argv[1:at])
    if not all(part.isidentifier() for part in asked.module.split(".")):
        said = f"{asked.module!r} is no module"
        sys.exit(f"{said}; name it as an import does, such as mar_core.text.")
    os.environ["CI"] = "1"  # what draws at random draws the same again
    with tempfile.TemporaryDirectory() as folder:
        plugin = Tester(asked.module, asked.sample, Path(folder))
        words = [
            "-s",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            f"--basetemp={folder}/tests",
        ]
        sys.exit(pytest.main([*words, *sys.argv[at + 1 :]], plugins=[plugin]))
