"""Small mistakes, made up by changing the syntax tree of a reference solution in one place."""

import ast
import copy
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

SWAPPED: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.FloorDiv: (ast.Mod,),
    ast.Mod: (ast.FloorDiv,),
}
"""What people take for something else. No operator becomes one that makes numbers grow without end."""
NAMES = {"max": "min", "min": "max", "sorted": "list", "any": "all", "all": "any"}
"""Functions that are taken for others."""
LARGEST = 9
"""Constants up to this are changed by one."""


class Change(NamedTuple):
    """A field of a node and what to put there."""

    node: ast.AST
    field: str
    value: Any

    def make(self) -> None:
        """Change the node."""
        setattr(self.node, self.field, self.value)


@lru_cache(maxsize=1024)
def mutations(template: str) -> tuple[str, ...]:
    r"""All templates with one such mistake, in the order of the places; some may be as right as the original.

    Example:
        >>> [text.split()[-3:] for text in mutations("def solve(n):\n    return n + K")]
        [['n', '-', 'K']]
    """
    found = dict.fromkeys(ast.unparse(tree) for tree in changed_trees(ast.parse(template)))
    found.pop(ast.unparse(ast.parse(template)), None)
    return tuple(found)


def changed_trees(tree: ast.Module) -> Iterator[ast.Module]:
    """The tree with a change in one place, for every change and place."""
    # A changed digit of a negative number would look like no mistake that anybody makes, as in `[::-0]`.
    negated = {id(node.operand) for node in ast.walk(tree) if isinstance(node, ast.UnaryOp)}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in negated and isinstance(node, ast.Constant):
            continue
        for number in range(len(changes(node))):
            # The copy is walked in the same order, so that the place finds the same node in it.
            changed = copy.deepcopy(tree)
            twin = next(other for index, other in enumerate(ast.walk(changed)) if index == place)
            changes(twin)[number].make()
            yield changed


def changes(node: ast.AST) -> list[Change]:
    """What can be changed at a node."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return [Change(node, "ops", [other()]) for other in SWAPPED.get(type(node.ops[0]), ())]
    if isinstance(node, ast.BinOp | ast.AugAssign):
        return [Change(node, "op", other()) for other in SWAPPED.get(type(node.op), ())]
    if isinstance(node, ast.BoolOp):
        return [Change(node, "op", other()) for other in SWAPPED[type(node.op)]]
    if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) <= LARGEST:
        return [Change(node, "value", node.value + step) for step in (1, -1) if node.value + step >= 0]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [Change(node, "value", not node.value)]
    if isinstance(node, ast.Name) and node.id in NAMES:
        return [Change(node, "id", NAMES[node.id])]
    if isinstance(node, ast.If | ast.While | ast.IfExp) and isinstance(node.test, ast.UnaryOp):
        return [Change(node, "test", node.test.operand)] if isinstance(node.test.op, ast.Not) else []
    return []
