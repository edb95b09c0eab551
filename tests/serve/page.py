"""The page in a real browser: page.py BUILD SOURCE [SCREENSHOTS]. Needs chromium and its driver, selenium, axe-selenium-python.

What is no video is told, a video alone is planned, a speech is added, the plan is read, a part is chosen, the job is started, watched,
cancelled, tried again and downloaded; axe finds no violation, in light, in dark and in a narrow window. Files are dropped, a voice is
recorded, the server is killed under the page and comes back, a long list is shown in parts, a token is asked for. All of it by the keyboard
where there is one for it.
"""

import base64

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
from selenium.webdriver.common.keys import Keys
from server import Clip, Server

WAIT_S = 240


def browser():
    options = webdriver.ChromeOptions()
    for name in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"):
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

    def words(self, selector):
        """Of all that there are at one moment: rows are replaced while one looks."""
        return self.driver.execute_script("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def press(self, words):
        """By the keyboard: what has the focus when the row changes under it is not lost."""
        self.driver.execute_script("[...document.querySelectorAll('.jobs .row button')].find(b => b.textContent === arguments[0]).focus()", words)
        webdriver.ActionChains(self.driver).send_keys(Keys.ENTER).perform()

    def has(self, words):
        return words in self.words(".jobs .row button")

    def open(self, server):
        self.driver.get(f"http://{server.host}:{server.port}/")
        # The page's policy forbids scripts of others; the browser's own console may run one.
        self.axe = Axe(self.driver)
        self.axe.inject()

    def focus(self):
        """What has it: the words of a button, or an id."""
        return self.driver.execute_script("const e = document.activeElement; return e.id || e.textContent")

    def names(self):
        return self.words(".jobs .name")

    def ready(self, what):
        until(what, lambda: self.shown("start") and self.one("start").is_enabled())

    def drop(self, where, *paths):
        """Drops files, and says whether the browser was kept from leaving the page for them."""
        files = []
        for path in paths:
            with open(path, "rb") as file:
                files.append([os.path.basename(path), base64.b64encode(file.read()).decode()])
        return self.driver.execute_script(DROP, where, files, {"mp4": "video/mp4", "wav": "audio/wav", "txt": "text/plain"})

    def no_errors(self, *allowed):
        """In the browser's console, but for answers that the test asked for."""
        all = [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]
        wrong = [m for m in all if not any(a in m for a in allowed)]
        assert not wrong, wrong

    def look(self, name, keep=True):
        found = self.axe.run()["violations"]
        assert not found, (name, [(v["id"], [n["html"] for n in v["nodes"]]) for v in found])
        if self.shots and keep:
            self.driver.save_screenshot(os.path.join(self.shots, f"serve_{name}.png"))

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})


DROP = """
const [where, files, types] = arguments, data = new DataTransfer();
for (const [name, bytes] of files)
  data.items.add(new File([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))], name, {type: types[name.split('.').pop()] || ''}));
const events = ['dragover', 'drop'].map(kind => new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data}));
document.querySelector(where).dispatchEvent(events[0]);
const lit = [...document.querySelectorAll('.drop.over')].map(each => each.dataset.kind).join();
document.querySelector(where).dispatchEvent(events[1]);
return [events.every(event => event.defaultPrevented), lit, document.querySelectorAll('.drop.over').length]
"""


def uploaded(server):
    lines = server.ask("GET", "/metrics")[2].decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("memsafe_upload_bytes_total "))))


def try_it(page, server, video, speech, silent, text):
    page.open(server)
    until("the models", lambda: page.one("model").find_elements(By.TAG_NAME, "option"))
    assert not page.shown("logout")  # there is no token
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
    assert page.focus() == "Try again", page.focus()  # in the place of the one that was pressed
    page.press("Try again")
    until("that it goes on", lambda: page.has("Cancel"))
    assert page.focus() == "Cancel", page.focus()
    until("the result", lambda: page.one("view-said").text.startswith("done"))
    # What is shown is the result of the part that was chosen: 40 frames and what follows the speech is cut.
    until("the button", lambda: not page.has("Cancel"))
    assert page.focus() == page.names()[0], page.focus()  # and not Delete, which somebody might press who meant Cancel
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
    assert page.focus() == "queue-title", page.focus()
    page.no_errors(" 422 ")  # what was refused above is an error to the browser, too


def drop_them(page, server, video, speech, folder):
    """Beside the zones, in the wrong one, two at once, too many."""
    page.scheme("light")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.driver.set_window_size(1100, 1500)
    page.open(server)
    until("the models", lambda: page.one("model").find_elements(By.TAG_NAME, "option"))
    note, second = os.path.join(folder, "note.txt"), os.path.join(folder, "second.mp4")
    with open(note, "w") as file:
        file.write("hello!")
    shutil.copy(video, second)
    assert page.drop("footer", note) == [True, "video,audio", 0]
    assert page.one("trouble").text == "note.txt was not taken: it is neither a video nor a sound.", page.one("trouble").text
    page.look("not_taken", keep=False)
    assert page.drop(".drop[data-kind=video]", speech) == [True, "video", 0]
    assert page.one("audio-said").text.startswith("speech.wav, ") and not page.one("video-said").text
    assert page.drop(".drop[data-kind=audio]", speech, video, second) == [True, "audio", 0]
    assert page.one("trouble").text == "second.mp4 was not taken: there is room for one video and one speech.", page.one("trouble").text
    page.ready("the plan of what was dropped")
    assert (page.one("video-said").text[:8], page.one("audio-said").text[:12]) == ("in.mp4, ", "speech.wav, "), page.one("video-said").text
    assert "own sound" not in page.one("plan-notes").text, page.one("plan-notes").text
    jobs = server.json("GET", "/v1/jobs?state=held")[1]["jobs"]
    assert [j["name"] for j in jobs] == ["in.mp4"], jobs
    # A lone video in the place of the speech is one: its sound is what is said.
    page.drop(".drop[data-kind=audio]", second)
    until("another job", lambda: [j["id"] for j in server.json("GET", "/v1/jobs?state=held")[1]["jobs"]] not in ([], [jobs[0]["id"]]))
    page.ready("the plan with the other's sound")
    assert page.one("audio-said").text.startswith("second.mp4, ") and page.one("video-said").text.startswith("in.mp4, ")
    page.drop("footer", video)
    until("the plan of the video", lambda: page.shown("start") and page.one("start").is_enabled())
    page.no_errors()


STREAMS = """
window.streams = [];
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async what => {
  const stream = await ask(what);
  streams.push(stream);
  return stream;
};
"""


def record_it(page, server, speech):
    """After what drop_them has chosen. One microphone is on while it is recorded, and none after."""
    def live():
        return page.driver.execute_script("return streams.map(s => s.getTracks().filter(t => t.readyState === 'live').length)")

    page.driver.execute_script(STREAMS)
    page.driver.execute_script("const r = document.getElementById('record'); r.click(); r.click()")
    until("that it records", lambda: page.one("record").text == "Stop recording" and page.one("record").is_enabled())
    time.sleep(1.5)
    assert live() == [1], live()
    held = server.json("GET", "/v1/jobs?state=held")[1]["jobs"][0]["id"]
    page.one("record").send_keys(Keys.ENTER)
    until("the take", lambda: page.one("audio-said").text.startswith("voice."))
    assert live() == [0] and page.one("record").text == "Record your voice", live()
    until("the job with it", lambda: server.json("GET", "/v1/jobs?state=held")[1]["jobs"][0]["id"] != held)
    page.ready("the plan with it")
    assert "own sound" not in page.one("plan-notes").text and not page.shown("trouble"), page.one("trouble").text
    page.driver.execute_script("document.getElementById('audio-look').play()")
    until("that it is heard", lambda: page.driver.execute_script("return document.getElementById('audio-look').currentTime > 0.2"))
    page.look("recorded", keep=False)
    # A file that is chosen meanwhile is the speech, and the microphone is off.
    page.one("record").click()
    until("that it records", lambda: page.one("record").text == "Stop recording")
    page.one("audio").send_keys(speech)
    until("the file", lambda: page.one("audio-said").text.startswith("speech.wav, "))
    assert live() == [0, 0] and page.one("record").text == "Record your voice", live()
    page.ready("the plan with the file")
    # Refused, it is told, and can be tried again.
    page.driver.execute_script("navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError') }")
    page.one("record").click()
    until("the refusal", lambda: page.one("trouble").text == "The microphone cannot be used: no")
    assert page.one("record").is_enabled() and page.one("record").text == "Record your voice"
    page.no_errors()


def again(server):
    """On the same port, as a service begins anew."""
    server.command[server.command.index("--listen") + 1] = f"{server.host}:{server.port}"
    server.start()


def list_them(page, server, clip):
    """A list that is longer than the server says at once: of two, here. Then the server goes, and comes back."""
    script = "{ const ask = window.fetch; window.fetch = (url, o) => ask(String(url).replace('limit=100', 'limit=2'), o); }"
    for job in server.json("GET", "/v1/jobs")[1]["jobs"]:
        server.json("DELETE", f"/v1/jobs/{job['id']}")

    def submit(name, **options):
        fields = clip.fields(**dict({"frames": "8", "steps": "2"}, **options))
        fields["video"] = (name, fields["video"][1])
        status, job = server.submit(fields)
        assert status == 202, job
        return job["id"]

    ids = {"a.mp4": submit("a.mp4", priority="10")}
    server.wait(ids["a.mp4"])
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})["identifier"]
    page.driver.get("about:blank")
    page.open(server)
    until("the only one", lambda: page.names() == ["a.mp4"])
    assert not page.shown("more")
    page.driver.find_element(By.CSS_SELECTOR, ".jobs .name").send_keys(Keys.ENTER)
    for name in "bcdef":
        ids[f"{name}.mp4"] = submit(f"{name}.mp4", **({"frames": "0", "steps": "40"} if name == "b" else {}))
    until("those that came", lambda: page.names() == [f"{name}.mp4" for name in "fedcba"])
    until("that it waits", lambda: page.has("Sooner"))
    page.press("Sooner")
    until("that it is sooner", lambda: server.job(ids["f.mp4"])["priority"] == 1)
    time.sleep(0.5)
    assert page.focus() == "Sooner", page.focus()
    for id in ids.values():  # of those that change the page hears, however old they are
        server.json("POST", f"/v1/jobs/{id}/cancel")
        server.wait(id)
    server.kill()
    until("that it is away", lambda: page.one("server").text == "The connection is lost; trying again …")
    page.driver.execute_script("document.querySelector('.jobs .row button').click()")
    until("that it cannot be reached", lambda: page.one("trouble").text.startswith("The server cannot be reached."))
    page.look("away", keep=False)
    again(server)
    until("that it is back", lambda: page.one("server").text.startswith("This server") and not page.shown("trouble"))
    # The newest two, and the one that is looked at.
    until("the newest", lambda: page.names() == ["f.mp4", "e.mp4", "a.mp4"])
    assert page.shown("view") and page.one("view-title").text == "a.mp4"
    page.look("older", keep=False)
    server.json("POST", f"/v1/jobs/{ids['f.mp4']}/retry")
    until("what happens after that", lambda: page.words(".jobs .words")[0].startswith("done"))
    page.one("more").send_keys(Keys.ENTER)
    until("more of them", lambda: page.names() == ["f.mp4", "e.mp4", "d.mp4", "c.mp4", "a.mp4"])
    assert page.shown("more") and page.focus() == "d.mp4", page.focus()
    page.one("more").send_keys(Keys.ENTER)
    until("all of them", lambda: page.names() == [f"{name}.mp4" for name in "fedcba"])
    assert not page.shown("more") and page.focus() == "b.mp4", page.focus()
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script})
    page.no_errors("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")


def log_in(page, server, token):
    def give(text):
        page.one("token").clear()
        page.one("token").send_keys(text + "\n")

    def said(text):
        until(text, lambda: page.shown("login-said") and text in page.one("login-said").text)
        assert page.shown("login")

    page.open(server)
    until("the question", lambda: page.shown("login"))
    assert page.focus() == "token", page.focus()
    give("not at all the token")
    said("this is not the server's token")
    page.look("login", keep=False)
    page.driver.execute_script("""window.asked = window.fetch; window.fetch = async () => new Response(
        JSON.stringify({detail: 'more than 50 requests a second'}), {status: 429, headers: {'content-type': 'application/problem+json'}})""")
    give(token)
    said("more than 50 requests a second")
    page.driver.execute_script("window.fetch = window.asked")
    server.kill()
    give(token)
    said("The server cannot be reached.")
    again(server)
    give(token)
    until("that it is let in", lambda: not page.shown("login") and page.one("server").text.startswith("This server"))
    page.look("let_in", keep=False)
    page.one("logout").send_keys(Keys.ENTER)
    until("the question", lambda: page.shown("login"))
    assert not page.driver.get_cookies() and not page.names()
    page.no_errors(" 401 ", "ERR_CONNECTION_REFUSED")


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
    token = "a token of the test's own"
    server = Server(build, os.path.join(folder, "data"), "--demo", "-b", "2G")
    guarded = Server(build, os.path.join(folder, "guarded"), "--demo", "-b", "2G", environment={"MEMSAFE_TOKEN": token})
    driver = browser()
    page = Page(driver, shots)
    try:
        try_it(page, server, clip.video, clip.audio, silent, text)
        drop_them(page, server, clip.video, clip.audio, folder)
        record_it(page, server, clip.audio)
        list_them(page, server, clip)
        log_in(page, guarded, token)
    finally:
        driver.quit()
        for each in server, guarded:
            each.process.kill()
            each.process.wait()
            each.process.stdout.close()
        shutil.rmtree(folder)
    print("page: refused, chosen, planned, cut, started, seen, cancelled, tried again, played, downloaded, deleted, dropped, recorded, listed, "
          "logged in; axe finds nothing")


main()
