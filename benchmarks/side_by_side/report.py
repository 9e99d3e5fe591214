"""The table of docs/performance.md, made of out/bench/*.json."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

BEGIN, END = "<!-- begin: side by side -->", "<!-- end: side by side -->"


def machine(cores: set[int]) -> dict[str, Any]:
    """What the figures depend on."""
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
    flags = next((line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    isa = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if flag in flags]
    memory = int(re.findall(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"))[0]) / (1 << 20)
    release = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    system = re.findall(r'PRETTY_NAME="(.*)"', release)
    governor = pathlib.Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "cpu": model,
        "isa": isa,
        "cores_used": sorted(cores),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": system[0] if system else platform.platform(),
        "kernel": platform.release(),
        "governor": governor.read_text(encoding="ascii").strip() if governor.exists() else "not shown (virtual machine)",
    }


def versions(python: pathlib.Path, vidloom_python: pathlib.Path) -> dict[str, str]:
    packages = (
        "numpy",
        "opencv-python-headless",
        "av",
        "torch",
        "torchvision",
        "torchcodec",
        "decord",
        "transformers",
        "openvino",
        "onnxruntime",
        "pillow",
        "imageio-ffmpeg",
    )
    code = (
        "import importlib.metadata as m, json, sys\n"
        "def v(n):\n    try: return m.version(n)\n    except m.PackageNotFoundError: return 'missing'\n"
        "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    )
    found: dict[str, str] = json.loads(subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True).stdout)
    found["ffmpeg"] = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    found["vidloom"] = subprocess.run([vidloom_python, "-c", code, "vidloom"], capture_output=True, text=True, check=True).stdout.split(
        '"'
    )[3]
    found["python"] = platform.python_version()
    found["compiler"] = subprocess.run(
        [os.environ.get("CXX", "c++"), "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    return found


def amount(value: float, unit: str) -> str:
    """A row's figure: seconds, whatever their `unit`, or megabytes."""
    if unit == "MB":
        return f"{value:.0f} MB"
    if unit == "s":
        return f"{value:.2f} s"
    return _time(value)


def _time(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.3f} ms" if milliseconds < 1 else f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def _mark(disturbed: bool) -> str:
    return " †" if disturbed else ""


def _person(row: dict[str, Any], name: str) -> dict[str, Any]:
    return next(person for person in row["participants"] if person["name"] == name)


def _figure(person: dict[str, Any] | None, unit: str) -> str:
    if person is None:
        return ""
    if person["figure"] is None:
        return "void"
    figure = person["figure"]
    return f"{amount(figure['median'], unit)}{_mark(figure['disturbed'])}"


def _best(row: dict[str, Any], role: str) -> dict[str, Any] | None:
    """The fastest of that role whose gate passed."""
    people = [person for person in row["participants"] if person["role"] == role and person["figure"]]
    return min(people, key=lambda person: float(person["figure"]["median"]), default=None)


def _ratio(row: dict[str, Any], name: str) -> str:
    """How many times faster than `name` ours is."""
    ratio = row["faster_than"].get(name)
    if ratio is None:
        return ""
    cpu = "" if row["unit"] == "MB" else f", CPU {ratio['cpu']:.2f}"
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]{_mark(ratio['disturbed'])}{cpu}"


def table(rows: Iterable[dict[str, Any]]) -> str:
    """One line a row: ours / limit / best peer, and how many times faster ours is than each."""
    lines = [
        "| row | ours | limit | limit / ours [95 %] | best correct peer | peer / ours [95 %] | gate of ours | targets |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours = _person(row, row["ours"])
        limits = [person for person in row["participants"] if person["role"] == "limit"]
        named = [target["other"] for target in row["targets"]]
        limit = next((person for person in limits if person["name"] in named), limits[0] if limits else None)
        peer = _best(row, "peer")
        targets = "; ".join(
            f"{target['text']}: **{ {True: 'met', False: 'missed', None: 'no figure'}[target['met']] }**" for target in row["targets"]
        )
        gate = ours["gate"]["text"] if ours["gate"]["passed"] else f"**void**: {ours['gate']['text']}"
        figure = [_figure(person, row["unit"]) for person in (ours, limit, peer)]
        lines.append(
            f"| **{row['row']}** {row['title']} | {figure[0]} | {limit['name'] + ' ' if limit else ''}{figure[1]} | "
            f"{_ratio(row, limit['name']) if limit else ''} | {peer['name'] + ' ' if peer else ''}{figure[2]} | "
            f"{_ratio(row, peer['name']) if peer else ''} | {gate} | {targets} |"
        )
    return "\n".join(lines)


def everybody(rows: Iterable[dict[str, Any]]) -> str:
    """All participants of all rows."""
    lines = [
        "| row | who | median | p95 | least | CPU per result | peak RSS | rounds counted | gate |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for person in row["participants"]:
            figure, gate = person["figure"], person["gate"]
            note = f" ({person['note']})" if person["note"] else ""
            verdict = gate["text"] if gate["passed"] else f"**void**: {gate['text']}"
            verdict = verdict.replace("|", "/")
            if figure:
                cells = [amount(figure[key], row["unit"]) for key in ("median", "p95", "min")]
                cells += ["" if row["unit"] == "MB" else _time(figure["cpu"])]
                cells += [f"{person['peak_rss_mb']:.0f} MB", f"{figure['good']} of {figure['runs']}{_mark(figure['disturbed'])}"]
            else:
                cells = ["void", "", "", "", "", ""]
            lines.append(f"| {row['row']} | {person['name']}{note} | {' | '.join(cells)} | {verdict} |")
    return "\n".join(lines)


def parts(folder: pathlib.Path) -> str:
    """What Google Benchmark measured of the parts alone; empty where it did not run."""
    path = folder / "parts.json"
    if not path.exists():
        return ""
    lines = ["### Parts alone (Google Benchmark)", "", "| part | time | CPU | rate |", "|---|---|---|---|"]
    for part in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]:
        if part.get("error_occurred"):
            lines.append(f"| {part['name']} | **void**: {part['error_message']} | | |")
            continue
        rate = ""
        if "items_per_second" in part:
            rate = f"{1e6 / part['items_per_second']:.2f} µs each"
        elif "bytes_per_second" in part:
            rate = f"{part['bytes_per_second'] / 1e6:.0f} MB/s"
        unit = part["time_unit"].replace("us", "µs")
        lines.append(f"| `{part['name']}` | {part['real_time']:.2f} {unit} | {part['cpu_time']:.2f} {unit} | {rate} |")
    return "\n".join(lines)


def section(folder: pathlib.Path, order: list[str]) -> str:
    """The generated part of docs/performance.md."""
    common = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    rows = [json.loads(path.read_text(encoding="utf-8")) for name in order if (path := folder / f"{name}.json").exists()]
    here, library = common["machine"], common["versions"]
    films = ", ".join(f"`{name}` {digest[:8]}" for name, digest in common["films"].items())
    return "\n".join(
        [
            f"Machine: {here['cpu']} ({', '.join(here['isa'])}), cores {', '.join(map(str, here['cores_used']))} of {here['cores']}, "
            f"{here['memory_gib']} GiB, {here['system']}, kernel {here['kernel']}, governor {here['governor']}, "
            f"scheduling {here['scheduling']}. {common['date']}.",
            "",
            "Versions: " + ", ".join(f"{name} {version}" for name, version in library.items()) + ".",
            "",
            f"Films (sha256): {films}.",
            "",
            "`limit / ours` above 1: ours is faster than the limit program, below 1: slower. `peer / ours`: how many times faster ours is. "
            "CPU: the same ratio of CPU seconds. †: fewer than five rounds were undisturbed, so all rounds count; read such a figure as an "
            "indication.",
            "",
            table(rows),
            "",
            "<details><summary>Everybody in every row</summary>",
            "",
            everybody(rows),
            "",
            "</details>",
            "",
            parts(folder),
        ]
    )


def insert(document: str, text: str) -> str:
    """\\return `document` with what stands between the markers replaced."""
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise ValueError(f"the document needs one line {BEGIN} and, after it, one line {END}")
    before, rest = document.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main(folder: pathlib.Path, document: pathlib.Path, order: list[str]) -> None:
    document.write_text(insert(document.read_text(encoding="utf-8"), section(folder, order)), encoding="utf-8")
    print(f"wrote {document}", file=sys.stderr)
