"""Rules that product code is held to, as functions from a syntax tree to what breaks them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

UNSAFE_MODULES: Final = frozenset(
    {"pickle", "cPickle", "cloudpickle", "joblib", "dill", "marshal", "shelve", "jsonpickle"}
)
UNSAFE_CALLS: Final = frozenset({
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.unsafe_load",
    "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all", "builtins.eval", "builtins.exec",
    "pandas.read_pickle", "pd.read_pickle", "torch.load", "mlflow.pyfunc.load_model", "mlflow.sklearn.load_model",
})  # fmt: skip
"""Run code, or may run code, that somebody else has written."""
NUMPY_LOAD: Final = frozenset({"np.load", "numpy.load"})
FAUST_NAMES: Final = frozenset({
    "take", "take_with_timestamp", "noack", "group_by", "through", "tumbling", "hopping", "on_window_close", "combine",
    "left_join", "inner_join", "outer_join", "ask", "kvjoin", "kvmap",
})  # fmt: skip
"""Attributes of Faust's streams, tables and agents that lose rows, answer strangers, or expire by the wall clock."""
OUR_RECEIVERS: Final = frozenset({"self.fold", "fold"})
"""`take` of our own folds is not Faust's."""


def imports(tree: ast.AST) -> Iterator[str]:
    """The top names of all imported modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Whatever could run foreign code: modules, calls, a shell."""
    yield from sorted(UNSAFE_MODULES & set(imports(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), keywords(node)
            if name in UNSAFE_CALLS:
                yield f"{name} at line {node.lineno}"
            if given.get("shell") not in {None, "False"}:
                yield f"shell at line {node.lineno}"
            if name in NUMPY_LOAD and given.get("allow_pickle") != "False":
                yield f"{name} at line {node.lineno}"


def keywords(call: ast.Call) -> Mapping[str, str]:
    """The keyword arguments of a call, as source text."""
    return {one.arg: ast.unparse(one.value) for one in call.keywords if one.arg}


def faust_misuse(tree: ast.AST) -> Iterator[str]:
    """Every use of Faust that `traps.md` shows to lose rows; nothing for a module that does not import it."""
    if "faust" not in set(imports(tree)):
        return
    yield from _forbidden_names(tree)
    yield from _agents(tree)
    yield from _streams(tree)
    if any(isinstance(node, ast.Constant) and node.value == "exactly_once" for node in ast.walk(tree)):
        yield "exactly_once"


def _forbidden_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in FAUST_NAMES
            and ast.unparse(node.value) not in OUR_RECEIVERS
        ):
            yield f"{node.attr} at line {node.lineno}"


def _agents(tree: ast.AST) -> Iterator[str]:
    """An agent has `concurrency=1` and no sink, and never yields: one that does answers `Faust-Ag-ReplyTo`."""
    bodies = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "agent":
            if keywords(node).get("concurrency") != "1":
                yield f"agent without concurrency=1 at line {node.lineno}"
            if "sink" in keywords(node):
                yield f"agent with a sink at line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
            yield from _registered(node, bodies)
    for body in bodies.values():
        if any("agent" in ast.unparse(one) for one in body.decorator_list) and _yields(body):
            yield f"{body.name} yields at line {body.lineno}"


def _registered(node: ast.Call, bodies: Mapping[str, ast.AsyncFunctionDef | ast.FunctionDef]) -> Iterator[str]:
    if isinstance(node.func, ast.Call) and ast.unparse(node.func.func).endswith(".agent") and node.args:
        name = ast.unparse(node.args[0]).rpartition(".")[2]
        if name in bodies and _yields(bodies[name]):
            yield f"{name} yields at line {node.lineno}"


def _yields(body: ast.AST) -> bool:
    return any(isinstance(one, ast.Yield | ast.YieldFrom) for one in ast.walk(body))


def _streams(tree: ast.AST) -> Iterator[str]:
    """Whoever iterates over `stream.events()` has switched Faust's own acknowledgement off somewhere in the module."""
    reads = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"events", "items"} and ast.unparse(node.value) == "stream"
    ]  # fmt: skip
    plain = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFor) and ast.unparse(node.iter) == "stream"]
    if (reads or plain) and not any(_switches_acks_off(node) for node in ast.walk(tree)):
        yield "a stream is read with automatic acknowledgement"
    for node in plain:
        yield f"a stream is read without its events at line {node.lineno}"


def _switches_acks_off(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node).endswith(".enable_acks = False")
