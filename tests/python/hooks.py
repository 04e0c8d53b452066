"""What schemathesis does not know of the API's media types."""

import json

import schemathesis

schemathesis.serializer.alias("application/wasm", "application/octet-stream")
schemathesis.serializer.alias("application/x-ndjson", "text/plain")


@schemathesis.deserializer("application/x-ndjson")
def lines(_, response):
    """The text itself, once every line of it is an object."""
    text = response.content.decode("utf-8")
    for line in filter(None, text.split("\n")):
        if not isinstance(json.loads(line), dict):
            raise ValueError(f"not an object: {line[:80]}")
    return text
