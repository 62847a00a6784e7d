"""The worker processes: Celery tasks around the engine."""
