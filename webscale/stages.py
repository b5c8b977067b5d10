"""`%%stage NAME`: a cell that is run, and whose source is kept, so that a server can run it too."""
import linecache

sources: dict[str, str] = {}   # what each stage's cell says, by the stage's name


def stage(name: str, cell: str) -> None:
    """Nothing is returned; the cell has run in the notebook, and `serve(stage=name)` can run it in a server."""
    from IPython import get_ipython  # here, so that nobody outside of a notebook waits for it
    name = name.strip()
    if not name.isidentifier():
        raise ValueError(f"Give the stage a name, as in %%stage Stopwatch; {name!r} is none.")
    filename = f"<stage {name}>"
    linecache.cache[filename] = (len(cell), None, cell.splitlines(keepends=True), filename)
    sources[name] = cell   # even if it fails now: never serve what the cell said before
    shell = get_ipython()
    exec(compile(shell.transform_cell(cell), filename, "exec"), shell.user_ns)
