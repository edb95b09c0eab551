"""What is refused, and how; clients that are slow, many or hostile."""

import base64
import json
import os
import socket
import subprocess
import threading
import time
import unittest

from cases import BUDGET, BUILD, QUICK, Base, main
from server import Server, form


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

    def test_given(self):
        """What was given is said, as far as it can be shown; of a form and of JSON."""
        fields = self.clip.fields()
        for change, words in (({"steps": "0"}, "steps must be a whole number from 1 to 999, not 0"),
                              ({"steps": "1000"}, "steps must be a whole number from 1 to 999, not 1000"),
                              ({"steps": "\x1b\u00e9" + 50 * "y"}, 'steps must be a number, not "???' + 37 * "y" + '..."'),
                              ({"deepcache": "maybe"}, 'deepcache must be true or false, not "maybe"'),
                              ({"codec": "gif"}, 'codec must be one of: h264, hevc, ffv1; not "gif"'),
                              ({"resolution": "100"}, "resolution must be 0 or a multiple of 8 from 64 to 2048, not 100"),
                              ({"resolution": "16"}, "resolution must be 0 or a multiple of 8 from 64 to 2048, not 16")):
            answer = self.server.submit(dict(fields, **change))
            self.problem(answer, 422, "invalid-option")
            self.assertEqual((answer[1]["detail"], answer[1]["field"]), (words, next(iter(change))))
        for value, words in ((1.5, "not 1.5"), ("1", "not string"), (True, "not boolean")):
            answer = self.server.json("POST", "/v1/jobs", {"steps": value})
            self.problem(answer, 422, "invalid-option")
            self.assertTrue(answer[1]["detail"].endswith(words), answer)
        status, job = self.server.submit(dict(fields, steps="999", hold="1"))
        self.assertEqual((status, job["options"]["steps"]), (202, 999), job)
        self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)

    def test_fields(self):
        """The field that is to blame, of what only a worker finds, too."""
        fields = self.clip.fields()
        text, half = ("x", b"hello!"), ("x", fields["video"][1][:9000])
        dot = ("x", b"P6 1 1 255 abc")
        for change, code, field in (({"video": text}, "bad-media", "video"), ({"audio": text}, "bad-media", "audio"),
                                    ({"track": text}, "bad-media", "track"), ({"video": half}, "bad-media", "video"),
                                    ({"audio": ("x", fields["audio"][1][:500])}, "bad-media", "audio"),
                                    ({"video": fields["audio"]}, "bad-media", "video"), ({"video": dot}, "bad-media", "video"),
                                    ({"start_s": "100"}, "invalid-option", "start_s")):
            answer = self.server.submit(dict(fields, **change))
            self.problem(answer, 422, code)
            self.assertEqual(answer[1].get("field"), field, answer)
        self.assertIn("start_s", answer[1]["detail"])
        body, kind = form({"video": fields["video"]})
        end = body.rindex(b"--" + kind.split("=")[1].encode())
        got = self.server.ask("POST", "/v1/jobs", body[:end] + body, {"Content-Type": kind})
        answer = got[0], json.loads(got[2])
        self.problem(answer, 422, "invalid-option")
        self.assertEqual((answer[1]["detail"], answer[1]["field"]), ("video comes twice", "video"))
        self.assertEqual(self.server.json("POST", "/v1/jobs", {"video": 3})[1]["field"], "video")

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
        others = {"Sec-Fetch-Site": "cross-site"}
        for path in ("/v1/jobs", "/v1/events", "/v1/jobs/" + "0" * 32):
            self.problem(self.server.json("GET", path, headers=others), 403, "wrong-origin")
        link = dict(others, **{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
        self.assertEqual(self.server.ask("GET", "/v1/jobs", headers=link)[0], 200)
        self.assertEqual(self.server.ask("GET", "/healthz", headers=others)[0], 200)
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
        for numbers, field in (({}, "width"), ({"width": 64, "height": 64}, "frames"), ({"width": 64, "frames": 1}, "height"),
                               ({"width": 0, "height": 64, "frames": 1}, "width"), ({"width": 64, "height": 8, "frames": 1}, "height"),
                               ({"width": 64, "height": 64, "frames": 1.5}, "frames")):
            answer = self.server.json("POST", "/v1/plan", numbers)
            self.problem(answer, 422, "invalid-option")
            self.assertEqual(answer[1]["field"], field, answer)

    def test_ports(self):
        """Not another one than was named."""
        for port in ("65536", "99999", "4294967376", "1" * 40):
            got = subprocess.run([os.path.join(BUILD, "memsafe"), "serve", "--demo", "--listen", "127.0.0.1:" + port,
                                  "--data", self.folder + "/ports"], capture_output=True, timeout=60)
            self.assertEqual(got.returncode, 2, got)
            self.assertIn(b"--listen 127.0.0.1:" + port.encode()[:40] + b": the port must be a number from 0 to 65535, not " + port.encode()[:20],
                          got.stderr)


if __name__ == "__main__":
    main()
