def late():
    from . import inner

    return inner.NAME.upper()
