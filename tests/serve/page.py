"""The page in a real browser: page.py BUILD SOURCE [SCREENSHOTS]. Needs chromium and its driver, selenium, axe-selenium-python.

What is no video is told, a video alone is planned, a speech is added, the plan is read, a part is chosen, the job is started, watched,
cancelled, tried again and downloaded; axe finds no violation, in light, in dark and in a narrow window.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from axe_selenium_python import Axe
from selenium import webdriver
from selenium.webdriver.common.by import By
from server import Clip, Server

WAIT_S = 240


def browser():
    options = webdriver.ChromeOptions()
    for name in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(name)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_window_size(1100, 1500)
    return driver


def until(what, holds):
    end = time.time() + WAIT_S
    while time.time() < end:
        value = holds()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {WAIT_S} s")


class Page:
    def __init__(self, driver, shots):
        self.driver, self.shots = driver, shots

    def one(self, id):
        return self.driver.find_element(By.ID, id)

    def shown(self, id):
        return self.one(id).is_displayed()

    def press(self, words):
        rows = self.driver.find_elements(By.CSS_SELECTOR, ".jobs .row button")
        next(b for b in rows if b.text == words).click()

    def has(self, words):
        return any(b.text == words for b in self.driver.find_elements(By.CSS_SELECTOR, ".jobs .row button"))

    def look(self, name, keep=True):
        found = self.axe.run()["violations"]
        assert not found, (name, [(v["id"], [n["html"] for n in v["nodes"]]) for v in found])
        if self.shots and keep:
            self.driver.save_screenshot(os.path.join(self.shots, f"serve_{name}.png"))

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})


def uploaded(server):
    lines = server.ask("GET", "/metrics")[2].decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("memsafe_upload_bytes_total "))))


def try_it(page, server, video, speech, silent, text):
    page.driver.get(f"http://{server.host}:{server.port}/")
    # The page's policy forbids scripts of others; the browser's own console may run one.
    page.axe = Axe(page.driver)
    page.axe.inject()
    until("the models", lambda: page.one("model").find_elements(By.TAG_NAME, "option"))
    # What is no video is told at once; a video alone is planned with its own sound, or waits where it has none.
    page.one("video").send_keys(text)
    until("that it is no video", lambda: "no file of video" in page.one("trouble").text and "no file of video" in page.one("video-said").text)
    page.look("no_video", keep=False)
    page.one("video").send_keys(silent)
    until("that it has no sound", lambda: page.one("audio-said").text.startswith("This video has no sound"))
    assert not page.shown("trouble") and not page.shown("start")
    page.one("video").send_keys(video)
    until("the plan of the video alone", lambda: page.shown("start") and page.one("start").is_enabled())
    alone = server.json("GET", "/v1/jobs?state=held")[1]["jobs"][0]["id"]
    assert "own sound" in page.one("plan-notes").text, page.one("plan-notes").text
    page.look("alone", keep=False)
    page.driver.execute_script("const f = document.getElementById('from'); f.value = 0.4; f.dispatchEvent(new Event('input', {bubbles: true}))")
    until("the plan of a part", lambda: page.one("plan").text.startswith("This"))
    # Another speech: the part stays chosen, and the video is not sent again.
    sent = uploaded(server)
    page.one("audio").send_keys(text)
    until("that it is no speech", lambda: page.shown("trouble") and page.one("audio-said").text.startswith("text.mp4: "))
    page.one("audio").send_keys(speech)
    until("another job", lambda: [j["id"] for j in server.json("GET", "/v1/jobs?state=held")[1]["jobs"]] not in ([], [alone]))
    until("the plan", lambda: page.shown("start") and page.one("start").is_enabled())
    assert "own sound" not in page.one("plan-notes").text, page.one("plan-notes").text
    assert os.path.getsize(speech) < uploaded(server) - sent < os.path.getsize(speech) + 20000, (uploaded(server), sent)
    jobs = server.json("GET", "/v1/jobs?state=held")[1]["jobs"]
    assert [(j["options"]["start_s"], j["name"]) for j in jobs] == [(0.4, os.path.basename(video))], jobs
    page.driver.execute_script("const f = document.getElementById('from'); f.value = 0; f.dispatchEvent(new Event('input', {bubbles: true}))")
    until("the plan of the whole", lambda: page.one("plan").text.startswith("This") and page.one("start").is_enabled())
    assert page.one("plan").text.startswith("This will take about "), page.one("plan").text
    for word in ("pcm_s16le", "aac", "large one", "because"):
        assert word not in page.one("held").text, page.one("held").text
    page.look("plan")
    # The end that nobody moved is the video's: 2.4 s are 60 frames, all of which are asked for after another change.
    steps = page.one("steps")
    page.driver.execute_script("const s = arguments[0]; s.value = 12; s.dispatchEvent(new Event('change', {bubbles: true}))", steps)
    assert not page.one("start").is_enabled()
    until("the changed plan", lambda: page.one("start").is_enabled())
    job = server.json("GET", "/v1/jobs?state=held")[1]["jobs"][0]
    assert (job["options"]["steps"], job["options"]["duration_s"]) == (12, 0), job["options"]
    # Loaded anew it is there still, with its settings; to others it is not theirs.
    page.driver.refresh()
    page.axe.inject()
    until("its own job", lambda: page.shown("start") and page.one("start").is_enabled())
    assert page.one("steps").get_attribute("value") == "12"
    mine = page.driver.current_window_handle
    page.driver.switch_to.new_window("window")
    page.driver.get(f"http://{server.host}:{server.port}/")
    until("the models", lambda: page.one("model").find_elements(By.TAG_NAME, "option"))
    time.sleep(1)
    assert not page.shown("held")
    page.driver.get(f"http://{server.host}:{server.port}/#{job['id']}")
    page.driver.refresh()
    until("the job of the link", lambda: page.shown("start"))
    page.driver.close()
    page.driver.switch_to.window(mine)
    page.driver.execute_script("const s = document.getElementById('steps'); s.value = 20; s.dispatchEvent(new Event('change', {bubbles: true}))")
    until("the plan", lambda: page.one("start").is_enabled())
    page.driver.execute_script("const t = document.getElementById('to'); t.value = 1.6; t.dispatchEvent(new Event('input', {bubbles: true}))")
    until("the new plan", lambda: page.one("plan").text == "Planning …")
    assert not page.one("start").is_enabled()  # what is started is what is shown
    until("the new plan", lambda: page.one("plan").text.startswith("This"))
    page.one("start").click()
    until("a preview", lambda: page.shown("preview"))
    until("its picture", lambda: page.driver.execute_script("return document.getElementById('preview-out').naturalWidth > 0"))
    page.look("running")
    page.press("Cancel")
    until("the end", lambda: page.one("view-said").text.startswith("cancelled"))
    until("the button", lambda: page.has("Try again"))
    page.press("Try again")
    until("the result", lambda: page.one("view-said").text.startswith("done"))
    # What is shown is the result of the part that was chosen: 40 frames and what follows the speech is cut.
    until("the player", lambda: page.driver.execute_script("return document.getElementById('play-out').duration > 0"))
    assert abs(page.driver.execute_script("return document.getElementById('play-out').duration") - 1.6) < 0.1
    page.one("play").click()
    until("both play", lambda: page.driver.execute_script("return document.getElementById('play-out').currentTime > 0.3 && document.getElementById('play-in').currentTime > 0.3"))
    with urllib.request.urlopen(page.one("download").get_attribute("href")) as answer:
        assert answer.read(12)[4:8] == b"ftyp"
    page.driver.execute_script("document.getElementById('view').scrollIntoView()")
    page.look("done")
    page.scheme("dark")
    page.look("dark")
    page.driver.set_window_size(500, 1500)  # as narrow as the browser's window goes; 400 by its device's size
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 400, "height": 1400, "deviceScaleFactor": 1, "mobile": True})
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 400
    page.look("narrow")
    page.press("Delete")
    until("it is gone", lambda: page.shown("empty"))
    # What was refused above is an error to the browser, too.
    wrong = [e["message"] for e in page.driver.get_log("browser") if e["level"] == "SEVERE" and " 422 " not in e["message"]]
    assert not wrong, wrong


def main():
    build = os.path.abspath(sys.argv[1])
    shots = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
    folder = tempfile.mkdtemp(prefix="memsafe-page.")
    clip = Clip(build, folder, 60)
    silent, text = os.path.join(folder, "silent.mkv"), os.path.join(folder, "text.mp4")
    subprocess.run([os.path.join(build, "memsafe"), "run", "--demo", "-i", clip.video, "-a", clip.audio, "--steps", "1", "--frames", "5",
                    "--audio-out", "none", "-c", "ffv1", "-q", silent], check=True)
    with open(text, "w") as file:
        file.write("hello!")
    server = Server(build, os.path.join(folder, "data"), "--demo", "-b", "2G")
    driver = browser()
    try:
        try_it(Page(driver, shots), server, clip.video, clip.audio, silent, text)
    finally:
        driver.quit()
        server.stop()
        shutil.rmtree(folder)
    print("page: refused, chosen, planned, cut, started, seen, cancelled, tried again, played, downloaded, deleted; axe finds nothing")


main()
