"""Signatures are those of the specification Standard Webhooks."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest

from qwendesk.desk.webhooks.signing import new_secret, signed_headers
from qwendesk.webhook_settings import read_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""The example of the reference libraries."""


def test_the_example_of_the_reference_libraries() -> None:
    assert signed_headers(ID, AT, BODY, [SECRET]) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_several_secrets_make_several_signatures() -> None:
    other = new_secret()
    both = signed_headers(ID, AT, BODY, [SECRET, other])["webhook-signature"].split(" ")
    key = b64decode(other.removeprefix("whsec_"))
    expected = hmac.digest(key, f"{ID}.1614265330.".encode() + BODY, "sha256")
    assert both == [SIGNATURE, f"v1,{b64encode(expected).decode()}"]


def test_what_is_signed_matters() -> None:
    later = datetime.fromtimestamp(1614265331, UTC)
    changed = [(ID, later, BODY), (f"{ID}x", AT, BODY), (ID, AT, BODY + b" ")]
    assert len({signed_headers(*each, [SECRET])["webhook-signature"] for each in changed} - {SIGNATURE}) == 3


def test_new_secrets_differ_and_can_be_read() -> None:
    secrets = {new_secret() for _ in range(20)}
    assert len(secrets) == 20 and all(len(read_secret(secret)) == 32 for secret in secrets)


@pytest.mark.parametrize(
    "text", ["", "whsec_", "secret", "whsec_c2hvcnQ=", "whsec_" + "A" * 200, "whsec_!!!", "MfKQ9r8GKY"]
)
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'qwendesk webhooks secret' writes one"):
        read_secret(text)
