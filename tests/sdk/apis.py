"""The other side of the bundled handlers: checks each call as the real service would, and answers as it does.

Google's APIs are judged by the discovery documents that google-api-python-client ships: path, method, every field and its type.
OAuth 1.0a is checked by oauthlib, SigV4 by botocore, Slack's blocks by slack_sdk, Standard Webhooks by standardwebhooks, uploads
to Cloud Storage by the standard library's reader of multipart messages.
The argument is its port. Prints `PORT N` when it listens, and serves until standard input closes. `GET /seen` lists what was
accepted."""

import email
import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import standardwebhooks
from oauthlib.common import Request as OAuthRequest
from oauthlib.oauth1.rfc5849 import signature as oauth1
from slack_sdk.models.blocks import Block

from discovery import load, problem, routes

TOKEN = os.environ["API_TOKEN"]
APIS = load("bigquery.v2", "fcm.v1", "pubsub.v1", "dialogflow.v2", "dialogflow.v3", "cloudtasks.v2", "storage.v1")
ROUTES = routes(APIS)
SEEN = []


def google_error(status, word, message, detail=None):
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": detail}] if detail else []
    return status, {"error": {"code": status, "status": word, "message": message, "details": details}}


def google(method, path, body, headers):
    for api, known, route in ROUTES:
        if known["httpMethod"] == method and route.match(path):
            break
    else:
        return google_error(404, "NOT_FOUND", f"{method} {path} is no method")
    if headers.get("authorization") != f"Bearer {TOKEN}":
        return google_error(401, "UNAUTHENTICATED", "no token")
    found = problem(api, known.get("request", {}), body)
    if found:
        return google_error(400, "INVALID_ARGUMENT", found)
    SEEN.append({"method": known["id"], "path": path, "body": body})
    if known["id"] == "fcm.projects.messages.send":
        if body["message"].get("token") == "gone":
            return google_error(404, "NOT_FOUND", "gone", "UNREGISTERED")
        return 200, {"name": "projects/p/messages/1"}
    if known["id"] == "bigquery.tabledata.insertAll":
        if "bad" in body["rows"][0]["json"]:
            errors = [{"reason": "invalid", "location": "bad", "message": "no such field"}]
            return 200, {"kind": "bigquery#tableDataInsertAllResponse", "insertErrors": [{"index": 0, "errors": errors}]}
        return 200, {"kind": "bigquery#tableDataInsertAllResponse"}
    if known["id"] == "pubsub.projects.topics.publish":
        return 200, {"messageIds": ["17"]}
    if known["id"].endswith("tasks.create"):
        return 200, body["task"]
    if known["id"].endswith("detectIntent"):
        if "/v3/" in path:
            return 200, {"queryResult": {"match": {"intent": {"displayName": "hello"}},
                                         "responseMessages": [{"text": {"text": ["Guten Tag"]}}], "parameters": {}}}
        return 200, {"queryResult": {"intent": {"displayName": "hello"}, "fulfillmentText": "Hello", "parameters": {}}}
    return 200, {}


def x(path, raw, headers, url):
    values = dict(re.findall(r'(oauth_\w+)="([^"]*)"', headers.get("authorization", "")))
    request = OAuthRequest(url, "POST", raw.decode(), dict(headers))
    request.params = [(key, unquote(value)) for key, value in values.items() if key != "oauth_signature"]
    request.signature = unquote(values.get("oauth_signature", ""))
    if not oauth1.verify_hmac_sha1(request, "consumer-secret-of-the-test", "token-secret-of-the-test"):
        return 401, {"title": "Unauthorized", "detail": "Unauthorized"}
    body = json.loads(raw)
    if not isinstance(body.get("text"), str) or len(body["text"]) > 280:
        return 400, {"errors": [{"message": "text is too long"}]}
    if body["text"] == "again":
        return 403, {"detail": "You are not allowed to create a Tweet with duplicate content."}
    SEEN.append({"method": "x", "body": body})
    return 201, {"data": {"id": "1", "text": body["text"]}}


def slack(raw, headers):
    if headers.get("authorization") != f"Bearer {TOKEN}":
        return 200, {"ok": False, "error": "invalid_auth"}
    body = json.loads(raw)
    try:
        for block in Block.parse_all(body.get("blocks", [])):
            block.validate_json()
    except Exception:
        return 200, {"ok": False, "error": "invalid_blocks"}
    if not body.get("text") or not body.get("channel"):
        return 200, {"ok": False, "error": "no_text"}
    SEEN.append({"method": "slack", "body": body})
    return 200, {"ok": True, "channel": body["channel"], "ts": "1.0"}


def is_signed(auth_type, service, method, raw, headers, url):
    signed = re.search(r"SignedHeaders=([^,]+)", headers.get("authorization", ""))
    names = signed.group(1).split(";") if signed else []
    request = botocore.awsrequest.AWSRequest(method, url, data=raw)
    for name in names:
        if name != "host":
            request.headers[name] = headers.get(name, "")
    auth = auth_type(botocore.credentials.Credentials("AKID", "secret-key-of-the-test"), service, "eu-west-1")
    request.context["timestamp"] = headers.get("x-amz-date")
    canonical = auth.canonical_request(request)
    expected = auth.signature(auth.string_to_sign(request, canonical), request)
    return f"Signature={expected}" in headers.get("authorization", "")


def sigv4(method, path, raw, headers, url):
    if not is_signed(botocore.auth.SigV4Auth, "sqs", method, raw, headers, url):
        return 403, {"message": "signature does not match"}
    SEEN.append({"method": "sigv4"})
    return 200, {}


def has_object(key):
    return any(one["method"] == "object" and one["key"] == key for one in SEEN)


def s3(method, path, raw, headers, url):
    if not is_signed(botocore.auth.S3SigV4Auth, "s3", method, raw, headers, url):
        return 403, {"message": "signature does not match"}
    if headers.get("if-none-match") == "*" and has_object(path):
        return 412, {}
    metadata = {name[11:]: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
    SEEN.append({"method": "object", "key": path, "type": headers.get("content-type"), "metadata": metadata, "content": raw.decode()})
    return 200, None


def gcs(path, query, raw, headers):
    storage = next(api for api in APIS if api["name"] == "storage")
    insert = storage["resources"]["objects"]["methods"]["insert"]
    upload = insert["mediaUpload"]["protocols"]["simple"]["path"].replace("{bucket}", "[^/]+")
    unknown = [name for name in query if name not in insert["parameters"] and name != "uploadType"]
    if not re.fullmatch(upload, path) or unknown or query.get("uploadType") != ["multipart"]:
        return google_error(404, "NOT_FOUND", f"{path} {query} is no upload")
    if headers.get("authorization") != f"Bearer {TOKEN}":
        return google_error(401, "UNAUTHENTICATED", "no token")
    message = email.message_from_bytes(b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n" + raw)
    description, content = message.get_payload()
    described = json.loads(description.get_payload())
    found = problem(storage, insert["request"], described)
    if found:
        return google_error(400, "INVALID_ARGUMENT", found)
    if query.get("ifGenerationMatch") == ["0"] and has_object(described["name"]):
        return google_error(412, "FAILED_PRECONDITION", "exists")
    SEEN.append({"method": "object", "key": described["name"], "type": content["content-type"], "metadata": described["metadata"],
                 "content": content.get_payload()})
    return 200, {"name": described["name"]}


def github(method, path, body, headers):
    if headers.get("authorization") != f"Bearer {TOKEN}" or headers.get("accept") != "application/vnd.github+json":
        return 401, {}
    if re.fullmatch(r"/github/repos/[^/]+/[^/]+/statuses/[0-9a-f]{40}", path):
        good = body.get("state") in ("error", "failure", "pending", "success") and len(body.get("description", "")) <= 140
        SEEN.append({"method": "status", "body": body})
        return (201, {}) if good else (422, {})
    if re.fullmatch(r"/github/repos/[^/]+/[^/]+/dispatches", path):
        good = 0 < len(body.get("event_type", "")) <= 100 and len(body.get("client_payload", {})) <= 10
        SEEN.append({"method": "dispatch", "body": body})
        return (204, None) if good else (422, {})
    return 404, {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path == "/seen":
            return self.answer(200, SEEN)
        if self.path.startswith("/computeMetadata/v1/instance/service-accounts/default/token"):
            good = self.headers.get("metadata-flavor") == "Google" and parse_qs(urlsplit(self.path).query).get("scopes")
            return self.answer(200 if good else 403, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})
        self.answer(404, {})

    def do_PUT(self):
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.answer(*s3("PUT", urlsplit(self.path).path, raw, headers, f"http://{headers.get('host')}{self.path}"))

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = urlsplit(self.path).path
        url = f"http://{headers.get('host')}{self.path}"
        if path == "/2/tweets":
            return self.answer(*x(path, raw, headers, url))
        if path == "/api/chat.postMessage":
            return self.answer(*slack(raw, headers))
        if path.startswith("/aws/"):
            return self.answer(*sigv4("POST", path, raw, headers, url))
        if path.startswith("/upload/"):
            return self.answer(*gcs(path, parse_qs(urlsplit(self.path).query), raw, headers))
        if path == "/partner":
            try:
                standardwebhooks.Webhook("whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0").verify(raw, headers)
            except Exception:
                return self.answer(400, {})
            SEEN.append({"method": "standard-webhooks"})
            return self.answer(200, {})
        if path == "/token":
            good = headers.get("authorization", "").startswith("Basic ") and b"grant_type=client_credentials" in raw
            return self.answer(200 if good else 401, {"access_token": TOKEN, "expires_in": 300})
        if path == "/bearer":
            SEEN.append({"method": "oauth2"})
            return self.answer(200 if headers.get("authorization") == f"Bearer {TOKEN}" else 401, {})
        if path.startswith("/validate/"):
            _, _, name, schema = path.split("/")
            api = next(api for api in APIS if f"{api['name']}.{api['version']}" == name)
            return self.answer(200, {"problem": problem(api, {"$ref": schema}, json.loads(raw))})
        body = json.loads(raw or b"null")
        if path.startswith("/github/"):
            return self.answer(*github("POST", path, body, headers))
        self.answer(*google("POST", path, body, headers))


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"PORT {server.server_port}", flush=True)
sys.stdin.read()
