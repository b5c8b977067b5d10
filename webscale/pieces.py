"""Pieces of a file's source: the function or the class that a line belongs to."""
import ast
import functools
import linecache


def piece_around(filename: str, line: int) -> dict | None:
    """The function or method around the line, or the class, as {"first_line", "source"}; None if there is neither."""
    return piece(filename, line, inner=True)


def whole_class_or_function(filename: str, line: int) -> dict | None:
    """What stands at the file's left margin around the line: a class with all its methods, or a function."""
    return piece(filename, line, inner=False)


def piece(filename: str, line: int, inner: bool) -> dict | None:
    """The definition around the line; within a class the method, if the inner one is wanted."""
    for first, last, is_method in sorted(definitions(filename), key=lambda each: each[2] is not inner):
        if first <= line <= last and (inner or not is_method):
            return {"first_line": first, "source": [text.rstrip("\n") for text in linecache.getlines(filename)[first - 1:last]]}
    return None


@functools.cache
def definitions(filename: str) -> tuple[tuple[int, int, bool], ...]:
    """First line, last line, and whether it is a method: of each definition at the margin and in a class there."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:
        return ()
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    outer = [node for node in tree.body if isinstance(node, defined)]
    methods = [node for owner in outer if isinstance(owner, ast.ClassDef) for node in owner.body if isinstance(node, defined)]
    return tuple((first_line(node), node.end_lineno, node in methods) for node in [*outer, *methods])


def first_line(node: ast.AST) -> int:
    """Where the definition begins, its decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
