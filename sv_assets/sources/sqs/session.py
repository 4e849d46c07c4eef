"""Clients of AWS for the queues of one system: the usual chain of credentials, and the role that the catalogue names."""

import logging
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sv_assets import settings
from sv_assets.catalogue.model import SqsQueuesModel

if TYPE_CHECKING:
    import botocore.session

SESSION_NAME = "single-customer-view"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TALKATIVE = ("botocore.parsers", "botocore.endpoint", "botocore.hooks", "botocore.auth", "botocore.regions", "urllib3.connectionpool")  # fmt: skip
for _name in _TALKATIVE:  # at DEBUG they write the bodies of messages, and the keys of objects, which producers choose
    logging.getLogger(_name).setLevel(logging.INFO)


def aws_client(
    system: SqsQueuesModel, service: str, *, connections: int = 10, read_timeout: float = 40, attempts: int = 4
) -> Any:
    """A client of `service` (`sqs`, `s3`, `cloudwatch`), with the system's role and region.

    The declared endpoint is that of SQS; only the embedded estate serves everything at one. The role is assumed at the
    first request, and again before its credentials expire. Raises what botocore raises for a region or credentials that
    are missing, or an endpoint that is no URL; `explained` makes sentences of that.
    """
    import botocore.session
    from botocore.config import Config

    declared = settings.resolve_optional(system.endpoint)
    is_embedded = declared is not None and urlsplit(declared).hostname in _LOOPBACK
    endpoint = declared if service == "sqs" or is_embedded else None
    region = system.region or settings.variable("AWS_DEFAULT_REGION") or settings.variable("AWS_REGION")
    core = botocore.session.get_session()
    core.register_component("data_loader", _service_models())
    if is_embedded:  # the embedded estate names its credentials beside its endpoint
        core.set_credentials(
            settings.variable("AWS_ACCESS_KEY_ID") or "", settings.variable("AWS_SECRET_ACCESS_KEY") or ""
        )
    if system.role:
        _assume(core, system, system.role, declared if is_embedded else None, region)
    return core.create_client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=min(10, read_timeout),
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=connections,
            s3={"addressing_style": "path"} if is_embedded else None,
        ),
    )


@cache
def _service_models() -> Any:
    """What describes the services, read once: every session of its own would read megabytes of it again."""
    import botocore.session

    return botocore.session.get_session().get_component("data_loader")


def _assume(
    core: "botocore.session.Session", system: SqsQueuesModel, role: str, endpoint: str | None, region: str | None
) -> None:
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import NoCredentialsError

    def create_client(service: str, **how: Any) -> Any:
        return core.create_client(service, region_name=region, endpoint_url=endpoint, **how)

    own = core.get_credentials()
    if own is None:
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=create_client,
        source_credentials=own,
        role_arn=role,
        extra_args={
            "RoleSessionName": SESSION_NAME,
            **({"ExternalId": system.external_id} if system.external_id else {}),
        },
    )
    assumed = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
    core._credentials = assumed  # type: ignore[attr-defined]  # botocore has no other way in for refreshable ones
