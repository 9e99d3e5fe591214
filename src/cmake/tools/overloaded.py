"""An adapter that counts bright pixels, and like a busy service leaves some pictures without an answer. For the demo of failures."""

import vidloom as vl

EVERY = 0.5  # seconds between the pictures it is asked about
BUSY_OF = 13  # it is busy for one picture of so many: 12 of the 159 in vtest.avi


@vl.adapter("overloaded", kind="visual", max_batch=1, pixels="luma")
def overloaded(items):
    """The share of bright pixels; of every 13th picture nothing, because the service is busy."""
    return [busy() if int(item.frame.media_time / EVERY) % BUSY_OF == BUSY_OF - 1 else bright(item.frame) for item in items]


def bright(frame):
    """The answer for one picture."""
    return {"bright": float((frame.luma() > 180).mean())}


def busy() -> vl.Error:
    """What a client reports when its service takes no more work."""
    return vl.Error("the service is busy: 429 Too Many Requests", code="overload", retryable=True)
