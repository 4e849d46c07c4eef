"""What SQS said when it failed, in one sentence of ours: a passing fault, or something to put right."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as NoConnection,
)
from botocore.parsers import ResponseParserError

from sv_assets.errors import ConfigurationError, SvError, TransientError

PASSING = (
    "RequestThrottled", "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException",
    "ServiceUnavailable", "InternalError", "InternalFailure", "OverLimit", "KmsThrottled", "KMS.ThrottlingException",
    "RequestTimeout", "RequestTimeoutException", "SlowDown", "ExpiredToken", "ExpiredTokenException",
)  # fmt: skip
"""Codes of faults that pass (Amazon SQS and KMS error references). OverLimit: too much is in flight; expired credentials
are fetched anew."""
GONE = ("NonExistentQueue", "QueueDoesNotExist")
EXPIRED_HANDLE = ("ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "InvalidIdFormat")
"""What SQS says of a receipt handle that no longer holds its message."""


def code_of(error: ClientError) -> str:
    """The code of an error, without the name space of the older protocol."""
    return str(error.response.get("Error", {}).get("Code", "")).removeprefix("AWS.SimpleQueueService.")


@contextmanager
def explained(system: str, queue: str) -> Iterator[None]:
    """Turns what botocore raises into our errors: TransientError where it passes, else ConfigurationError."""
    where = f"system {system}"
    try:
        yield
    except SvError:
        raise
    except EndpointConnectionError as error:
        raise TransientError(
            f"{where}: SQS does not answer. Check the endpoint of its defs.yaml, or start the embedded estate with `sv estate up`."
        ) from error
    except ClientError as error:
        raise _refused(where, queue, error) from None
    except (NoConnection, HTTPClientError, ResponseParserError) as error:
        raise TransientError(
            f"{where}: the connection to SQS broke ({type(error).__name__}). Try again later."
        ) from None
    except (BotoCoreError, ValueError) as error:  # boto3 raises ValueError for an endpoint that is no URL
        raise ConfigurationError(
            f"{where}: SQS cannot be used ({type(error).__name__}). Set AWS credentials, region and endpoint, or start the embedded estate with `sv estate up`."
        ) from None


def _refused(where: str, queue: str, error: ClientError) -> SvError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if any(gone in code for gone in GONE):
        return ConfigurationError(
            f"{where}: there is no queue {queue} in this account and region. "
            "Correct its name, account or region in its defs.yaml; `sv doctor` tries it."
        )
    if code in PASSING or status >= 500 or status == 429:
        return TransientError(f"{where}: SQS is busy or ill ({code or status}) for queue {queue}. Try again later.")
    if code.lower().startswith("kms"):
        return ConfigurationError(
            f"{where}: KMS refuses the key of queue {queue} ({code}). Our role needs kms:Decrypt on it."
        )
    if error.operation_name == "AssumeRole":
        return ConfigurationError(
            f"{where}: its role cannot be assumed ({code}). Check `role`, `external_id` and who the role trusts."
        )
    return ConfigurationError(
        f"{where}: SQS refuses queue {queue} ({code}). Check the credentials and what they may do: `sv doctor` tries it."
    )
