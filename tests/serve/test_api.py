"""The interface of `memsafe serve`, asked over HTTP: test_api.py BUILD_FOLDER SOURCE_FOLDER [names of tests]"""

import base64
import contextlib
import hmac
import http.client
import http.server
import json
import os
import queue
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from server import Clip, Server, form

BUILD, SOURCE = "", ""
BUDGET = "1G"
QUICK = {"steps": "1", "frames": "10"}


class Receiver:
    """Whom jobs' ends are told to. Answers with what `answers` holds, the last from then on."""

    def __init__(self):
        letters, owner = queue.Queue(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                letters.put((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(owner.answers[0] if len(owner.answers) == 1 else owner.answers.pop(0))
                self.send_header("Location", owner.address + "elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                owner.redirected += 1

            def log_message(self, *arguments):
                pass

        self.letters, self.answers, self.redirected = letters, [200], 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def next(self):
        """(path, headers, body)"""
        return self.letters.get(timeout=90)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def own_address():
    """Of this machine, and not loopback; None: it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # nothing is sent
            return s.getsockname()[0]
        except OSError:
            return None


@contextlib.contextmanager
def local_server(test, *arguments):
    """On a data folder of its own, and gone afterwards."""
    data = tempfile.mkdtemp(prefix="data.", dir=test.folder)
    server = Server(BUILD, data, *arguments)
    try:
        yield server
    finally:
        server.stop()
        server.log.close()


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="memsafe-serve.")
        cls.data = os.path.join(cls.folder, "data")
        cls.clip = Clip(BUILD, cls.folder)
        cls.server = Server(BUILD, cls.data, *cls.arguments(), environment=cls.environment())

    @classmethod
    def arguments(cls):
        return ["--demo", "-b", BUDGET, "--max-upload", "8M", "--allow", cls.folder]

    @classmethod
    def environment(cls):
        return {}

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        said = cls.server.said()
        cls.server.log.close()
        shutil.rmtree(cls.folder)
        assert code == 0, (code, said)
        assert not said, said

    def problem(self, answer, status, code):
        self.assertEqual((answer[0], answer[1]["code"]), (status, code), answer)
        self.assertEqual(answer[1]["status"], status)
        self.assertEqual(answer[1]["type"], f"https://memsafe.invalid/problems/{code}")
        self.assertTrue(answer[1]["title"] and answer[1]["detail"])

    def no_path(self, text):
        for path in (self.folder, SOURCE, "/proc", "/usr"):
            self.assertNotIn(path, text)


class Jobs(Base):
    def test_whole_job(self):
        """An upload becomes what the command makes of it, to the last byte."""
        wanted = self.clip.by_command(BUILD, BUDGET, "--steps", "1", "--frames", "10")
        status, job = self.server.submit(self.clip.fields(**QUICK))
        self.assertEqual(status, 202, job)
        self.assertEqual(job["name"], "in.mp4")
        self.assertEqual((job["input"]["width"], job["input"]["height"], job["input"]["thumbs"]), (192, 192, 5))
        self.assertTrue(job["input"]["face"])
        self.assertTrue(job["plan"]["fits"])
        self.assertEqual(job["plan"]["frames"], 10)
        done = self.server.wait(job["id"])
        self.assertEqual(done["state"], "done", done)
        self.assertEqual(done["progress"]["fraction"], 1)
        self.assertLessEqual(done["progress"]["peak_bytes"], 1 << 30)
        status, headers, result = self.server.ask("GET", job["links"]["result"])
        self.assertEqual(status, 200)
        self.assertEqual(result, wanted)
        self.assertEqual(headers["Content-Disposition"], 'attachment; filename="in-memsafe.mp4"')
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        for spec, part in (("bytes=0-9", wanted[:10]), ("bytes=-7", wanted[-7:]), ("bytes=100-", wanted[100:])):
            status, headers, got = self.server.ask("GET", job["links"]["result"], headers={"Range": spec})
            self.assertEqual((status, got), (206, part))
            self.assertTrue(headers["Content-Range"].endswith(f"/{len(wanted)}"))
        status, headers, _ = self.server.ask("GET", job["links"]["result"], headers={"Range": "bytes=99999999-"})
        self.assertEqual((status, headers["Content-Range"]), (416, f"bytes */{len(wanted)}"))
        self.assertEqual(headers["Content-Type"], "application/problem+json")
        for told in ({}, {"Range": "bytes=0-9"}):
            status, headers, got = self.server.ask("HEAD", job["links"]["result"], headers=told)
            self.assertEqual((status, got, headers["Content-Length"]), (200, b"", str(len(wanted))))
        tag = headers["ETag"]
        status, headers, got = self.server.ask("GET", job["links"]["result"], headers={"If-None-Match": tag})
        self.assertEqual((status, got, headers["ETag"]), (304, b"", tag))
        for link in ("preview", "input_preview"):
            status, headers, picture = self.server.ask("GET", job["links"][link])
            self.assertEqual((status, headers["Content-Type"], picture[:2]), (200, "image/jpeg", b"\xff\xd8"))
        status, _, picture = self.server.ask("GET", job["links"]["self"] + "/thumbs/4")
        self.assertEqual((status, picture[:2]), (200, b"\xff\xd8"))
        self.assertEqual(self.server.ask("GET", job["links"]["self"] + "/thumbs/5")[0], 404)
        with open(self.clip.video, "rb") as file:
            self.assertEqual(self.server.ask("GET", job["links"]["input"])[2], file.read())
        status, report = self.server.json("GET", job["links"]["report"])
        self.assertEqual((status, report["frames"], report["options"]["steps"]), (200, 10, 1))
        self.no_path(json.dumps(report))
        self.no_path(json.dumps(done))
        self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)
        self.problem(self.server.json("GET", job["links"]["self"]), 404, "no-such-job")
        self.problem(self.server.json("GET", f"/v1/jobs?after={job['id']}"), 400, "invalid-parameter")
        self.assertFalse(os.path.exists(os.path.join(self.data, "jobs", job["id"])))

    def test_held(self):
        """Held, changed, started, cancelled, tried again; done as if nothing had been."""
        wanted = self.clip.by_command(BUILD, BUDGET, "--steps", "2")
        status, job = self.server.submit(self.clip.fields(steps="1", hold="true"))
        link = job["links"]["self"]
        self.assertEqual((status, job["state"], job["position"]), (202, "held", None))
        status, changed = self.server.json("PATCH", link, {"steps": 2})
        self.assertEqual((status, changed["options"]["steps"], changed["state"]), (200, 2, "held"), changed)
        self.assertGreater(changed["plan"]["seconds"], 0)
        changed = self.server.json("PATCH", link, {"model": ""})[1]
        self.assertEqual((changed["model"], changed["options"]["model"]), (job["model"], job["model"]))
        self.problem(self.server.json("PATCH", link, {"hold": False}), 422, "invalid-option")
        self.problem(self.server.json("PATCH", link, {"steps": 0}), 422, "invalid-option")
        self.problem(self.server.json("PATCH", link, {"stepz": 1}), 422, "invalid-option")
        self.problem(self.server.json("POST", link + "/retry"), 409, "wrong-state")
        self.problem(self.server.json("GET", link + "/result"), 409, "wrong-state")
        self.assertEqual(self.server.json("POST", link + "/start")[0], 200)
        self.server.wait(job["id"], ("running", "done"))
        self.problem(self.server.json("PATCH", link, {"steps": 3}), 409, "wrong-state")
        self.assertEqual(self.server.json("POST", link + "/cancel")[0], 200)
        self.assertEqual(self.server.wait(job["id"])["state"], "cancelled")
        self.assertEqual(self.server.json("POST", link + "/retry")[0], 200)
        self.assertEqual(self.server.wait(job["id"])["state"], "done")
        self.assertEqual(self.server.ask("GET", link + "/result")[2], wanted)

    def test_order(self):
        """By priority, then by age; a position says which is next."""
        first = self.server.submit(self.clip.fields(steps="5", hold="1"))[1]
        jobs = [self.server.submit(self.clip.fields(priority=str(p), hold="1", **QUICK))[1] for p in (0, -3, 5)]
        for job in (first, *jobs):
            self.assertEqual(self.server.json("POST", job["links"]["self"] + "/start")[0], 200)
        self.assertEqual([self.server.job(j["id"])["position"] for j in jobs], [2, 3, 1])
        ended = [self.server.wait(j["id"]) for j in jobs]
        self.assertEqual(sorted(range(3), key=lambda i: ended[i]["started"]), [2, 0, 1])

    def test_events(self):
        """The job at once, at its changes, and then the stream ends with it."""
        job = self.server.submit(self.clip.fields(**QUICK))[1]
        status, headers, text = self.server.ask("GET", job["links"]["events"])
        self.assertEqual((status, headers["Content-Type"]), (200, "text/event-stream"))
        events = [json.loads(e.split("data: ")[1]) for e in text.decode().split("\n\n") if e.startswith("event: job")]
        self.assertEqual(events[-1]["state"], "done")
        self.assertIn("running", [e["state"] for e in events])
        fractions = [e["progress"]["fraction"] or 0 for e in events]
        self.assertEqual(fractions, sorted(fractions))

    def test_worker_dies(self):
        """The job goes on once by itself, to the same bytes."""
        wanted = self.clip.by_command(BUILD, BUDGET, "--steps", "3")
        job = self.server.submit(self.clip.fields(steps="3"))[1]
        self.server.wait(job["id"], ("running",))
        pid = next(pid for pid, kind in self.server.workers() if kind == "run")
        os.kill(pid, signal.SIGKILL)
        done = self.server.wait(job["id"])
        self.assertEqual(done["state"], "done", done)
        self.assertEqual(self.server.ask("GET", job["links"]["result"])[2], wanted)

    def test_running_is_deleted(self):
        job = self.server.submit(self.clip.fields(steps="20"))[1]
        self.server.wait(job["id"], ("running",))
        self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)
        folder = os.path.join(self.data, "jobs", job["id"])
        end = time.monotonic() + 60
        while os.path.exists(folder) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertFalse(os.path.exists(folder))

    def test_named_files(self):
        """Files of this machine, below the folder that is allowed, and no others."""
        status, job = self.server.json("POST", "/v1/jobs", {"video": self.clip.video, "audio": self.clip.audio, "steps": 1, "frames": 10})
        self.assertEqual(status, 202, job)
        self.no_path(json.dumps(job))
        self.assertEqual(self.server.wait(job["id"])["state"], "done")
        # It was looked at when it was named; what its name leads to later is not given out.
        moved = os.path.join(self.folder, "moved.mp4")
        shutil.copy(self.clip.video, moved)
        job = self.server.json("POST", "/v1/jobs", {"video": moved, "hold": True})[1]
        self.assertEqual(self.server.ask("GET", job["links"]["input"])[0], 200)
        os.remove(moved)
        os.symlink("/etc/passwd", moved)
        self.problem(self.server.json("GET", job["links"]["input"]), 404, "not-there")
        self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)
        folder = os.path.join(self.folder, "folder.mp4")
        os.mkdir(folder)
        self.problem(self.server.json("POST", "/v1/jobs", {"video": folder}), 422, "bad-media")
        link = os.path.join(self.folder, "link.mp4")
        os.symlink("/etc/passwd", link)
        for path in ("/etc/passwd", link, self.folder + "/../../etc/passwd", "in.mp4", self.folder + "/none.mp4", "/etc/none"):
            self.problem(self.server.json("POST", "/v1/jobs", {"video": path}), 403, "not-allowed")


    def test_plain_after_track(self):
        """The model that stays is opened without the finder of faces for a job that brings its own; the next needs it."""
        track = os.path.join(self.folder, "faces.track")
        subprocess.run([os.path.join(BUILD, "memsafe"), "detect", "--demo", "-i", self.clip.video, "-q", track], check=True,
                       env=self.server.environment)
        with open(track, "rb") as file:
            tracked = self.server.submit(self.clip.fields(track=("faces.track", file.read()), **QUICK))[1]
        plain = self.server.submit(self.clip.fields(**QUICK))[1]
        self.assertEqual(self.server.wait(tracked["id"])["state"], "done")
        done = self.server.wait(plain["id"])
        self.assertEqual(done["state"], "done", done)
        self.assertEqual(self.server.ask("GET", plain["links"]["result"])[2], self.clip.by_command(BUILD, BUDGET, "--steps", "1", "--frames", "10"))


class Refusals(Base):
    def test_requests(self):
        for method, path, status, code in (("GET", "/none", 404, "not-found"), ("GET", "/v1/jobs/" + "0" * 32, 404, "no-such-job"),
                                           ("GET", "/v1/jobs/../jobs", 404, "not-found"), ("PUT", "/v1/jobs", 405, "wrong-method"),
                                           ("POST", "/healthz", 405, "wrong-method"), ("GET", "/v1/jobs?limit=0", 400, "invalid-parameter"),
                                           ("GET", "/v1/jobs?state=odd", 400, "invalid-parameter")):
            self.problem(self.server.json(method, path), status, code)
        self.assertEqual(self.server.ask("PUT", "/v1/jobs")[1]["Allow"], "GET, HEAD, POST")
        for body, code, status in (("{", "bad-request", 400), ("[]", "bad-request", 400), ('{"steps": 1}', "no-video", 422),
                                   ('{"steps": "1"}', "invalid-option", 422), ('{"a": 1, "a": 2}', "bad-request", 400),
                                   ("[" * 1000, "bad-request", 400), ('{"video": 3}', "invalid-option", 422)):
            got = self.server.ask("POST", "/v1/jobs", body, {"Content-Type": "application/json"})
            self.problem((got[0], json.loads(got[2])), status, code)
            self.assertEqual(got[1]["Content-Type"], "application/problem+json")
        got = self.server.ask("POST", "/v1/jobs", "x", {"Content-Type": "text/plain"})
        self.problem((got[0], json.loads(got[2])), 415, "wrong-type")

    def test_forms(self):
        fields = self.clip.fields()
        for change, code, status in (({"steps": "0"}, "invalid-option", 422), ({"steps": "x"}, "invalid-option", 422),
                                     ({"model": "none"}, "no-such-model", 422), ({"odd": "1"}, "invalid-option", 422),
                                     ({"webhook": "http://example.invalid/"}, "no-webhooks", 422), ({"seed": "1" * 5000}, "too-large", 413)):
            answer = self.server.submit(dict(fields, **change))
            self.problem(answer, status, code)
            if status == 422:
                self.assertEqual(answer[1]["field"], next(iter(change)))
        self.problem(self.server.submit({"audio": fields["audio"]}), 422, "no-video")
        body, kind = form(fields)
        got = self.server.ask("POST", "/v1/jobs", body[:-30], {"Content-Type": kind})
        self.assertIn(got[0], (400, 422))
        got = self.server.ask("POST", "/v1/jobs", body, {"Content-Type": "multipart/form-data"})
        self.problem((got[0], json.loads(got[2])), 400, "bad-request")
        self.assertEqual(self.left(), [])

    def left(self):
        """Folders of jobs; none is left of what was refused, soon after."""
        end = time.monotonic() + 10
        while os.listdir(os.path.join(self.data, "jobs")) and time.monotonic() < end:
            time.sleep(0.05)
        return os.listdir(os.path.join(self.data, "jobs"))

    def test_too_large(self):
        connection = socket.create_connection((self.server.host, self.server.port), timeout=30)
        connection.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                           f"Content-Length: {9 << 20}\r\n\r\n".encode())
        self.assertIn(b" 413 ", connection.recv(4096).split(b"\r\n")[0])
        connection.close()

    def test_hostile(self):
        """Whatever is uploaded: refused, and the server lives."""
        with open(self.clip.video, "rb") as file:
            good = file.read()
        uploads = {"nothing": b"", "zeros": bytes(100000), "cut": good[:len(good) // 3], "text": b"hello " * 1000,
                   "no index": good[:200] + bytes(len(good) - 200),
                   "list": b"ffconcat version 1.0\nfile /etc/passwd\n", "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n",
                   "xml": b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>'}
        folder = os.path.join(SOURCE, "tests", "golden", "bad")
        for name in sorted(os.listdir(folder))[:8]:
            with open(os.path.join(folder, name), "rb") as file:
                uploads[name] = file.read()
        import random
        noise = random.Random(1)
        for i in range(6):
            broken = bytearray(good)
            for _ in range(200):
                broken[noise.randrange(len(broken))] = noise.randrange(256)
            uploads[f"broken {i}"] = bytes(broken)
        for name, data in uploads.items():
            status, answer = self.server.submit({"video": ("../../" + name, data), "hold": "1"})
            self.assertIn(status, (202, 422), (name, answer))
            self.no_path(json.dumps(answer))
            if status == 202:
                self.assertNotIn("/", answer["name"])
                self.assertEqual(self.server.ask("DELETE", answer["links"]["self"])[0], 204)
        self.assertEqual(self.server.ask("GET", "/healthz")[0], 200)
        self.assertEqual(self.left(), [])

    def test_long_names(self):
        """Cut to what is shown, and never within a character, however many bytes that has."""
        fields = self.clip.fields(steps="1", hold="1")
        for character in "aä\u3042\U0001f600":
            fields["video"] = ("clips/" + 300 * character, fields["video"][1])
            status, job = self.server.submit(fields)
            self.assertEqual(status, 202, job)
            self.assertEqual(set(job["name"]), {character})
            self.assertGreater(len(job["name"].encode()), 240)
            self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)

    def test_other_origins(self):
        """Pages of others, and names that lead here, get nothing done."""
        self.problem(self.server.json("GET", "/v1/jobs", headers={"Host": "evil.example"}), 403, "wrong-host")
        for told in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            self.problem(self.server.json("POST", "/v1/jobs/" + "0" * 32 + "/cancel", headers=told), 403, "wrong-origin")
        ours = {"Origin": f"http://127.0.0.1:{self.server.port}"}
        self.problem(self.server.json("POST", "/v1/jobs/" + "0" * 32 + "/cancel", headers=ours), 404, "no-such-job")

    def test_second_server(self):
        got = subprocess.run(self.server.command, capture_output=True, env=self.server.environment)
        self.assertEqual(got.returncode, 11, got)
        self.assertIn(str(self.server.process.pid).encode(), got.stderr)

    def test_folder_of_others(self):
        """Its mode stays as it is; one that others can write is refused."""
        data = os.path.join(self.folder, "shared")
        os.mkdir(data)
        os.chmod(data, 0o755)
        server = Server(BUILD, data, "--demo", "-b", BUDGET)
        server.stop()
        server.log.close()
        self.assertEqual(os.stat(data).st_mode & 0o777, 0o755)
        for name in os.listdir(data):
            self.assertEqual(os.stat(os.path.join(data, name)).st_mode & 0o077, 0, name)
        os.chmod(data, 0o775)
        got = subprocess.run([os.path.join(BUILD, "memsafe"), "serve", "--demo", "--listen", "127.0.0.1:0", "--data", data], capture_output=True)
        self.assertEqual(got.returncode, 11, got)
        self.assertIn(b"can be written by others", got.stderr)

    def test_worker_by_hand(self):
        got = subprocess.run([os.path.join(BUILD, "memsafe"), "serve-worker", "look", str(os.getpid())], capture_output=True)
        self.assertEqual(got.returncode, 2)
        self.assertIn(b"not by hand", got.stderr)

    def test_slow_clients(self):
        """Some who send a byte now and then hold up nobody."""
        slow = []
        for _ in range(100):
            slow.append(socket.create_connection((self.server.host, self.server.port)))
            slow[-1].sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: loc")
        begin = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.server.ask("GET", "/v1/jobs")[0], 200)
        self.assertLess(time.monotonic() - begin, 5)
        for s in slow:
            s.close()

    def test_dripping_clients(self):
        """Whoever sends a byte a second, of headers or of a body, is let go."""
        dripping = [socket.create_connection((self.server.host, self.server.port)) for _ in range(10)]
        for i, s in enumerate(dripping):
            s.settimeout(10)
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " if i % 2 else
                      b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        end = time.monotonic() + 60
        while dripping and time.monotonic() < end:
            time.sleep(1)
            dripping = [s for s in dripping if self.drips(s)]
        self.assertEqual(dripping, [])

    @staticmethod
    def drips(s):
        try:
            s.sendall(b" ")
            s.setblocking(False)
            if s.recv(100) == b"":
                raise OSError
        except BlockingIOError:
            return True
        except OSError:
            s.close()
            return False
        return True

    def test_many_clients(self):
        failed = []

        def poll():
            for _ in range(20):
                if self.server.ask("GET", "/v1/jobs")[0] != 200:
                    failed.append(1)

        threads = [threading.Thread(target=poll) for _ in range(50)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])

    @unittest.skipUnless(os.path.exists(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../serve/page/index.html")), "no page")
    def test_page(self):
        status, headers, text = self.server.ask("GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        import hashlib
        import re
        page, policy = text.decode(), headers["Content-Security-Policy"]
        for tag in ("script", "style"):
            found = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
            self.assertEqual(len(found), 1)
            self.assertIn("'sha256-" + base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode() + "'", policy)
        self.assertNotRegex(page, r"<script[^>]+src|<link[^>]+stylesheet|https?://(?!www\.w3\.org)")

    def test_plan(self):
        status, plan = self.server.json("POST", "/v1/plan", {"width": 1280, "height": 720, "fps": 25, "frames": 250, "steps": 20})
        self.assertEqual((status, plan["fits"], plan["frames"]), (200, True, 250), plan)
        self.assertGreater(plan["peak_bytes"], 0)
        status, plan = self.server.submit(self.clip.fields(**QUICK), "/v1/plan")
        self.assertEqual((status, plan["frames"]), (200, 10), plan)
        self.assertEqual(self.left(), [])
        self.problem(self.server.json("POST", "/v1/plan", {"width": 0}), 422, "invalid-option")


class Lasting(Base):
    """What was told stays so, whatever becomes of the server; and who listens is told of it."""

    @contextlib.contextmanager
    def at_work(self):
        """A server with a job whose worker stands still."""
        with local_server(self, "--demo", "-b", BUDGET, "--keep", "0.1m") as server:
            job = server.submit(self.clip.fields(steps="20"))[1]
            server.wait(job["id"], ("running",))
            os.kill(next(pid for pid, kind in server.workers() if kind == "run"), signal.SIGSTOP)
            yield server, job

    def test_cancelled(self):
        with self.at_work() as (server, job):
            self.assertEqual(server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
            server.kill()
            server.start()
            self.assertEqual(server.job(job["id"])["state"], "cancelled")

    def test_deleted(self):
        with self.at_work() as (server, job):
            self.assertEqual(server.ask("DELETE", job["links"]["self"])[0], 204)
            server.kill()
            server.start()
            self.problem(server.json("GET", job["links"]["self"]), 404, "no-such-job")

    def test_deleted_at_the_end(self):
        with self.at_work() as (server, job):
            self.assertEqual(server.ask("DELETE", job["links"]["self"])[0], 204)
            server.stop()
            self.assertEqual(os.listdir(os.path.join(server.data, "jobs")), [])
            server.start()
            self.problem(server.json("GET", job["links"]["self"]), 404, "no-such-job")

    def test_expires_beside_a_run(self):
        with local_server(self, "--demo", "-b", BUDGET, "--keep", "0.1m") as server:
            first = server.submit(self.clip.fields(hold="true"))[1]
            server.ask("POST", first["links"]["self"] + "/cancel")
            job = server.submit(self.clip.fields(steps="20"))[1]
            server.wait(job["id"], ("running",))
            os.kill(next(pid for pid, kind in server.workers() if kind == "run"), signal.SIGSTOP)
            end = time.monotonic() + 20
            while server.ask("GET", first["links"]["self"])[0] != 404 and time.monotonic() < end:
                time.sleep(0.2)
            self.problem(server.json("GET", first["links"]["self"]), 404, "no-such-job")
            self.assertEqual(server.job(job["id"])["state"], "running")

    def test_told_of_others(self):
        """A job's place in the queue is news of it, and so is that another has gone."""
        with self.at_work() as (server, job):
            jobs = [server.submit(self.clip.fields(**QUICK))[1] for _ in range(3)]
            self.assertEqual([server.job(j["id"])["position"] for j in jobs], [1, 2, 3])
            with socket.create_connection((server.host, server.port), timeout=20) as s:
                s.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                text = s.recv(4096).decode()
                self.assertEqual(server.ask("DELETE", jobs[0]["links"]["self"])[0], 204)
                gone = f'event: gone\ndata: {{"id":"{jobs[0]["id"]}"}}'
                while not (gone in text and f'"{jobs[1]["id"]}","state":"queued","position":1,' in text and
                           f'"{jobs[2]["id"]}","state":"queued","position":2,' in text):
                    more = s.recv(65536).decode()
                    self.assertTrue(more, text)
                    text += more

    def test_held_too_long(self):
        """Twenty-four hours; the same with a job whose files are gone, and with what was being removed."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            old, new, lost = (server.submit(self.clip.fields(hold="true"))[1] for _ in range(3))
            self.assertRegex(old["expires"], r"^20\d\d-")
            server.kill()
            with contextlib.closing(sqlite3.connect(os.path.join(server.data, "jobs.db"))) as db:
                db.execute("update job set created = created - 25 * 3600 * 1000 where id = ?", (old["id"],))
                db.commit()
            folder = os.path.join(server.data, "jobs")
            shutil.rmtree(os.path.join(folder, lost["id"]))
            os.makedirs(os.path.join(folder, ".gone-0", "deeper"))
            server.start()
            end = time.monotonic() + 20
            while os.listdir(folder) != [new["id"]] and time.monotonic() < end:
                time.sleep(0.1)
            self.assertEqual(os.listdir(folder), [new["id"]])
            self.assertEqual([j["id"] for j in server.json("GET", "/v1/jobs")[1]["jobs"]], [new["id"]])

    def test_changes_at_once(self):
        """One that takes a new plan, and meanwhile another: neither is lost."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            job = server.submit(self.clip.fields(hold="true"))[1]
            link, answers = job["links"]["self"], []
            asker = threading.Thread(target=lambda: answers.append(server.json("PATCH", link, {"steps": 3})))
            asker.start()
            pid = Process.looks(self, server)
            os.kill(pid, signal.SIGSTOP)
            self.assertEqual(server.json("PATCH", link, {"priority": 7})[0], 200)
            self.assertEqual(server.json("PATCH", link, {"guidance": 2})[0], 200)
            os.kill(pid, signal.SIGCONT)
            asker.join()
            self.assertEqual(answers[0][0], 200, answers)
            options = server.job(job["id"])["options"]
            self.assertEqual((options["steps"], options["priority"], options["guidance"]), (3, 7, 2))

    reads_upload = staticmethod(lambda pid: Process.reads_upload(pid))


class Kept(Base):
    """How long what has ended stays, and what becomes of a full disk."""

    def test_waiting(self):
        """So many jobs, and so many bytes of them, wait at most."""
        with local_server(self, "--demo", "-b", BUDGET, "--max-waiting", "1") as server:
            job = server.submit(self.clip.fields(hold="true"))[1]
            self.problem(server.submit(self.clip.fields(hold="true")), 503, "busy")
            server.ask("DELETE", job["links"]["self"])
            self.assertEqual(server.submit(self.clip.fields(hold="true"))[0], 202)
        fields = self.clip.fields(hold="true")
        one = len(fields["video"][1]) + len(fields["audio"][1])
        with local_server(self, "--demo", "-b", BUDGET, "--max-waiting-bytes", str(one * 3 // 2)) as server:
            job = server.submit(fields)[1]
            self.problem(server.submit(fields), 503, "busy")
            server.ask("DELETE", job["links"]["self"])
            self.assertEqual(server.submit(fields)[0], 202)

    def gone(self, server, job, seconds=60):
        folder, end = os.path.join(server.data, "jobs", job["id"]), time.monotonic() + seconds
        while time.monotonic() < end:
            if server.ask("GET", job["links"]["self"])[0] == 404 and not os.path.exists(folder):
                return True
            time.sleep(0.2)
        return False

    def test_time(self):
        with local_server(self, "--demo", "-b", BUDGET, "--keep", "0.1m") as server:
            job = server.submit(self.clip.fields(**QUICK))[1]
            self.assertEqual(server.wait(job["id"])["state"], "done")
            self.assertEqual(server.ask("GET", job["links"]["result"])[0], 200)
            self.assertTrue(self.gone(server, job))
            self.assertEqual(server.json("GET", "/v1/jobs")[1]["jobs"], [])

    def test_bytes(self):
        """The oldest goes first; what waits stays."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            job = server.submit(self.clip.fields(**QUICK))[1]
            server.wait(job["id"])
            folder = os.path.join(server.data, "jobs", job["id"])
            one = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
        with local_server(self, "--demo", "-b", BUDGET, "--keep-bytes", str(one * 3 // 2)) as server:
            held = server.submit(self.clip.fields(**QUICK, hold="true"))[1]
            jobs = [server.submit(self.clip.fields(**QUICK))[1] for _ in range(2)]
            self.assertEqual(server.wait(jobs[1]["id"])["state"], "done")
            self.assertTrue(self.gone(server, jobs[0]))
            self.assertEqual([j["id"] for j in server.json("GET", "/v1/jobs")[1]["jobs"]], [jobs[1]["id"], held["id"]])

    def test_disk_full(self):
        data = os.path.join(self.folder, "small")
        os.mkdir(data)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", data], capture_output=True).returncode:
            self.skipTest("no file system can be mounted here")
        server = None
        try:
            server = Server(BUILD, data, "--demo", "-b", BUDGET)
            self.full(server)
        finally:
            if server:
                server.stop()
                server.log.close()
            subprocess.run(["umount", "-l", data], check=True)

    def full(self, server):
        wanted = self.clip.by_command(BUILD, BUDGET, "--steps", "1", "--frames", "10")
        answer = server.submit({"video": ("large.mp4", os.urandom(7 << 20))})
        self.problem(answer, 507, "no-room")
        end = time.monotonic() + 30  # what is refused early goes when its connection has ended
        while os.listdir(os.path.join(server.data, "jobs")) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(os.listdir(os.path.join(server.data, "jobs")), [])
        job = server.submit(self.clip.fields(**QUICK, hold="true"))[1]
        junk = os.path.join(server.data, "junk")
        with open(junk, "wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while True:
                    file.write(bytes(4096))
        self.assertEqual(server.ask("POST", job["links"]["self"] + "/start")[0], 200)
        failed = server.wait(job["id"])
        self.assertEqual((failed["state"], failed["error"]["code"]), ("failed", "io-error"), failed)
        self.problem(server.submit(self.clip.fields(**QUICK)), 507, "no-room")
        os.remove(junk)
        self.assertEqual(server.ask("POST", job["links"]["self"] + "/retry")[0], 200)
        self.assertEqual(server.wait(job["id"])["state"], "done")
        self.assertEqual(server.ask("GET", job["links"]["result"])[2], wanted)


class Webhooks(Base):
    KEY = "a key of the test's own"

    @classmethod
    def arguments(cls):
        cls.receiver = Receiver()
        return ["--demo", "-b", BUDGET, "--webhook-to", cls.receiver.address + "hooks/", "--webhook-to", "http://127.0.0.1:1"]

    @classmethod
    def environment(cls):
        return {"MEMSAFE_WEBHOOK_KEY": cls.KEY, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.receiver.close()

    def told(self, letter, job):
        """What came is signed, and of this job."""
        _, headers, body = letter
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.digest(self.KEY.encode(), signed, "sha256")).decode()
        self.assertEqual(headers["webhook-signature"], "v1," + wanted)
        self.assertLess(abs(time.time() - int(headers["webhook-timestamp"])), 60)
        self.assertEqual(headers["Content-Type"], "application/json")
        self.no_path(body.decode())
        event = json.loads(body)
        self.assertEqual(event["data"]["id"], job["id"])
        return event

    def hook(self, job, state):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            hook = self.server.job(job["id"])["webhook"]
            if hook["state"] == state:
                return hook
            time.sleep(0.1)
        self.fail(f"{hook} is not {state}")

    def submit(self, path, **options):
        status, job = self.server.submit(self.clip.fields(**QUICK, webhook=self.receiver.address + path, **options))
        self.assertEqual(status, 202, job)
        self.assertIsNone(job["webhook"])
        return job

    def test_told_once(self):
        self.receiver.answers = [204]
        job = self.submit("hooks/a")
        letter = self.receiver.next()
        self.assertEqual(letter[0], "/hooks/a")
        event = self.told(letter, job)
        self.assertEqual((event["type"], event["data"]["state"]), ("job.done", "done"))
        self.assertEqual(self.hook(job, "delivered"), {"state": "delivered", "tries": 1, "next": None})

    def test_tried_again(self):
        """After a refusal, and after a kill of the server; the same event each time, and no redirection is followed."""
        self.receiver.answers = [500, 302, 200]
        job = self.submit("hooks/b", hold="true")
        self.assertEqual(self.server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
        first = self.receiver.next()
        self.assertEqual(self.told(first, job)["type"], "job.cancelled")
        hook = self.hook(job, "pending")
        end = time.monotonic() + 60
        while not hook["tries"] and time.monotonic() < end:
            time.sleep(0.05)
            hook = self.server.job(job["id"])["webhook"]
        self.assertEqual(hook["tries"], 1)
        self.assertIsNotNone(hook["next"])
        self.server.kill()
        self.server.start()
        second = self.receiver.next()
        self.told(second, job)
        self.assertEqual(second[1]["webhook-id"], first[1]["webhook-id"])
        end = time.monotonic() + 60
        while self.server.job(job["id"])["webhook"]["tries"] < 2 and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(self.server.job(job["id"])["webhook"]["tries"], 2)
        self.assertEqual(self.server.job(job["id"])["webhook"]["state"], "pending")
        self.assertEqual(self.receiver.redirected, 0)

    def test_no_longer_allowed(self):
        """What stays as it was is not looked at anew."""
        job = self.submit("hooks/d", hold="true")
        with local_server(self, "--demo", "-b", BUDGET) as other:
            other.stop()
            shutil.copytree(self.data, other.data, dirs_exist_ok=True)
            other.start()
            status, changed = other.json("PATCH", job["links"]["self"], {"priority": 3})
            self.assertEqual((status, changed["priority"]), (200, 3), changed)
            self.problem(other.json("PATCH", job["links"]["self"], {"webhook": self.receiver.address + "hooks/d"}), 422, "no-webhooks")
        self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)

    def test_given_up(self):
        self.receiver.answers = [410]
        job = self.submit("hooks/c", hold="true")
        self.assertEqual(self.server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
        self.told(self.receiver.next(), job)
        self.assertEqual(self.hook(job, "given-up")["tries"], 1)

    def test_not_allowed(self):
        for address in (self.receiver.address, self.receiver.address + "hook", "http://127.0.0.1:10/x", "http://127.0.0.1:1@127.0.0.1:2/",
                        self.receiver.address + "hooks/../other", self.receiver.address + "hooks/%2E%2e/other",
                        self.receiver.address + "hooks/..\\other", "http://127.0.0.1:1", "https://127.0.0.1:1/", "file:///etc/passwd"):
            answer = self.server.submit(self.clip.fields(**QUICK, webhook=address))
            self.problem(answer, 403, "not-allowed")
            self.assertEqual(answer[1]["field"], "webhook")

    def test_options(self):
        for options, said in ((["--webhook-to", "http://127.0.0.1/"], b"needs --webhook-key-file"), (["--webhook-key-file", self.key_file()], b"needs --webhook-to"),
                              (["--webhook-to", "ftp://x/", "--webhook-key-file", self.key_file()], b"is not how an address begins"),
                              (["--webhook-to", "http://", "--webhook-key-file", self.key_file()], b"is not how an address begins")):
            got = subprocess.run([os.path.join(BUILD, "memsafe"), "serve", "--demo", "--data", self.folder + "/other", *options], capture_output=True)
            self.assertEqual(got.returncode, 2, got)
            self.assertIn(said, got.stderr)

    def key_file(self):
        name = os.path.join(self.folder, "key")
        with open(name, "w") as file:
            file.write(self.KEY + "\n")
        return name


class Process(Base):
    """What the server's processes may, and what becomes of jobs where they cannot be started."""

    def leave_files(self, server, n):
        """The server can open so many more."""
        time.sleep(0.5)  # it closes what was asked before
        try:
            used = {int(fd) for fd in os.listdir(f"/proc/{server.process.pid}/fd")}
        except PermissionError:
            self.skipTest("only root may see how many files a server has open")
        free = [fd for fd in range(4096) if fd not in used]
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (free[n], 4096))

    def test_no_files(self):
        """A file that cannot be opened now is not one that is not there."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            job = server.submit(self.clip.fields(**QUICK, hold="true"))[1]
            self.leave_files(server, 1)
            self.problem(server.json("GET", job["links"]["input"]), 503, "busy")
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
            self.assertEqual(server.ask("GET", job["links"]["input"])[0], 200)

    def test_stop_while_looking(self):
        """A look that takes long does not hold up the end."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            def ask():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    server.submit(self.clip.fields(hold="true"))

            asker = threading.Thread(target=ask)
            asker.start()
            os.kill(self.looks(server), signal.SIGSTOP)
            begin = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(60)
            self.assertLess(time.monotonic() - begin, 20)
            asker.join()

    def looks(self, server):
        """The look worker that has begun with what it was asked."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for pid, kind in server.workers():
                if kind == "look" and self.reads_upload(pid):
                    return pid
        self.fail("no upload is looked at")

    def test_files(self):
        """As many as it may have: 512 connections have files of their own."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        try:
            with local_server(self, "--demo", "-b", BUDGET) as server:
                now = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        self.assertEqual(now[0], min(before[1], 65536))

    def test_no_worker(self):
        """A job waits where no worker can be started, and is done when one can."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            jobs = [server.submit(self.clip.fields(**QUICK, hold="true"))[1] for _ in range(3)]
            self.leave_files(server, 1)
            for job in jobs:
                self.assertEqual(server.ask("POST", job["links"]["self"] + "/start")[0], 200)
            time.sleep(2.5)
            self.assertLessEqual({server.job(job["id"])["state"] for job in jobs}, {"queued", "running"})  # it is tried
            self.assertIn("memsafe_worker_start_failures_total", server.ask("GET", "/metrics")[2].decode())
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
            for job in jobs:
                self.assertEqual(server.wait(job["id"])["state"], "done")

    def test_secrets(self):
        """Neither the server's nor a worker's surroundings show the token, and a worker's session is its own."""
        word = "a token of the test's own"
        data = tempfile.mkdtemp(prefix="data.", dir=self.folder)
        server = Server(BUILD, data, "--demo", "-b", BUDGET, environment={"MEMSAFE_TOKEN": word, "MEMSAFE_WEBHOOK_KEY": word})
        bearer = {"Authorization": "Bearer " + word}
        try:
            job = server.submit(self.clip.fields(steps="20"), headers=bearer)[1]
            end = time.monotonic() + 60
            while not server.workers() and time.monotonic() < end:
                time.sleep(0.05)
            pids = [server.process.pid] + [pid for pid, _ in server.workers()]
            self.assertGreater(len(pids), 1)
            for pid in pids:
                try:
                    with open(f"/proc/{pid}/environ", "rb") as file:
                        self.assertNotIn(word.encode(), file.read())
                except PermissionError:
                    pass
            for pid in pids[1:]:
                self.assertEqual(os.getsid(pid), pid)
            self.assertEqual(server.ask("DELETE", job["links"]["self"], headers=bearer)[0], 204)
        finally:
            server.stop()
            server.log.close()

    def test_look_killed(self):
        """A look worker that somebody kills says nothing of the file."""
        answers = []
        asker = threading.Thread(target=lambda: answers.append(self.server.submit(self.clip.fields(hold="true"))))
        asker.start()
        os.kill(self.looks(self.server), signal.SIGKILL)
        asker.join()
        self.problem(answers[0], 503, "out-of-memory")

    @staticmethod
    def reads_upload(pid):
        """Whether it has begun with what it was asked."""
        try:
            return "/jobs/" in os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            return False


class Tight(Base):
    @classmethod
    def arguments(cls):
        return ["--demo", "-b", "64M", "--max-waiting", "1"]

    def test_does_not_fit(self):
        answer = self.server.submit(self.clip.fields(**QUICK))
        self.problem(answer, 422, "does-not-fit")
        self.assertGreater(answer[1]["needs_bytes"], 64 << 20)
        status, plan = self.server.json("POST", "/v1/plan", {})
        self.assertEqual((status, plan["fits"]), (200, False))


class Token(Base):
    WORD = "correct horse battery"

    @classmethod
    def arguments(cls):
        return ["--demo", "-b", BUDGET]

    @classmethod
    def environment(cls):
        return {"MEMSAFE_TOKEN": cls.WORD}

    def test_token(self):
        self.assertEqual(self.server.ask("GET", "/healthz")[0], 200)
        self.problem(self.server.json("GET", "/v1/jobs"), 401, "no-token")
        self.problem(self.server.json("GET", "/v1/none"), 401, "no-token")
        for wrong in ("Bearer x", "Bearer " + self.WORD + "x", "Basic " + self.WORD, ""):
            self.problem(self.server.json("GET", "/v1/jobs", headers={"Authorization": wrong}), 401, "no-token")
        self.assertEqual(self.server.json("GET", "/v1/jobs", headers={"Authorization": "Bearer " + self.WORD})[0], 200)
        ours = {"Origin": f"http://127.0.0.1:{self.server.port}", "Content-Type": "application/json"}
        self.assertEqual(self.server.ask("POST", "/v1/login", '{"token": "no"}', ours)[0], 401)
        status, headers, _ = self.server.ask("POST", "/v1/login", json.dumps({"token": self.WORD}), ours)
        self.assertEqual(status, 204)
        for word in ("HttpOnly", "SameSite=Strict"):
            self.assertIn(word, headers["Set-Cookie"])
        cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
        self.assertEqual(self.server.json("GET", "/v1/jobs", headers=cookie)[0], 200)
        cancel = "/v1/jobs/" + "0" * 32 + "/cancel"
        self.problem(self.server.json("POST", cancel, headers=cookie), 403, "wrong-origin")
        self.problem(self.server.json("POST", cancel, headers=dict(cookie, Origin="http://evil.example")), 403, "wrong-origin")
        self.problem(self.server.json("POST", cancel, headers=dict(cookie, Origin=ours["Origin"])), 404, "no-such-job")

    def test_of_a_file(self):
        """The first line; elsewhere than on loopback, where too many requests are refused."""
        name = os.path.join(self.folder, "token")
        with open(name, "w") as file:
            file.write(self.WORD + "\nanother line\n")
        with local_server(self, "--demo", "-b", BUDGET, "--token-file", name, "--listen", "0.0.0.0:0") as server:
            bearer = {"Authorization": "Bearer " + self.WORD}
            self.problem(server.json("GET", "/v1/jobs"), 401, "no-token")
            self.assertEqual(server.json("GET", "/v1/jobs", headers=bearer)[0], 200)
            server.host = own_address()
            if not server.host:
                self.skipTest("this machine has no address but loopback")
            answers = [server.ask("GET", "/v1/server", headers=bearer) for _ in range(400)]
            self.assertIn(429, [a[0] for a in answers])
            self.assertEqual({a[0] for a in answers}, {200, 429})
            refused = next(a for a in answers if a[0] == 429)
            self.problem((429, json.loads(refused[2])), 429, "too-often")
            time.sleep(2)
            self.assertEqual(server.ask("GET", "/v1/server", headers=bearer)[0], 200)
        for text in ("short\n", ""):
            with open(name, "w") as file:
                file.write(text)
            got = subprocess.run([os.path.join(BUILD, "memsafe"), "serve", "--demo", "--token-file", name, "--data", self.folder + "/other"],
                                 capture_output=True)
            self.assertIn(got.returncode, (2, 11), got)
            self.assertIn(b"token", got.stderr)

    def test_behind_a_proxy(self):
        """A proxy passes on the name that its clients know, and addresses of IPv4 are what they are to a socket for both."""
        bearer, host = {"Authorization": "Bearer " + self.WORD}, {"Host": "videos.example"}
        self.assertEqual(self.server.json("GET", "/v1/jobs", headers=dict(bearer, **host))[0], 200)
        status, headers, _ = self.server.ask("POST", "/v1/login", json.dumps({"token": self.WORD}),
                                             dict(host, Origin="https://videos.example", **{"Content-Type": "application/json"}))
        self.assertEqual(status, 204)
        cookie = dict(host, Cookie=headers["Set-Cookie"].split(";")[0], Origin="https://videos.example")
        self.problem(self.server.json("POST", "/v1/jobs/" + "0" * 32 + "/cancel", headers=cookie), 404, "no-such-job")
        try:
            socket.create_server(("::", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("this machine has no IPv6")
        data = tempfile.mkdtemp(prefix="data.", dir=self.folder)
        server = Server(BUILD, data, "--demo", "-b", BUDGET, "--listen", "[::]:0", environment=self.environment())
        try:
            server.host = "127.0.0.1"
            self.assertEqual({server.ask("GET", "/v1/server", headers=bearer)[0] for _ in range(400)}, {200})
        finally:
            server.stop()
            server.log.close()

    def test_elsewhere_needs_one(self):
        command = [os.path.join(BUILD, "memsafe"), "serve", "--demo", "--listen", "0.0.0.0:0", "--data", self.folder + "/other"]
        got = subprocess.run(command, capture_output=True)
        self.assertEqual(got.returncode, 2)
        self.assertIn(b"token", got.stderr)


if __name__ == "__main__":
    BUILD, SOURCE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
