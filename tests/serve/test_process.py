"""The server's processes, and budgets that are too small."""

import contextlib
import http.client
import http.server
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from cases import BUDGET, BUILD, QUICK, SOURCE, Base, local_server, main
from server import Server, form


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

    def test_left_while_looking(self):
        """Who leaves before the answer does not know the id: nothing is held for them. A job that was to run, runs."""
        with local_server(self, "--demo", "-b", BUDGET) as server:
            for hold, left in (("true", 0), ("false", 1)):
                connection = http.client.HTTPConnection(server.host, server.port)
                body, kind = form(self.clip.fields(**QUICK, hold=hold))
                connection.request("POST", "/v1/jobs", body, {"Content-Type": kind})
                looker = self.looks(server)
                os.kill(looker, signal.SIGSTOP)
                connection.close()
                os.kill(looker, signal.SIGCONT)
                end = time.monotonic() + 60
                while (looker in dict(server.workers()) or len(self.kept(server)) != left) and time.monotonic() < end:
                    time.sleep(0.1)
                self.assertEqual(len(self.kept(server)), left)

    def kept(self, server):
        """Jobs, where no folder is there but theirs."""
        jobs = server.json("GET", "/v1/jobs")[1]["jobs"]
        folders = [name for name in os.listdir(os.path.join(server.data, "jobs")) if not name.startswith(".")]
        return jobs if sorted(folders) == sorted(job["id"] for job in jobs) else [None] * 9

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

    def test_large_stacks(self):
        """Threads' stacks count as a worker's memory, and are as large as the server's own may be, unless it is told."""
        before = resource.getrlimit(resource.RLIMIT_STACK)
        large = 512 << 20
        if before[1] != resource.RLIM_INFINITY and before[1] < large:
            self.skipTest("stacks cannot be made larger")
        resource.setrlimit(resource.RLIMIT_STACK, (large, before[1]))
        try:
            with local_server(self, "--demo", "-b", BUDGET) as server:
                status, job = server.submit(self.clip.fields(**QUICK))
                self.assertEqual(status, 202, job)
                done = server.wait(job["id"])
                self.assertEqual(done["state"], "done", done)
        finally:
            resource.setrlimit(resource.RLIMIT_STACK, before)

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
            while "run" not in [kind for _, kind in server.workers()] and time.monotonic() < end:
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


class Tight(Base):
    @classmethod
    def arguments(cls):
        return ["--demo", "-b", "5M", "--max-waiting", "1"]

    @classmethod
    def allowed(cls, said):
        """That no job fits is told at the start, and nothing else."""
        lines = said.strip().split("\n")
        return len(lines) == 1 and re.search(r"a budget of 5.00 MiB is too small for any job: .* needs at least \d+ MiB$", lines[0])

    def numbers(self, server, frames):
        return server.json("POST", "/v1/plan", {"width": 192, "height": 192, "frames": frames})[1]

    def test_does_not_fit(self):
        """What is needed is one number, and a server that has it does the job, the second in the same worker too."""
        fields = self.clip.fields(steps="1")
        answer = self.server.submit(fields)
        self.problem(answer, 422, "does-not-fit")
        needs = answer[1]["needs_bytes"]
        self.assertGreater(needs, 64 << 20)
        self.assertTrue(answer[1]["detail"].endswith(f" needs at least {needs >> 20} MiB"), answer)
        plan = self.numbers(self.server, 16)
        self.assertEqual((plan["fits"], plan["budget_bytes"]), (False, 5 << 20), plan)
        # Equal processes lie up to 2 MiB apart (MS_RUN_DRIFT_BYTES).
        self.assertLessEqual(abs(plan["least_bytes"] - needs), 2 << 20, (plan, needs))
        with local_server(self, "--demo", "-b", str(needs)) as server:
            for _ in range(2):
                status, job = server.submit(fields)
                self.assertEqual(status, 202, job)
                self.in_order(job["plan"], needs)
                done = server.wait(job["id"])
                self.assertEqual(done["state"], "done", done)
                self.assertLessEqual(done["progress"]["peak_bytes"], needs)
            self.in_order(self.numbers(server, 16), needs)

    def in_order(self, plan, budget):
        """The least has up to 3 MiB for what differs between processes, but not beyond what is there."""
        self.assertEqual((plan["fits"], plan["budget_bytes"]), (True, budget), plan)
        self.assertLessEqual(plan["peak_bytes"], budget)
        self.assertLessEqual(plan["least_bytes"], budget)
        self.assertLessEqual(plan["least_bytes"], plan["peak_bytes"] + (3 << 20))

    def test_plenty(self):
        """With more than is needed the least stays what it was."""
        needs = self.server.submit(self.clip.fields(steps="1"))[1]["needs_bytes"]
        with local_server(self, "--demo", "-b", BUDGET) as server:
            job = server.submit(self.clip.fields(steps="1", hold="true"))[1]
            self.in_order(job["plan"], 1 << 30)
            self.assertLessEqual(abs(job["plan"]["least_bytes"] - needs), 2 << 20, (job, needs))
            self.assertLess(job["plan"]["least_bytes"], job["plan"]["peak_bytes"])


class Service(unittest.TestCase):
    """The unit of systemd."""

    def setUp(self):
        self.unit = os.path.join(SOURCE, "serve", "memsafe.service")
        self.folder = tempfile.mkdtemp(prefix="memsafe-service.")
        self.addCleanup(shutil.rmtree, self.folder)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd")
    def test_is_understood(self):
        """With limits that are suggested, too."""
        path = os.path.join(self.folder, "memsafe-test.service")
        with open(self.unit) as unit, open(path, "w") as copy:
            text = unit.read()
            self.assertIn("\n#MemoryMax=", text)
            copy.write(text.replace("\n#MemoryMax=", "\nMemoryMax=").replace("/usr/local/bin", BUILD))
        got = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True)
        said = [line for line in (got.stdout + got.stderr).decode().splitlines() if "memsafe" in line]
        if not said and got.returncode:  # other units of this machine
            self.skipTest(got.stderr.decode())
        self.assertEqual(said, [])

    def command(self):
        """As the unit has it, in a folder of the test's, listening elsewhere."""
        with open(self.unit) as file:
            line, = [line for line in file if line.startswith("ExecStart=")]
        line = line.split("=", 1)[1].replace("%S/memsafe", self.folder).replace("/usr/local/bin", BUILD).replace("$$", "$")
        return shlex.split(line.replace(" -q ", " "))  # it says where it listens

    def serves(self, *arguments):
        """The names of the models of the unit's server."""
        said = os.path.join(self.folder, "said")
        with open(said, "w") as file:
            process = subprocess.Popen([*self.command(), *arguments, "--listen", "127.0.0.1:0"], cwd=self.folder, stdout=file, stderr=file,
                                       env=dict(os.environ, MEMSAFE_HISTORY=self.folder + "/history/history.db"))
        try:
            end, text = time.monotonic() + 60, ""
            while process.poll() is None and time.monotonic() < end:
                with open(said) as file:
                    text = file.read()
                address = re.search(r"memsafe serves at (http://\S+/) ", text)
                if address:
                    with urllib.request.urlopen(address[1] + "v1/models", timeout=60) as answer:
                        return [model["name"] for model in json.load(answer)["models"]]
                time.sleep(0.1)
            self.fail(f"it does not serve: {text}")
        finally:
            process.terminate()
            process.wait(60)

    def test_starts(self):
        """In a folder in which nothing is, with the demo model; then with the one that was put there."""
        self.assertEqual(self.serves(), ["demo"])
        demo, own = os.path.join(SOURCE, "models", "demo"), os.path.join(self.folder, "models", "own")
        os.makedirs(own)
        for name in os.listdir(demo):
            os.symlink(os.path.join(demo, name), os.path.join(own, name))
        self.assertEqual(self.serves(), ["own"])


if __name__ == "__main__":
    main()
