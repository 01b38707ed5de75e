#!/usr/bin/env python3
"""Amazon as an instance sees it (the metadata service, and the services in front of moto), and as much of Azure and Google.

    played-cloud.py DIR METADATA_PORT SERVICES_PORT MOTO_URL

DIR/meta-data holds what the metadata service says, one file for each path. DIR/policy.json is the policy of the
instance's role: what it does not allow is refused as Amazon does. Answers to lifecycle hooks, which moto does not know, go
to DIR/hooks.log, one line each. DIR/azure and DIR/google hold what those two say, likewise; DIR/vault their secrets.
Never: an answer of the metadata service without a token of version 2 (Amazon) or the header that the other two want, or
a secret without the identity's token.
"""

import base64
import fnmatch
import json
import pathlib
import re
import secrets
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIR = pathlib.Path(sys.argv[1])
MOTO = sys.argv[4].rstrip("/")
ACCOUNT = "123456789012"
TOKENS = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="text/plain"):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Metadata(Handler):
    def do_PUT(self):
        if self.path != "/latest/api/token" or "X-Forwarded-For" in self.headers:
            return self.answer(403, "")
        token = secrets.token_urlsafe(32)
        TOKENS.add(token)
        self.answer(200, token)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/metadata/"):
            return self.of("azure", path.removeprefix("/metadata/"), self.headers.get("Metadata") == "true")
        if path.startswith("/computeMetadata/v1/"):
            asked = self.headers.get("Metadata-Flavor") == "Google"
            return self.of("google", path.removeprefix("/computeMetadata/v1/"), asked)
        if self.headers.get("X-aws-ec2-metadata-token") not in TOKENS:
            return self.answer(401, "")
        file = DIR / path.removeprefix("/latest/").strip("/")
        if file.is_dir():
            return self.answer(200, "\n".join(sorted(entry.name for entry in file.iterdir())))
        self.answer(200, file.read_bytes()) if file.is_file() else self.answer(404, "")


    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        with open(DIR / "hooks.log", "a", encoding="utf-8") as log:
            log.write(self.path.split("?")[0] + " " + json.dumps(json.loads(self.rfile.read(length))) + "\n")
        self.answer(200, "")

    def of(self, cloud, path, asked):
        file = DIR / cloud / path.strip("/")
        if not asked:
            return self.answer(403, "")
        self.answer(200, file.read_bytes()) if file.is_file() else self.answer(404, "")


class Services(Handler):
    def do_GET(self):
        """A Key Vault's and Secret Manager's secrets."""
        if self.headers.get("Authorization") != "Bearer played":
            return self.answer(401, "{}")
        path = urllib.parse.urlsplit(self.path).path
        google = re.fullmatch(r"/v1/projects/dock/secrets/([\w-]+)/versions/latest:access", path)
        file = DIR / "vault" / (google.group(1) if google else path.removeprefix("/secrets/"))
        if not file.is_file():
            return self.answer(404, "{}")
        if google:
            data = base64.b64encode(file.read_bytes()).decode()
            return self.answer(200, json.dumps({"payload": {"data": data}}))
        self.answer(200, json.dumps({"value": file.read_text()}))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", self.headers.get("Authorization", ""))
        if scope is None:
            return self.answer(403, "not signed")
        region, service = scope.groups()
        action, resource, fields = what_is_asked(service, region, self.headers.get("X-Amz-Target"), body)
        if not allowed(f"{service}:{action}", resource):
            return self.refuse(service, action, resource)
        if action in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"):
            return self.hook(action, fields)
        request = urllib.request.Request(MOTO + self.path, data=body, method="POST")
        for name, value in self.headers.items():
            if name.lower() not in ("host", "content-length", "connection", "accept-encoding"):
                request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as found:
                self.answer(found.status, found.read(), found.headers["Content-Type"])
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.read(), error.headers["Content-Type"])

    def refuse(self, service, action, resource):
        who = f"arn:aws:sts::{ACCOUNT}:assumed-role/gantry/i-0123456789abcdef0"
        text = f"User: {who} is not authorized to perform: {service}:{action} on resource: {resource}"
        if service == "autoscaling":
            body = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{text}</Message></Error></ErrorResponse>"
            return self.answer(403, body, "text/xml")
        body = json.dumps({"__type": "AccessDeniedException", "message": text})
        self.answer(400, body, "application/x-amz-json-1.1")

    def hook(self, action, fields):
        words = [action, fields["LifecycleHookName"], fields["InstanceId"], fields.get("LifecycleActionResult", "-")]
        with open(DIR / "hooks.log", "a", encoding="utf-8") as log:
            log.write(" ".join(words) + "\n")
        body = f'<{action}Response xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><{action}Result/></{action}Response>'
        self.answer(200, body, "text/xml")


def what_is_asked(service, region, target, body):
    """The action, the resource that a policy would name, and the request's fields."""
    if target:
        fields = json.loads(body)
        name = fields.get("SecretId") or fields.get("Name") or "*"
        if service == "ssm":
            name = f"arn:aws:ssm:{region}:{ACCOUNT}:parameter{name}"
        return target.split(".")[-1], name, fields
    fields = dict(urllib.parse.parse_qsl(body.decode()))
    group = fields.get("AutoScalingGroupName", "*")
    resource = f"arn:aws:autoscaling:{region}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/{group}"
    return fields["Action"], resource, fields


def allowed(action, resource):
    for statement in json.loads((DIR / "policy.json").read_text())["Statement"]:
        each = {key: listed(statement[key]) for key in ("Action", "Resource")}
        if any(fnmatch.fnmatchcase(action, one) for one in each["Action"]) and any(
            fnmatch.fnmatchcase(resource, one) for one in each["Resource"]
        ):
            return True
    return False


def listed(value):
    return value if isinstance(value, list) else [value]


def main():
    for port, handler in ((sys.argv[2], Metadata), (sys.argv[3], Services)):
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
        threading.Thread(target=server.serve_forever).start()


main()
