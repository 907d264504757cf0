"""Sizes of the source: a mirror to look into, not a gate.  `make size` prints it."""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "enfold"
SHOWN = 8


def main() -> None:
    """Lines by package, the longest files and functions, the change since the last tag."""
    files = {path: len(path.read_text().splitlines()) for path in sorted(PACKAGE.rglob("*.py"))}
    functions = [row for path in files for row in functions_of(path)]
    lengths = [length for length, _ in functions] or [0, 0]
    print(f"\nsrc: {sum(files.values()):,} lines in {len(files)} files; "
          f"tests: {lines_under('tests'):,}; benchmarks: {lines_under('benchmarks'):,}")
    print(f"functions: {len(functions):,}, median {median(lengths):.0f} lines, "
          f"95th percentile {quantiles(lengths, n=20)[-1]:.0f}, longest {max(lengths)}")
    table("by package", by_package(files))
    table("longest files", [(size, str(path.relative_to(PACKAGE))) for path, size in files.items()])
    table("longest functions", functions)
    print(f"\n{since_last_tag()}")


def functions_of(path: Path) -> list[tuple[int, str]]:
    """(lines, "file:line name") of each function in a file, nested ones included."""
    where = path.relative_to(PACKAGE)
    defs = [node for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [((node.end_lineno or 0) - node.lineno + 1, f"{where}:{node.lineno} {node.name}")
            for node in defs]


def by_package(files: dict[Path, int]) -> list[tuple[int, str]]:
    """Lines of each first-level module or folder of the package."""
    sizes: Counter[str] = Counter()
    for path, size in files.items():
        parts = path.relative_to(PACKAGE).parts
        sizes[parts[0] + "/" * (len(parts) > 1)] += size
    return [(size, name) for name, size in sizes.items()]


def lines_under(folder: str) -> int:
    """Lines of all Python files below a folder of the repository."""
    return sum(len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py"))


def table(title: str, rows: list[tuple[int, str]]) -> None:
    """The largest rows, one per line."""
    print(f"\n{title}")
    shown = len(rows) if title == "by package" else SHOWN
    for size, name in sorted(rows, reverse=True)[:shown]:
        print(f"  {size:6,}  {name}")


def since_last_tag() -> str:
    """`git diff --shortstat` of src since the newest tag."""
    tag = git("describe", "--tags", "--abbrev=0")
    if not tag:
        return "change since the last tag: no tag yet"
    return f"change in src since {tag}: {git('diff', '--shortstat', tag, '--', 'src') or 'none'}"


def git(*args: str) -> str:
    """One git command's output, empty if it fails (an unpacked archive has no history)."""
    done = subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    main()
