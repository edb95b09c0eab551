"""Long queues, many who listen, and many who read little."""

import contextlib
import json
import os
import re
import socket
import struct
import time

from cases import BUDGET, Base, local_server, main
from server import fill_queue


class Listener:
    """Who listens to all jobs, from the first word on."""

    def __init__(self, server):
        self.socket = socket.create_connection((server.host, server.port), timeout=60)
        self.raw = self.text = b""  # HTTP's pieces, and what was in them: as far as they are not whole yet
        try:
            self.socket.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while b"\r\n\r\n" not in self.raw:
                self.receive()
            self.raw = self.raw.partition(b"\r\n\r\n")[2]
            self.read(lambda events: "jobs" in [kind for kind, _ in events])
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.socket.close()

    def receive(self):
        piece = self.socket.recv(65536)
        assert piece, ("the server is gone", self.raw, self.text)
        self.raw += piece

    def unpack(self):
        """Takes the pieces that are whole; says how many bytes that was."""
        size = 0
        while b"\r\n" in self.raw:
            length, _, after = self.raw.partition(b"\r\n")
            n = int(length, 16)
            if len(after) < n + 2:
                break
            self.text += after[:n]
            size += len(length) + 2 + n + 2
            self.raw = after[n + 2:]
        return size

    def read(self, enough):
        """What has come since it last read, until it is enough; and how many bytes that took."""
        events, size, end = [], 0, time.monotonic() + 120
        while True:
            size += self.unpack()
            *whole, self.text = self.text.split(b"\n\n")
            for event in whole:
                if event.startswith(b"event: "):
                    kind, _, data = event.decode().partition("\ndata: ")
                    events.append((kind[7:], json.loads(data)))
            if enough(events):
                return events, size
            assert time.monotonic() < end, events[-3:]
            self.receive()


class Crowd(Base):
    @contextlib.contextmanager
    def long_queue(self, n):
        """A server with n jobs, all but the first waiting, whose worker stands still."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            job = server.submit(self.clip.fields(steps="20", hold="1"))[1]
            fill_queue(server, job, n)
            yield server

    def test_positions(self):
        """One that goes before all others is one job that changed, and places of the others."""
        with self.long_queue(600) as server:
            last = server.json("GET", "/v1/jobs?state=queued&limit=1")[1]["jobs"][0]
            with Listener(server) as listener:
                self.assertEqual(server.json("PATCH", last["links"]["self"], {"priority": 1})[1]["position"], 1)
                place = {}

                def all_told(events):
                    for kind, data in events:
                        if kind == "positions":
                            place.update((id, data["from"] + i) for i, id in enumerate(data["ids"]))
                    return len(place) == 599
                events, size = listener.read(all_told)
                self.assertEqual(place[last["id"]], 1)
                self.assertEqual(sorted(place.values()), list(range(1, 600)))
                self.assertEqual({e[1]["id"] for e in events if e[0] == "job"} - {last["id"]} - self.running(server), set())
                self.assertLess(size, 64 << 10)

    def running(self, server):
        return {job["id"] for job in server.json("GET", "/v1/jobs?state=running")[1]["jobs"]}

    def test_many_changes(self):
        """More than is told at once: all of it comes, in pieces."""
        with self.long_queue(60) as server:
            jobs = server.json("GET", "/v1/jobs?state=queued")[1]["jobs"]
            with Listener(server) as listener:
                for job in jobs:
                    self.assertEqual(server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
                wanted = {job["id"] for job in jobs}
                listener.read(lambda events: wanted <= {e[1]["id"] for e in events if e[0] == "job" and e[1]["state"] == "cancelled"})
                for job in jobs:
                    self.assertEqual(server.ask("DELETE", job["links"]["self"])[0], 204)
                listener.read(lambda events: wanted <= {e[1]["id"] for e in events if e[0] == "gone"})

    def large(self, server):
        """A job whose video is larger than what is on its way at once."""
        large = os.path.join(self.folder, "large.mp4")
        with open(self.clip.video, "rb") as file, open(large, "wb") as out:
            out.write(file.read() + struct.pack(">I4s", 64 << 20, b"free"))
            out.truncate(out.tell() + (64 << 20) - 8)
        status, job = server.json("POST", "/v1/jobs", {"video": large, "hold": True})
        self.assertEqual(status, 202, job)
        return job

    def test_slow_readers(self):
        """As many as fit ask for a file and do not read it: they are let go until others are answered."""
        with local_server(self, "--demo", "-b", BUDGET, "--allow", self.folder) as server:
            job = self.large(server)
            ask = f"GET {job['links']['input']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            with contextlib.ExitStack() as stack:
                for _ in range(512):
                    stack.enter_context(self.reader(server, ask))
                end, n = time.monotonic() + 90, 0
                while n < 100 and time.monotonic() < end:
                    time.sleep(0.2)
                    with contextlib.suppress(OSError):
                        n = self.let_go(server)
                self.assertGreaterEqual(n, 100)  # of 480; the others were told that the server is busy

    @staticmethod
    def let_go(server):
        told = server.ask("GET", "/metrics", timeout=10)[2].decode()
        return float(re.search(r"^memsafe_slow_readers_total (\S+)$", told, re.M)[1])

    @staticmethod
    def reader(server, ask):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(5)
        s.connect((server.host, server.port))
        s.sendall(ask)
        return s


if __name__ == "__main__":
    main()
