"""`make demo-serve`: what it says, what the click does, and beside another server: test_demo.py BUILD SOURCE."""

import http.server
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from server import HISTORY, Server

BUILD, SOURCE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PAGE = re.compile(r"Open (http://127\.0\.0\.1:\d+/)#([0-9a-f]{32}) and click Start")


class Demo:
    def __init__(self, folder, **environment):
        opener = os.path.join(folder, "xdg-open")  # a desktop, as far as the script can tell
        with open(opener, "w") as file:
            file.write(f'#!/bin/sh\necho "$1" >"{folder}/opened"\n')
        os.chmod(opener, 0o755)
        known = dict(os.environ, **HISTORY, BUILD=BUILD, DEMO=os.path.join(folder, "demo"), SYNTH="babble", FRAMES="8",
                     PATH=f"{folder}:{os.environ['PATH']}")
        for name in ("LISTEN", "DISPLAY", "WAYLAND_DISPLAY"):
            known.pop(name, None)
        self.process = subprocess.Popen([os.path.join(SOURCE, "tools", "demo_serve")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=dict(known, **environment))
        self.said, end = "", time.monotonic() + 300
        while not PAGE.search(self.said) and select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                break
            self.said += piece.decode()
        found = PAGE.search(self.said)
        self.address, self.id = found.groups() if found else (None, None)

    def ask(self, method, path):
        with urllib.request.urlopen(urllib.request.Request(self.address + path, method=method), timeout=60) as answer:
            return answer.read()

    def job(self, id):
        return json.loads(self.ask("GET", f"v1/jobs/{id}"))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


@unittest.skipUnless(shutil.which("curl"), "tools/demo_serve asks with curl, which is not there")
class Test(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="memsafe-demo.")
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name

    def start(self, **environment):
        demo = Demo(self.folder, **environment)
        self.addCleanup(lambda: demo.process.poll() is None and demo.end())
        self.addCleanup(demo.process.stdout.close)
        return demo

    def opened(self):
        """What the desktop was told to open, once that is written to its end."""
        text, end = "", time.monotonic() + 30
        while not text.endswith("\n") and time.monotonic() < end:
            time.sleep(0.05)
            if os.path.exists(f"{self.folder}/opened"):
                with open(f"{self.folder}/opened") as file:
                    text = file.read()
        return text

    def test_one_click(self):
        demo = self.start(LISTEN="127.0.0.1:0", DISPLAY=":0")
        self.assertIsNotNone(demo.id, demo.said)
        page = demo.ask("GET", "").decode()
        self.assertIn('id="start"', page)
        self.assertEqual(self.opened(), f"{demo.address}#{demo.id}\n")
        self.assertEqual(demo.job(demo.id)["state"], "held")
        demo.end()
        with self.assertRaises(urllib.error.URLError):  # the server ends with it
            demo.ask("GET", "healthz")
        os.remove(f"{self.folder}/opened")

        # What somebody else has made ready there is not the demo's: its own of the last time is.
        server = Server(BUILD, os.path.join(self.folder, "demo", "serve"), "--demo")
        with open(f"{self.folder}/demo/clip/input.mp4", "rb") as file:
            status, other = server.submit({"hold": "true", "video": ("other.mp4", file.read())})
        server.stop()
        server.log.close()
        self.assertEqual(status, 202, other)
        again = self.start(LISTEN="127.0.0.1:0")
        self.assertEqual(again.id, demo.id, again.said)
        self.assertFalse(os.path.exists(f"{self.folder}/opened"))  # there is no desktop now
        again.ask("POST", f"v1/jobs/{again.id}/start")
        end = time.monotonic() + 300
        while again.job(again.id)["state"] in ("queued", "running") and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(again.job(again.id)["state"], "done", again.job(again.id))
        self.assertEqual(again.ask("GET", f"v1/jobs/{again.id}/result")[4:8], b"ftyp")
        # Another on the same folder says so, and ends.
        second = self.start(LISTEN="127.0.0.1:0")
        self.assertIsNone(second.id)
        self.assertIn("another server uses", second.said)
        self.assertNotEqual(second.process.wait(60), 0)
        again.end()
        # The next one has a new job to click on.
        third = self.start(LISTEN="127.0.0.1:0")
        self.assertNotIn(third.id, (None, again.id, other["id"]))

    def test_another_server_is_there(self):
        asked = []

        class Stranger(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()

            do_POST = do_GET

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
            threading.Thread(target=stranger.serve_forever, daemon=True).start()
            address = f"127.0.0.1:{stranger.server_address[1]}"
            named = self.start(LISTEN=address)
            self.assertEqual(named.process.wait(60), 1)
            self.assertIn(f"something answers at {address} already", named.said)
            # Unless it was named, another port does.
            demo = self.start(USUAL=address)
            self.assertIsNotNone(demo.id, demo.said)
            self.assertIn(f"Another program has {address}, so this is at {demo.address}", demo.said)
            self.assertNotIn(address, demo.address)
            self.assertEqual(demo.job(demo.id)["state"], "held")
            stranger.shutdown()
        self.assertEqual(asked, [])


unittest.main(argv=sys.argv[:1], verbosity=2)
