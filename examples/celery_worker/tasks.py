"""One HLS segment, one task. Start a worker with

    .venv/bin/celery --app tasks --workdir examples/celery_worker worker --concurrency 2

VIDLOOM_CONFIG names another file of analyses, such as analyses_with_brands.json.

The analyzer stands at module level: its constructor starts, loads and opens nothing, so it is safe before the fork, and each
worker process loads once, at its first segment.
"""

import os

from celery import Celery

import vidloom as vl

app = Celery("tasks", broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost"), backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)

analyzer = vl.Analyzer(os.environ.get("VIDLOOM_CONFIG") or os.path.join(os.path.dirname(__file__), "analyses.json"))


@app.task(bind=True, acks_late=True, max_retries=3)
def process_segment(self, path, stream_key, session_id=None):
    """What is in the segment `path`: a dict of schema vidloom/report/v1."""
    report = analyzer.analyze_segment(path, stream=stream_key, context={"session_id": session_id}, deadline=20)
    try:
        report.raise_for_status()
    except vl.Error as error:
        if error.retryable:
            raise self.retry(exc=error, countdown=error.retry_after or 2**self.request.retries) from error
        raise
    return report.to_dict()
