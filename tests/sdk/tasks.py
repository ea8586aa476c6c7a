"""A stand-in for Google Cloud Tasks, which has no emulator, and the front of a service on Cloud Run.

Calls are judged by the discovery document of cloudtasks v2. Tasks are kept in memory, called back when they are due, and again with a
pause until a node answers 2xx; names are taken once. Calls carry an ID token that google-auth signs; `/certs` has the key.
A request to `/_landfall/push` (from a task, or from the Pub/Sub emulator, which signs nothing) is forwarded to one of the nodes, with
such a token. The nodes are set by `PUT /nodes`, faults by `PUT /fault`: `down` refuses what is created, `unknown` keeps it and says
that it has not; `GET /told` says what was counted. The argument is its port.
Prints `PORT N` when it listens, and serves until standard input closes."""

import base64
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from discovery import load, problem, routes

ROUTES = routes(load("cloudtasks.v2"))
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SIGNER = crypt.RSASigner.from_string(
    KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()), "k1")
ACCOUNT = "caller@p.iam.gserviceaccount.com"
STATE = threading.Condition()
NODES, TASKS, NAMES, TOLD = [], [], set(), {"created": 0, "known": 0, "calls": 0, "refused": 0, "done": 0}
FAULT = {"now": None}


def text(number):
    size = (number.bit_length() + 7) // 8
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def token(audience, email=ACCOUNT):
    now = int(time.time())
    claims = {"iss": "https://accounts.google.com", "aud": audience, "email": email, "email_verified": True,
              "sub": "1", "iat": now, "exp": now + 3600}
    return jwt.encode(SIGNER, claims).decode()


def call(body, headers, audience, timeout=120):
    """The status of one node's answer; none where there is none."""
    with STATE:
        if not NODES:
            return None
        NODES.append(NODES.pop(0))
        node = NODES[0]
        TOLD["calls"] += 1
    request = urllib.request.Request(node + "/_landfall/push", data=body, method="POST", headers=headers)
    request.add_header("Authorization", "Bearer " + token(audience))
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError:
        return None


def due(task):
    at = task.get("scheduleTime")
    return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() if at else 0.0


def create(parent, task):
    name = task["name"]
    if not name.startswith(parent + "/tasks/"):
        return 400, {"error": {"code": 400, "message": "the name is of another queue"}}
    if FAULT["now"] == "down":
        return 503, {"error": {"code": 503, "message": "the service is currently unavailable"}}
    with STATE:
        if name in NAMES:
            TOLD["known"] += 1
            if FAULT["now"] == "unknown":
                return 503, {"error": {"code": 503, "message": "the service is currently unavailable"}}
            return 409, {"error": {"code": 409, "message": "the task exists, or has existed"}}
        NAMES.add(name)
        TOLD["created"] += 1
        TASKS.append({"task": task, "at": due(task), "tries": 0, "answered": 0})
        STATE.notify()
    if FAULT["now"] == "unknown":
        return 503, {"error": {"code": 503, "message": "the service is currently unavailable"}}
    return 200, task


def run(one):
    task = one["task"]
    http = task["httpRequest"]
    headers = dict(http["headers"])
    headers.update({"X-CloudTasks-TaskName": task["name"].rsplit("/", 1)[1], "X-CloudTasks-QueueName": "q",
                    "X-CloudTasks-TaskRetryCount": str(one["tries"]),
                    "X-CloudTasks-TaskExecutionCount": str(one["answered"]), "X-CloudTasks-TaskETA": str(one["at"])})
    status = call(base64.b64decode(http["body"]), headers, http["oidcToken"]["audience"])
    with STATE:
        if status is not None and 200 <= status < 300:
            TOLD["done"] += 1
            return
        TOLD["refused"] += 1
        one["tries"] += 1
        one["answered"] += 1 if status is not None and status < 500 else 0
        one["at"] = time.time() + min(0.1 * 2 ** min(one["tries"], 5), 2.0)
        TASKS.append(one)
        STATE.notify()


def work():
    while True:
        with STATE:
            now = time.time()
            ready = [one for one in TASKS if one["at"] <= now]
            if not ready:
                STATE.wait(0.05)
                continue
            TASKS.remove(ready[0])
        run(ready[0])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self):
        if self.path == "/certs":
            numbers = KEY.public_key().public_numbers()
            return self.answer(200, {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1",
                                               "n": text(numbers.n), "e": text(numbers.e)}]})
        if self.path == "/told":
            with STATE:
                return self.answer(200, {**TOLD, "waiting": len(TASKS)})
        if self.path.startswith("/token?"):
            audience, email = self.path[7:].split("&")
            return self.answer(200, {"token": token(audience, email)})
        found = [known for _, known, route in ROUTES if known["httpMethod"] == "GET" and route.match(self.path)]
        if found and found[0]["id"] == "cloudtasks.projects.locations.queues.get" and not self.path.endswith("/missing"):
            return self.answer(200, {"name": self.path[4:], "state": "RUNNING"})
        return self.answer(404, {"error": {"code": 404, "message": "not found"}})

    def do_PUT(self):
        raw = self.body()
        if self.path not in ("/nodes", "/fault"):
            return self.answer(404)
        told = json.loads(raw)
        with STATE:
            if self.path == "/nodes":
                NODES[:] = told
            else:
                FAULT["now"] = told
        self.answer(200, {})

    def do_POST(self):
        raw = self.body()
        if self.path == "/_landfall/push":
            kept = {name: value for name, value in self.headers.items() if name.lower() == "content-type"}
            return self.answer(call(raw, kept, "http://" + self.headers["Host"]) or 503)
        for api, known, route in ROUTES:
            if known["httpMethod"] == "POST" and route.match(self.path):
                break
        else:
            return self.answer(404, {"error": {"code": 404, "message": f"{self.path} is no method"}})
        body = json.loads(raw)
        found = problem(api, known["request"], body)
        if found:
            return self.answer(400, {"error": {"code": 400, "message": found}})
        self.answer(*create(self.path[4:].rsplit("/tasks", 1)[0], body["task"]))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
for _ in range(32):
    threading.Thread(target=work, daemon=True).start()
threading.Thread(target=server.serve_forever, daemon=True).start()
print("PORT", server.server_port, flush=True)
sys.stdin.read()
