"""Whom the end of a job is told to."""

import base64
import hmac
import http.client
import http.server
import json
import os
import queue
import shutil
import subprocess
import threading
import time

from cases import BUDGET, BUILD, QUICK, Base, local_server, main


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

    def test_told_of_each_end(self):
        """One that is tried again ends once more: that is another event."""
        self.receiver.answers = [200]
        job = self.submit("hooks/e", hold="true")
        self.assertEqual(self.server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
        first = self.receiver.next()
        self.assertEqual(self.told(first, job)["type"], "job.cancelled")
        self.hook(job, "delivered")
        self.assertEqual(self.server.ask("POST", job["links"]["self"] + "/retry")[0], 200)
        second = self.receiver.next()
        self.assertEqual(self.told(second, job)["type"], "job.done")
        self.assertNotEqual(second[1]["webhook-id"], first[1]["webhook-id"])

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


if __name__ == "__main__":
    main()
