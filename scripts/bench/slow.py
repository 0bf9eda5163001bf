"""The slow server of the peers' fetch_threads.py, taken from that file so that it behaves exactly alike, and a perfect client for it."""

import ast
import http.client
import http.server
import os
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

LATENCY_S = 0.15
MB_PER_S = 20
CHUNK_BYTES = 2**18


class SlowServer:
    """Serves one body under every path, and keeps the times of its requests."""

    def __init__(self, peers, body):
        source = ast.parse((peers / "fetch_threads.py").read_text())
        (slow,) = [node for node in source.body if isinstance(node, ast.ClassDef)]
        settings = types.SimpleNamespace(latency=LATENCY_S, mb_per_s=MB_PER_S)
        scope = {"http": http, "time": time, "os": os, "a": settings, "BODY": body}
        exec(compile(ast.Module([slow], []), "fetch_threads.py", "exec"), scope)  # the peer's own class
        times = self.times = []

        class Timed(scope[slow.name]):
            def do_GET(self):
                begun = time.perf_counter()
                super().do_GET()
                times.append((begun, time.perf_counter()))

        self.body = body
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Timed)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def seconds(self, n_files):
        """From the first request's start to the last one's end, and their number; forgets them."""
        # The server still pauses after a body's last bytes, when the client has them already.
        for _ in range(100):
            if len(self.times) >= n_files:
                break
            time.sleep(0.01)
        times, self.times[:] = list(self.times), []
        return max(end for _, end in times) - min(begun for begun, _ in times), len(times)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def cap_s(n_files, n_bytes, n_connections):
    """The least time in which n connections can bring the files by the server's own pauses, whole files a connection."""
    a_file = LATENCY_S + -(-n_bytes // CHUNK_BYTES) * CHUNK_BYTES / 2**20 / MB_PER_S
    return -(-n_files // n_connections) * a_file


def perfect(port, n_files, n_connections):
    """Brings the files as fast as the server lets them go: kept connections, nothing written, nothing checked."""

    def lane(first):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for n in range(first, n_files, n_connections):
            connection.request("GET", f"/{n}.tif")
            response = connection.getresponse()
            while response.read(CHUNK_BYTES):
                pass
        connection.close()

    with ThreadPoolExecutor(n_connections) as pool:
        list(pool.map(lane, range(n_connections)))
