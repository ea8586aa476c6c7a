"""Prints requests that the official Python SDKs have signed, as one JSON array of vectors."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

import standardwebhooks
import svix
from nacl.signing import SigningKey
from slack_sdk.signature import SignatureVerifier
from stripe import WebhookSignature
from twilio.request_validator import RequestValidator

NOW = 1760000000
URL = "https://hooks.example.com/in"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BIG = 100 * 1024


def filled(start, end):
    return start + "a" * (BIG - len(start) - len(end)) + end


ACCENTS = "Café à Zürich 🎉👩‍🚀"
ASCII = '{"id":"evt_1","object":"event","type":"order.paid","n":1}'
JSON_BODIES = [
    ("ascii", "ASCII body", ASCII),
    ("accents", "emoji and accents", f'{{"id":"evt_2","type":"order.paid","text":"{ACCENTS}"}}'),
    ("object", "empty object", "{}"),
    ("big", "100 KiB body", filled('{"id":"evt_3","type":"order.paid","text":"', '"}')),
]
EMPTY = ("empty", "empty body", "")
FORM_ASCII = urlencode({"CallSid": "CA1", "Digits": "1", "From": "+14158675309", "FromCity": ""})
FORM_BODIES = [
    ("form-ascii", "form in ASCII", FORM_ASCII),
    ("form-accents", "form with emoji and accents", urlencode({"Body": ACCENTS, "MessageSid": "SM1"})),
    ("form-empty", "empty form", ""),
    ("form-big", "form of 100 KiB", filled("MessageSid=SM1&Body=", "")),
]


@dataclass
class Scheme:
    scheme: str
    kind: str
    encoding: str
    old: Any
    new: Any
    sign_request: Callable
    content_type: str = JSON
    now: int | None = NOW
    value: Callable = str

    def vector(self, tag, name, body, expect="accept", sent=None, signers=None, known=None, **more):
        url, headers = self.sign_request(signers or [self.new], body)
        return {
            "id": f"sdk-python-{self.scheme}-{tag}",
            "provider": self.scheme,
            "scheme": self.scheme,
            "kind": self.kind,
            "name": name,
            "secrets": [{"encoding": self.encoding, "value": self.value(key)} for key in known or [self.new]],
            "method": "POST",
            "url": url,
            "headers": [["Content-Type", self.content_type], *headers],
            "body": body if sent is None else sent,
            "body_encoding": "utf-8",
            "now": self.now,
            "expect": expect,
            **more,
        }

    def bodies(self, bodies):
        return [self.vector(tag, name, body) for tag, name, body in bodies]

    def rotation(self, body, joins=False):
        old, new = self.old, self.new
        both = [old, new]
        yield self.vector("old", "signed with the old secret, both known", body, signers=[old], known=both)
        yield self.vector("new", "signed with the new secret, both known", body, known=both)
        mismatch = "reject:signature_mismatch"
        retired = "signed with the old secret, only the new one known"
        yield self.vector("retired", retired, body, mismatch, signers=[old])
        if joins:
            yield self.vector("both", "signed with both secrets, only the new one known", body, signers=both)

    def tampered(self, body, old, new, tag="tampered", reason="signature_mismatch", **more):
        sent = body.replace(old, new, 1)
        return self.vector(tag, "one byte of the body changed", body, f"reject:{reason}", sent, **more)


def whsec(text):
    return "whsec_" + base64.b64encode(text.encode().ljust(32, b".")).decode()


def public_key(key):
    return key.verify_key.encode().hex()


def stripe_request(secrets, body):
    signed = [WebhookSignature.generate_signature_header(body, secret, NOW) for secret in secrets]
    others = ["," + header.split(",", 1)[1] for header in signed[1:]]
    return URL, [["Stripe-Signature", signed[0] + "".join(others)]]


def webhook_request(sdk, prefix):
    def request(secrets, body):
        time = datetime.fromtimestamp(NOW, timezone.utc)
        signed = [sdk.Webhook(secret).sign("msg_1", time, body) for secret in secrets]
        values = {"id": "msg_1", "timestamp": str(NOW), "signature": " ".join(signed)}
        return URL, [[f"{prefix}-{name}", value] for name, value in values.items()]

    return request


def slack_request(secrets, body):
    signed = SignatureVerifier(secrets[0]).generate_signature(timestamp=str(NOW), body=body)
    return URL, [["X-Slack-Request-Timestamp", str(NOW)], ["X-Slack-Signature", signed]]


def discord_request(keys, body):
    signed = keys[0].sign(f"{NOW}{body}".encode()).signature.hex()
    return URL, [["X-Signature-Timestamp", str(NOW)], ["X-Signature-Ed25519", signed]]


def twilio_form_request(secrets, body):
    fields = dict(parse_qsl(body, keep_blank_values=True))
    return URL, [["X-Twilio-Signature", RequestValidator(secrets[0]).compute_signature(URL, fields)]]


def twilio_json_request(secrets, body):
    validator = RequestValidator(secrets[0])
    url = f"{URL}?bodySHA256={validator.compute_hash(body)}"
    return url, [["X-Twilio-Signature", validator.compute_signature(url, {})]]


def vectors():
    text = ("utf8", "old-secret-for-tests", "new-secret-for-tests")
    stripe_text = ("utf8", "whsec_test_old", "whsec_test_new")
    message = ("whsec", whsec("old secret for tests"), whsec("new secret for tests"))
    pairs = ("ed25519-hex", SigningKey(b"1" * 32), SigningKey(b"2" * 32))
    message_kind = "hmac-sha256/id.ts.body/base64-versioned-list"
    joining = [
        Scheme("stripe", "hmac-sha256/ts.body/hex-kv-list", *stripe_text, stripe_request),
        Scheme("standard-webhooks", message_kind, *message, webhook_request(standardwebhooks, "webhook")),
        Scheme("svix", message_kind, *message, webhook_request(svix, "svix")),
    ]
    single = [
        Scheme("slack", "hmac-sha256/v0:ts:body/hex-prefixed", *text, slack_request),
        Scheme("discord", "ed25519/ts+body/hex", *pairs, discord_request, value=public_key),
    ]
    for scheme in joining + single:
        yield from scheme.bodies([*JSON_BODIES, EMPTY])
        yield from scheme.rotation(ASCII, joins=scheme in joining)
        yield scheme.tampered(ASCII, '"n":1', '"n":2')

    twilio_kind = "hmac-sha1/url+sorted-form/base64"
    form = Scheme("twilio", twilio_kind, *text, twilio_form_request, content_type=FORM, now=None)
    yield from form.bodies(FORM_BODIES)
    yield from form.rotation(FORM_ASCII)
    yield form.tampered(FORM_ASCII, "Digits=1", "Digits=2", tag="form-tampered")
    json_ = Scheme("twilio", twilio_kind, *text, twilio_json_request, now=None)
    yield from json_.bodies([("json-" + tag, "JSON, " + name, body) for tag, name, body in JSON_BODIES])
    alike = {"alt_reasons": ["reject:signature_mismatch"]}
    yield json_.tampered(ASCII, '"n":1', '"n":2', tag="json-tampered", reason="body_hash_mismatch", **alike)


print(json.dumps(list(vectors()), indent=1))
