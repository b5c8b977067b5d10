"""Make `pytest --nbval` stricter than nbval is, and independent of the folder it is started in."""
from pathlib import Path

SANITISER = Path(__file__).parent / "nbval_sanitize.cfg"
CELL_TIMEOUT_S = 60
NBVALS_OWN_TIMEOUT_S = 2000   # somebody who asks for another limit on the command line gets it


def pytest_configure(config):
    options = config.option
    if getattr(options, "nbval", False) or getattr(options, "nbval_lax", False):
        options.nbval_sanitize_with = str(SANITISER)
        options.nbval_current_env = True
        if options.nbval_cell_timeout == NBVALS_OWN_TIMEOUT_S:
            options.nbval_cell_timeout = CELL_TIMEOUT_S
        fail_on_error_replies()
    if getattr(options, "numprocesses", None) and options.dist == "load":
        options.dist = "loadscope"   # the cells of one notebook share a kernel, so they stay in one worker


def pytest_collectstart(collector):
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("stderr",)   # a warning holds a temporary path, and another version has others


def fail_on_error_replies():
    """Nothing is returned; from now on a cell fails if the kernel answers it with an error.

    nbval looks at outputs only, and an unknown magic leaves no error output: to nbval alone it passes.
    """
    from nbval import kernel, plugin
    if not hasattr(kernel.RunningKernel, "last_reply"):
        kernel.RunningKernel.last_reply = {}
        kernel.RunningKernel.await_reply = await_reply
        plugin.IPyNbCell.runtest = checking_the_reply(plugin.IPyNbCell.runtest)


def await_reply(kernel, message_id, timeout=None):
    """Nothing is returned; the reply is kept as kernel.last_reply."""
    while True:
        message = kernel.get_message(stream="shell", timeout=timeout)
        if message["parent_header"].get("msg_id") == message_id:
            kernel.last_reply = message["content"]
            return


def checking_the_reply(runtest):
    """runtest, which also fails if the kernel's reply was an error that the cell's tags do not announce."""
    def checked(cell):
        cell.parent.kernel.last_reply = {}
        runtest(cell)
        reply = cell.parent.kernel.last_reply
        if reply.get("status", "ok") != "ok" and not cell.options["check_exception"]:
            cell.raise_cell_error(f"The kernel answered {reply['status']}: {reply.get('ename')}: {reply.get('evalue')}")
    return checked
