"""Long queues, many who listen, and many who read little."""

import contextlib
import json
import os
import socket
import struct
import time

from cases import BUDGET, Base, local_server, main
from server import fill_queue


class Crowd(Base):
    @contextlib.contextmanager
    def long_queue(self, n):
        """A server with n jobs, all but the first waiting, whose worker stands still."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            job = server.submit(self.clip.fields(steps="20", hold="1"))[1]
            fill_queue(server, job, n)
            yield server

    def listen(self, server):
        s = socket.create_connection((server.host, server.port), timeout=60)
        s.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        text = ""
        while "event: jobs" not in text:
            text += s.recv(4096).decode()
        return s

    def read(self, s, enough):
        """What comes until it is enough, without the lengths of HTTP's pieces; and how many bytes that took."""
        raw, end = b"", time.monotonic() + 120
        while True:
            self.assertLess(time.monotonic(), end, raw[-2000:])
            raw += s.recv(65536)
            pieces, rest = b"", raw
            while b"\r\n" in rest:
                length, _, after = rest.partition(b"\r\n")
                n = int(length, 16)
                if len(after) < n:
                    break
                pieces, rest = pieces + after[:n], after[n + 2:]
            events = [e for e in pieces.decode().split("\n\n")[:-1] if e.startswith("event: ")]
            events = [(e.split("\n")[0][7:], json.loads(e.split("data: ")[1])) for e in events]
            if enough(events):
                return events, len(raw)

    def test_positions(self):
        """One that goes before all others is one job that changed, and places of the others."""
        with self.long_queue(600) as server:
            last = server.json("GET", "/v1/jobs?state=queued&limit=1")[1]["jobs"][0]
            with self.listen(server) as s:
                self.assertEqual(server.json("PATCH", last["links"]["self"], {"priority": 1})[1]["position"], 1)
                place = {}

                def all_told(events):
                    for kind, data in events:
                        if kind == "positions":
                            place.update((id, data["from"] + i) for i, id in enumerate(data["ids"]))
                    return len(place) == 599
                events, size = self.read(s, all_told)
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
            with self.listen(server) as s:
                for job in jobs:
                    self.assertEqual(server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
                wanted = {job["id"] for job in jobs}
                self.read(s, lambda events: wanted <= {e[1]["id"] for e in events if e[0] == "job" and e[1]["state"] == "cancelled"})
                for job in jobs:
                    self.assertEqual(server.ask("DELETE", job["links"]["self"])[0], 204)
                self.read(s, lambda events: wanted <= {e[1]["id"] for e in events if e[0] == "gone"})

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
        """As many as fit ask for a file and do not read it: others are answered before they would time out."""
        with local_server(self, "--demo", "-b", BUDGET, "--allow", self.folder) as server:
            job = self.large(server)
            ask = f"GET {job['links']['input']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            slow = [self.reader(server, ask) for _ in range(512)]
            begin = time.monotonic()
            while True:
                with contextlib.suppress(OSError):
                    if server.ask("GET", "/healthz", timeout=2)[0] == 200:
                        break
            self.assertLess(time.monotonic() - begin, 20)
            for s in slow:
                s.close()

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
