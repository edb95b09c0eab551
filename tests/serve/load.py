"""200 clients that poll and upload at once: no failed answer, the server's memory stays flat, slow clients hold nobody up.
load.py BUILD_FOLDER SOURCE_FOLDER"""

import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time

from server import Clip, Server

CLIENTS, UPLOADERS, POLLS, SLOW = 200, 40, 40, 100
DRIPPING = 512  # as many as the server takes
MOST_WAIT_S = 20
MOST_GROWTH = 48 << 20  # of the server's process: buffers of 200 connections and of uploads on their way


def drip(server):
    """How long a client waits while as many as fit send a byte a second."""
    dripping = []
    for i in range(DRIPPING):
        s = socket.create_connection((server.host, server.port), timeout=30)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " if i % 2 else
                  b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        dripping.append(s)
    answered, begin = [], time.monotonic()

    def ask():
        while not answered and time.monotonic() - begin < 120:
            try:
                if server.ask("GET", "/healthz", timeout=10)[0] == 200:
                    answered.append(time.monotonic() - begin)
            except OSError:
                time.sleep(0.2)

    asker = threading.Thread(target=ask)
    asker.start()
    while asker.is_alive():
        time.sleep(1)
        for s in dripping:
            try:
                s.sendall(b" ")
            except OSError:
                pass
    for s in dripping:
        s.close()
    assert answered and answered[0] < MOST_WAIT_S, answered
    return answered[0]


def main():
    build = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="memsafe-load.")
    clip = Clip(build, folder, 10)
    server = Server(build, os.path.join(folder, "data"), "--demo", "-b", "1G")
    fields = clip.fields(steps="1", hold="1")
    failed, peak = [], [0]

    def resident():
        text = server.ask("GET", "/metrics")[2].decode()
        return float(re.search(r"^memsafe_server_resident_bytes (\S+)", text, re.M).group(1))

    def client(number):
        try:
            if number < UPLOADERS:
                status, job = server.submit(fields)
                if status != 202 or server.ask("DELETE", job["links"]["self"])[0] != 204:
                    failed.append(job)
            for _ in range(POLLS):
                if server.ask("GET", "/v1/jobs")[0] != 200:
                    failed.append("poll")
        except OSError as error:
            failed.append(repr(error))

    server.submit(fields)
    before = resident()
    slow = [socket.create_connection((server.host, server.port)) for _ in range(SLOW)]
    for s in slow:
        s.sendall(b"POST /v1/jobs HTTP/1.1\r\nHo")
    begin = time.monotonic()
    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        peak[0] = max(peak[0], resident())
        time.sleep(0.5)
    took = time.monotonic() - begin
    for s in slow:
        s.close()
    after = resident()
    assert not failed, (len(failed), failed[:5])
    assert peak[0] - before < MOST_GROWTH, f"{before} -> {peak[0]} bytes"
    waited = drip(server)
    code = server.stop()
    assert code == 0, (code, server.said())
    shutil.rmtree(folder)
    print(f"{DRIPPING} dripping clients: another is answered after {waited:.1f} s")
    print(f"{CLIENTS} clients, {UPLOADERS} of them with uploads, beside {SLOW} slow ones: all answered in {took:.1f} s; "
          f"memory {before / 2**20:.1f} MiB, at most {peak[0] / 2**20:.1f}, then {after / 2**20:.1f}")


main()
