"""kill -9 of the server at random moments while five jobs wait: all become what the command makes of them.
kill_rounds.py BUILD_FOLDER SOURCE_FOLDER KILLS [SEED]"""

import os
import random
import shutil
import sys
import tempfile
import time

from server import Clip, Server

BUDGET = "1G"


def alive(pids):
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}") and open(f"/proc/{pid}/stat").read().split()[2] != "Z"]


def main():
    build, kills = os.path.abspath(sys.argv[1]), int(sys.argv[3])
    noise = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    folder = tempfile.mkdtemp(prefix="memsafe-kills.")
    # Long enough that there is something left to kill.
    frames = 16 + 16 * min(8, kills // 5)
    clip = Clip(build, folder, frames)
    seeds = (1, 2, 3, 4, 5)
    wanted = [clip.by_command(build, BUDGET, "--steps", "2", "--seed", str(seed)) for seed in seeds]
    server = Server(build, os.path.join(folder, "data"), "--demo", "-b", BUDGET)
    jobs = [server.submit(clip.fields(steps="2", seed=str(seed)))[1] for seed in seeds]
    assert all("id" in job for job in jobs), jobs
    useful = 0
    for kill in range(kills):
        time.sleep(noise.uniform(0.05, 2.0))
        states = [server.job(job["id"])["state"] for job in jobs]
        assert set(states) <= {"queued", "running", "done"}, states
        useful += "running" in states or "queued" in states
        workers = [pid for pid, _ in server.workers()]
        server.kill()
        end = time.monotonic() + 10
        while alive(workers) and time.monotonic() < end:
            time.sleep(0.01)
        assert not alive(workers), "a worker outlives its server"
        server.start()
    for job, seed, bytes_wanted in zip(jobs, seeds, wanted):
        ended = server.wait(job["id"], seconds=1200)
        assert ended["state"] == "done", ended
        assert server.ask("GET", job["links"]["result"])[2] == bytes_wanted, f"job {seed} is another file"
    code = server.stop()
    assert code == 0, (code, server.said())
    left = os.listdir(os.path.join(folder, "data", "jobs"))
    assert sorted(left) == sorted(job["id"] for job in jobs), left
    shutil.rmtree(folder)
    assert useful >= kills - max(1, kills // 10), f"{kills - useful} of {kills} kills met a server that had nothing to do"
    print(f"{kills} kills, {useful} of them with jobs to do: five results, the same bytes")


main()
