"""Light modules import torch only inside functions (import-linter holds the levels, not this)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import enfold

PACKAGE = Path(enfold.__file__).parent
LIGHT = ("errors.py", "lazy.py", "config.py", "spec", "files", "text", "media", "data", "models",
         "cli", "tasks/registry.py")
HEAVY = {"torch", "pyarrow", "pandas", "transformers"}
ODD = PACKAGE / "models" / "odd"  # families with Modules of their own


def light_files() -> list[Path]:
    found = [path for name in LIGHT for path in
             ([PACKAGE / name] if name.endswith(".py") else (PACKAGE / name).rglob("*.py"))]
    return sorted(path for path in found if path.exists() and ODD not in path.parents)

# what derives from a library's classes, and is imported where that library is asked for
LATE = {"pandas_arrays.py": {"pandas"}}


class Imports(ast.NodeVisitor):
    """The packages that importing a file loads itself: not in functions or under TYPE_CHECKING."""

    def __init__(self, path: Path) -> None:
        self.found: set[str] = set()
        self.visit(ast.parse(path.read_text()))

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {name.name.split(".")[0] for name in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.found.add((node.module or "").split(".")[0])

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.AST) -> None:
        """Runs later, if at all."""

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef


@pytest.mark.parametrize("path", light_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_light_modules_import_no_torch(path: Path) -> None:
    allowed = {"pyarrow"} if PACKAGE / "data" in path.parents else set()  # tables are its matter
    allowed |= LATE.get(path.name, set())
    assert (HEAVY - allowed).isdisjoint(Imports(path).found)
