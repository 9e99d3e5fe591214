"""An adapter of your own beside a built-in one, on the same clock.

.venv/bin/python examples/your_own_adapter/main.py street.mp4
"""

import sys

import numpy as np

import vidloom as vl


@vl.adapter("sharpness", kind="visual", max_batch=8, pixels="luma")
def sharpness(items):
    """How sharp a picture is: mean difference between neighbours in a row of the luma plane, in levels of 255."""
    lumas = [item.frame.luma().astype(np.int16) for item in items]
    return [{"sharpness": float(np.abs(np.diff(luma, axis=1)).mean())} for luma in lumas]


source = sys.argv[1] if len(sys.argv) > 1 else "build/clips/vtest.avi"
for frame in vl.analyze(source, ["sharpness", "visual"], every=1, end=5):
    sharp = frame["sharpness"].attributes["sharpness"]
    bright = frame["visual"].attributes["brightness_level"]
    print(f"{frame.media_time:7.2f} s   sharpness {sharp:.2f}   brightness {bright:.4f}")
