"""One secret for each of detect-secrets' detectors, made up here and put together at run time.

Whole, they would make those who look through this repository for secrets ring.
"""

from __future__ import annotations

import base64
import json
import random
import string
from dataclasses import dataclass

_chance = random.Random(20)
_ALNUM = string.ascii_letters + string.digits
_LOWER = string.ascii_lowercase + string.digits


def _some(alphabet: str, count: int) -> str:
    return "".join(_chance.choice(alphabet) for _ in range(count))


def _hex(count: int) -> str:
    return _some("0123456789abcdef", count)


def _part_of_jwt(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Planted:
    """A line of Python with a secret in it; ``secret`` is what nobody may see of it."""

    detector: str
    secret: str
    template: str = 'value = "%s"'

    @property
    def line(self) -> str:
        """The line."""
        return self.template % self.secret


PLANTED = (
    Planted("ArtifactoryDetector", "AKC" + _some(_ALNUM, 40), "token = %s "),
    Planted("AWSKeyDetector", "AKIA" + _some(string.ascii_uppercase + string.digits, 16), "see %s there"),
    Planted("AzureStorageKeyDetector", _some(_ALNUM + "+/", 86) + "==", "AccountKey=%s"),
    Planted("BasicAuthDetector", "Zq" + _some(_ALNUM, 9), "fetch(https://me:%s@host.example/)"),
    Planted("CloudantDetector", _hex(64), "cloudant_key = %s"),
    Planted("DiscordBotTokenDetector", f"M{_some(_ALNUM, 23)}.{_some(_ALNUM, 6)}.{_some(_ALNUM, 27)}", "run(%s)"),
    Planted("GitHubTokenDetector", "ghp_" + _some(_ALNUM, 36), "clone %s now"),
    Planted("GitLabTokenDetector", "glpat-" + _some(_ALNUM, 20), "clone %s now"),
    Planted("Base64HighEntropyString", string.ascii_lowercase[::-1] + _some(_ALNUM, 14)),
    Planted("HexHighEntropyString", _hex(40)),
    Planted("IbmCloudIamDetector", _some(_ALNUM, 44), "ibm_iam_token: %s"),
    Planted("IbmCosHmacDetector", _hex(48), "cos_hmac_secret_access_key = %s"),
    Planted("IPPublicDetector", "8.18.28.38", "ping %s"),
    Planted(
        "JwtTokenDetector",
        f"{_part_of_jwt({'alg': 'HS256'})}.{_part_of_jwt({'sub': _some(_ALNUM, 9)})}.{_some(_ALNUM, 43)}",
        "send(%s)",
    ),
    Planted("KeywordDetector", "correct horse", 'password = "%s"'),
    Planted("MailchimpDetector", _some(_LOWER, 32) + "-us12", "mail(%s)"),
    Planted("NpmDetector", "npm_" + _some(_ALNUM, 36), "//registry.example/:_authToken=%s"),
    Planted("OpenAIDetector", f"sk-{_some(_ALNUM, 20)}T3BlbkFJ{_some(_ALNUM, 20)}", "ask(%s)"),
    Planted("PrivateKeyDetector", "BEGIN " + "RSA PRIVATE KEY", "# %s"),
    Planted("PypiTokenDetector", "pypi-AgEIcHlwaS5vcmc" + _some(_ALNUM, 90), "upload(%s)"),
    Planted("SendGridDetector", f"SG.{_some(_ALNUM, 22)}.{_some(_ALNUM, 43)}", "mail(%s)"),
    Planted("SlackDetector", f"xoxb-{_some(string.digits, 12)}-{_some(_LOWER, 24)}", "say(%s)"),
    Planted("SoftlayerDetector", _some(_LOWER, 64), "sl_api_key = %s"),
    Planted("SquareOAuthDetector", "sq0csp-" + _some(_ALNUM, 43), "pay(%s)"),
    Planted("StripeDetector", "sk_live_" + _some(_ALNUM, 24), "pay(%s)"),
    Planted("TelegramBotTokenDetector", f"{_some('123456789', 9)}:{_some(_ALNUM, 35)}", "bot(%s)"),
    Planted("TwilioKeyDetector", "SK" + _some(_LOWER, 32), "call(%s)"),
)

#: A key of several lines, and what nobody may see of it.
KEY_LINES = tuple(_some(_ALNUM + "+/", 64) for _ in range(5))
PRIVATE_KEY = "\n".join(("-----BEGIN " + "PRIVATE KEY-----", *KEY_LINES, "-----END " + "PRIVATE KEY-----"))
