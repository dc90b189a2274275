# The shape of the tree, held by a test: sizes, opening lines, a test file for each module, words, top level.
import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pyfilter"
MODULES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(module.relative_to(SOURCE)) for module in MODULES]

TOP_LEVEL = {
    *(".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "Config", "LICENSE", "README.md"),
    *("bench", "docs", "install.sh", "packaging", "pyproject.toml", "requirements-test.txt"),
    *("run.sh", "src", "test.sh", "tests"),
}
WITHOUT_TEST_FILE = {  # module: why it needs none of its own
    "__main__.py": "two lines; every system test starts the daemon through it",
    "cli/__init__.py": "the group alone; the files of the commands have theirs",
    "errors.py": "names without behaviour",
    "interfaces.py": "Protocols; mypy and the contract tests hold them",
    "model.py": "values without behaviour",
    "settings/tree.py": "values without behaviour",
    "matching/rule.py": "values without behaviour",
}
FORBIDDEN = {"jail", "bucket", "ticket", "manager", "helper", "util"}
SPEAKS_FAIL2BAN = re.compile(r"fail2ban")  # the importer's subject is the other program's words
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

every_module = pytest.mark.parametrize("module", MODULES, ids=NAMES)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def defined_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def says_something(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in tree.body) or (
        any(isinstance(node, ast.ClassDef) for node in tree.body)
    )


@every_module
def test_a_module_has_at_most_250_lines(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= 250, f"{module.relative_to(ROOT)}: {lines} lines; perhaps it holds two ideas"


@every_module
def test_a_function_has_at_most_30_lines(module: Path) -> None:
    long = {
        f"{module.relative_to(ROOT)}:{function.lineno} {function.name}": length
        for function in functions(ast.parse(module.read_text()))
        if (length := (function.end_lineno or 0) - function.lineno + 1) > 30
    }
    assert not long


@every_module
def test_a_module_opens_with_a_comment_that_says_its_place(module: Path) -> None:
    text = module.read_text()
    if text.strip():
        assert re.match(r"# \S", text), f"{module.relative_to(ROOT)} opens without a comment"


@every_module
def test_a_module_has_a_test_file_of_its_name(module: Path) -> None:
    name = str(module.relative_to(SOURCE))
    if name in WITHOUT_TEST_FILE or not says_something(ast.parse(module.read_text())):
        return
    first, *rest = module.relative_to(SOURCE).with_suffix("").parts
    own = "_".join([first, *(part for part in rest if part != "__init__")])
    tests = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    # The inner parts of a family may be tested through the part that the others see.
    assert any(test.startswith(f"test_{first}") for test in tests), f"no test_{own}.py for {name}"


@every_module
def test_a_module_names_things_by_the_glossary(module: Path) -> None:
    assert module.stem not in {"utils", "util", "helpers", "common"}
    if SPEAKS_FAIL2BAN.search(str(module)):
        return
    found = {
        name
        for name in defined_names(ast.parse(module.read_text()))
        if FORBIDDEN & {word.lower().removesuffix("s") for word in WORD.findall(name)}
    }
    assert not found, f"{module.relative_to(ROOT)}: the glossary has other words for {found}"


def test_the_exceptions_name_modules_that_exist() -> None:
    assert set(WITHOUT_TEST_FILE) <= set(NAMES)


def test_the_top_level_holds_what_the_design_names_and_no_more() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git checkout")
    top = {name.split("/")[0] for name in listed.stdout.split("\0") if name}
    assert top <= TOP_LEVEL


@pytest.mark.parametrize("script", ["run.sh", "install.sh", "test.sh", ".ci/run"])
def test_the_scripts_may_be_executed(script: str) -> None:
    assert (ROOT / script).stat().st_mode & 0o111
