"""The ffmpeg command as people pipe it: by subprocess, and by imageio-ffmpeg (its own ffmpeg).

Pipes carry no times: the k-th picture is the k-th.
"""

from __future__ import annotations

import subprocess

import imageio_ffmpeg

from ..peer import Reply, numbers, serve


def _pipe(request: dict[str, str], reply: Reply, *options: str, end: tuple[str, ...]) -> None:
    binary = imageio_ffmpeg.get_ffmpeg_exe() if request.get("binary") == "imageio" else "ffmpeg"
    width, height = int(request["width"]), int(request["height"])
    size = width * height * 3
    command = [binary, "-loglevel", "error", *options, "-threads", request.get("threads", "0"), "-i", request["file"], *end]
    times = numbers(request["at"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=size) as process:
        assert process.stdout
        while picture := process.stdout.read(size):
            reply.picture(times[len(reply.times)] if len(reply.times) < len(times) else -1, picture)


def first(request: dict[str, str], reply: Reply) -> None:
    reply.timed(lambda: _pipe(request, reply, end=("-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")))


def all_(request: dict[str, str], reply: Reply) -> None:
    if request["as"] == "rgb":
        reply.timed(lambda: _pipe(request, reply, end=("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")))
        return

    def work() -> None:
        command = ["ffmpeg", "-loglevel", "error", "-threads", request.get("threads", "0"), "-i", request["file"], "-map", "0:v:0"]
        subprocess.run([*command, "-fps_mode", "passthrough", "-f", "null", "-"], check=True, stdin=subprocess.DEVNULL)

    reply.timed(work)
    reply.times = numbers(request["at"])


if __name__ == "__main__":
    serve({"first": first, "all": all_})
