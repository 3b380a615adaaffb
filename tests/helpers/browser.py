"""Looking at a page in headless Chromium: it is framed at a given width, measured, and clicked."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="hold" hidden></iframe><script>document.getElementById("hold").contentDocument.open();</script>
<iframe id="page" src="{address}" style="border:0;width:{width}px;height:900px"></iframe><pre id="told"></pre><script>
const frame = document.getElementById("page");
const wait = ms => new Promise(done => setTimeout(done, ms));
frame.addEventListener("load", async () => {{
  const window_ = frame.contentWindow, page = frame.contentDocument, root = page.documentElement, told = {{}};
  try {{ {script} }} catch (error) {{ told.fault = String(error); }}
  document.getElementById("told").textContent = JSON.stringify(told);
  document.getElementById("hold").contentDocument.close();  // the browser prints what is loaded, which this ends
}});
</script>"""


def chromium() -> str:
    """Return the browser's program; skips the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here")
    return program


def looked_at(page: Path, width: int, script: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what `script` (JavaScript; it has `page`, `root`, `wait`) writes into `told`, and the console's lines.

    `width` is that of the page in pixels; `folder` is for files of this function.
    """
    harness = folder / f"harness-{width}.html"
    harness.write_text(_HARNESS.format(address=html.escape(page.resolve().as_uri()), width=width, script=script))
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += ["--autoplay-policy=no-user-gesture-required", "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--window-size={max(500, width)},900", "--dump-dom"]
    ended = subprocess.run([*command, harness.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="told">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert found and found[1], ended.stderr[-2000:]
    console = [line for line in ended.stderr.splitlines() if ":CONSOLE" in line]
    return json.loads(html.unescape(found[1])), console
