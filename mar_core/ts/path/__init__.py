"""A folder for ``PYTHONPATH``: its one module is ``ts``, for processes that handlers start."""
