"""An adapter that counts bright pixels, and like a busy service leaves some pictures without an answer. For the demo of failures."""

import vidloom as vl

BUSY_EVERY, BUSY_AT = 65, 60  # pictures; asked about each fifth of 795 it misses 12 of 159


@vl.adapter("overloaded", kind="visual", max_batch=1, pixels="luma")
def overloaded(items):
    """The share of bright pixels; of every 65th picture nothing, because the service is busy."""
    return [busy() if item.frame.sequence % BUSY_EVERY == BUSY_AT else bright(item.frame) for item in items]


def bright(frame):
    """The answer for one picture."""
    return {"bright": float((frame.luma() > 180).mean())}


def busy() -> vl.Error:
    """What a client reports when its service takes no more work."""
    return vl.Error("the service is busy: 429 Too Many Requests", code="overload", retryable=True)
