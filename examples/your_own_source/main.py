"""Frames from wherever you have them: here, ten grey pictures that grow brighter.

.venv/bin/python examples/your_own_source/main.py
"""

import numpy as np

import vidloom as vl


class Dawn(vl.Source):
    """One thread calls it: open, read until End, close. interrupt() may come from any thread."""

    def open(self, context):
        self.next = 0
        return vl.SourceInfo(size=(64, 36))

    def read(self):
        if self.next == 10:
            return vl.End()
        picture = np.full((36, 64, 3), 25 * self.next, np.uint8)
        self.next += 1
        return vl.Frame.from_array(picture, pts=self.next - 1, time_base=(1, 5))

    def interrupt(self):
        pass

    def close(self):
        pass


for frame in vl.analyze(Dawn(), "visual"):
    print(f"{frame.media_time:7.2f} s   brightness {frame['visual'].attributes['brightness_level']:.2f}")
