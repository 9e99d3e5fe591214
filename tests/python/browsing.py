"""A headless Chromium for the tests, and what is read off its screen."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

import vidloom as vl

BROWSER = pathlib.Path(__file__).parents[1] / "support" / "browser"


def chromium() -> str:
    """Skips with what is missing; conftest.py makes that a failure in CI."""
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("no chromium: run tests/support/browser/setup.sh as root")
    if not shutil.which("node") or not (BROWSER / "node_modules" / "playwright-core").is_dir():
        pytest.skip("no playwright-core: run tests/support/browser/setup.sh")
    return found


class Browser:
    """One page at a time, driven over a pipe."""

    def __init__(self) -> None:
        environment = {**os.environ, "VIDLOOM_CHROMIUM": chromium()}
        command = ["node", str(BROWSER / "drive.mjs")]
        self.process = subprocess.Popen(
            command, cwd=BROWSER, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def do(self, action: str, **options: Any) -> Any:
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(json.dumps({"do": action, **options}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the browser ended: {self.process.stderr.read()[-2000:]}"
        answer = json.loads(line)
        assert "error" not in answer, f"{action} {options}: {answer['error']}"
        return answer["ok"]

    def open(self, page: pathlib.Path | str, **options: Any) -> str:
        return self.do("open", url=page if isinstance(page, str) else page.resolve().as_uri(), **options)

    def eval(self, code: str, argument: Any = None) -> Any:
        return self.do("eval", code=code, **{"with": argument})

    def check(self, name: str) -> Any:
        """What the function in tests/support/browser/NAME.js finds wrong."""
        code = (BROWSER / f"{name}.js").read_text(encoding="utf-8")
        return self.eval(code[code.index("() =>") :].strip())

    def picture(self, path: pathlib.Path, selector: str) -> np.ndarray:
        self.do("shot", selector=selector, path=str(path))
        (frame,) = list(vl.open_source(str(path)))
        return frame.image("gray").numpy().reshape(frame.size[1], frame.size[0])

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def barcode(grey: np.ndarray) -> int:
    """The frame number in the lower left corner of a test pattern that fills ``grey``, as src/sources/barcode.hpp describes it."""
    height, width = grey.shape
    bottom = height
    side = min(height // 8, width // 16)
    found = [number for cell in range(side, 3, -1) if (number := _read(grey[bottom - 8 * cell : bottom, : 16 * cell], cell)) is not None]
    assert found, "no barcode can be read"
    return found[0]


def _read(corner: np.ndarray, cell: int) -> int | None:
    quarter = max(1, cell // 4)
    middle = slice(quarter, cell - quarter)
    means = corner.reshape(8, cell, 16, cell)[:, middle, :, middle].mean(axis=(1, 3))
    white = means > (means.max() + means.min()) / 2
    outer = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    inner = np.concatenate([white[1, 1:-1], white[-2, 1:-1], white[1:-1, 1], white[1:-1, -2]])
    if not outer.all() or inner.any():
        return None
    bits = "".join("1" if cell_is_white else "0" for cell_is_white in white[2:6, 2:14].ravel())
    number, check = int(bits[:32], 2), int(bits[32:], 2)
    crc = 0xFFFF
    for bit in bits[:32]:
        carry = (crc >> 15) ^ int(bit)
        crc = (crc << 1) & 0xFFFF ^ (0x1021 if carry & 1 else 0)
    return number if crc == check else None
