"""An S3 that runs until its standard input ends, with one bucket, `keyward`.

It prints its address. Then it does what each line asks, as its owner would: `list`, `put KEY BASE64`,
`delete KEY`; and answers each with a line of JSON.
"""

import base64
import json
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
address = f"http://{host}:{port}"
s3 = boto3.client(
    "s3",
    endpoint_url=address,
    region_name="us-east-1",
    aws_access_key_id="owner",
    aws_secret_access_key="owner",
)
s3.create_bucket(Bucket="keyward")
print(address, flush=True)
for line in sys.stdin:
    what, *rest = line.split()
    answer = None
    if what == "list":
        listed = s3.list_objects_v2(Bucket="keyward").get("Contents", [])
        answer = [found["Key"] for found in listed]
    elif what == "put":
        s3.put_object(Bucket="keyward", Key=rest[0], Body=base64.b64decode(rest[1]))
    elif what == "delete":
        s3.delete_object(Bucket="keyward", Key=rest[0])
    print(json.dumps(answer), flush=True)
