"""200 clients that poll and upload at once, and 200 that listen to a long queue and do not read: no failed answer, the server's
memory stays flat, slow clients hold nobody up.
load.py BUILD_FOLDER SOURCE_FOLDER"""

import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time

from server import Clip, Server, fill_queue

CLIENTS, UPLOADERS, POLLS, SLOW = 200, 40, 40, 100
DRIPPING = 512  # as many as the server takes
MOST_WAIT_S = 20
WAITING, LISTENERS, CHANGES = 998, 200, 12  # the held one is the 999th
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


def resident(server):
    text = server.ask("GET", "/metrics")[2].decode()
    return float(re.search(r"^memsafe_server_resident_bytes (\S+)", text, re.M).group(1))


def listen(build, folder, clip):
    """Memory before and at most, and the longest wait for an answer, while places in a long queue change and nobody reads of it."""
    server = Server(build, os.path.join(folder, "queue"), "--demo", "-b", "1G")
    fill_queue(server, server.submit(clip.fields(steps="5", hold="1"))[1], WAITING)
    job = server.json("GET", "/v1/jobs?state=queued&limit=1")[1]["jobs"][0]["links"]["self"]
    server.json("GET", "/v1/jobs")
    before = peak = resident(server)
    deaf, waits = [], []
    for _ in range(LISTENERS):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((server.host, server.port))
        s.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deaf.append(s)
    for i in range(CHANGES):
        assert server.json("PATCH", job, {"priority": 10 - 20 * (i % 2)})[0] == 200
        time.sleep(0.25)
        begin = time.monotonic()
        assert server.ask("GET", "/v1/jobs?limit=1")[0] == 200
        waits.append(time.monotonic() - begin)
        peak = max(peak, resident(server))
    for s in deaf:
        s.close()
    server.kill()
    server.log.close()
    assert peak - before < MOST_GROWTH, f"{before} -> {peak} bytes"
    return before, peak, max(waits)


def main():
    build = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="memsafe-load.")
    clip = Clip(build, folder, 10)
    server = Server(build, os.path.join(folder, "data"), "--demo", "-b", "1G")
    fields = clip.fields(steps="1", hold="1")
    failed, peak = [], [0]

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
    before = resident(server)
    slow = [socket.create_connection((server.host, server.port)) for _ in range(SLOW)]
    for s in slow:
        s.sendall(b"POST /v1/jobs HTTP/1.1\r\nHo")
    begin = time.monotonic()
    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        peak[0] = max(peak[0], resident(server))
        time.sleep(0.5)
    took = time.monotonic() - begin
    for s in slow:
        s.close()
    after = resident(server)
    assert not failed, (len(failed), failed[:5])
    assert peak[0] - before < MOST_GROWTH, f"{before} -> {peak[0]} bytes"
    waited = drip(server)
    code = server.stop()
    assert code == 0, (code, server.said())
    quiet, loud, wait = listen(build, folder, clip)
    shutil.rmtree(folder)
    print(f"{LISTENERS} who listen to {WAITING} jobs and do not read: memory {quiet / 2**20:.1f} MiB, at most {loud / 2**20:.1f}; "
          f"an answer after {wait:.2f} s at most")
    print(f"{DRIPPING} dripping clients: another is answered after {waited:.1f} s")
    print(f"{CLIENTS} clients, {UPLOADERS} of them with uploads, beside {SLOW} slow ones: all answered in {took:.1f} s; "
          f"memory {before / 2**20:.1f} MiB, at most {peak[0] / 2**20:.1f}, then {after / 2**20:.1f}")


main()
