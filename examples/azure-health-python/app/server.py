"""A web program whose health check heeds Azure's scheduled events, with nothing but the standard library.

From its own Terminate or Redeploy event on it answers traffic for a grace period, then its health check fails, so that the load
balancer sends nothing new, and then it approves its own end. On Azure it runs with IMDS_ENDPOINT left out.
"""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENDPOINT = os.environ.get("IMDS_ENDPOINT", "http://169.254.169.254")
EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
GRACE = 5  # seconds of traffic after it was told of its end


def metadata(path, body=None):
    """Asks the metadata service; with a body, posts it."""
    request = urllib.request.Request(ENDPOINT + path, data=body, headers={"Metadata": "true"})
    with urllib.request.urlopen(request, timeout=2) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Health:
    """The health check. It remembers when it first saw its own end."""

    def __init__(self):
        self.lock = threading.Lock()
        self.event, self.seen, self.failing = None, 0, False

    def ok(self):
        with self.lock:
            try:
                self.look()
            except (OSError, ValueError) as err:
                # What cannot be asked changes nothing. The error has no URL in it: that is a secret.
                print("metadata:", err, flush=True)
            if self.event is None or time.monotonic() - self.seen < GRACE:
                return True
            if self.failing:  # the load balancer has been told by now: nothing is in the way
                self.approve()
            self.failing = True
            return False

    def look(self):
        if self.event is not None:
            return
        name = metadata("/metadata/instance?api-version=2021-05-01")["compute"]["name"]
        for event in metadata(EVENTS)["Events"]:
            if event["EventType"] in ("Terminate", "Redeploy") and name in event["Resources"]:
                self.event, self.seen = event["EventId"], time.monotonic()
                print("told that this instance is to go:", event["EventType"], self.event, flush=True)

    def approve(self):
        try:
            metadata(EVENTS, json.dumps({"StartRequests": [{"EventId": self.event}]}).encode())
        except urllib.error.URLError as err:
            print("approve:", err, flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    health = Health()

    def do_GET(self):
        if self.path != "/healthz":
            return self.answer(200, f"Hello from {os.environ.get('DROVER_INSTANCE')}")
        if self.health.ok():
            return self.answer(200, "ok")
        self.answer(503, "about to go")

    def answer(self, status, text):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass  # one line a probe would fill the log


class Server(ThreadingHTTPServer):
    daemon_threads = False  # requests that run are finished
    request_queue_size = 128


def main():
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    # shutdown waits for the loop that the signal interrupts, so another thread calls it.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
