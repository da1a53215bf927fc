"""The client of S3, or of another service that speaks its protocol, and what its errors say in words of ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as Unreachable

from gpuagent.core.text import clean, is_web_url
from gpuagent.errors import ConfigError, FileMissing, FileStoreError

TIMEOUT_S, SERVER_ERROR = 20, 500
CONNECT_S = 5
"""A service that is away holds up a tick for no longer, twice."""
_MISSING = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"412", "PreconditionFailed", "ConditionalRequestConflict"}


class AnotherWasFirst(Exception):
    """Another tick has written this object."""


def open_client(bucket: str, environ: Mapping[str, str]) -> Any:
    """The client, tried on the bucket. environ: AWS's own variables, and AWS_ENDPOINT_URL_S3 for another service.

    A service that does not answer is opened all the same: what needs it then says so, and the rest goes on. Raises
    ConfigError.
    """
    endpoint = environ.get("AWS_ENDPOINT_URL_S3", "")
    if endpoint and not is_web_url(endpoint):
        raise ConfigError("AWS_ENDPOINT_URL_S3 is no URL of a service: write one like https://host")
    try:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=environ.get("AWS_REGION") or None,
            aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID") or None,
            aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY") or None,
            aws_session_token=environ.get("AWS_SESSION_TOKEN") or None,
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=TIMEOUT_S,
                retries={"total_max_attempts": 2, "mode": "standard"},
                signature_version="s3v4",  # without it some regions get URLs of an old kind, that others refuse
                request_checksum_calculation="when_required",  # else a URL to write by asks for an empty content
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise _unusable(bucket, error) from error
    try:
        client.head_bucket(Bucket=bucket)
    except NoCredentialsError as error:
        problem = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where there is a role or a profile of AWS"
        raise ConfigError(f"FILE_STORE=s3://{bucket} needs credentials: {problem}") from error
    except (BotoCoreError, ClientError, ValueError) as error:
        if not _is_away(error):
            raise _unusable(bucket, error) from error
    return client


def _unusable(bucket: str, error: Exception) -> ConfigError:
    return ConfigError(f"FILE_STORE=s3://{bucket} cannot be used: {clean(str(error), 200)}")


def _is_away(error: Exception) -> bool:
    """Whether the service did not answer, or only that it is not well, which may pass."""
    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= SERVER_ERROR
    return isinstance(error, Unreachable | HTTPClientError)


def code_of(error: ClientError) -> str:
    """The service's name for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Whether there is no such object."""
    return code_of(error) in _MISSING


@contextmanager
def explained(sha256: str = "") -> Iterator[None]:
    """Raises FileStoreError, FileMissing and AnotherWasFirst in place of the client's errors."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in _TAKEN:
            raise AnotherWasFirst from error
        if is_missing(error):
            raise FileMissing(f"the file store has no file {sha256}") from error
        raise FileStoreError(f"the file store did not do it: {clean(str(error), 200)}") from error
    except BotoCoreError as error:
        raise FileStoreError(
            f"the file store did not do it ({type(error).__name__}): {clean(str(error), 200)}"
        ) from error
