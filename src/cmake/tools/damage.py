"""A damaged copy of an MPEG transport stream: in some packets of its video bytes are overwritten, as on a bad line. Same seed, same damage.

    damage.py FROM.ts TO.ts [--packets 24] [--seed 7]

Standard library only.
"""

import argparse
import collections
import pathlib
import random

PACKET, HEADER = 188, 4


def inner_packets(film: bytes) -> list[int]:
    """Offsets of the packets in the middle of a picture: of the stream with most data, no beginning, no adaptation field."""
    streams = collections.defaultdict(list)
    for at in range(0, len(film) - PACKET + 1, PACKET):
        if film[at] != 0x47:
            raise SystemExit(f"no MPEG transport stream: byte {at} is no packet's begin")
        stream = (film[at + 1] & 0x1F) << 8 | film[at + 2]
        begins, plain = film[at + 1] & 0x40, film[at + 3] & 0x30 == 0x10
        if not begins and plain:
            streams[stream].append(at)
    return max(streams.values(), key=len, default=[])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("copy", type=pathlib.Path)
    parser.add_argument("--packets", type=int, default=24, help="how many are damaged")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    film = bytearray(given.source.read_bytes())
    chance = random.Random(given.seed)
    packets = inner_packets(bytes(film))
    hurt = sorted(chance.sample(packets, min(given.packets, len(packets))))
    for at in hurt:
        for byte in range(at + HEADER + 30, at + HEADER + 90):
            film[byte] = chance.randrange(256)
    given.copy.write_bytes(film)
    print(f"{given.copy}: {len(hurt)} of its {len(film) // PACKET} packets are damaged (seed {given.seed})")


if __name__ == "__main__":
    main()
