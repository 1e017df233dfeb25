"""A hub on this machine: what live tests fetch from. `Hub({"OWNER/NAME": {FILE: bytes}})` serves it on a port of 127.0.0.1."""
import hashlib
import http.server
import json
import os
import ssl
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def is_large(name):
    return name.endswith((".safetensors", ".bin"))


class Hub:
    """certificate: of (file, key), with which it speaks TLS."""

    def __init__(self, models, certificate=None):
        self.models, self.asked, self.sent = models, [], 0
        self.scheme = "https" if certificate else "http"
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                hub.asked.append(self.requestline)

            def do_HEAD(self):
                hub.answer(self, False)

            def do_GET(self):
                hub.answer(self, True)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def environment(self, home, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SSL_CERT_")) and not name.endswith("_CA_BUNDLE")}
        return kept | {"HF_HOME": str(home), "XDG_CACHE_HOME": str(home), "HF_ENDPOINT": f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}",
                       "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"} | more

    def answer(self, request, has_body):
        path = request.path.split("?")[0]
        for model, files in self.models.items():
            if path.startswith(f"/api/models/{model}/tree/"):
                return self.send(request, 200, json.dumps([self.in_tree(*file) for file in files.items()]).encode(), has_body)
            if path.startswith(f"/api/models/{model}"):
                said = {"id": model, "modelId": model, "sha": COMMIT, "private": False, "tags": [], "siblings": [self.listed(*file) for file in files.items()]}
                return self.send(request, 200, json.dumps(said).encode(), has_body)
            for revision in ("main", COMMIT):
                prefix = f"/{model}/resolve/{revision}/"
                if path.startswith(prefix) and path[len(prefix):] in files:
                    name, data = path[len(prefix):], files[path[len(prefix):]]
                    headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes", "ETag": f'"{sha256(data) if is_large(name) else git_sha1(data)}"'}
                    if is_large(name):
                        headers |= {"X-Linked-Etag": f'"{sha256(data)}"', "X-Linked-Size": str(len(data))}
                    return self.send(request, 200, data, has_body, headers)
        self.send(request, 404, b"", has_body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

    def listed(self, name, data):
        entry = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
        return entry | {"blobId": "1" * 40, "lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 130}} if is_large(name) else entry

    def in_tree(self, name, data):
        entry = {"type": "file", "path": name, "size": len(data), "oid": git_sha1(data)}
        return entry | {"oid": "1" * 40, "lfs": {"oid": sha256(data), "size": len(data), "pointerSize": 130}} if is_large(name) else entry

    def send(self, request, status, data, has_body, headers={}):
        wanted, size = request.headers.get("Range"), len(data)
        if wanted and status == 200:
            first, last = wanted.removeprefix("bytes=").split("-")
            data, status = data[int(first):int(last) + 1 if last else size], 206
            headers = headers | {"Content-Range": f"bytes {first}-{int(first) + len(data) - 1}/{size}"}
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if has_body:
            self.sent += len(data)
            try:
                request.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it wanted no more
