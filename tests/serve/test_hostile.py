"""Uploads that were made to do harm: whatever it is, it is refused or made, the server lives, and no worker is left."""

import json
import os
import random
import resource
import shutil
import struct
import subprocess
import threading
import time
import unittest
import zlib

from cases import BUILD, QUICK, SOURCE, Base, main

MIB = 1 << 20
BUDGET_MIB = 400
FFMPEG = shutil.which("ffmpeg")


def ffmpeg(*arguments):
    subprocess.run([FFMPEG, "-v", "error", "-y", *arguments], check=True)


def box(name, content):
    return struct.pack(">I", len(content) + 8) + name + content


def nested(depth):
    """Boxes within boxes: the sizes of those that are left."""
    names = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta")
    return b"".join(struct.pack(">I", 8 * (depth - i)) + names[i % len(names)] for i in range(depth))


def picture(side, colour, bits):
    """A PNG of one colour: kilobytes that become a gigabyte."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    pack = zlib.compressobj(1)
    row = bytes(1 + side * channels * bits // 8)
    pixels = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)) + \
        chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def patched(data, name, offset, content):
    """Each box of that name has other content from there on."""
    data = bytearray(data)
    at = data.find(name)
    assert at >= 0, name
    while at >= 0:
        data[at + 4 + offset:at + 4 + offset + len(content)] = content
        at = data.find(name, at + 4)
    return bytes(data)


class Hostile(Base):
    @classmethod
    def arguments(cls):
        return ["--demo", "-b", f"{BUDGET_MIB}M", "--max-upload", "16M"]

    def tearDown(self):
        """After each."""
        self.assertEqual(self.server.ask("GET", "/healthz")[0], 200)
        end = time.monotonic() + 10
        while time.monotonic() < end and (os.listdir(os.path.join(self.data, "jobs")) or self.has_look()):
            time.sleep(0.05)
        self.assertEqual(os.listdir(os.path.join(self.data, "jobs")), [])
        self.assertFalse(self.has_look())
        self.assertLessEqual(len(self.server.workers()), 1)

    def has_look(self):
        return "look" in [kind for _, kind in self.server.workers()]

    def good(self):
        with open(self.clip.video, "rb") as file:
            return file.read()

    def upload(self, name, data, **others):
        """What the server says of it; what it takes is deleted."""
        status, answer = self.server.submit(dict(others, video=("../../" + name, data), hold="1"))
        self.assertIn(status, (202, 422), (name, answer))
        self.no_path(json.dumps(answer))
        if status == 202:
            self.assertNotIn("/", answer["name"])
            self.assertEqual(self.server.ask("DELETE", answer["links"]["self"])[0], 204)
        else:
            self.assertTrue(answer["detail"], name)
        return status, answer

    def test_no_media(self):
        good = self.good()
        uploads = {"nothing": b"", "zeros": bytes(100000), "cut": good[:len(good) // 3], "text": b"hello " * 1000,
                   "no index": good[:200] + bytes(len(good) - 200),
                   "list": b"ffconcat version 1.0\nfile /etc/passwd\n", "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n",
                   "xml": b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>'}
        noise = random.Random(1)
        for i in range(6):
            broken = bytearray(good)
            for _ in range(200):
                broken[noise.randrange(len(broken))] = noise.randrange(256)
            uploads[f"broken {i}"] = bytes(broken)
        for name, data in uploads.items():
            self.upload(name, data)

    def test_no_models(self):
        """What is kept against the readers of weights is no video, and no speech either."""
        folder = os.path.join(SOURCE, "tests", "golden", "bad")
        names = sorted(os.listdir(folder))
        self.assertGreater(len(names), 30)
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                self.problem(self.upload(name, file.read()), 422, "bad-media")

    def test_large_pictures(self):
        """Of more bytes than there are for them."""
        speech = {"audio": self.clip.fields()["audio"]}
        for name, data in (("gray", picture(16000, 0, 8)), ("colours", picture(8000, 6, 16)),
                           ("announced", patched(self.good(), b"avc1", 24, struct.pack(">HH", 16000, 16000)))):
            status, answer = self.upload(name, data, **speech)
            if name != "announced":  # what is decoded counts
                self.assertEqual(status, 422, answer)

    def test_times(self):
        """Edits, and clocks, of years."""
        good = self.good()
        for name, box_name, offset, content in (("edit", b"elst", 8, struct.pack(">I", 0x7fffffff)),
                                                ("begin", b"elst", 8, struct.pack(">Ii", 0x7fffffff, -1)),
                                                ("behind", b"elst", 8, struct.pack(">Ii", 1000, 0x7fffffff)),
                                                ("clock", b"mvhd", 12, struct.pack(">II", 1, 0x7fffffff)),
                                                ("media", b"mdhd", 12, struct.pack(">II", 1, 0x7fffffff)),
                                                ("steps", b"stts", 8, struct.pack(">II", 0x7fffffff, 0x7fffffff)),
                                                ("none", b"mdhd", 12, struct.pack(">II", 0, 0))):
            self.upload(name, patched(good, box_name, offset, content))
            self.upload(name, patched(patched(good, box_name, offset, content), b"mvhd", 12, struct.pack(">I", 1)))

    def test_nested(self):
        good = self.good()
        kind = good[:struct.unpack(">I", good[:4])[0]]
        for depth in (20, 1000, 200000):
            self.upload("nested", kind + nested(depth) + box(b"mdat", bytes(64)))
            self.upload("beside", good + nested(depth))

    @unittest.skipUnless(FFMPEG, "no ffmpeg")
    def test_burns(self):
        """Frames that take a few bytes each and a minute to be decoded: a look has 30 s of processor. To be quick it is given
        two here."""
        one, many = self.folder + "/one.h264", self.folder + "/many.mp4"
        ffmpeg("-f", "lavfi", "-i", "color=black:s=1280x720:r=25", "-frames:v", "17", "-pix_fmt", "yuv420p", "-c:v", "libx264",
               "-preset", "ultrafast", "-x264-params", "bframes=0:ref=1:keyint=1000:scenecut=0:slices=1", one)
        with open(one, "rb") as file:
            units = [b"\0\0\1" + unit.rstrip(b"\0") for unit in file.read().split(b"\0\0\1")[1:]]
        first = [unit for unit in units if unit[3] & 31 != 1]
        others = [unit for unit in units if unit[3] & 31 == 1]  # 16 of them, after which their numbers begin anew
        self.assertEqual(len(others), 16)
        with open(one, "wb") as file:
            file.write(b"".join(first + others * 1000))
        ffmpeg("-r", "25", "-f", "h264", "-i", one, "-c", "copy", many)
        with open(many, "rb") as file:
            fields = {"video": ("burns.mp4", file.read()), "audio": self.clip.fields()["audio"], "hold": "1"}
        answers = []
        asker = threading.Thread(target=lambda: answers.append(self.server.submit(fields)))
        asker.start()
        pid = self.looks(self.server)
        self.assertEqual(resource.prlimit(pid, resource.RLIMIT_CPU), (30, 31))
        resource.prlimit(pid, resource.RLIMIT_CPU, (2, 3))
        asker.join()
        self.problem(answers[0], 422, "bad-media")
        self.assertIn("too much time of the processor", answers[0][1]["detail"])

    @unittest.skipUnless(FFMPEG, "no ffmpeg")
    def test_grows(self):
        """Pictures that become larger in mid-stream, after what was looked at: the run keeps within its memory, and says what
        became of it."""
        small, large = self.folder + "/small.ts", self.folder + "/large.ts"
        ffmpeg("-i", self.clip.video, "-an", "-c", "copy", small)
        ffmpeg("-f", "lavfi", "-i", "testsrc=s=4096x4096:r=25", "-frames:v", "6", "-pix_fmt", "yuv420p", "-c:v", "libx264",
               "-preset", "ultrafast", "-output_ts_offset", "0.64", large)
        both = b""
        for name in (small, large):
            with open(name, "rb") as file:
                both += file.read()
        most = (BUDGET_MIB + 512 + 32 * os.sysconf("SC_NPROCESSORS_CONF")) * MIB
        fields = self.clip.fields(steps="1", resolution="64")
        status, job = self.server.submit(dict(fields, video=("grows.ts", both)))
        self.assertEqual(status, 202, job)
        taken = 0
        while self.server.job(job["id"])["state"] in ("queued", "running"):
            taken = max([taken] + [self.data_of(pid) for pid, _ in self.server.workers()])
            time.sleep(0.02)
        job = self.server.job(job["id"])
        self.assertIn(job["state"], ("done", "failed"))
        if job["state"] == "failed":
            self.assertTrue(job["error"]["detail"], job)
            self.assertNotEqual(job["error"]["code"], "worker-died", job)
        self.assertLessEqual(taken, most)
        if not self.sanitized():
            limits = [resource.prlimit(pid, resource.RLIMIT_DATA) for pid, kind in self.server.workers() if kind == "run"]
            self.assertEqual(limits, [(most, most)])
        after = self.server.submit(dict(fields, **QUICK))[1]
        self.assertEqual(self.server.wait(after["id"])["state"], "done")
        for one in (job, after):
            self.assertEqual(self.server.ask("DELETE", one["links"]["self"])[0], 204)

    def test_at_its_limit(self):
        """A run whose memory is refused by the kernel fails in words, and its worker goes on."""
        fields = self.clip.fields(**QUICK)
        first = self.server.submit(fields)[1]
        self.assertEqual(self.server.wait(first["id"])["state"], "done")
        (pid, before), = [(pid, resource.prlimit(pid, resource.RLIMIT_DATA)) for pid, kind in self.server.workers() if kind == "run"]
        resource.prlimit(pid, resource.RLIMIT_DATA, (16 * MIB, before[1]))
        second = self.server.wait(self.server.submit(fields)[1]["id"])
        self.assertEqual((second["state"], second["error"]["code"]), ("failed", "out-of-memory"), second)
        self.assertIn("cannot allocate", second["error"]["detail"])
        resource.prlimit(pid, resource.RLIMIT_DATA, before)
        self.assertEqual(self.server.json("POST", second["links"]["self"] + "/retry")[0], 200)
        self.assertEqual(self.server.wait(second["id"])["state"], "done")
        self.assertIn((pid, "run"), self.server.workers())
        for job in (first, second):
            self.assertEqual(self.server.ask("DELETE", job["links"]["self"])[0], 204)

    @staticmethod
    def data_of(pid):
        try:
            with open(f"/proc/{pid}/status") as file:
                return sum(int(line.split()[1]) for line in file if line.startswith("VmData:")) << 10
        except OSError:
            return 0

    @staticmethod
    def sanitized():
        with open(os.path.join(BUILD, "memsafe"), "rb") as file:
            return b"__asan_init" in file.read() or b"__tsan_init" in file.read()


if __name__ == "__main__":
    main()
