"""PyAV, in the ways its users and its experts call it. `threads`: AUTO lets FFmpeg choose the kind, as the documentation advises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import av

from ..peer import Reply, drop_from_page_cache, numbers, serve


class _Film:
    def __init__(self, request: dict[str, str], path: str | None = None) -> None:
        self.container = av.open(path or request["file"])
        self.stream = self.container.streams.video[0]
        if "threads" in request:
            self.stream.thread_type = "AUTO"
            self.stream.thread_count = int(request["threads"])
        self.rgb = request.get("as") == "rgb"

    def give(self, frame: Any, reply: Reply) -> None:
        time = float(frame.pts * self.stream.time_base)  # frame.time is None after draining
        if self.rgb:
            reply.picture(time, frame.to_ndarray(format="rgb24"))
        else:
            reply.picture(time, lambda: frame.to_ndarray().tobytes())

    def key_packet(self) -> Iterator[Any]:
        """The first keyframe, drained."""
        for packet in self.container.demux(self.stream):
            if packet.is_keyframe:
                yield from packet.decode()
                yield from self.stream.codec_context.decode(None)
                return


def first(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        film = _Film(request)
        film.give(next(film.container.decode(film.stream)), reply)
        film.container.close()

    reply.timed(work)


def first_by_key(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        film = _Film(request)
        film.give(next(film.key_packet()), reply)
        film.container.close()

    reply.timed(work)


def many(request: dict[str, str], reply: Reply) -> None:
    files = request["files"].split(",")
    if request.get("cold") == "1":
        drop_from_page_cache(files)

    def work() -> None:
        for path in files:
            film = _Film(request, path)
            film.give(next(film.key_packet()), reply)
            film.container.close()

    reply.timed(work)


def keys(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        film = _Film(request)
        film.stream.codec_context.skip_frame = "NONKEY"
        for frame in film.container.decode(film.stream):
            film.give(frame, reply)
        film.container.close()

    reply.timed(work)


def all_(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        film = _Film(request)
        for frame in film.container.decode(film.stream):
            film.give(frame, reply)
        film.container.close()

    reply.timed(work)


def needed(request: dict[str, str], reply: Reply) -> None:
    """Decodes in order up to the last wanted picture, converts only those."""
    wanted = numbers(request["at"])

    def work() -> None:
        film = _Film(request)
        left = sorted(wanted)
        for frame in film.container.decode(film.stream):
            if abs(frame.time - left[0]) < 1e-4:
                film.give(frame, reply)
                left.pop(0)
                if not left:
                    break
        film.container.close()

    reply.timed(work)


def sought(request: dict[str, str], reply: Reply) -> None:
    """A backward seek for each wanted time, then decoding up to it."""

    def work() -> None:
        film = _Film(request)
        for time in numbers(request["at"]):
            film.container.seek(int(time / film.stream.time_base), stream=film.stream, backward=True)
            for frame in film.container.decode(film.stream):
                if frame.time >= time - 1e-4:
                    film.give(frame, reply)
                    break
        film.container.close()

    reply.timed(work)


def streams(request: dict[str, str], reply: Reply) -> None:
    most = int(request.get("most", 1 << 30))
    lock = threading.Lock()

    def one() -> None:
        film = _Film({**request, "threads": "1"})
        if request["what"] == "keys":
            film.stream.codec_context.skip_frame = "NONKEY"
        mine = []
        for frame in film.container.decode(film.stream):
            mine.append(frame.time)
            if len(mine) == most:
                break
        film.container.close()
        with lock:
            reply.times.extend(mine)

    def work() -> None:
        threads = [threading.Thread(target=one) for _ in range(int(request["count"]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    reply.timed(work)


def luma(request: dict[str, str], reply: Reply) -> None:
    import numpy as np

    def work() -> None:
        film = _Film(request)
        for frame in film.container.decode(film.stream):
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            reply.picture(frame.time)
            reply.values.append(float(rows.mean()))
        film.container.close()

    reply.timed(work)


if __name__ == "__main__":
    serve(
        {
            "first": first,
            "first_by_key": first_by_key,
            "many": many,
            "keys": keys,
            "all": all_,
            "needed": needed,
            "sought": sought,
            "streams": streams,
            "luma": luma,
        }
    )
