"""What the tests of the interface have in common: a server of their own, a clip, and what a refusal looks like.
A test program is called with BUILD_FOLDER SOURCE_FOLDER [names of tests]."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import unittest

from server import Clip, Server

BUILD, SOURCE = map(os.path.abspath, sys.argv[1:3])
BUDGET = "1G"
QUICK = {"steps": "1", "frames": "10", "resolution": "64"}


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


def reads_upload(pid):
    """Whether a look worker has begun with what it was asked."""
    try:
        return "/jobs/" in os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False


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
    def allowed(cls, said):
        """What the server may have said to its terminal: nothing."""
        return not said

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        said = cls.server.said()
        cls.server.log.close()
        shutil.rmtree(cls.folder)
        assert code == 0, (code, said)
        assert cls.allowed(said), said

    def looks(self, server):
        """The look worker that has begun with what it was asked."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for pid, kind in server.workers():
                if kind == "look" and reads_upload(pid):
                    return pid
        self.fail("no upload is looked at")

    def problem(self, answer, status, code):
        self.assertEqual((answer[0], answer[1]["code"]), (status, code), answer)
        self.assertEqual(answer[1]["status"], status)
        self.assertEqual(answer[1]["type"], f"https://memsafe.invalid/problems/{code}")
        self.assertTrue(answer[1]["title"] and answer[1]["detail"])
        self.no_path(json.dumps(answer[1]))

    def no_path(self, text):
        for path in (self.folder, SOURCE, "/proc", "/usr"):
            self.assertNotIn(path, text)


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
