"""torchcodec's VideoDecoder: RGB tensors only. `mode`: exact or approximate."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torchcodec.decoders import VideoDecoder

from ..peer import Reply, drop_from_page_cache, numbers, serve


def _open(request: dict[str, str], path: str | None = None) -> VideoDecoder:
    return VideoDecoder(
        path or request["file"],
        dimension_order="NHWC",
        num_ffmpeg_threads=int(request.get("threads", 1)),
        seek_mode=request.get("mode", "exact"),
    )


def _give(frames: Any, reply: Reply) -> None:
    data, times = frames.data, frames.pts_seconds
    if data.dim() == 3:
        data, times = data[None], torch.as_tensor([times])
    for picture, time in zip(data, times, strict=True):
        reply.picture(float(time), lambda picture=picture: picture.contiguous().numpy().tobytes())


def first(request: dict[str, str], reply: Reply) -> None:
    reply.timed(lambda: _give(_open(request).get_frame_at(0), reply))


def many(request: dict[str, str], reply: Reply) -> None:
    files = request["files"].split(",")
    if request.get("cold") == "1":
        drop_from_page_cache(files)

    def work() -> None:
        for path in files:
            _give(_open(request, path).get_frame_at(0), reply)

    reply.timed(work)


def all_(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        decoder = _open(request)
        for start in range(0, len(decoder), 30):
            _give(decoder.get_frames_in_range(start, min(start + 30, len(decoder))), reply)

    reply.timed(work)


def needed(request: dict[str, str], reply: Reply) -> None:
    """The batch call, by index: sorted and de-duplicated inside."""
    indices = [int(index) for index in numbers(request["indices"])]
    reply.timed(lambda: _give(_open(request).get_frames_at(indices), reply))


def played(request: dict[str, str], reply: Reply) -> None:
    """The batch call, by time."""
    times = [time + 1e-4 for time in numbers(request["at"])]
    reply.timed(lambda: _give(_open(request).get_frames_played_at(times), reply))


def streams(request: dict[str, str], reply: Reply) -> None:
    most = int(request.get("most", 1 << 30))
    lock = threading.Lock()

    def one() -> None:
        decoder = _open({**request, "threads": "1"})
        mine: list[float] = []
        for start in range(0, min(len(decoder), most), 30):
            mine += [float(time) for time in decoder.get_frames_in_range(start, min(start + 30, len(decoder), most)).pts_seconds]
        with lock:
            reply.times.extend(mine)

    def work() -> None:
        threads = [threading.Thread(target=one) for _ in range(int(request["count"]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    reply.timed(work)


if __name__ == "__main__":
    serve({"first": first, "many": many, "all": all_, "needed": needed, "played": played, "streams": streams})
