"""Checks the HMAC of the body, parses the JSON and answers with it."""

import hashlib
import hmac
import json
import os

from flask import Flask, Response, request

with open(os.environ["SECRET_FILE"], "rb") as file:
    SECRET = file.read()

app = Flask(__name__)


@app.post("/bench")
def bench():
    body = request.get_data()
    signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature, request.headers.get("X-Signature", "")):
        return Response(status=401)

    answer = {"hook": "bench", "event_id": "-", "received": json.loads(body)}
    return Response(json.dumps(answer), mimetype="application/json")
