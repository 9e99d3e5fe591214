"""decord's VideoReader: RGB arrays."""

from __future__ import annotations

import decord

from ..peer import Reply, drop_from_page_cache, numbers, serve


def _open(request: dict[str, str], path: str | None = None) -> decord.VideoReader:
    return decord.VideoReader(path or request["file"], ctx=decord.cpu(0), num_threads=int(request.get("threads", 0)))


def _give(reader: decord.VideoReader, index: int, picture: decord.nd.NDArray, reply: Reply) -> None:
    reply.picture(float(reader.get_frame_timestamp(index)[0]), lambda: picture.asnumpy().tobytes())


def first(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        reader = _open(request)
        _give(reader, 0, reader[0], reply)

    reply.timed(work)


def many(request: dict[str, str], reply: Reply) -> None:
    files = request["files"].split(",")
    if request.get("cold") == "1":
        drop_from_page_cache(files)

    def work() -> None:
        for path in files:
            reader = _open(request, path)
            _give(reader, 0, reader[0], reply)

    reply.timed(work)


def all_(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        reader = _open(request)
        for index in range(len(reader)):
            _give(reader, index, reader[index], reply)

    reply.timed(work)


def needed(request: dict[str, str], reply: Reply) -> None:
    indices = [int(index) for index in numbers(request["indices"])]

    def work() -> None:
        reader = _open(request)
        batch = reader.get_batch(indices).asnumpy()
        for index, picture in zip(indices, batch, strict=True):
            reply.picture(float(reader.get_frame_timestamp(index)[0]), picture)

    reply.timed(work)


if __name__ == "__main__":
    serve({"first": first, "many": many, "all": all_, "needed": needed})
