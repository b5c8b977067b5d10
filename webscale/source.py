"""The source of a stage, line by line, and which of its lines ran."""
import ast
import textwrap
import threading
from collections.abc import Iterable
from dataclasses import dataclass

one_at_a_time = threading.Lock()   # Python 3.11 may raise SystemError when two threads make a syntax tree (gh-106905)


@dataclass(frozen=True)
class Line:
    """One line of a file."""

    number: int
    text: str
    ran: bool


def lines_of(pieces: Iterable[dict], ran: Iterable[int]) -> tuple[Line, ...]:
    """The lines of the pieces of a file ({"first_line", "source"}) in their order; between two pieces the numbers jump."""
    found = {}
    for piece in pieces:
        lit = whole_statements(piece["source"], piece["first_line"], set(ran))
        for number, text in enumerate(piece["source"], piece["first_line"]):
            found[number] = Line(number, text, number in lit or number in found and found[number].ran)
    return tuple(found[number] for number in sorted(found))


def whole_statements(source: list[str], first_line: int, ran: set[int]) -> set[int]:
    """The lines that ran, and with each the other lines of its statement.

    Python reports only some lines of a statement that spans several, and each version others.
    """
    lit = set()
    for start, end in statements(source):
        lines = set(range(first_line + start - 1, first_line + end))
        if lines & ran:
            lit |= lines
    return lit


def statements(source: list[str]) -> list[tuple[int, int]]:
    """First and last line of each statement; of one with a body, such as `if`, only its head."""
    try:
        with one_at_a_time:
            tree = ast.parse(textwrap.dedent("\n".join(source)))
    except SyntaxError:   # a piece that does not stand alone, such as a lambda within a call
        return [(number, number) for number in range(1, len(source) + 1)]
    return [extent(node) for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case))]


def extent(node: ast.AST) -> tuple[int, int]:
    """First and last line of the statement, without its body."""
    start = getattr(node, "lineno", None) or node.pattern.lineno
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    return (start, max(start, first_of(body[0]) - 1)) if isinstance(body, list) else (start, node.end_lineno)


def first_of(node: ast.AST) -> int:
    """The line where the statement begins, its decorators included."""
    decorators = [decorator.lineno for decorator in getattr(node, "decorator_list", [])]
    return min([getattr(node, "lineno", None) or node.pattern.lineno, *decorators])
