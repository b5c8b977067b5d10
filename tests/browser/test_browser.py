"""The stepper in a real JupyterLab, in a real browser, with the kernel busy."""
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time

import nbformat
import pytest
import requests

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: uv sync --group browser")
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="There is no Chromium on the PATH")

READY_S = 40
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--disable-component-update"]
CELLS = [
    "from webscale.servers import serve\nfrom webscale.tracing import trace\nserver = serve('01-monolith')",
    "trace(server, 'GET', '/products/7').stepper()",
    "import time\nprint('now busy', flush=True); time.sleep(8); print('no longer busy')",
]


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab on tmp_path, with nothing that pops up."""
    quiet = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
               f"--ServerApp.root_dir={tmp_path}", f"--LabApp.user_settings_dir={tmp_path / 'settings'}",
               f"--LabApp.workspaces_dir={tmp_path / 'workspaces'}"]
    with open(tmp_path / "lab.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "JUPYTER_NO_CONFIG": "1"})
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={token}", process)
        yield lambda name: f"http://127.0.0.1:{port}/doc/tree/{name}?token={token}"
    finally:
        process.terminate()
        process.wait(READY_S)


def wait_for(url, process):
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return requests.get(url, timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start; its exit code is {process.poll()}")


@pytest.fixture
def page():
    """An empty page in Chromium; whatever fails in its scripts fails the test."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert errors == []


def run_all(page, url):
    page.goto(url)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=READY_S * 1000)   # else it asks for a kernel
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()


def notebook(path, sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_the_stepper_steps_while_the_kernel_is_busy(lab, page, tmp_path):
    run_all(page, lab(notebook(tmp_path / "stepper.ipynb", CELLS).name))
    shown = page.locator(".ws-page:visible .ws-pill")
    page.locator(".jp-OutputArea-output", has_text="now busy").wait_for(timeout=READY_S * 1000)
    sync_api.expect(shown).to_have_text("client")

    page.locator(".ws-stepper .widget-toggle-button", has_text="Router").first.click()
    sync_api.expect(shown).to_have_text("Router", timeout=3000)
    page.locator(".ws-stepper .widget-play button").first.click()
    sync_api.expect(shown).to_have_text("catalog.controller.read_product", timeout=3000)

    assert page.get_by_text("no longer busy", exact=True).count() == 0   # the kernel had no hand in it
