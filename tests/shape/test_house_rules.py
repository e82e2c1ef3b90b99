"""The house rules that import contracts and linters cannot say. There are no exemptions: split the file instead."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PYTHON = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py")])

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
APP_LINES_MAX = 200
BLIND = {"Exception", "BaseException"}

# Put together here, so that this file does not hold the words that it looks for.
WORKPLACE_WORDS = re.compile("|".join(["/wo" + "rk/", "/tmp/pro" + "be", "/opt/whe" + "els", "INTER" + "FACES.md"]))
NOTES_TO_SELF = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def repository_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def test_there_is_something_to_check():
    assert len(SOURCES) > 10


def test_no_file_is_longer_than_its_limit():
    limits = {path: APP_LINES_MAX if shown(path) == "src/bezant/app.py" else FILE_LINES_MAX for path in PYTHON}
    assert [f"{shown(path)}: {lines_of(path)}" for path, limit in limits.items() if lines_of(path) > limit] == []


def test_no_function_is_longer_than_its_limit():
    too_long = [
        f"{shown(path)}:{node.lineno} {node.name}: {length}"
        for path in PYTHON
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_every_module_says_what_it_is_for():
    assert [shown(path) for path in PYTHON if not ast.get_docstring(parsed(path))] == []


def test_folder_files_of_the_business_hold_no_logic():
    """`__init__.py` is a docstring; only the command line and the versions have something to put together there."""
    with_logic = [
        shown(path)
        for path in SOURCES
        if path.name == "__init__.py"
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and path.parent.name not in {"commands"}
    ]
    assert with_logic == []


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").parent.parts)


def test_a_store_is_private_to_its_folder():
    strangers = [
        f"{shown(path)} imports {name}"
        for path in SOURCES
        for name in imported_modules(path)
        if re.fullmatch(r"bezant\..+\.store", name) and name.removesuffix(".store") != package_of(path)
    ]
    assert strangers == []


def test_sql_is_written_in_stores_only():
    allowed = {"src/bezant/base/db.py", "src/bezant/base/migrate.py"}
    sql = re.compile(
        r"^\s*(SELECT\s.+|INSERT\s+INTO\s.+|UPDATE\s+\w+\s+(AS\s+\w+\s+)?SET\s.+|DELETE\s+FROM\s.+|WITH\s+\w+\s+AS\s.+)",
        re.DOTALL,
    )
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in SOURCES
        if path.name != "store.py" and shown(path) not in allowed
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and sql.match(node.value)
    ]
    assert found == []


def test_sql_of_stores_is_put_together_before_any_value_is_known():
    """Values travel as parameters: what a running function inserts into a text is a constant, written in capitals."""
    inserted = [
        f"{shown(path)}:{part.lineno}: {ast.unparse(part.value)}"
        for path in SOURCES
        if path.name == "store.py"
        for function in functions(path)
        if isinstance(function, ast.AsyncFunctionDef)
        for part in ast.walk(function)
        if isinstance(part, ast.FormattedValue) and not (isinstance(part.value, ast.Name) and part.value.id.isupper())
    ]
    assert inserted == []


STATUS_UPDATE = re.compile(
    r"UPDATE\s+payments\b(\s+(AS\s+)?\w+)?\s+SET\s((?!\bWHERE\b|\bFROM\b).)*\bstatus\s*="
    r"|INSERT\s+INTO\s+payments\b.*\bDO\s+UPDATE\s+SET\s.*\bstatus\s*=",
    re.DOTALL,
)


def functions_that_update_status(path: Path) -> list[str]:
    """The functions of a store that use a text which updates `payments.status`, wherever that was put together."""
    module = importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    constants = {name for name, value in vars(module).items() if isinstance(value, str) and STATUS_UPDATE.search(value)}
    return [
        f"{shown(path)} {function.name}"
        for function in functions(path)
        for node in ast.walk(function)
        if (isinstance(node, ast.Name) and node.id in constants)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and STATUS_UPDATE.search(node.value))
    ]


def test_one_function_moves_payments_from_one_status_to_another():
    found = {place for path in SOURCES if path.name == "store.py" for place in functions_that_update_status(path)}
    assert len(found) == 1, found


def test_blind_excepts_say_why():
    silent: list[str] = []
    for path in PYTHON:
        lines = path.read_text().splitlines()
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else BLIND
            ends_in_raise = isinstance(node.body[-1], ast.Raise)
            if caught & BLIND and not ends_in_raise and "#" not in lines[node.lineno - 1]:
                silent.append(f"{shown(path)}:{node.lineno}")
    assert silent == []


def test_the_source_speaks_http_through_one_client():
    foreign = {"httpx", "requests", "urllib3", "http.client", "urllib.request"}
    found = [f"{shown(path)} imports {name}" for path in SOURCES for name in imported_modules(path) if name in foreign]
    assert found == []


@pytest.mark.parametrize(("words", "what"), [(WORKPLACE_WORDS, "the workplace"), (NOTES_TO_SELF, "notes to self")])
def test_no_file_of_the_repository_speaks_of(words: re.Pattern[str], what: str):
    found: list[str] = []
    for path in repository_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{shown(path)}: {match[0]}" for match in words.finditer(text)]
    assert found == [], what


def test_no_file_names_a_package_index():
    locks = [path for path in repository_files() if path.name.startswith("requirements")]
    assert locks
    assert [shown(path) for path in locks if re.search(r"https?://", path.read_text())] == []
