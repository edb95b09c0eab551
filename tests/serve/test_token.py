"""Who may ask."""

import contextlib
import hmac
import json
import os
import socket
import subprocess
import tempfile
import time

from cases import BUDGET, BUILD, Base, local_server, main
from server import Server


def own_address():
    """Of this machine, and not loopback; None: it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # nothing is sent
            return s.getsockname()[0]
        except OSError:
            return None


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
        self.assertNotIn("Secure", headers["Set-Cookie"])
        cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
        self.assertEqual(self.server.json("GET", "/v1/jobs", headers=cookie)[0], 200)
        until, sign = cookie["Cookie"].split("=")[1].split(".")
        self.assertLess(abs(int(until) - time.time() - 30 * 86400), 600)
        for other in (f"{int(until) + 1}.{sign}", f"{int(time.time()) - 1}.{sign}", f".{sign}", until, ""):
            self.problem(self.server.json("GET", "/v1/jobs", headers={"Cookie": "memsafe=" + other}), 401, "no-token")
        cancel = "/v1/jobs/" + "0" * 32 + "/cancel"
        answer = self.server.json("POST", cancel, headers=cookie)
        self.problem(answer, 403, "wrong-origin")
        self.assertIn("needs Origin", answer[1]["detail"])
        self.problem(self.server.json("POST", cancel, headers=dict(cookie, Origin="http://evil.example")), 403, "wrong-origin")
        self.problem(self.server.json("POST", cancel, headers=dict(cookie, Origin=ours["Origin"])), 404, "no-such-job")
        past = str(int(time.time()) - 1)
        old = past + "." + hmac.digest(self.WORD.encode(), b"cookie of the page until " + past.encode(), "sha256").hex()
        self.problem(self.server.json("GET", "/v1/jobs", headers={"Cookie": "memsafe=" + old}), 401, "no-token")
        status, headers, _ = self.server.ask("POST", "/v1/logout", headers={"Origin": ours["Origin"]})
        self.assertEqual(status, 204)
        self.assertIn("memsafe=;", headers["Set-Cookie"])
        self.assertIn("Max-Age=0", headers["Set-Cookie"])

    def test_login_of_a_program(self):
        """No page: no Origin, no Sec-Fetch-Site. It has the token, or it is told that it has not; pages of others never come in."""
        right, wrong = json.dumps({"token": self.WORD}), json.dumps({"token": "no"})
        plain = {"Content-Type": "application/json"}
        status, headers, _ = self.server.ask("POST", "/v1/login", right, plain)
        self.assertEqual(status, 204)
        self.assertIn("SameSite=Strict", headers["Set-Cookie"])
        self.assertEqual(self.server.ask("POST", "/v1/login", wrong, plain)[0], 401)
        for told in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                     {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}):
            status, headers, _ = self.server.ask("POST", "/v1/login", right, dict(plain, **told))
            self.assertEqual((status, headers["Set-Cookie"]), (403, None), told)

    def test_readable_file(self):
        """A token that others of this machine can read is told, with its mode."""
        name = os.path.join(self.folder, "open-token")
        with open(name, "w") as file:
            file.write(self.WORD + "\n")
        for mode, told in ((0o644, True), (0o640, True), (0o600, False)):
            os.chmod(name, mode)
            with local_server(self, "--demo", "-b", BUDGET, "--token-file", name) as server:
                said = server.said()
            self.assertEqual(f"{name} can be read by others (mode {mode:o})" in said, told, said)

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
            many = [socket.create_connection((server.host, server.port), timeout=30) for _ in range(140)]
            for s in many:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answered = sum(self.answers(s) for s in many)
            self.assertGreaterEqual(answered, 128)
            self.assertLess(answered, 128 + 4)  # of the server's threads
            for s in many:
                s.close()
            self.answered(server, bearer)  # it has seen that
            answers = [server.ask("GET", "/v1/server", headers=bearer) for _ in range(400)]
            self.assertIn(429, [a[0] for a in answers])
            self.assertEqual({a[0] for a in answers}, {200, 429})
            refused = next(a for a in answers if a[0] == 429)
            self.problem((429, json.loads(refused[2])), 429, "too-often")
            self.answered(server, bearer)
        for text in ("short\n", ""):
            with open(name, "w") as file:
                file.write(text)
            got = subprocess.run([os.path.join(BUILD, "memsafe"), "serve", "--demo", "--token-file", name, "--data", self.folder + "/other"],
                                 capture_output=True)
            self.assertIn(got.returncode, (2, 11), got)
            self.assertIn(b"token", got.stderr)

    def answered(self, server, headers):
        """In a while, as others are."""
        end, status = time.monotonic() + 60, None
        while status != 200:
            self.assertLess(time.monotonic(), end, status)
            time.sleep(0.2)
            with contextlib.suppress(OSError):
                status = server.ask("GET", "/v1/server", headers=headers)[0]

    @staticmethod
    def answers(s):
        try:
            return bool(s.recv(100))
        except ConnectionError:
            return False

    def test_behind_a_proxy(self):
        """A proxy passes on the name that its clients know, and addresses of IPv4 are what they are to a socket for both."""
        bearer, host = {"Authorization": "Bearer " + self.WORD}, {"Host": "videos.example"}
        self.assertEqual(self.server.json("GET", "/v1/jobs", headers=dict(bearer, **host))[0], 200)
        status, headers, _ = self.server.ask("POST", "/v1/login", json.dumps({"token": self.WORD}),
                                             dict(host, Origin="https://videos.example", **{"Content-Type": "application/json"}))
        self.assertEqual(status, 204)
        self.assertIn("; Secure", headers["Set-Cookie"])
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
    main()
