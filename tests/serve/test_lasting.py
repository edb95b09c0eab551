"""What becomes of jobs: cancelled, deleted, expired, over a restart and on a full disk."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

from cases import BUDGET, BUILD, QUICK, Base, local_server, main
from server import Server


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
                places = f'event: positions\ndata: {{"from":1,"ids":["{jobs[1]["id"]}","{jobs[2]["id"]}"]}}'
                while not (gone in text and places in text):
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
            pid = self.looks(server)
            os.kill(pid, signal.SIGSTOP)
            self.assertEqual(server.json("PATCH", link, {"priority": 7})[0], 200)
            self.assertEqual(server.json("PATCH", link, {"guidance": 2})[0], 200)
            os.kill(pid, signal.SIGCONT)
            asker.join()
            self.assertEqual(answers[0][0], 200, answers)
            options = server.job(job["id"])["options"]
            self.assertEqual((options["steps"], options["priority"], options["guidance"]), (3, 7, 2))


class Kept(Base):
    """How long what has ended stays, and what becomes of a full disk."""

    def test_waiting(self):
        """So many jobs, and so many bytes of them, wait at most."""
        with local_server(self, "--demo", "-b", BUDGET, "--max-waiting", "1") as server:
            job = server.submit(self.clip.fields(hold="true"))[1]
            self.problem(server.submit(self.clip.fields(hold="true")), 503, "busy")
            self.assertEqual(server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
            other = server.submit(self.clip.fields(hold="true"))[1]
            self.problem(server.json("POST", job["links"]["self"] + "/retry"), 503, "busy")
            server.ask("DELETE", other["links"]["self"])
            self.assertEqual(server.ask("POST", job["links"]["self"] + "/retry")[0], 200)
        fields = self.clip.fields(hold="true")
        one = len(fields["video"][1]) + len(fields["audio"][1])
        with local_server(self, "--demo", "-b", BUDGET, "--max-waiting-bytes", str(one * 3 // 2)) as server:
            job = server.submit(fields)[1]
            self.problem(server.submit(fields), 503, "busy")
            self.assertEqual(server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
            other = server.submit(fields)[1]
            self.problem(server.json("POST", job["links"]["self"] + "/retry"), 503, "busy")
            server.ask("DELETE", other["links"]["self"])
            self.assertEqual(server.submit(fields)[0], 202)

    def test_locked(self):
        """Why the list cannot be written is told, and not where it is."""
        with local_server(self, "--demo", "-b", BUDGET, "--allow", self.folder) as server:
            with contextlib.closing(sqlite3.connect(os.path.join(server.data, "jobs.db"), isolation_level=None)) as db:
                db.execute("begin exclusive")
                answer = server.json("POST", "/v1/jobs", {"video": self.clip.video, "hold": True})
            self.problem(answer, 500, "io-error")
            self.assertIn("jobs.db: database is locked", answer[1]["detail"])

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

    def test_number(self):
        """So many that have ended stay."""
        with local_server(self, "--demo", "-b", BUDGET, "--keep-jobs", "2") as server:
            self.assertEqual(server.json("GET", "/v1/server")[1]["limits"]["keep_jobs"], 2)
            jobs = [server.submit(self.clip.fields(hold="true"))[1] for _ in range(4)]
            for job in jobs[:3]:
                self.assertEqual(server.ask("POST", job["links"]["self"] + "/cancel")[0], 200)
            self.assertTrue(self.gone(server, jobs[0]))
            self.assertEqual([j["id"] for j in server.json("GET", "/v1/jobs")[1]["jobs"]], [j["id"] for j in jobs[:0:-1]])

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
        wanted = self.clip.by_command(BUILD, BUDGET, "--steps", "1", "--frames", "10", "--resolution", "64")
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


if __name__ == "__main__":
    main()
