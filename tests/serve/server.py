"""A `memsafe serve` for tests, and what asks it. Python's standard library alone."""

import atexit
import http.client
import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import uuid


# One history for all of a program's tests: the user's stays as it is, and the machine's speed is measured once.
SPEED = tempfile.mkdtemp(prefix="memsafe-speed.")
atexit.register(shutil.rmtree, SPEED, ignore_errors=True)
HISTORY = {"MEMSAFE_HISTORY": os.path.join(SPEED, "history.db")}


class Server:
    """Started at once on a free port; `kill` and `stop` end it, `start` begins it anew on the same folder."""

    def __init__(self, build, data, *arguments, environment=None):
        self.command = [os.path.join(build, "memsafe"), "serve", "--listen", "127.0.0.1:0", "--data", data, *arguments]
        self.environment = dict(os.environ, **HISTORY, **(environment or {}))
        self.data = data
        self.process = self.log = None
        self.start()

    def start(self):
        if self.log:
            self.log.close()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.log, env=self.environment)
        line = self.process.stdout.readline().decode()
        if "http://" not in line:
            self.process.wait()
            self.process.stdout.close()
            said = self.said()
            self.log.close()
            raise RuntimeError(said)
        address = line.split("http://")[1].split("/")[0]
        self.host, self.port = address.rsplit(":", 1)
        self.port = int(self.port)

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def workers(self):
        """(process, kind) of each worker."""
        found = []
        children = f"/proc/{self.process.pid}/task"
        for task in os.listdir(children):
            with open(f"{children}/{task}/children") as file:
                pids = file.read().split()
            for pid in pids:
                try:
                    with open(f"/proc/{pid}/cmdline") as file:
                        words = file.read().split("\0")
                except OSError:  # it has ended meanwhile
                    continue
                if "serve-worker" in words:
                    found.append((int(pid), words[2]))
        return found

    def ask(self, method, path, body=None, headers=None, timeout=120):
        """(status, headers, bytes)"""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method, path, value=None, headers=None):
        """(status, what the answer says)"""
        body = None if value is None else json.dumps(value)
        told = dict(headers or {})
        if body is not None:
            told["Content-Type"] = "application/json"
        status, _, text = self.ask(method, path, body, told)
        return status, json.loads(text) if text else None

    def submit(self, fields, path="/v1/jobs", headers=None):
        """A form: values are text, or (name, bytes) of a file."""
        body, kind = form(fields)
        status, _, text = self.ask("POST", path, body, dict(headers or {}, **{"Content-Type": kind}))
        return status, json.loads(text)

    def job(self, id):
        status, job = self.json("GET", f"/v1/jobs/{id}")
        assert status == 200, (status, job)
        return job

    def wait(self, id, states=("done", "failed", "cancelled"), seconds=300):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = self.job(id)
            if job["state"] in states:
                return job
            time.sleep(0.1)
        raise AssertionError(f"still {job['state']} after {seconds} s: {job}")


def fill_queue(server, job, n):
    """n jobs wait that are the held one's copies, and the worker stands still over the first of them."""
    server.stop()
    jobs = os.path.join(server.data, "jobs")
    db = sqlite3.connect(os.path.join(server.data, "jobs.db"))
    row = list(db.execute("select * from job where id = ?", (job["id"],)).fetchone())
    for i in range(n):
        row[:3] = secrets.token_hex(16), i + 10, 1  # id, order, queued
        os.mkdir(os.path.join(jobs, row[0]))
        for name in ("video", "audio"):
            os.link(os.path.join(jobs, job["id"], name), os.path.join(jobs, row[0], name))
        db.execute(f"insert into job values ({','.join('?' * len(row))})", row)
    db.commit()
    db.close()
    server.start()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for pid, kind in server.workers():
            if kind == "run" and server.json("GET", "/v1/jobs?state=running")[1]["jobs"]:
                os.kill(pid, signal.SIGSTOP)
                return
        time.sleep(0.05)
    raise AssertionError("no job begins")


def form(fields):
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, tuple):
            parts.append(f'{head}; filename="{value[0]}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode() + value[1])
        else:
            parts.append(f"{head}\r\n\r\n{value}".encode())
    return b"\r\n".join(parts) + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class Clip:
    """A drawn person and other speech, in a folder of their own."""

    def __init__(self, build, folder, frames=16, seed=1000003):
        draw = os.path.join(build, "tools", "draw_clip")
        self.folder = folder
        self.video, self.audio = os.path.join(folder, "in.mp4"), os.path.join(folder, "speech.wav")
        options = ["--seed", str(seed), "--synth", "babble", "--frames", str(frames), "--size", "192x192"]
        subprocess.run([draw, *options, "-o", self.video], check=True)
        subprocess.run([draw, *options, "--speech-seed", str(seed + 1), "-o", os.path.join(folder, "other.mp4"),
                        "--speech", self.audio], check=True)

    def fields(self, **options):
        with open(self.video, "rb") as video, open(self.audio, "rb") as audio:
            return dict({"video": ("in.mp4", video.read()), "audio": ("speech.wav", audio.read())}, **options)

    def by_command(self, build, budget, *options):
        """The bytes that `memsafe run` makes of it."""
        out = os.path.join(self.folder, "command.mp4")
        subprocess.run([os.path.join(build, "memsafe"), "run", "--demo", "-i", self.video, "-a", self.audio, "-b", budget,
                        *options, "-y", "-q", out], check=True, env=dict(os.environ, **HISTORY))
        with open(out, "rb") as file:
            return file.read()
