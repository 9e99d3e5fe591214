"""OpenCV's VideoCapture, as its users call it. Times start at 0."""

from __future__ import annotations

import threading

import cv2
import numpy as np

from ..peer import Reply, drop_from_page_cache, numbers, serve


def _open(request: dict[str, str], path: str | None = None) -> cv2.VideoCapture:
    parameters = [cv2.CAP_PROP_N_THREADS, int(request["threads"])] if "threads" in request else []
    capture = cv2.VideoCapture(path or request["file"], cv2.CAP_FFMPEG, parameters)
    if not capture.isOpened():
        raise RuntimeError("VideoCapture did not open")
    return capture


def _read(capture: cv2.VideoCapture, reply: Reply) -> bool:
    good, picture = capture.read()
    if good:
        reply.picture(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, lambda: picture[..., ::-1].tobytes())
    return good


def first(request: dict[str, str], reply: Reply) -> None:
    reply.timed(lambda: _read(_open(request), reply))


def many(request: dict[str, str], reply: Reply) -> None:
    files = request["files"].split(",")
    if request.get("cold") == "1":
        drop_from_page_cache(files)

    def work() -> None:
        for path in files:
            _read(_open(request, path), reply)

    reply.timed(work)


def all_(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        capture = _open(request)
        if request["as"] == "rgb":
            while _read(capture, reply):
                pass
        else:  # decoded, not converted: OpenCV has no way to hand the planes out
            while capture.grab():
                reply.picture(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)

    reply.timed(work)


def needed(request: dict[str, str], reply: Reply) -> None:
    """grab() to each wanted picture, then retrieve(): what OpenCV offers for sparse sampling."""
    wanted = [float(index) for index in numbers(request["indices"])]

    def work() -> None:
        capture = _open(request)
        left = set(map(int, wanted))
        for index in range(int(max(wanted)) + 1):
            if not capture.grab():
                break
            if index in left:
                _, picture = capture.retrieve()
                reply.picture(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, lambda picture=picture: picture[..., ::-1].tobytes())

    reply.timed(work)


def sought(request: dict[str, str], reply: Reply) -> None:
    """set(CAP_PROP_POS_FRAMES) for each wanted picture."""

    def work() -> None:
        capture = _open(request)
        for index in numbers(request["indices"]):
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            _read(capture, reply)

    reply.timed(work)


def streams(request: dict[str, str], reply: Reply) -> None:
    most = int(request.get("most", 1 << 30))
    lock = threading.Lock()

    def one() -> None:
        capture = _open({"threads": "1", **request})
        mine = []
        while len(mine) < most and capture.grab():
            mine.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
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
    def work() -> None:
        capture = _open(request)
        while True:
            good, picture = capture.read()
            if not good:
                return
            gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            reply.picture(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            reply.values.append(cv2.mean(gray)[0])

    reply.timed(work)


def visual(request: dict[str, str], reply: Reply) -> None:
    """Brightness, contrast, saturation and five dominant colours once a second: what people write with OpenCV and numpy."""

    def work() -> None:
        capture = _open(request)
        left = set(map(int, numbers(request["indices"])))
        for index in range(max(left) + 1):
            if not capture.grab():
                break
            if index not in left:
                continue
            _, picture = capture.retrieve()
            hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
            gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            small = cv2.resize(picture, (128, 72), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
            criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 1.0)
            cv2.kmeans(small, 5, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
            reply.picture(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            reply.values.append(float(gray.mean()) / 255)
            float(gray.std()), float(hsv[..., 1].mean())

    reply.timed(work)


if __name__ == "__main__":
    serve(
        {"first": first, "many": many, "all": all_, "needed": needed, "sought": sought, "streams": streams, "luma": luma, "visual": visual}
    )
