"""Extension modules, imported by name or by path."""

import sys
import textwrap

import pytest

from embedpipe._registry import Registry, import_extensions, imported_extensions
from embedpipe.errors import UsageError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a module into the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("embedpipe._registry._IMPORTED", {})
    before = set(sys.modules)

    def written(name, text="loaded = True"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        return path

    yield written
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_of_the_current_directory_is_imported(write):
    write("my_rules_a")
    import_extensions(["my_rules_a", "my_rules_a"])
    assert sys.modules["my_rules_a"].loaded
    assert imported_extensions() == ["my_rules_a"]


def test_a_file_is_imported_by_its_path(write, tmp_path):
    path = write("my_rules_b")
    import_extensions(["my_rules_b.py"])
    assert sys.modules["my_rules_b"].loaded
    assert imported_extensions() == [str(path)]  # absolute: a worker may be elsewhere


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("no_such_module", None, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("my_rules_c", "1 / 0", "ZeroDivisionError: division by zero"),
        ("json.py", "", "ImportError: a module 'json' exists already: rename the file"),
    ],
)
def test_an_import_error_is_explained(name, text, reason, write):
    if text is not None:
        write(name.removesuffix(".py"), text)
    with pytest.raises(UsageError) as caught:
        import_extensions([name])
    assert str(caught.value) == (
        f"cannot import {name!r}: {reason}. Give the path of a .py file, or the name of a module "
        "that is installed or in the current directory."
    )
    assert imported_extensions() == []


def install(folder, group, points):
    """Write the metadata of an installed package."""
    info = folder / "their_rules-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-rules\nVersion: 1.0\n")
    lines = [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


def test_installed_packages_add_to_a_registry(write, tmp_path, monkeypatch):
    write("their_rules", "class Newest:\n    '''The last items.'''\n")
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "embedpipe.rules", {"newest": "their_rules:Newest", "lost": "no_module:X"})
    rules = Registry[type]("rule", "embedpipe.rules")
    rules.register("oldest")(type("Oldest", (), {"__doc__": "The first items."}))
    assert list(rules) == ["oldest", "newest", "lost"]
    assert "their_rules" not in sys.modules  # names are known without importing anything
    assert rules["newest"].__name__ == "Newest"
    assert rules.describe() == {
        "oldest": "The first items.",
        "newest": "The last items.",
        "lost": "the rule 'lost' of the package 'their-rules' cannot be loaded: "
        "ModuleNotFoundError: No module named 'no_module'. Update or uninstall the package.",
    }


def test_an_installed_package_does_not_replace_a_registered_name(write, tmp_path, monkeypatch):
    write("their_rules", "class Oldest:\n    '''Theirs.'''\n")
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "embedpipe.rules", {"oldest": "their_rules:Oldest"})
    rules = Registry[type]("rule", "embedpipe.rules")
    rules.register("oldest")(type("Oldest", (), {"__doc__": "Ours."}))
    with pytest.warns(UserWarning, match="'oldest' of the package their-rules is ignored"):
        assert rules.describe() == {"oldest": "Ours."}
