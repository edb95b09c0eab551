"""The server on a device with memory of its own, the emulated card, whose kernels compute nothing here: test_card.py BUILD SOURCE."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time

from cases import BUILD, QUICK, Base, main
from server import Server

MIB = 1 << 20
CARD = {"MEMSAFE_SIMT": "2G,sm_86", "MEMSAFE_SIMT_SKIP": "1"}


class Card(Base):
    """A look knows the card by numbers: its worker has neither the addresses that a driver wants, nor may it take
    from a run what a second context needs."""

    @classmethod
    def arguments(cls):
        return ["--demo", "--device", "simt"]

    @classmethod
    def environment(cls):
        return CARD

    @contextlib.contextmanager
    def other_server(self, *arguments, **environment):
        data = tempfile.mkdtemp(dir=self.folder)
        server = Server(BUILD, data, "--demo", *arguments, environment=dict(CARD, **environment))
        try:
            yield server
        finally:
            self.assertEqual(server.stop(), 0)
            server.log.close()

    def test_budgets(self):
        """Each is of its own memory, and the card's no more than it has."""
        told = self.server.json("GET", "/v1/server")[1]
        self.assertTrue(0 < told["budget_bytes"] < 2048 * MIB, told)
        self.assertGreater(told["host_budget_bytes"], 0)
        with self.other_server("--device", "simt", "-b", "5G", "--host-budget", "700M") as server:
            told = server.json("GET", "/v1/server")[1]
            self.assertEqual((told["budget_bytes"], told["host_budget_bytes"]), (2048 * MIB, 700 * MIB))
        with self.other_server("--device", "cpu", "-b", "1G") as server:
            self.assertNotIn("host_budget_bytes", server.json("GET", "/v1/server")[1])

    def test_job(self):
        for _ in range(2):  # the second by the worker that has done the first
            job = self.server.wait(self.server.submit(self.clip.fields(**QUICK))[1]["id"])
            self.assertEqual(job["state"], "done", job)
            self.assertTrue(job["input"]["face"])
            plan, report = job["plan"], self.server.json("GET", job["links"]["report"])[1]
            self.assertTrue(plan["fits"] and plan["seconds"] > 0, plan)
            self.assertLessEqual(plan["least_bytes"], plan["peak_bytes"] + 3 * MIB)
            self.assertLessEqual(plan["host_peak_bytes"], plan["host_budget_bytes"])
            self.assertEqual(report["budget_bytes"], plan["budget_bytes"])
            self.assertEqual(report["host_budget_bytes"], plan["host_budget_bytes"])
            self.assertLessEqual(report["device_peak_bytes"], plan["budget_bytes"])
            self.assertGreater(report["device_peak_bytes"], 0)
        self.assertEqual([kind for _, kind in self.server.workers()], ["device"])

    def test_plan_by_numbers(self):
        asked = {"width": 640, "height": 480, "fps": 25, "frames": 100}
        status, plan = self.server.json("POST", "/v1/plan", asked)
        self.assertEqual((status, plan["fits"]), (200, True), plan)
        self.assertLessEqual(plan["host_peak_bytes"], plan["host_budget_bytes"])

    def test_too_small(self):
        with self.other_server("--device", "simt", "-b", "100M") as server:
            answer = server.submit(self.clip.fields(**QUICK))
            self.problem(answer, 422, "does-not-fit")
            self.assertGreater(answer[1]["needs_bytes"], 100 * MIB)
            self.assertIn("a budget of 100 MiB is too small", answer[1]["detail"])

    def test_host_too_small(self):
        with self.other_server("--device", "simt", "--host-budget", "40M") as server:
            answer = server.submit(self.clip.fields(**QUICK))
            self.problem(answer, 422, "does-not-fit")
            self.assertIn("a budget of 40 MiB of the host's memory is too small", answer[1]["detail"])
            self.assertNotIn("needs_bytes", answer[1])

    def test_lost(self):
        """Only a new process gets a card back: the job goes on in one, and so does the next job."""
        with self.other_server("--device", "simt", MEMSAFE_SIMT_LOSE_AFTER="25000") as server:  # loading takes most of these
            workers = set()
            for _ in range(20):
                job = server.wait(server.submit(self.clip.fields(**dict(QUICK, steps="10")))[1]["id"])
                self.assertEqual(job["state"], "done", job)
                workers.update(server.workers())
                if len(workers) > 1:
                    break
            self.assertEqual(len(workers), 2)
        with self.other_server("--device", "simt", MEMSAFE_SIMT_LOSE_AFTER="500") as server:
            job = server.wait(server.submit(self.clip.fields(**QUICK))[1]["id"])
            self.assertEqual((job["state"], job["error"]["code"]), ("failed", "device-lost"), job)
            self.assertIn("the worker ended twice at the same place, after frame 0: ", job["error"]["detail"])

    def test_lesser_budget(self):
        """Where the memory is the same the lesser of the two holds, and the look knows."""
        with self.other_server("--device", "cpu", "-b", "1G", "--host-budget", "600M") as server:
            self.assertEqual(server.json("GET", "/v1/server")[1]["budget_bytes"], 600 * MIB)
            job = server.wait(server.submit(self.clip.fields(**QUICK))[1]["id"])
            self.assertEqual((job["state"], job["plan"]["budget_bytes"]), ("done", 600 * MIB))
            self.assertNotIn("host_budget_bytes", job["plan"])

    def test_named_is_enough(self):
        """What a refusal names is what works; of the host's memory nearly, for the plan has not opened the card."""
        for budget, more, other in (("-b", 0, ()), ("--host-budget", 8, ("-b", "2G"))):
            with self.other_server("--device", "simt", budget, "60M", *other) as server:
                detail = server.submit(self.clip.fields(**QUICK))[1]["detail"]
            needs = re.search(r"needs (?:at least )?(\d+) MiB", detail).group(1)
            with self.other_server("--device", "simt", budget, f"{int(needs) + more}M", *other) as server:
                job = server.wait(server.submit(self.clip.fields(**QUICK))[1]["id"])
                self.assertEqual(job["state"], "done", (detail, job))

    def warned(self, *arguments):
        with self.other_server("--device", "simt", *arguments) as server:
            end = time.monotonic() + 30
            while time.monotonic() < end and not server.said():
                time.sleep(0.1)
            return server.said()

    def test_too_small_for_any(self):
        """Said when it starts, and of the memory that is too small."""
        self.assertIn("a budget of 40 MiB of the host's memory is too small for any job", self.warned("--host-budget", "40M"))
        self.assertIn("a budget of 100 MiB is too small for any job", self.warned("-b", "100M"))

    def test_stopped_while_it_looks(self):
        """A device may take minutes to open. Nothing is left that has the folder."""
        data = os.path.join(self.folder, "slow")
        slow = {"MEMSAFE_PLUGIN_DIR": os.path.join(BUILD, "faulty_plugins", "faulty"), "MEMSAFE_FAULT": "opens_slowly"}
        command = [os.path.join(BUILD, "memsafe"), "serve", "--demo", "--listen", "127.0.0.1:0", "--data", data, "--device", "faulty"]
        for how, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -9)):
            process = subprocess.Popen(command, env=dict(os.environ, **slow), stderr=subprocess.DEVNULL)
            end = time.monotonic() + 30
            while time.monotonic() < end and not os.path.exists(os.path.join(data, "lock")):
                time.sleep(0.05)
            time.sleep(0.5)
            process.send_signal(how)
            self.assertEqual(process.wait(10), code)
        server = Server(BUILD, data, "--demo", "-b", "1G", "--device", "cpu")
        self.assertEqual(server.stop(), 0)
        server.log.close()

    def test_no_such_device(self):
        """Said at once, not of the first job."""
        for device, words in (("nonsense", "nonsense"), ("simt:3", "there is no device simt:3"), ("a:b:c", "is no device")):
            with tempfile.TemporaryDirectory() as data, self.assertRaisesRegex(RuntimeError, words):
                Server(BUILD, data, "--demo", "-b", "1G", "--device", device, environment=CARD)


if __name__ == "__main__":
    main()
