"""Clients of AWS for the queues of one system: the usual chain of credentials, and the role that the catalogue names."""

import logging
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

from sv_assets import settings
from sv_assets.catalogue.model import SqsQueuesModel

SESSION_NAME = "single-customer-view"
for _name in ("botocore.parsers", "botocore.endpoint", "botocore.hooks"):
    logging.getLogger(_name).setLevel(logging.INFO)  # at DEBUG they write the bodies of messages


def aws_client(system: SqsQueuesModel, service: str, *, connections: int = 10, read_timeout: float = 40) -> Any:
    """A boto3 client of `service` (`sqs`, `s3`, `cloudwatch`), with the system's role, region and endpoint.

    The role is assumed at the first request, and again before its credentials expire. Raises what botocore raises for a
    region that is missing or an endpoint that is no URL; `explained` makes sentences of that.
    """
    endpoint = settings.resolve_optional(system.endpoint)
    region = system.region or settings.variable("AWS_DEFAULT_REGION") or settings.variable("AWS_REGION")
    core = botocore.session.get_session()
    if endpoint:  # the embedded estate names its credentials beside its endpoint
        core.set_credentials(
            settings.variable("AWS_ACCESS_KEY_ID") or "", settings.variable("AWS_SECRET_ACCESS_KEY") or ""
        )
    if system.role:
        _assume(core, system, system.role, endpoint, region)
    return boto3.Session(botocore_session=core, region_name=region).client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=10,
            read_timeout=read_timeout,
            retries={"mode": "standard", "max_attempts": 3},
            max_pool_connections=connections,
            s3={"addressing_style": "path"} if endpoint else None,
        ),
    )


def _assume(
    core: botocore.session.Session, system: SqsQueuesModel, role: str, endpoint: str | None, region: str | None
) -> None:
    def create_client(service: str, **how: Any) -> Any:
        return core.create_client(service, region_name=region, endpoint_url=endpoint, **how)

    own = core.get_credentials()
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
