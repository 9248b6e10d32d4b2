"""Shared fixtures: a headless browser, a single thread, and a file system that is soon full."""

import os
import subprocess

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; torch reads this when it is first imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def one_thread():
    """One thread for torch: results depend on the number of threads, and small tasks are no faster with more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small():
    """Mount a file system of so many kB at a folder; a second call changes its size."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system of a few kB")
    mounted = []

    def small(folder, size):
        folder.mkdir(parents=True, exist_ok=True)
        options = ["-o", f"remount,size={size}k"] if folder in mounted else ["-t", "tmpfs", "-o", f"size={size}k"]
        subprocess.run(["mount", *options, "none", folder], check=True)
        mounted.append(folder)

    yield small
    for folder in set(mounted):
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, path):
    """Open the page at `path`, the module's fixture, at a width: (page, lines of its console, URLs of its requests)."""
    pages = []

    def open_at(width, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        lines, requests = [], []
        page.on("console", lambda message: lines.append(message.text))
        page.on("pageerror", lambda error: lines.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri(), wait_until="networkidle")
        pages.append(page)
        return page, lines, requests

    yield open_at
    for page in pages:
        page.close()
