"""A function handler, as the smallest handlers are: called once with no data when it is loaded."""


def handle(data, context):
    if data is None:
        return None
    results = []
    for row in data:
        value = row.get("data")
        if value is None:
            value = row.get("body")
        if isinstance(value, (bytes, bytearray)):
            value = value.decode("utf-8")
        results.append(value)
    return results
