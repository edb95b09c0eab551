"""Jobs, from the upload to the result."""

import json
import os
import shutil
import signal
import subprocess
import time

from cases import BUDGET, BUILD, QUICK, Base, main


class Jobs(Base):
    def test_whole_job(self):
        """An upload becomes what the command makes of it, to the last byte."""
        wanted = self.clip.by_command(BUILD, BUDGET, "--steps", "1", "--frames", "10", "--resolution", "64")
        status, job = self.server.submit(self.clip.fields(**QUICK))
        self.assertEqual(status, 202, job)
        self.assertEqual(job["name"], "in.mp4")
        self.assertEqual((job["input"]["width"], job["input"]["height"], job["input"]["thumbs"]), (192, 192, 5))
        self.assertTrue(job["input"]["face"])
        self.assertTrue(job["plan"]["fits"])
        self.assertEqual((job["plan"]["frames"], job["plan"]["windows"], job["plan"]["window_frames"]), (10, 1, 10))
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
        self.assertEqual(report["budget_reason"], "as asked for")
        self.no_path(json.dumps(report))
        self.no_path(json.dumps(done))
        self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)
        self.problem(self.server.json("GET", job["links"]["self"]), 404, "no-such-job")
        self.problem(self.server.json("GET", f"/v1/jobs?after={job['id']}"), 400, "invalid-parameter")
        self.assertFalse(os.path.exists(os.path.join(self.data, "jobs", job["id"])))

    def test_names(self):
        """A result is called as its video is, in whatever script."""
        fields = self.clip.fields(**QUICK)
        for name, plain, whole in (("\u3042 \u00e4.b.mp4", "-------b-memsafe.mp4", "%E3%81%82%20%C3%A4.b-memsafe.mp4"),
                                   ("a" * 100 + ".mp4", "a" * 79 + "-memsafe.mp4", "a" * 100 + "-memsafe.mp4")):
            fields["video"] = (name, fields["video"][1])
            job = self.server.submit(fields)[1]
            self.assertEqual(self.server.wait(job["id"])["state"], "done")
            told = self.server.ask("GET", job["links"]["result"], headers={"Range": "bytes=0-1"})[1]["Content-Disposition"]
            self.assertTrue(told.endswith(f"; filename*=UTF-8''{whole}"), told)
            self.assertTrue(told.startswith(f'attachment; filename="{plain}"'), told)

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

    def test_video_of(self):
        """A video that is there is not sent again, and outlives the job that it came with."""
        first = self.server.submit(self.clip.fields(hold="true"))[1]
        fields = self.clip.fields(**QUICK, video_of=first["id"])
        self.problem(self.server.submit(fields), 422, "invalid-option")  # and a video
        del fields["video"]
        status, job = self.server.submit(fields)
        self.assertEqual((status, job["name"]), (202, "in.mp4"), job)
        self.assertEqual(self.server.ask("DELETE", first["links"]["self"])[0], 204)
        self.assertEqual(self.server.wait(job["id"])["state"], "done")
        wanted = self.clip.by_command(BUILD, BUDGET, "--steps", "1", "--frames", "10", "--resolution", "64")
        self.assertEqual(self.server.ask("GET", job["links"]["result"])[2], wanted)
        for id in (first["id"], "0" * 32, "../" + job["id"][3:], ""):
            self.problem(self.server.submit(dict(fields, video_of=id)), 422, "no-such-job")
            answer = self.server.json("POST", "/v1/jobs", {"video_of": id})
            self.problem(answer, 422, "no-such-job")
            self.assertEqual(answer[1]["field"], "video_of")
        # A link to a file of this machine stays one.
        named = self.server.json("POST", "/v1/jobs", {"video": self.clip.video, "hold": True})[1]
        again = self.server.json("POST", "/v1/jobs", {"video_of": named["id"], "hold": True})[1]
        self.assertEqual(again["input"], named["input"])
        self.assertTrue(os.path.islink(os.path.join(self.data, "jobs", again["id"], "video")))
        self.problem(self.server.json("POST", "/v1/jobs", {"video_of": 7}), 422, "invalid-option")

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
        self.assertEqual(self.server.ask("GET", plain["links"]["result"])[2], self.clip.by_command(BUILD, BUDGET, "--steps", "1", "--frames", "10", "--resolution", "64"))


if __name__ == "__main__":
    main()
