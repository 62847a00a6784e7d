"""The engine of Milvus change data capture: no web framework and no task queue in here."""
