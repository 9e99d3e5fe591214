"""The rows: who does what, what must come out, and what is aimed at."""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from . import gates
from .gates import Verdict
from .media import Clip, Studio

Take = tuple[int, Callable[[Any], Any], Callable[[Any, Sequence[float]], Verdict]]


@dataclass
class Participant:
    """One way of doing a row's work."""

    name: str
    role: Literal["ours", "limit", "peer"]
    program: str  # "ours", "limits", or a module of side_by_side.peers
    task: str
    arguments: dict[str, Any] = field(default_factory=dict)
    pictures: Callable[[], Take] | None = None  # how its pictures are judged; None: by their times alone
    from_zero: bool = False  # its times count from the first picture
    timeless: bool = False  # it gives no times
    note: str = ""


@dataclass(frozen=True)
class Target:
    """`at most`: ours / other in seconds; `at least`: other / ours. `other`: a participant's name. `within`: the participant's own figure
    in `unit`."""

    other: str
    kind: Literal["at most", "at least", "within"]
    bound: float
    unit: str = "s"

    def __str__(self) -> str:
        if self.kind == "within":
            return f"{self.other} within {self.bound:g} {self.unit}"
        if self.kind == "at most":
            return f"at most {self.bound:g} of {self.other}"
        return f"{self.bound:g} times as fast as {self.other}" if self.bound >= 1 else f"{self.bound:g} of the speed of {self.other}"


@dataclass
class Row:
    name: str
    title: str
    participants: list[Participant]
    times: list[float]  # what must come out
    targets: list[Target]
    ordered: bool = True
    values: Callable[[Sequence[float]], Verdict] | None = None  # judges Reply.values of everybody
    rounds: int = 20
    warmups: int = 2
    unit: str = "ms"  # "MB": figures are no times but memory
    clip: str = ""
    start: float = 0.0  # time of the film's first picture
    note: str = ""

    @property
    def ours(self) -> Participant:
        return next(p for p in self.participants if p.role == "ours")


class Rows:
    """Builds a row when it is asked for; films and references are made then."""

    def __init__(
        self,
        studio: Studio,
        peers: pathlib.Path | None = None,
        stubs: pathlib.Path | None = None,
        python: pathlib.Path | None = None,
        command: pathlib.Path | None = None,
    ) -> None:
        """`peers`, `stubs`: the Python that makes the model of the rows I, S and C, and what it needs to import torchvision; `python`: one
        with vidloom; `command`: Vidloom's."""
        self.studio = studio
        self.peers, self.stubs, self.python, self.command = peers, stubs, python, command
        self.frame_threads = len(os.sched_getaffinity(0)) + 2  # what keeps all cores busy; more brings nothing
        overlapped = [Target("overlapped limit", "at least", 0.92), Target("OpenCV", "at least", 1.2)]
        odd = [Target("torchcodec", "at least", 1.5)]
        segment = "1080p_g60.ts"
        self._makers: dict[str, Callable[[], Row]] = {
            "D1": partial(self._first, "D1", segment),
            "D1_720p": partial(self._first, "D1_720p", "720p_g60.ts"),
            "D1_mp4": partial(self._first, "D1_mp4", "1080p_g60.mp4"),
            "D2": partial(self._keys, "D2", segment),
            "D2_720p": partial(self._keys, "D2_720p", "720p_g60.ts"),
            "D3_1_thread": partial(self._all_planes, "D3_1_thread", segment, 1),
            "D3_2_threads": partial(self._all_planes, "D3_2_threads", segment, 2),
            "D3_default": partial(self._all_planes, "D3_default", segment, 0),
            "D3_hevc": partial(self._all_planes, "D3_hevc", "hevc_g60.mp4", 0),
            "D3_vp9": partial(self._all_planes, "D3_vp9", "vp9_g60.webm", 0),
            "D4": partial(self._all_rgb, "D4", segment, overlapped),
            "D5_half_second": partial(self._sample, "D5_half_second", segment, 0.5),
            "D5_second": partial(self._sample, "D5_second", segment, 1.0),
            "D5_mp4": partial(self._sample, "D5_mp4", "1080p_g60.mp4", 0.5),
            "D5_uniform_120s": partial(self._uniform, "D5_uniform_120s", "120s_g250.mp4"),
            "D6_g30_mp4": partial(self._random, "D6_g30_mp4", "120s_g30.mp4"),
            "D6_g250_mp4": partial(self._random, "D6_g250_mp4", "120s_g250.mp4"),
            "D6_g600_mp4": partial(self._random, "D6_g600_mp4", "120s_g600.mp4"),
            "D6_g250_mkv": partial(self._random, "D6_g250_mkv", "120s_g250.mkv"),
            "D6_g250_ts": partial(self._random, "D6_g250_ts", "120s_g250.ts"),
            "D6_segment": partial(self._random, "D6_segment", segment),
            "D7_warm": partial(self._many, "D7_warm", 200, cold=False),
            "D7_cold": partial(self._many, "D7_cold", 200, cold=True),
            **{f"D8_keys_{count}": partial(self._streams, f"D8_keys_{count}", count, "keys") for count in (1, 4, 16)},
            **{f"D8_full_{count}": partial(self._streams, f"D8_full_{count}", count, "all") for count in (1, 4, 16)},
            "D9": partial(self._luma, "D9"),
            "D10_854x480": partial(self._all_rgb, "D10_854x480", "480p_g60.mp4", odd),
            "D10_426x240": partial(self._all_rgb, "D10_426x240", "240p_g60.mp4", odd),
            "D10_portrait": partial(self._all_rgb, "D10_portrait", "portrait_g60.mp4", odd),
            "P1": self._clip_tensor,
            "P2": self._letterbox,
            "P3": self._full_rgb,
            "I1": partial(self._image_tower, "I1", 1),
            "I2": partial(self._image_tower, "I2", 8),
            "I2_32": partial(self._image_tower, "I2_32", 32),
            "I3": partial(self._narrow_tower, "I3", 1, "bf16"),
            "I3_8": partial(self._narrow_tower, "I3_8", 8, "bf16"),
            "I3_32": partial(self._narrow_tower, "I3_32", 32, "bf16"),
            "I4": partial(self._narrow_tower, "I4", 1, "int8"),
            "I4_8": partial(self._narrow_tower, "I4_8", 8, "int8"),
            "I4_32": partial(self._narrow_tower, "I4_32", 32, "int8"),
            "I5": self._text_tower,
            "C1": self._start_to_scores,
            "C2": self._resident,
            "S0": self._segment_visual,
            "S1": partial(self._segment_clip, "S1", "f32"),
            "S1_bf16": partial(self._segment_clip, "S1_bf16", "bf16"),
            "S1_int8": partial(self._segment_clip, "S1_int8", "int8"),
            "S2": partial(self._segment_clip, "S2", "f32", 32),
            "S2_bf16": partial(self._segment_clip, "S2_bf16", "bf16", 32),
            "smoke": self._smoke,
        }

    def names(self) -> list[str]:
        return [name for name in self._makers if name != "smoke"]

    def make(self, name: str) -> Row:
        row = self._makers[name]()
        row.start = self.studio.clip(row.clip).times[0]
        return row

    # What follows is one method per kind of row.

    def _planes(self, clip: Clip, times: Sequence[float]) -> Callable[[], Take]:
        return lambda: gates.planes(clip, times)

    def _rgb(self, clip: Clip, times: Sequence[float], most_mean: float = 8.0) -> Callable[[], Take]:
        """OpenCV and decord use BT.601 whatever the stream says, hence the width of the default."""
        return lambda: gates.rgb(clip, times, most_mean)

    def _first(self, name: str, film: str) -> Row:
        clip = self.studio.clip(film)
        times, file = clip.times[:1], str(clip.path)
        width, height = clip.size
        planes, pictures = self._planes(clip, times), self._rgb(clip, times)
        participants = [
            Participant("Vidloom C++", "ours", "ours", "first", {"file": file}, planes),
            Participant("Vidloom Python", "ours", "vidloom_", "first", {"file": file, "as": "rgb"}, pictures),
            Participant("no-probe limit", "limit", "limits", "first", {"file": file}, planes),
            Participant("PyAV, key packet and drain", "peer", "pyav", "first_by_key", {"file": file}, planes),
            Participant("PyAV", "peer", "pyav", "first", {"file": file}, planes),
            Participant("OpenCV", "peer", "opencv", "first", {"file": file}, pictures, from_zero=True),
            Participant("torchcodec", "peer", "torchcodec_", "first", {"file": file}, pictures),
            Participant("torchcodec approximate", "peer", "torchcodec_", "first", {"file": file, "mode": "approximate"}, pictures),
            Participant("decord", "peer", "decord_", "first", {"file": file}, pictures, from_zero=True),
            Participant(
                "imageio-ffmpeg",
                "peer",
                "command",
                "first",
                {"file": file, "binary": "imageio", "width": width, "height": height, "at": times},
                pictures,
                timeless=True,
            ),
        ]
        targets = [
            Target("no-probe limit", "at most", 1.10),
            Target("PyAV, key packet and drain", "at least", 2.0),
            Target("OpenCV", "at least", 2.4),
        ]
        if film.endswith(".mp4"):
            targets = [Target("no-probe limit", "at most", 1.10)]
        return Row(name, f"first picture of {_what(clip)}", participants, times, targets, clip=film)

    def _keys(self, name: str, film: str) -> Row:
        clip = self.studio.clip(film)
        times, file = clip.keys, str(clip.path)
        planes, pictures = self._planes(clip, times), self._rgb(clip, times)
        indices = [clip.times.index(time) for time in times]
        participants = [
            Participant("Vidloom C++", "ours", "ours", "keys", {"file": file}, planes, note="keyframes_only"),
            Participant("key packets limit", "limit", "limits", "keys", {"file": file}, planes),
            Participant("PyAV NONKEY", "peer", "pyav", "keys", {"file": file}, planes),
            Participant("OpenCV grab", "peer", "opencv", "needed", {"file": file, "indices": indices}, pictures, from_zero=True),
            Participant("torchcodec", "peer", "torchcodec_", "needed", {"file": file, "indices": indices}, pictures),
        ]
        targets = [Target("key packets limit", "at most", 1.06), Target("PyAV NONKEY", "at least", 1.4)]
        return Row(name, f"the {len(times)} keyframes of {_what(clip)}", participants, times, targets, clip=film)

    def _all_planes(self, name: str, film: str, threads: int) -> Row:
        """`threads` 0: everybody's own choice."""
        clip = self.studio.clip(film)
        file = str(clip.path)
        chosen = {"threads": threads} if threads else {}
        planes = self._planes(clip, clip.times)
        best = threads or self.frame_threads
        participants = [
            Participant("Vidloom C++", "ours", "ours", "all", {"file": file, "threads": threads}, planes),
            Participant("libavcodec", "limit", "limits", "all", {"file": file, "threads": best}, planes, note=f"{best} frame threads"),
            Participant("PyAV", "peer", "pyav", "all", {"file": file, "threads": threads}, planes),
            Participant("OpenCV grab", "peer", "opencv", "all", {"file": file, **chosen, "as": "yuv"}, from_zero=True),
            Participant(
                "ffmpeg -f null",
                "peer",
                "command",
                "all",
                {"file": file, "threads": threads, "as": "yuv", "at": clip.times, "width": 0, "height": 0},
                timeless=True,
                note="starts a process",
            ),
        ]
        if threads == 0:
            participants.insert(1, Participant("Vidloom Python", "ours", "vidloom_", "all", {"file": file, "threads": 0}))
        return Row(
            name,
            f"all {len(clip.times)} pictures of {_what(clip)} as planes, {threads or 'default'} decoder thread{'s' * (threads != 1)}",
            participants,
            clip.times,
            [Target("libavcodec", "at least", 0.98)],
            clip=film,
        )

    def _all_rgb(self, name: str, film: str, targets: list[Target]) -> Row:
        clip = self.studio.clip(film)
        file, threads = str(clip.path), 0  # everybody's own choice
        width, height = clip.size
        pictures = self._rgb(clip, clip.times)
        participants = [
            Participant(
                "Vidloom C++", "ours", "ours", "all", {"file": file, "threads": threads, "as": "rgb"}, self._rgb(clip, clip.times, 1.5)
            ),
            Participant(
                "Vidloom Python", "ours", "vidloom_", "all", {"file": file, "threads": 0, "as": "rgb"}, self._rgb(clip, clip.times, 1.5)
            ),
            Participant(
                "overlapped limit",
                "limit",
                "limits",
                "overlapped",
                {"file": file, "threads": self.frame_threads, "as": "rgb"},
                pictures,
                note=f"{self.frame_threads} frame threads, swscale's fast path in a thread of its own",
            ),
            Participant("OpenCV", "peer", "opencv", "all", {"file": file, "as": "rgb"}, pictures, from_zero=True),
            Participant("PyAV", "peer", "pyav", "all", {"file": file, "threads": threads, "as": "rgb"}, pictures),
            Participant("torchcodec", "peer", "torchcodec_", "all", {"file": file, "threads": threads}, pictures),
            Participant("decord", "peer", "decord_", "all", {"file": file, "threads": threads}, pictures, from_zero=True),
            Participant(
                "imageio-ffmpeg",
                "peer",
                "command",
                "all",
                {"file": file, "binary": "imageio", "as": "rgb", "width": width, "height": height, "at": clip.times},
                pictures,
                timeless=True,
            ),
        ]
        return Row(name, f"all {len(clip.times)} pictures of {_what(clip)} as RGB, 2 cores", participants, clip.times, targets, clip=film)

    def _sparse(
        self, name: str, film: str, times: list[float], title: str, ours: Participant, targets: list[Target], rounds: int = 20
    ) -> Row:
        clip = self.studio.clip(film)
        file = str(clip.path)
        indices = [clip.times.index(time) for time in times]
        pictures, planes = self._rgb(clip, times), self._planes(clip, times)
        participants = [
            ours,
            Participant("needed pictures, 1 thread", "limit", "limits", "needed", {"file": file, "at": times}, planes),
            Participant("needed pictures, 2 workers", "limit", "limits", "needed", {"file": file, "at": times, "workers": 2}, planes),
            Participant("PyAV in order", "peer", "pyav", "needed", {"file": file, "at": times, "threads": 0}, planes),
            Participant("OpenCV grab", "peer", "opencv", "needed", {"file": file, "indices": indices}, pictures, from_zero=True),
            Participant("torchcodec", "peer", "torchcodec_", "needed", {"file": file, "indices": indices, "threads": 0}, pictures),
            Participant(
                "torchcodec approximate",
                "peer",
                "torchcodec_",
                "needed",
                {"file": file, "indices": indices, "threads": 0, "mode": "approximate"},
                pictures,
            ),
            Participant("decord", "peer", "decord_", "needed", {"file": file, "indices": indices, "threads": 0}, pictures, from_zero=True),
        ]
        return Row(name, title, participants, times, targets, ordered=False, clip=film, rounds=rounds, warmups=1)

    def _sample(self, name: str, film: str, every: float) -> Row:
        clip = self.studio.clip(film)
        times = clip.grid(every)
        ours = Participant(
            "Vidloom C++",
            "ours",
            "ours",
            "sample",
            {"file": str(clip.path), "every": every, "threads": 0},
            self._planes(clip, times),
            note=f"every={every:g}s",
        )
        targets = [Target("needed pictures, 2 workers", "at most", 1.10)]
        return self._sparse(name, film, times, f"a picture every {every:g} s of {_what(clip)} ({len(times)})", ours, targets)

    def _uniform(self, name: str, film: str) -> Row:
        clip = self.studio.clip(film)
        times = [clip.times[int(place * len(clip.times) / 10)] for place in range(10)]
        ours = Participant("Vidloom C++", "ours", "ours", "at", {"file": str(clip.path), "at": times}, self._planes(clip, times))
        return self._sparse(
            name, film, times, f"10 pictures evenly of {_what(clip)}", ours, [Target("needed pictures, 2 workers", "at most", 1.10)], 10
        )

    def _random(self, name: str, film: str) -> Row:
        clip = self.studio.clip(film)
        times = random.Random(6).sample(clip.times, 10)
        ours = Participant("Vidloom C++", "ours", "ours", "at", {"file": str(clip.path), "at": times}, self._planes(clip, times))
        row = self._sparse(
            name,
            film,
            times,
            f"10 pictures at random times of {_what(clip)}",
            ours,
            [Target("needed pictures, 2 workers", "at most", 1.10)],
            10,
        )
        file = str(clip.path)
        indices = [clip.times.index(time) for time in times]
        row.participants += [
            Participant("PyAV seek", "peer", "pyav", "sought", {"file": file, "at": times, "threads": 0}, self._planes(clip, times)),
            Participant(
                "OpenCV seek", "peer", "opencv", "sought", {"file": file, "indices": indices}, self._rgb(clip, times), from_zero=True
            ),
        ]
        return row

    def _many(self, name: str, count: int, cold: bool) -> Row:
        clip = self.studio.clip("1080p_g60.ts")
        files = [str(path) for path in self.studio.copies(clip.name, count)]
        work = {"files": files, "cold": int(cold)}
        times = clip.times[:1] * count
        participants = [
            Participant("Vidloom C++", "ours", "ours", "many", work, self._planes(clip, times)),
            Participant("Vidloom Python", "ours", "vidloom_", "many", work),
            Participant("no-probe limit", "limit", "limits", "many", work, self._planes(clip, times)),
            Participant("PyAV, key packet and drain", "peer", "pyav", "many", work, self._planes(clip, times)),
            Participant("OpenCV", "peer", "opencv", "many", work, from_zero=True),
        ]
        if cold:  # how the disk does is no matter of the peers
            participants = [p for p in participants if p.role != "peer"]
        title = f"first pictures of {count} segments of {_what(clip)}, page cache {'dropped' if cold else 'warm'}"
        return Row(name, title, participants, times, [Target("no-probe limit", "at most", 1.10)], rounds=5, warmups=1, clip=clip.name)

    def _streams(self, name: str, count: int, what: str) -> Row:
        clip = self.studio.clip("1080p_g60.ts")
        most = 60
        work = {"file": str(clip.path), "count": count, "what": what, "most": most}
        times = (clip.keys if what == "keys" else clip.times[:most]) * count
        participants = [
            Participant("Vidloom C++", "ours", "ours", "streams", work),
            Participant("libavcodec", "limit", "limits", "streams", work),
            Participant("PyAV threads", "peer", "pyav", "streams", work),
        ]
        if what == "all":
            participants.append(Participant("OpenCV threads", "peer", "opencv", "streams", work, from_zero=True))
        kind = "keyframes" if what == "keys" else f"the first {most} pictures"
        targets = [Target("libavcodec", "at least", 0.95)] if count == 16 else []
        return Row(
            name,
            f"{kind} of {count} streams at once, {_what(clip)}",
            participants,
            times,
            targets,
            ordered=False,
            rounds=10,
            warmups=1,
            clip=clip.name,
        )

    def _luma(self, name: str) -> Row:
        clip = self.studio.clip("1080p_g60.ts")
        file = str(clip.path)
        participants = [
            Participant("Vidloom C++", "ours", "ours", "luma", {"file": file, "threads": 0}),
            Participant("Vidloom Python", "ours", "vidloom_", "luma", {"file": file, "threads": 0}),
            Participant("Vidloom C++, D3", "limit", "ours", "all", {"file": file, "threads": 0}),
            Participant("libavcodec, D3", "limit", "limits", "all", {"file": file, "threads": self.frame_threads}),
            Participant("PyAV", "peer", "pyav", "luma", {"file": file, "threads": 0}),
            Participant(
                "OpenCV",
                "peer",
                "opencv",
                "luma",
                {"file": file},
                from_zero=True,
                note="mean of cvtColor's gray: another luma, so not judged",
            ),
        ]
        judge = gates.values(clip.luma_means, 1e-6)
        return Row(
            name,
            f"mean of Y of all pictures of {_what(clip)}",
            participants,
            clip.times,
            [Target("Vidloom C++, D3", "at least", 0.95)],
            values=judge,
            clip=clip.name,
        )

    def _tensors(
        self,
        name: str,
        title: str,
        ours: dict[str, Any],
        kind: str,
        side: int,
        peers: Iterable[tuple[str, str, float]],
        targets: list[Target],
    ) -> Row:
        clip = self.studio.clip("1080p_g60.ts")
        most = 20
        work = {"file": str(clip.path), "most": most}
        participants = [
            Participant("Vidloom C++", "ours", "ours", "tensor", {**work, **ours}, lambda: gates.tensor(clip, kind, side, "f4", 0.5)),
            Participant(
                "Vidloom Python", "ours", "vidloom_", "tensor", {**work, **ours}, lambda: gates.tensor(clip, kind, side, "f4", 0.5)
            ),
            Participant("planes read once", "limit", "limits", "read_planes", {**work, "square": int(kind == "clip")}, timeless=True),
            *(
                Participant(
                    peer,
                    "peer",
                    "tensors",
                    task,
                    {**work, "threads": 1},
                    partial(gates.tensor, clip, kind, side, "f4", most_mean),
                )
                for peer, task, most_mean in peers
            ),
        ]
        return Row(name, title, participants, clip.times[:most], targets, clip=clip.name, unit="ms a picture")

    def _clip_tensor(self) -> Row:
        peers = [
            ("RGB, torchvision v2 uint8", "torchvision_v2", 1.6),
            ("accurate RGB, torchvision v2 uint8", "accurate_torchvision_v2", 1.6),
            ("RGB, CLIPImageProcessor (torchvision)", "hf_torchvision", 1.6),
            ("RGB, CLIPImageProcessor (Pillow)", "hf_pil", 1.6),
            ("RGB, cv2 INTER_CUBIC", "cv2_cubic", 1.6),
            ("ready RGB, CLIPImageProcessor (torchvision)", "ready_hf_torchvision", 1.6),
        ]
        targets = [
            Target("RGB, torchvision v2 uint8", "at least", 8),
            Target("accurate RGB, torchvision v2 uint8", "at least", 8),
            Target("RGB, CLIPImageProcessor (torchvision)", "at least", 15),
        ]
        ours = {"size": 224, "fit": "centre_crop", "clip": 1}
        return self._tensors("P1", "planes of 1080p to CLIP's float input, 224 x 224, 1 thread", ours, "clip", 224, peers, targets)

    def _letterbox(self) -> Row:
        peers = [("RGB, cv2 letterbox", "letterbox", 8.0), ("ready RGB, cv2 letterbox", "ready_letterbox", 8.0)]
        ours = {"size": 640, "fit": "letterbox", "filter": "bilinear"}
        return self._tensors(
            "P2",
            "planes of 1080p to a letterboxed float input, 640 x 640, 1 thread",
            ours,
            "letterbox",
            640,
            peers,
            [Target("RGB, cv2 letterbox", "at least", 5)],
        )

    def _full_rgb(self) -> Row:
        clip = self.studio.clip("1080p_g60.ts")
        most = 20
        work = {"file": str(clip.path), "most": most}
        participants = [
            Participant("Vidloom C++", "ours", "ours", "to_rgb", work, lambda: gates.full_rgb(clip, 0.6)),
            Participant("planes read once", "limit", "limits", "read_planes", work, timeless=True),
            Participant("swscale accurate", "peer", "limits", "to_rgb", {**work, "accurate": 1}, lambda: gates.full_rgb(clip, 1.0)),
            Participant("swscale fast", "peer", "limits", "to_rgb", work, lambda: gates.full_rgb(clip, 8.0), note="nearest chroma"),
        ]
        return Row(
            "P3",
            "planes of 1080p to full-size RGB, 1 thread",
            participants,
            clip.times[:most],
            [Target("swscale accurate", "at least", 12)],
            clip=clip.name,
            unit="ms a picture",
        )

    def _segment_visual(self) -> Row:
        clip = self.studio.clip("1080p_g60.ts")
        times = clip.grid(1.0)
        indices = [clip.times.index(time) for time in times]
        participants = [
            Participant("Vidloom Python", "ours", "vidloom_", "visual", {"file": str(clip.path), "every": 1.0}),
            Participant("needed pictures, 1 thread", "limit", "limits", "needed", {"file": str(clip.path), "at": times}),
            Participant("OpenCV and numpy", "peer", "opencv", "visual", {"file": str(clip.path), "indices": indices}, from_zero=True),
        ]
        return Row(
            "S0",
            f"analyze_segment() with `visual`, a picture a second of {_what(clip)}",
            participants,
            times,
            [Target("OpenCV and numpy", "at least", 1.0)],
            ordered=False,
            clip=clip.name,
        )

    def _models(self, *arguments: str) -> None:
        """Has the peers' Python prepare something."""
        environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1]), "SIDE_BY_SIDE_STUBS": str(self.stubs)}
        command = [str(self.peers), "-m", "side_by_side.peers.models", *arguments]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

    def _model(self) -> tuple[str, dict[str, Any]]:
        """ViT-B/32 with random weights, and what transformers makes of known input with it. Made once."""
        folder = self.studio.folder / "clip_vit_b32_apart"
        if not (folder / "expected.json").exists():
            self._models("make", str(folder), str(self.studio.clip("1080p_g60.ts").path))
        expected: dict[str, Any] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        return str(folder), expected

    def _tower_work(self, batch: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """What participants are told, what the limit is told, and what is expected."""
        folder, expected = self._model()
        threads = len(os.sched_getaffinity(0))
        work = {"model": folder, "pixels": f"{folder}/pixels.bin", "batch": batch, "threads": threads}
        return work, {"operations": 8.82e9 * batch, "batch": batch, "threads": threads}, expected

    def _image_tower(self, name: str, batch: int) -> Row:
        work, limit, expected = self._tower_work(batch)
        clip = self.studio.clip("1080p_g60.ts")
        peers = ("OpenVINO", "ONNX Runtime", "transformers", "torch.compile", "open_clip")
        participants = [
            Participant("Vidloom C++", "ours", "towers", "image", {**work, "route": "packed"}),
            Participant("registers alone", "limit", "towers", "peak", {**limit, "kind": "fp32"}, timeless=True),
            Participant("one product", "limit", "towers", "product", {**limit, "kind": "fp32"}, timeless=True, note="torch's"),
            Participant("ATen's operators", "peer", "towers", "image", {**work, "route": "fp32"}),
            Participant("OpenVINO", "peer", "models", "openvino", {**work, "precision": "f32"}),
            Participant("ONNX Runtime", "peer", "models", "onnxruntime", {**work, "precision": "f32"}),
            Participant("transformers", "peer", "models", "transformers", {**work, "precision": "f32"}),
            Participant("torch.compile", "peer", "models", "compiled", {**work, "precision": "f32"}),
            Participant("open_clip", "peer", "models", "open_clip", work),
        ]
        return Row(
            name,
            f"CLIP ViT-B/32, pixels of {batch} picture{'s' * (batch > 1)} to embeddings, fp32",
            participants,
            [0.0] * batch,
            [Target(peer, "at least", 1.0) for peer in peers] + [Target("one product", "at least", 0.88)],
            values=gates.values([value for row in expected["images"][:batch] for value in row], 1e-4),
            unit="ms a picture",
            clip=clip.name,
            note="limits: as many operations (8.82e9 a picture) from registers to registers, and one matrix product of them; ours leaves "
            "out what no answer needs",
        )

    def _narrow_tower(self, name: str, batch: int, precision: str) -> Row:
        work, limit, expected = self._tower_work(batch)
        clip = self.studio.clip("1080p_g60.ts")
        participants = [
            Participant("Vidloom C++", "ours", "towers", "image", {**work, "route": f"packed_{precision}"}),
            Participant("registers alone", "limit", "towers", "peak", {**limit, "kind": precision}, timeless=True),
            Participant("ATen's operators", "peer", "towers", "image", {**work, "route": precision}),
            Participant("OpenVINO", "peer", "models", "openvino", {**work, "precision": precision}),
        ]
        if precision == "bf16":
            participants += [
                Participant("one product", "limit", "towers", "product", {**limit, "kind": precision}, timeless=True, note="torch's"),
                Participant("transformers", "peer", "models", "transformers", {**work, "precision": precision}),
                Participant("torch.compile", "peer", "models", "compiled", {**work, "precision": precision}),
            ]
        else:
            participants.append(
                Participant("ONNX Runtime", "peer", "models", "onnxruntime", {**work, "precision": precision}, note="dynamic")
            )
        return Row(
            name,
            f"CLIP ViT-B/32, pixels of {batch} picture{'s' * (batch > 1)} to embeddings, {precision}",
            participants,
            [0.0] * batch,
            [Target(p.name, "at least", 1.0) for p in participants if p.role == "peer"]
            + ([Target("one product", "at least", 0.6)] if precision == "bf16" else []),
            values=gates.embeddings(expected["images"][:batch], expected["texts"], 0.999 if precision == "bf16" else 0.99),
            unit="ms a picture",
            clip=clip.name,
            note="random weights: how near embeddings stay says little of trained ones",
        )

    def _text_tower(self) -> Row:
        folder, expected = self._model()
        work = {"model": folder, "ids": f"{folder}/ids.bin", "length": 12}
        participants = [
            Participant("Vidloom C++", "ours", "towers", "texts", work, note="packs the weights inside the clock"),
            Participant("transformers, 12 tokens", "peer", "models", "texts", work),
            Participant("transformers, 77 tokens", "peer", "models", "texts", {**work, "padded": 77}),
        ]
        return Row(
            "I5",
            "CLIP ViT-B/32, 20 prompts of 12 tokens to embeddings, fp32, first use",
            participants,
            [0.0] * 20,
            [Target("transformers, 12 tokens", "at most", 1.0)],
            values=gates.values(expected["texts"][0], 1e-4),
            clip="1080p_g60.ts",
        )

    def _segment_clip(self, name: str, precision: str, count: int = 1) -> Row:
        """`count` segments, each its first picture; more than one: by eight callers at once, which is what many live streams are."""
        folder, _ = self._model()
        clip = self.studio.clip("1080p_g60.ts")
        threads = len(os.sched_getaffinity(0))
        work = {"file": str(clip.path), "model": folder, "threads": threads, "precision": precision, "count": count, "callers": 8}
        expert, usual = "PyAV key packet, torchvision v2, OpenVINO", "OpenCV, PIL, transformers"
        participants = [Participant("Vidloom Python", "ours", "vidloom_", "clip", work)]
        if count == 1:
            peak = {"operations": 8.82e9, "threads": threads, "kind": "fp32" if precision == "f32" else precision}
            participants += [
                Participant("registers alone", "limit", "towers", "peak", peak, timeless=True, note="the model's part alone"),
                Participant("no-probe limit", "limit", "limits", "first", {"file": str(clip.path)}, note="the decoder's part alone"),
            ]
        participants.append(Participant(expert, "peer", "models", "assembled", work, note="" if count == 1 else "as many callers as cores"))
        targets = [Target(expert, "at least", 1.5)]
        if precision == "f32" or count == 1:
            note = "fp32, text cached" + (", one caller" if count > 1 else "")
            participants.append(Participant(usual, "peer", "models", "usual", work, note=note))
            targets.append(Target(usual, "at least", 4))
        what = f"first picture of {_what(clip)} to CLIP scores of 20 labels, resident, {'fp32' if precision == 'f32' else precision}"
        return Row(
            name,
            what if count == 1 else f"{count} segments, each the {what}",
            participants,
            clip.times[:1] * count,
            targets,
            values=gates.values([1.0] * count, 0.02),
            rounds=20 if count == 1 else 5,
            clip=clip.name,
            note="value: cosine with transformers' embedding of the accurate picture (CLIPImageProcessor, Pillow)"
            + (f"; live streams of 6 s segments that this serves: {6 * count} / seconds" if count > 1 else ""),
        )

    def _start_to_scores(self) -> Row:
        """Whole processes."""
        folder, _ = self._model()
        clip = self.studio.clip("1080p_g60.ts")
        film, model = str(clip.path), pathlib.Path(folder)
        if not (model / "vision_1.onnx").exists():
            self._models("export", folder)
        labels = [f"label {number}" for number in range(20)]
        brands = {"adapter": "clip", "model": folder, "labels": labels, "embedding": True, "min_confidence": 0}
        for precision in ("fp32", "auto"):
            analyses = {"version": 1, "analyses": {"brands": {**brands, "precision": precision}}}
            (model / f"{precision}.json").write_text(json.dumps(analyses), encoding="utf-8")
        programs = pathlib.Path(__file__).parent / "cold"

        def whole(name: str, role: Literal["ours", "peer"], command: list[Any], note: str = "") -> Participant:
            words = json.dumps([str(word) for word in command])
            return Participant(name, role, "processes", "cold", {"command": words, "expected": f"{folder}/expected.json"}, note=note)

        def ours(precision: str) -> list[Any]:
            return [self.command, "analyze", film, "--config", model / f"{precision}.json", "--max-frames", 1, "--jsonl", "-", "--quiet"]

        participants = [
            whole("Vidloom command", "ours", ours("fp32"), "fp32"),
            whole("Vidloom command, auto", "ours", ours("auto"), "the precision found the fastest"),
            whole("Vidloom Python", "ours", [self.python, programs / "vidloom_clip.py", film, folder, "fp32"], "fp32"),
            whole(
                "OpenVINO, PyAV", "peer", [self.peers, programs / "openvino_clip.py", film, folder], "fp32, compiled model kept, no PyTorch"
            ),
            whole("transformers, OpenCV", "peer", [self.peers, programs / "transformers_clip.py", film, folder, self.stubs], "fp32"),
        ]
        return Row(
            "C1",
            f"start of a process to the CLIP scores of 20 labels for the first picture of {_what(clip)}",
            participants,
            clip.times[:1],
            [
                Target("Vidloom command", "within", 0.35),
                Target("Vidloom Python", "within", 1.5),
                Target("OpenVINO, PyAV", "at least", 1.0),
                Target("transformers, OpenCV", "at least", 1.0),
            ],
            values=gates.values([1.0], 0.02),
            unit="s",
            rounds=10,
            clip=clip.name,
            note="files in the page cache; value: cosine with transformers' embedding of the accurate picture",
        )

    def _resident(self) -> Row:
        folder, _ = self._model()
        clip = self.studio.clip("1080p_g60.ts")
        work = {
            "file": str(clip.path),
            "model": folder,
            "threads": len(os.sched_getaffinity(0)),
            "precision": "f32",
            "count": 10,
            "callers": 1,
        }
        participants = [
            Participant("Vidloom Python", "ours", "vidloom_", "clip", {**work, "memory": 1}),
            Participant(
                "PyAV, torchvision v2, OpenVINO", "peer", "models", "assembled", {**work, "threads": 1, "memory": 1}, note="one thread"
            ),
            Participant("OpenCV, PIL, transformers", "peer", "models", "usual", {**work, "memory": 1}),
        ]
        return Row(
            "C2",
            f"resident memory after ten more segments of {_what(clip)}, each the first picture to CLIP scores, fp32",
            participants,
            clip.times[:1] * 10,
            [Target("Vidloom Python", "within", 900, "MB"), *(Target(p.name, "at most", 1.0) for p in participants[1:])],
            values=gates.values([1.0] * 10, 0.02),
            unit="MB",
            clip=clip.name,
            note="VmRSS, pages of the model's file that are mapped among them; least and most of all rounds show whether it grows",
        )

    def _smoke(self) -> Row:
        """Small enough for a test of the machinery: one good participant, one that delivers the wrong pictures."""
        clip = self.studio.clip("smoke.ts")
        file, times = str(clip.path), clip.times
        planes = self._planes(clip, times)
        participants = [
            Participant("Vidloom C++", "ours", "ours", "all", {"file": file, "threads": 1}, planes),
            Participant("libavcodec", "limit", "limits", "all", {"file": file, "threads": 1}, planes),
            Participant("keyframes only", "peer", "limits", "keys", {"file": file}, planes, note="must be void"),
        ]
        return Row(
            "smoke",
            "a small segment",
            participants,
            times,
            [Target("libavcodec", "at least", 0.01), Target("Vidloom C++", "within", 3600)],
            rounds=4,
            clip=clip.name,
        )


def _what(clip: Clip) -> str:
    width, height = clip.size
    group = round(len(clip.times) / max(1, len(clip.keys)))
    return f"{clip.path.suffix[1:]}, {width}x{height}, {clip.times[-1] - clip.times[0]:.0f} s, GOP {group}"
