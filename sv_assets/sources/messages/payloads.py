"""Bodies of messages that lie in S3: read from the declared buckets alone, and no larger than declared."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from urllib3.exceptions import HTTPError

from sv_assets.catalogue.model import SqsQueuesModel
from sv_assets.catalogue.queue import Payloads
from sv_assets.errors import ConfigurationError, DataError, TransientError
from sv_assets.sources.messages.message import Pointer
from sv_assets.sources.sqs.session import aws_client

PROBE_KEY = "single-customer-view/no-such-object"
"""Read to tell why a read was forbidden. Nobody is to put an object there."""
_CHUNK = 1024**2
_FORBIDDEN = ("AccessDenied", "Forbidden", "403")
_PASSING_FAULTS = (
    "SlowDown", "Throttling", "ThrottlingException", "RequestThrottled", "RequestLimitExceeded", "TooManyRequestsException",
    "RequestTimeout", "RequestTimeoutException", "InternalError", "ServiceUnavailable", "429", "408",
)  # fmt: skip
_OF_THE_OBJECT = {
    "NoSuchKey": "is gone",
    "InvalidObjectState": "has been moved to an archive tier: restore it, and retry the message",
    "InvalidRequest": "is encrypted with a key that only its producer has",
    "KeyTooLongError": "has a key that S3 does not take",
    "InvalidURI": "has a key that S3 does not take",
}
"""What is wrong with one object, and not with the bucket or with us (Amazon S3, "Error responses")."""


class S3Payloads:
    """The payload store of one queue.

    A forbidden object is a fault of the message where others of its bucket can be read, and else of our permissions: the
    run then stops, and the messages stay in the queue. S3 answers a read of a missing object with `AccessDenied` too, to
    those who have no `s3:ListBucket` (Amazon S3, GetObject); so we want that permission.
    """

    def __init__(self, system: SqsQueuesModel, payloads: Payloads) -> None:
        """Raises ConfigurationError where no client can be made: no region, or an endpoint that is no URL."""
        self._system = system.system
        self._payloads = payloads
        self._readable: set[str] = set()
        with self._explained():
            self._client = aws_client(system, "s3", connections=32)

    def read(self, pointer: Pointer) -> bytes:
        """The whole object, of `max_bytes` at most.

        Raises DataError where it is larger, gone, or the only one of its bucket that we may not read, and for a bucket
        that the catalogue does not name; TransientError where S3 is away or busy; ConfigurationError where the bucket is
        missing or closed to us.
        """
        if pointer.bucket not in self._payloads.buckets:
            raise DataError("the body lies in a bucket of S3 that `payloads.buckets` of this queue does not name")
        with self._explained(pointer.bucket):
            data = self._read(pointer)
        self._readable.add(pointer.bucket)
        return data

    def delete(self, pointer: Pointer) -> None:
        """Remove the object, if it is there, lies in a declared bucket, and the catalogue does not say `delete: false`.

        Raises TransientError where S3 is away or busy, ConfigurationError where we may not delete.
        """
        if self._payloads.delete and pointer.bucket in self._payloads.buckets:
            with self._explained(pointer.bucket):
                self._client.delete_object(Bucket=pointer.bucket, Key=pointer.key)

    def _read(self, pointer: Pointer) -> bytes:
        answer = self._client.get_object(Bucket=pointer.bucket, Key=pointer.key)
        with closing(answer["Body"]) as body:
            if answer.get("ContentLength", 0) > self._payloads.max_bytes:
                raise self._too_large(pointer)
            data = bytearray()
            while chunk := body.read(_CHUNK):
                data += chunk
                if len(data) > self._payloads.max_bytes:
                    raise self._too_large(pointer)
        return bytes(data)

    def _too_large(self, pointer: Pointer) -> DataError:
        return DataError(
            f"the body in the bucket {pointer.bucket} is larger than {self._payloads.max_bytes:,} bytes (`payloads.max_bytes`)"
        )

    @contextmanager
    def _explained(self, bucket: str = "") -> Iterator[None]:
        where = f"system {self._system}: the bucket {bucket}" if bucket else f"system {self._system}: S3"
        try:
            yield
        except ClientError as error:
            raise self._fault(error, bucket, where) from None
        except (ConnectionError, HTTPClientError, HTTPError, OSError) as error:
            raise TransientError(f"{where} does not answer ({type(error).__name__}). Try again later.") from None
        except (BotoCoreError, ValueError) as error:
            kind = type(error).__name__
            if kind in ("IncompleteReadError", "FlexibleChecksumError"):
                raise TransientError(
                    f"{where}: the connection broke while reading ({kind}). Try again later."
                ) from None
            raise ConfigurationError(
                f"{where} cannot be used ({kind}). Set AWS credentials, region and endpoint; `sv doctor` tries them."
            ) from None

    def _fault(self, error: ClientError, bucket: str, where: str) -> Exception:
        code, status = _code(error)
        reading = error.operation_name == "GetObject"  # and not the assuming of a role, which can be refused as well
        if code in _PASSING_FAULTS or status >= 500:
            return TransientError(f"{where} is busy or ill ({code}). Try again later.")
        if reading and code in _OF_THE_OBJECT:
            return DataError(f"the body in the bucket {bucket} {_OF_THE_OBJECT[code]} ({code})")
        if reading and code in _FORBIDDEN and self._lets_us_read_others(bucket, str(error)):
            return DataError(f"the body in the bucket {bucket} is forbidden to us, or gone ({code})")
        if code == "NoSuchBucket":
            return ConfigurationError(
                f"{where} does not exist. Correct `payloads.buckets`, the account or the region in its defs.yaml."
            )
        wanted = (
            "s3:GetObject, s3:ListBucket and kms:Decrypt" if reading else "s3:DeleteObject (or say `delete: false`)"
        )
        return ConfigurationError(f"{where} refuses us ({code}). Check the credentials, and that they allow {wanted}.")

    def _lets_us_read_others(self, bucket: str, why: str) -> bool:
        """Whether a forbidden object is an exception: others have been read, or a missing one is said to be missing."""
        if bucket in self._readable:
            return True
        if "kms:" in why:
            return False  # a missing object is in need of no key, and tells nothing
        try:
            self._client.get_object(Bucket=bucket, Key=PROBE_KEY)["Body"].close()
        except ClientError as error:
            return _code(error)[0] == "NoSuchKey"
        except BotoCoreError:
            return False
        return True


def _code(error: ClientError) -> tuple[str, int]:
    response: Any = error.response
    return str(response.get("Error", {}).get("Code", "")), int(
        response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    )
