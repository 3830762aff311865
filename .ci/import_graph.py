"""Print the imports between subpackages, and fail if files import each other in a circle.

    python .ci/import_graph.py [PACKAGE]

Imports inside functions and imports for type checkers count too.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import grimp


def main(package: str = "embedpipe") -> int:
    """Return the exit status: 1 if there is a circle."""
    graph = grimp.build_graph(package, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    subpackages: dict[str, set[str]] = defaultdict(set)
    for name, imported in imports.items():
        own = subpackage_of(name)
        subpackages[own] |= {subpackage_of(each) for each in imported} - {own}
    for subpackage, others in sorted(subpackages.items()):
        print(f"{subpackage:<14} imports {', '.join(sorted(others)) or 'none'}")
    edges = sum(map(len, imports.values()))
    print(f"{len(imports)} files, {edges} imports between them")
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        print(f"a circle of imports: {' <- '.join(error.args[1])}", file=sys.stderr)
        return 1
    print("no circle")
    return 0


def subpackage_of(module: str) -> str:
    """Return the first part of a module's name below the package."""
    return [*module.split("."), "(package)"][1]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
