"""A small web program as Drover runs one, with nothing but Python's standard library.

It listens where PORT says, answers /healthz, and ends in good order on SIGTERM.
"""

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GREETING = Path(__file__).with_name("greeting.txt").read_text(encoding="utf-8").strip()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open

    def do_GET(self):
        if self.path == "/healthz":
            return self.answer("ok")
        self.answer(f"{GREETING} from {os.environ['DROVER_INSTANCE']}, version {os.environ['DROVER_VERSION']}")

    def answer(self, text):
        body = (text + "\n").encode()
        self.send_response(200)
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
    print("serving", GREETING, flush=True)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
