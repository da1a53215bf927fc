"""A bucket on this machine beside the stubs, in memory: with it jobs with files can be sold by sellers without any."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

NAME, REGION, KEY = "files", "us-east-1", "practice"
MISSING = "there is no bucket, and the stubs sell no jobs with files: it needs pip install 'moto[s3,server]' boto3"


@contextmanager
def serving_bucket(host: str) -> Iterator[Mapping[str, str]]:
    """The variables that point an agent's file store at it; none where moto is not installed. It takes any key."""
    try:
        import boto3
        from moto.server import ThreadedMotoServer
    except ImportError:
        yield {}
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY}
        boto3.client("s3", endpoint_url=url, region_name=REGION, **keys).create_bucket(Bucket=NAME)
        yield {
            "FILE_STORE": f"s3://{NAME}/agent",
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
        }
    finally:
        server.stop()
