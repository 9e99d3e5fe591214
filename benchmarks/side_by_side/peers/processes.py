"""Programs from their start to their end, as somebody who types a command waits for them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from ..peer import Reply, serve


def _answer(text: str) -> tuple[float, list[float]]:
    """Time and embedding of the first picture, of our command's lines or of a line of one of the programs in `cold`."""
    for line in text.splitlines():
        record: dict[str, Any] = json.loads(line)
        if record.get("type") == "frame":
            record |= {"time": record["media_time"], "embedding": record["analyses"]["brands"]["embedding"]}
        if "embedding" in record:
            return float(record["time"]), [float(number) for number in record["embedding"]]
    raise ValueError(f"no embedding in {text[:200]!r}")


def cold(request: dict[str, str], reply: Reply) -> None:
    """`command`: a list as JSON; `expected`: a file with the embedding as `segment`."""
    done: list[subprocess.CompletedProcess[str]] = []
    reply.timed(lambda: done.append(subprocess.run(json.loads(request["command"]), capture_output=True, text=True)))
    if done[0].returncode:
        raise RuntimeError(done[0].stderr[-300:])
    time, embedding = _answer(done[0].stdout)
    reply.picture(time)
    with open(request["expected"], encoding="utf-8") as file:
        expected = json.load(file)["segment"]
    reply.values.append(sum(a * b for a, b in zip(embedding, expected, strict=True)) / sum(a * a for a in embedding) ** 0.5)


if __name__ == "__main__":
    serve({"cold": cold})
