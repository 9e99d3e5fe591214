"""The films of the rows, made from vtest.avi by the ffmpeg command, and what is true of them: pictures, times, hashes."""

from __future__ import annotations

import hashlib
import json
import pathlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def ffmpeg(*arguments: str, binary: str = "ffmpeg") -> bytes:
    run = subprocess.run(
        [binary, "-hide_banner", "-loglevel", "error", *arguments], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    if run.returncode != 0:
        raise RuntimeError(f"{binary} {' '.join(arguments)}: {run.stderr.decode(errors='replace').strip()}")
    return run.stdout


@dataclass
class Clip:
    """One film and the truth about it, as ffprobe and ffmpeg see it."""

    name: str
    path: pathlib.Path
    sha256: str = ""
    times_: list[float] = field(default_factory=list)

    def _kept(self, what: str, make: Callable[[], Any]) -> Any:
        """`make()`, or what it gave for the same content before: kept beside the film."""
        path = self.path.with_name(f"{self.name}.{self.sha256[:8]}.{what}.json")
        if not path.exists():
            path.write_text(json.dumps(make()), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def _frames(self) -> list[dict[str, str]]:
        def probe() -> Any:
            entries = "frame=best_effort_timestamp,key_frame:stream=time_base,width,height,codec_name"
            return json.loads(ffmpeg("-select_streams", "v:0", "-show_entries", entries, "-of", "json", str(self.path), binary="ffprobe"))

        found = self._kept("frames", probe)
        self._stream = found["streams"][0]
        return list(found["frames"])

    @cached_property
    def size(self) -> tuple[int, int]:
        assert self._frames
        return int(self._stream["width"]), int(self._stream["height"])

    @cached_property
    def times(self) -> list[float]:
        """Seconds on the container's clock, of every picture, in order of showing."""
        frames = self._frames
        num, den = map(int, self._stream["time_base"].split("/"))
        return [int(frame["best_effort_timestamp"]) * num / den for frame in frames]

    @cached_property
    def keys(self) -> list[float]:
        return [time for time, frame in zip(self.times, self._frames, strict=True) if int(frame["key_frame"])]

    @cached_property
    def md5(self) -> list[str]:
        """Of every decoded picture, as `ffmpeg -f framemd5` gives it."""

        def decode() -> list[str]:
            text = ffmpeg(
                "-noautorotate", "-i", str(self.path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"
            ).decode()
            return [line.split(",")[5].strip() for line in text.splitlines() if line and not line.startswith("#")]

        return [str(digest) for digest in self._kept("md5", decode)]

    def grid(self, every: float) -> list[float]:
        """Times of the first picture at or after each multiple of `every`; one that passed before the film began is missed."""
        before = 2 * self.times[0] - self.times[1]
        due = []
        for time in self.times:
            if int(time / every + 1e-9) > int(before / every + 1e-9):
                due.append(time)
            before = time
        return due

    def rgb(self, indices: list[int]) -> list[Bytes]:
        """Accurate RGB (full chroma, the stream's own matrix) of the pictures at `indices`."""
        width, height = self.size
        choose = "+".join(f"eq(n\\,{index})" for index in sorted(set(indices)))
        raw = ffmpeg(
            "-i",
            str(self.path),
            "-map",
            "0:v:0",
            "-vf",
            f"select={choose},scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp",
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        )
        pictures = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
        position = {index: place for place, index in enumerate(sorted(set(indices)))}
        return [pictures[position[index]] for index in indices]

    def planes(self, most: int) -> Bytes:
        """The first `most` pictures as yuv420p rows, (n, h * 3 / 2, w)."""
        width, height = self.size
        raw = ffmpeg("-i", str(self.path), "-map", "0:v:0", "-frames:v", str(most), "-fps_mode", "passthrough", "-f", "rawvideo", "-")
        return np.frombuffer(raw, np.uint8).reshape(-1, height * 3 // 2, width)

    @cached_property
    def luma_means(self) -> list[float]:
        """Mean of Y of every picture, of ffmpeg's own planes."""
        width, height = self.size

        def decode() -> list[float]:
            command = [
                "ffmpeg",
                "-loglevel",
                "error",
                "-i",
                str(self.path),
                "-map",
                "0:v:0",
                "-fps_mode",
                "passthrough",
                "-f",
                "rawvideo",
                "-",
            ]
            means = []
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout
                while len(picture := process.stdout.read(width * height * 3 // 2)) == width * height * 3 // 2:
                    means.append(float(np.frombuffer(picture, np.uint8, width * height).mean()))
            return means

        return [float(mean) for mean in self._kept("luma", decode)]


def _encode(
    source: pathlib.Path, width: int, height: int, gop: int, seconds: float, *, looped: bool = False, codec: str = "x264"
) -> list[str]:
    """Arguments that make a film of `width` x `height` at 30 pictures a second: vtest.avi enlarged, three
    times as fast, with grain, tagged BT.709."""
    if height > width:  # a phone held upright: the street's middle
        picture = f"crop=324:576,scale={width}:{height}:flags=lanczos"
    else:
        picture = f"scale={width}:{height}:flags=lanczos"
    kbits = 0.0915 * (width * height) ** 0.75  # 5 Mbit/s at 1080p, 2.7 at 720p, 1 at 640x360, as HLS ladders have them
    filters = f"settb=AVTB,setpts=N/30/TB,fps=30,{picture},noise=alls=6:allf=t:all_seed=7,format=yuv420p"
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    encoder = {
        "x264": [
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-b:v",
            f"{kbits:.0f}k",
            "-maxrate",
            f"{1.3 * kbits:.0f}k",
            "-bufsize",
            f"{2 * kbits:.0f}k",
            "-bf",
            "2",
            "-flags",
            "+cgop",
            "-sc_threshold",
            "0",
        ],
        "x265": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"keyint={gop}:min-keyint={gop}:scenecut=0:log-level=error"],
        "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "4M", "-row-mt", "1"],
    }[codec]
    return [
        *(["-stream_loop", "-1"] if looped else []),
        "-i",
        str(source),
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-vf",
        filters,
        *encoder,
        "-g",
        str(gop),
        "-keyint_min",
        str(gop),
        *tags,
        "-c:a",
        "libopus" if codec == "vp9" else "aac",
        "-b:a",
        "128k",
        "-t",
        str(seconds),
        "-y",
    ]


class Studio:
    """Makes films when they are first asked for and keeps them in one folder."""

    def __init__(self, source: pathlib.Path, folder: pathlib.Path) -> None:
        self.source = source
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._clips: dict[str, Clip] = {}

    def _segment(self, width: int, height: int, gop: int) -> Callable[[pathlib.Path], None]:
        def make(path: pathlib.Path) -> None:
            # FFmpeg's own HLS muxer; the second segment is only there so that the first one ends where HLS ends it.
            pattern = path.with_name(path.stem + "_%02d.ts")
            playlist = path.with_suffix(".m3u8")
            ffmpeg(
                *_encode(self.source, width, height, gop, 6.5),
                "-f",
                "hls",
                "-hls_time",
                "6",
                "-hls_list_size",
                "0",
                "-hls_segment_filename",
                str(pattern),
                str(playlist),
            )
            path.with_name(path.stem + "_00.ts").rename(path)
            for left in [*path.parent.glob(path.stem + "_*.ts"), playlist]:
                left.unlink()

        return make

    def _film(self, *arguments: str) -> Callable[[pathlib.Path], None]:
        return lambda path: void(ffmpeg(*arguments, str(path)))

    def _remux(self, of: str) -> Callable[[pathlib.Path], None]:
        return lambda path: void(ffmpeg("-copyts", "-i", str(self.clip(of).path), "-map", "0", "-c", "copy", "-y", str(path)))

    def _makers(self) -> dict[str, Callable[[pathlib.Path], None]]:
        def long(gop: int) -> Callable[[pathlib.Path], None]:
            return self._film(*_encode(self.source, 640, 360, gop, 120, looped=True))

        def film(codec: str) -> Callable[[pathlib.Path], None]:
            return self._film(*_encode(self.source, 1920, 1080, 60, 3, codec=codec))

        return {
            "1080p_g60.ts": self._segment(1920, 1080, 60),
            "1080p_g30.ts": self._segment(1920, 1080, 30),
            "720p_g60.ts": self._segment(1280, 720, 60),
            "480p_g60.ts": self._segment(854, 480, 60),
            "240p_g60.ts": self._segment(426, 240, 60),
            "portrait_g60.ts": self._segment(1080, 1920, 60),
            "1080p_g60.mp4": self._remux("1080p_g60.ts"),
            "1080p_g60.mkv": self._remux("1080p_g60.ts"),
            "720p_g60.mp4": self._remux("720p_g60.ts"),
            "480p_g60.mp4": self._remux("480p_g60.ts"),
            "240p_g60.mp4": self._remux("240p_g60.ts"),
            "portrait_g60.mp4": self._remux("portrait_g60.ts"),
            "hevc_g60.mp4": film("x265"),
            "vp9_g60.webm": film("vp9"),
            "120s_g250.mp4": long(250),
            "120s_g600.mp4": long(600),
            "120s_g30.mp4": long(30),
            "120s_g250.mkv": self._remux("120s_g250.mp4"),
            "120s_g250.ts": self._remux("120s_g250.mp4"),
            "smoke.ts": self._segment(320, 180, 30),
        }

    def clip(self, name: str) -> Clip:
        if name not in self._clips:
            path = self.folder / name
            if not path.exists():
                unfinished = path.with_name("unfinished_" + name)
                self._makers()[name](unfinished)
                unfinished.rename(path)
            self._clips[name] = Clip(name, path, hashlib.sha256(path.read_bytes()).hexdigest())
        return self._clips[name]

    def copies(self, name: str, count: int) -> list[pathlib.Path]:
        """`count` files with the same content, as a stream leaves them behind."""
        content = self.clip(name).path.read_bytes()
        folder = self.folder / f"copies_of_{name}"
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{number:03}.ts" for number in range(count)]
        for path in paths:
            if not path.exists() or path.stat().st_size != len(content):
                path.write_bytes(content)
        return paths

    def used(self) -> dict[str, str]:
        return {name: clip.sha256 for name, clip in sorted(self._clips.items())}


def void(_: object) -> None:
    """Drops a value."""
