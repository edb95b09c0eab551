'use strict';
/* The page of `memsafe serve`: words, the form, the list, one video. server.js has what asks the server, input.js what is dropped and recorded. */

const SETTLE_MS = 400; /* after the last change of a setting, before the server plans again */
const IN_STEP_S = 0.08; /* two players further apart are brought together */

/* ---- words ---- */

/* What is told of a loss in the words of those who make video files, in those of others. */
const NOTES = {
  sound: 'The sound is stored in another format, for this kind of file cannot hold it as it is.',
  chapters: 'Chapters of the video are left out.',
  subtitles: 'The subtitles of the video are left out.'};

const texts = notes => (notes || []).map(note => NOTES[note.code] || note.text);
const many = (n, one, more) => `${n} ${n === 1 ? one : more || one + 's'}`;

function clock(seconds) {
  const s = Math.max(0, seconds), minutes = Math.floor(s / 60), hours = Math.floor(minutes / 60);
  const rest = (Math.floor(s % 60 * 10) / 10).toFixed(1).padStart(4, '0');
  return hours ? `${hours}:${String(minutes % 60).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

function duration(seconds) {
  const s = Math.round(seconds);
  if (s < 1) return 'less than a second';
  if (s < 90) return many(s, 'second');
  const minutes = Math.round(s / 60);
  if (minutes < 90) return many(minutes, 'minute');
  const hours = Math.floor(minutes / 60), left = minutes % 60;
  return many(hours, 'hour') + (left && hours < 10 ? ` ${many(left, 'minute')}` : '');
}

function size(bytes) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let n = bytes, unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit ? n.toPrecision(3) : n} ${units[unit]}`;
}

const STAGES = {
  load: 'reading the model', audio: 'listening to the speech', faces: 'finding the face', encode: 'looking at pictures',
  denoise: 'drawing', decode: 'making pictures', write: 'writing the video'};

/* ---- what is new: files, upload, settings, plan ---- */

const chosen = {video: null, audio: null};
let held = null; /* the job that is being made ready here */
let stored = null; /* id of a job that the server has the chosen video of */
let measured = false; /* the trimming handles have the video's length */
let upload = null; /* XMLHttpRequest */
let settled = 0;
let edits = 0, planned = 0; /* changes of settings, and how many of them the plan that is shown is of */
let patching = false;
let cut = false; /* the end was moved: else it is the video's, to the last frame */

/* Of this tab alone: what somebody else makes ready is theirs. */
function own(id) {
  try {
    if (id) sessionStorage.setItem('held', id);
    else sessionStorage.removeItem('held');
  } catch (error) { /* a browser may forbid it: a reload begins anew then */ }
}

function owned() {
  const named = /^#[0-9a-f]{32}$/.test(location.hash) ? location.hash.slice(1) : null; /* by whoever sent the link */
  try {
    return sessionStorage.getItem('held') || named;
  } catch (error) {
    return named;
  }
}

function put(kind, file) {
  if (kind === 'audio') hush(); /* a recording that is under way is not wanted any more */
  const look = $(`${kind}-look`);
  if (look.src) URL.revokeObjectURL(look.src);
  chosen[kind] = file;
  look.hidden = !file;
  if (file) look.src = URL.createObjectURL(file);
  else look.removeAttribute('src');
  say($(`${kind}-said`), file ? `${file.name}, ${size(file.size)}` : '');
  $(`${kind}-said`).hidden = false;
  if (!chosen.audio) say($('audio-said'), ''); /* that was of another video */
  if (kind === 'video') {
    drop(stored);
    stored = null;
    measured = false;
    letGo();
  }
}

function choose(kind, file) {
  put(kind, file);
  if ((chosen.video || stored) && (file || kind === 'audio')) send(); /* without a speech it is planned with its own sound */
}

function form() {
  const data = new FormData();
  data.append('hold', 'true');
  for (const [name, value] of Object.entries(settings())) data.append(name, value);
  if (stored) data.append('video_of', stored);
  else data.append('video', chosen.video, chosen.video.name);
  if (chosen.audio) data.append('audio', chosen.audio, chosen.audio.name);
  return data;
}

function send() {
  if (upload) upload.abort();
  trouble(null);
  const before = stored;
  letGo();
  const mine = upload = new XMLHttpRequest();
  upload.open('POST', '/v1/jobs');
  upload.upload.onprogress = event => {
    $('upload-bar').value = event.loaded / event.total;
    say($('upload-said'), event.loaded < event.total ? `Uploading, ${size(event.loaded)} of ${size(event.total)}` : 'Looking at it …');
  };
  const end = () => {
    $('upload').hidden = true;
    if (upload === mine) upload = null;
  };
  upload.onerror = () => {
    end();
    trouble('The upload was cut off. Choose one of the files again to try once more.');
  };
  upload.onabort = end;
  upload.onload = async () => {
    end();
    if (mine.status === 401) return login().then(send).catch(trouble);
    let answer = {};
    try {
      answer = JSON.parse(mine.responseText);
    } catch (error) { /* what came is no JSON: the status says enough */ }
    if (mine.status === 202) {
      hold(answer);
      if (before && jobs.has(before) && jobs.get(before).state === 'held') drop(before); /* the new one has the video, too */
    } else if (answer.field === 'video_of' && chosen.video) { /* it has expired, so the video comes once more */
      stored = null;
      send();
    } else turnDown(new Problem(mine.status, answer));
  };
  $('upload-bar').value = 0;
  $('upload').hidden = false;
  upload.send(form());
}

/* Told at the file that it is of. A video without sound waits for the speech. */
function turnDown(problem) {
  if (problem.field === 'audio' && !chosen.audio) {
    say($('audio-said'), 'This video has no sound of its own: choose what the person shall say.');
    return;
  }
  trouble(problem);
  if (chosen[problem.field]) {
    say($(`${problem.field}-said`), `${chosen[problem.field].name}: ${problem.message}`);
    $(`${problem.field}-look`).hidden = true; /* there is nothing to play */
  }
}

function hold(job) {
  held = job;
  stored = job.id;
  own(job.id);
  show(job);
  showHeld();
}

function discard() {
  if (upload) upload.abort();
  drop(stored);
  stored = null;
  measured = false;
  letGo();
}

function drop(id) {
  if (id) api('DELETE', `/v1/jobs/${id}`).catch(() => {}); /* it may be gone */
}

/* It is in the queue now, and nobody's to throw away. */
function started() {
  stored = null;
  letGo();
}

function letGo() {
  clearTimeout(settled);
  planned = edits;
  held = null;
  own(stored);
  showHeld();
}

function settings() {
  const all = {};
  for (const element of $('new').elements) {
    if (!element.name || element.type === 'file' || element.name === 'quality') continue;
    if (element.type === 'radio' && !element.checked) continue;
    if (element.type === 'checkbox') all[element.name] = element.checked;
    else if (element.type === 'number' && element.value !== '') all[element.name] = Number(element.value);
    else if (element.value !== '') all[element.name] = element.value;
  }
  const from = Number($('from').value), to = Number($('to').value);
  if (measured && from > 0) all.start_s = from;
  if (measured && cut && to > from) all.duration_s = Math.round((to - from) * 1000) / 1000;
  return all;
}

/* The server plans anew once nothing has changed for a moment. Until it has, nothing can be started: what runs is what is shown. */
function changed() {
  clearTimeout(settled);
  if (!held) return;
  edits++;
  $('start').disabled = true;
  say($('plan'), 'Planning …');
  settled = setTimeout(replan, SETTLE_MS);
}

async function replan() {
  if (patching || !held) return; /* it goes on when the one that is under way has its answer */
  const mine = edits, id = held.id, all = settings();
  for (const name of ['start_s', 'duration_s']) if (!(name in all)) all[name] = 0; /* taken back */
  patching = true;
  try {
    const job = await api('PATCH', `/v1/jobs/${id}`, all);
    if (mine === edits && held && held.id === id) {
      planned = mine;
      trouble(null);
      hold(job);
    }
  } catch (error) {
    if (mine === edits) {
      trouble(error);
      say($('plan'), '');
    }
  }
  patching = false;
  if (mine !== edits) {
    clearTimeout(settled);
    replan();
  }
}

/* What the job was asked with, after the page was loaded anew. */
function fill(job) {
  const options = job.options || {};
  for (const element of $('new').elements) {
    const value = element.name === 'quality' ? String(options.steps) : options[element.name];
    if (!element.name || element.type === 'file' || value === undefined) continue;
    if (element.type === 'checkbox') element.checked = value;
    else if (element.type === 'radio') element.checked = element.value === value;
    else element.value = value;
  }
  $('from').value = options.start_s || 0;
  cut = options.duration_s > 0;
  if (cut) $('to').value = (options.start_s || 0) + options.duration_s;
  trimSaid();
}

const SMALL_STEPS = ['stream-part', 'stream-all', 'single-frame'];

function planWords(plan) {
  if (!plan.fits && plan.host_peak_bytes > plan.host_budget_bytes)
    return `This does not fit: it needs ${size(plan.host_peak_bytes)} of the host's memory, and the server may use ${size(plan.host_budget_bytes)}. A smaller video may.`;
  if (!plan.fits)
    return `This does not fit: it needs ${size(plan.least_bytes)} of memory, and the server may use ${size(plan.budget_bytes)}. A smaller video may.`;
  const time = plan.seconds > 0 ? `This will take about ${duration(plan.seconds)}` : 'How long this takes is not known';
  return `${time} and ${size(plan.peak_bytes)} of memory of the ${size(plan.budget_bytes)} that the server may use. ` +
    (SMALL_STEPS.includes(plan.rung) ? 'To get by with that it works in small steps, which takes longer.' : '');
}

function list(element, lines) {
  element.replaceChildren(...lines.map(line => {
    const item = document.createElement('li');
    item.textContent = line;
    return item;
  }));
}

function showHeld() {
  const ready = held && held.input;
  $('held').hidden = !held;
  if (!held) return;
  if (ready && $('thumbs').dataset.job !== held.id) {
    $('thumbs').dataset.job = held.id;
    $('thumbs').replaceChildren(...Array.from({length: held.input.thumbs || 0}, (_, i) => {
      const image = document.createElement('img');
      image.alt = '';
      image.src = `/v1/jobs/${held.id}/thumbs/${i}`;
      return image;
    }));
    for (const id of ['from', 'to']) {
      $(id).max = held.input.duration_s;
      $(id).step = 1 / (held.input.fps || 25);
    }
    if (!measured) { /* with another speech, the part that was chosen stays */
      $('from').value = 0;
      $('to').value = held.input.duration_s;
      cut = false;
    }
    measured = true;
    trimSaid();
  }
  const plan = held.plan;
  $('start').disabled = !plan || !plan.fits || Boolean(held.error) || edits !== planned;
  if (edits !== planned) return;
  say($('plan'), held.error ? held.error.detail : plan ? planWords(plan) : 'Looking at the video …');
  const face = ready && held.input.face === false ? ['No face was found in the first second: the mouth is redrawn where there is one.'] : [];
  const own = chosen.video && !chosen.audio ? ['The speech is the video\'s own sound. To have other words said, add a speech above.'] : [];
  list($('plan-notes'), [...own, ...face, ...texts(plan && plan.notes), ...texts(held.warnings)]);
}

function trimSaid() {
  for (const id of ['from', 'to']) {
    const text = clock(Number($(id).value));
    $(`${id}-said`).textContent = text;
    $(id).setAttribute('aria-valuetext', text);
  }
}

function trim(moved) {
  const from = $('from'), to = $('to'), least = Number(from.step) || 0.04;
  if (Number(to.value) - Number(from.value) < least) {
    if (moved === from) from.value = Number(to.value) - least;
    else to.value = Number(from.value) + least;
  }
  cut = (cut || moved === to) && Number(to.value) < Number(to.max) - least / 2;
  trimSaid();
  if (chosen.video) $('video-look').currentTime = Number(moved.value);
  changed();
}

/* ---- the list ---- */

const jobs = new Map(); /* id -> Job */
const memory = new Map(); /* id -> [[seconds, bytes], ...] */
let viewed = null; /* id */

function stateWords(job) {
  const p = job.progress || {};
  switch (job.state) {
    case 'held': return 'not started yet';
    case 'queued': return job.position > 1 ? `waiting, ${job.position - 1} before it` : 'waiting, next';
    case 'running': {
      const frames = p.frames_total ? `, ${p.frames_done} of ${p.frames_total} frames` : '';
      const left = p.eta_s > 0 ? `, ${duration(p.eta_s)} left` : '';
      return `${STAGES[p.stage] || 'at work'}${frames}${left}`;
    }
    case 'done': return `done${p.frames_done ? `, ${many(p.frames_done, 'frame')}` : ''}`;
    case 'failed': return `failed: ${job.error ? job.error.detail : 'it is not known why'}`;
    case 'cancelled': return 'cancelled';
    default: return job.state;
  }
}

function button(text, label, act) {
  const element = document.createElement('button');
  element.type = 'button';
  element.textContent = text;
  element.setAttribute('aria-label', `${text}: ${label}`);
  element.onclick = async () => {
    if (element.ariaDisabled) return;
    element.ariaDisabled = 'true'; /* a button that is disabled loses the focus */
    try {
      await act();
      trouble(null);
    } catch (error) {
      trouble(error);
    }
    element.ariaDisabled = null;
  };
  return element;
}

function acts(job) {
  const path = `/v1/jobs/${job.id}`, name = job.name, row = [];
  const post = what => async () => show(await api('POST', `${path}/${what}`));
  if (job.state === 'queued' || job.state === 'running') row.push(button('Cancel', name, post('cancel')));
  if (job.state === 'failed' || job.state === 'cancelled') row.push(button('Try again', name, post('retry')));
  if (job.state === 'queued')
    row.push(button('Sooner', name, async () => show(await api('PATCH', path, {priority: Math.min(job.priority + 1, 10)}))));
  if (job.state !== 'running')
    row.push(button('Delete', name, async () => {
      await api('DELETE', path);
      gone(job.id);
    }));
  return row;
}

function makeRow(job) {
  const row = document.createElement('li');
  row.id = `job-${job.id}`;
  row.dataset.created = job.created || '';
  const name = document.createElement('button'), buttons = document.createElement('div'), words = document.createElement('p');
  const bar = document.createElement('progress');
  name.type = 'button';
  name.className = 'name';
  name.onclick = () => view(job.id, true);
  buttons.className = 'row';
  words.className = 'words';
  bar.max = 1;
  row.append(name, buttons, words, bar);
  return row;
}

/* The newest is the first, whenever the page came to know of it. */
function place(row) {
  const after = [...$('jobs').children].find(other => other.dataset.created <= row.dataset.created);
  $('jobs').insertBefore(row, after || null);
}

/* The focus stays in the row: on the button of the same name, or on one that does no harm. */
function replaceButtons(buttons, name, row) {
  const had = buttons.contains(document.activeElement) ? document.activeElement.textContent : null;
  buttons.replaceChildren(...row);
  if (had === null) return;
  (row.find(b => b.textContent === had) || row.find(b => b.textContent !== 'Delete') || name).focus();
}

/* What did not change stays as it is, so that the focus is not lost. */
function showRow(job) {
  let row = $(`job-${job.id}`);
  if (!row) {
    row = makeRow(job);
    place(row);
  }
  const [name, buttons, words, bar] = row.children;
  name.textContent = job.name || 'a video';
  words.textContent = stateWords(job);
  words.className = `words state-${job.state}`;
  if (row.dataset.state !== job.state || row.dataset.priority !== String(job.priority)) {
    row.dataset.state = job.state;
    row.dataset.priority = job.priority;
    replaceButtons(buttons, name, acts(job));
  }
  bar.hidden = job.state !== 'running';
  bar.value = job.progress && job.progress.fraction > 0 ? job.progress.fraction : 0;
  bar.setAttribute('aria-label', `Progress of ${job.name}`);
  row.toggleAttribute('data-chosen', job.id === viewed);
}

function remember(job) {
  const p = job.progress;
  if (!p) return;
  if (Array.isArray(p.memory)) memory.set(job.id, p.memory);
  else if (job.state === 'running' && p.memory_bytes) {
    const all = memory.get(job.id) || [], now = Date.now() / 1000;
    if (!all.length || now - all[all.length - 1][0] >= 1) all.push([now, p.memory_bytes]);
    memory.set(job.id, all.slice(-600));
  }
}

function show(job) {
  const before = jobs.get(job.id);
  jobs.set(job.id, job);
  remember(job);
  if (stored === job.id && job.state !== 'held') started();
  else if (held && held.id === job.id) {
    held = job;
    showHeld();
  }
  if (job.state !== 'held') showRow(job);
  $('empty').hidden = $('jobs').childElementCount > 0;
  if (job.id === viewed) showView(job, before);
}

function removeRow(row) {
  const next = row.nextElementSibling || row.previousElementSibling, had = row.contains(document.activeElement);
  row.remove();
  if (had) (next ? next.firstElementChild : $('queue-title')).focus();
}

function gone(id) {
  jobs.delete(id);
  memory.delete(id);
  const row = $(`job-${id}`);
  if (row) removeRow(row);
  $('empty').hidden = $('jobs').childElementCount > 0;
  if (stored === id) stored = null;
  if (held && held.id === id) letGo();
  if (viewed === id) {
    viewed = null;
    $('view').hidden = true;
  }
}

/* ---- one video ---- */

function view(id, move) {
  const before = viewed;
  viewed = id;
  if (before && jobs.has(before)) showRow(jobs.get(before));
  stop();
  $('play-in').removeAttribute('src');
  $('play-out').removeAttribute('src');
  showRow(jobs.get(id));
  showView(jobs.get(id), null);
  if (move) $('view-title').focus();
}

function pictures(job) {
  const done = job.progress ? job.progress.frames_done : 0;
  $('preview').hidden = job.state === 'done' || !done;
  if (!$('preview').hidden && $('preview').dataset.at !== `${job.id} ${done}`) {
    $('preview').dataset.at = `${job.id} ${done}`;
    $('preview-in').src = `/v1/jobs/${job.id}/input-preview?at=${done}`;
    $('preview-out').src = `/v1/jobs/${job.id}/preview?at=${done}`;
  }
}

function chart(job) {
  const all = memory.get(job.id) || [], budget = job.plan ? job.plan.host_budget_bytes || job.plan.budget_bytes : 0;
  $('memory').hidden = all.length < 2;
  if (all.length < 2) return;
  const first = all[0][0], last = all[all.length - 1][0], peak = Math.max(...all.map(s => s[1]));
  const top = Math.max(peak, budget && budget < 4 * peak ? budget : 0) * 1.08, x = t => 640 * (t - first) / (last - first || 1), y = b => 160 - 160 * b / top;
  const points = all.map(s => `${x(s[0]).toFixed(1)} ${y(s[1]).toFixed(1)}`);
  const svg = 'http://www.w3.org/2000/svg', used = document.createElementNS(svg, 'path');
  used.setAttribute('class', 'used');
  used.setAttribute('d', `M0 160 L${points.join(' L')} L640 160 Z`);
  const parts = [used];
  if (budget && budget <= top) {
    const line = document.createElementNS(svg, 'line');
    line.setAttribute('class', 'budget');
    for (const [name, value] of [['x1', 0], ['x2', 640], ['y1', y(budget)], ['y2', y(budget)]]) line.setAttribute(name, value);
    parts.push(line);
  }
  $('chart').replaceChildren(...parts);
  $('memory-said').textContent = `Memory ${job.plan && job.plan.host_budget_bytes ? 'of the host ' : ''}over time: at most ${size(peak)}${budget ? ` of the ${size(budget)} that it may use${budget > top ? '' : ' (dashed)'}` : ''}`;
}

// Of a device with memory of its own.
function beside(plan, bytes) {
  return plan.host_budget_bytes ? ` of the device, ${size(bytes)} of the host` : '';
}

function whyWords(job) {
  const plan = job.plan || {}, options = job.options || {};
  const lines = [
    ['Tier', plan.tier && plan.tier + (plan.tier_reason ? `, because ${plan.tier_reason}` : '')],
    ['Way', plan.rung], ['Face', plan.resolution && `${plan.resolution} pixels`],
    ['Memory planned', plan.peak_bytes && size(plan.peak_bytes) + beside(plan, plan.host_peak_bytes)],
    ['Memory allowed', plan.budget_bytes && size(plan.budget_bytes) + beside(plan, plan.host_budget_bytes)],
    ['Model', job.model], ['Steps', options.steps], ['Guidance', options.guidance], ['Seed', options.seed]];
  $('why-list').replaceChildren(...lines.filter(line => line[1] !== undefined && line[1] !== null && line[1] !== '').flatMap(([what, value]) => {
    const term = document.createElement('dt'), text = document.createElement('dd');
    term.textContent = what;
    text.textContent = value;
    return [term, text];
  }));
}

function showView(job, before) {
  $('view').hidden = false;
  $('view-title').textContent = job.name || 'A video';
  $('view-said').textContent = [stateWords(job), ...texts(job.warnings)].join('. ');
  pictures(job);
  chart(job);
  whyWords(job);
  const done = job.state === 'done';
  $('result').hidden = !done;
  if (done && (!$('play-out').src || before && before.state !== 'done')) {
    $('play-in').src = `/v1/jobs/${job.id}/input`;
    $('play-out').src = `/v1/jobs/${job.id}/result`;
    $('download').href = `/v1/jobs/${job.id}/result`;
    $('report').href = `/v1/jobs/${job.id}/report`;
  }
}

/* ---- two players in step ---- */

/* Where in the input the result begins. */
function offset() {
  const options = jobs.has(viewed) ? jobs.get(viewed).options || {} : {};
  return options.rest === 'keep' ? 0 : options.start_s || 0;
}

function stop() {
  $('play-in').pause();
  $('play-out').pause();
}

function playing(yes) {
  $('play').textContent = yes ? 'Pause' : 'Play';
}

function inStep(force) {
  const other = $('play-in'), at = $('play-out').currentTime + offset();
  if (other.duration && at < other.duration && (force || Math.abs(other.currentTime - at) > IN_STEP_S)) other.currentTime = at;
}

function position() {
  const out = $('play-out');
  $('at').value = out.currentTime;
  $('at-said').textContent = `${clock(out.currentTime)} of ${clock(out.duration || 0)}`;
  $('at').setAttribute('aria-valuetext', $('at-said').textContent);
}

/* ---- begin ---- */

const LISTED = 100; /* as many as the server lists at once */
let pages = 1; /* so often as many are listed */
let older = null; /* what the server lists the next ones after */
const AGAIN_MS = 5000;

function begin() {
  if (!turnedDown) refresh().catch(trouble).then(listen);
}

function listen() {
  const events = new EventSource('/v1/events');
  events.addEventListener('job', event => show(JSON.parse(event.data)));
  events.addEventListener('gone', event => gone(JSON.parse(event.data).id));
  events.addEventListener('positions', event => { /* of those that wait: a change of one moves them all */
    const {from, ids} = JSON.parse(event.data);
    for (const [i, job] of ids.map(id => jobs.get(id)).entries()) if (job && job.state === 'queued') show({...job, position: from + i});
  });
  events.onopen = () => refresh().catch(trouble);
  events.addEventListener('jobs', event => { /* more went than the server remembers */
    const {count} = JSON.parse(event.data);
    if (older ? count < jobs.size : count !== jobs.size) refresh().catch(trouble);
  });
  events.onerror = () => {
    say($('server'), 'The connection is lost; trying again …');
    if (events.readyState === EventSource.CLOSED) setTimeout(begin, AGAIN_MS); /* it was refused: the browser does not try again */
  };
}

async function listed() {
  const all = [];
  let next = null;
  for (let page = 0; page < pages && (page === 0 || next); page++) {
    const answer = await api('GET', `/v1/jobs?limit=${LISTED}${next ? `&after=${next}` : ''}`);
    all.push(...answer.jobs);
    next = answer.next;
  }
  older = next;
  if (viewed && !all.some(job => job.id === viewed)) /* an old one stays as long as it is looked at */
    await api('GET', `/v1/jobs/${viewed}`).then(job => all.push(job), error => {
      if (error.status !== 404) throw error; /* it has gone */
    });
  return all;
}

async function more() {
  const before = new Set($('jobs').children);
  pages++;
  try {
    await refresh();
  } catch (error) {
    pages--;
    throw error;
  }
  const first = [...$('jobs').children].find(row => !before.has(row));
  if (first) first.firstElementChild.focus();
  else if (!older) $('queue-title').focus();
}

async function refresh() {
  const [server, models, known] = await Promise.all([api('GET', '/v1/server'), api('GET', '/v1/models'), listed()]);
  say($('server'), !server.budget_bytes ? '' : `This server${server.machine.cpu ? ` (${server.machine.cpu})` : ''} may use ${size(server.budget_bytes)} of memory.`);
  $('logout').hidden = !server.needs_token;
  $('version').textContent = `memsafe ${server.version}`;
  const select = $('model'), now = select.value;
  select.replaceChildren(...models.models.map(model => new Option(model.name, model.name)));
  if (now) select.value = now;
  if ($('trouble').textContent === AWAY) trouble(null);
  const ids = new Set(known.map(job => job.id));
  for (const id of [...jobs.keys()]) if (!ids.has(id)) gone(id);
  for (const job of known.reverse()) show(job);
  $('older').hidden = !older;
  if (!held && !upload && owned()) await takeUp(owned());
}

/* The page was loaded anew, or opened by a link. */
async function takeUp(id) {
  try {
    const job = await api('GET', `/v1/jobs/${id}`);
    if (job.state !== 'held' || held || upload) return own(stored);
    hold(job);
    fill(job);
  } catch (error) { /* it has gone */
    own(null);
  }
}

function wire() {
  for (const kind of ['video', 'audio']) $(kind).onchange = event => choose(kind, event.target.files[0] || null);
  wireDrops();
  $('logout').onclick = () => logout().catch(trouble);
  $('more').onclick = () => more().catch(trouble);
  if (window.MediaRecorder && navigator.mediaDevices) $('record').onclick = () => record();
  else $('record').hidden = true;
  $('upload-stop').onclick = () => upload && upload.abort();
  $('from').oninput = event => trim(event.target);
  $('to').oninput = event => trim(event.target);
  $('discard').onclick = discard;
  $('new').onchange = event => {
    if (event.target.name === 'quality') $('steps').value = event.target.value;
    if (event.target.type !== 'file' && event.target.type !== 'range') changed();
  };
  $('new').onsubmit = async event => {
    event.preventDefault();
    if (!held || edits !== planned) return;
    $('start').disabled = true;
    try {
      const job = await api('POST', `/v1/jobs/${held.id}/start`);
      started();
      choose('video', null);
      choose('audio', null);
      $('new').reset();
      show(job);
      view(job.id, true);
    } catch (error) {
      trouble(error);
      showHeld();
    }
  };
  const out = $('play-out');
  $('play').onclick = () => {
    if (!out.paused) return stop();
    inStep(true);
    $('play-in').play().catch(() => {}); /* a browser may not know the input's codec: the result plays alone */
    out.play().catch(trouble);
  };
  out.onplay = () => playing(true);
  out.onpause = () => {
    playing(false);
    $('play-in').pause();
  };
  out.onloadedmetadata = () => {
    $('at').max = out.duration;
    position();
  };
  out.ontimeupdate = () => {
    inStep(false);
    position();
  };
  $('at').oninput = event => {
    out.currentTime = Number(event.target.value);
    inStep(true);
    position();
  };
  $('own-sound').onchange = event => {
    $('play-in').muted = !event.target.checked;
    out.muted = event.target.checked;
  };
}

wire();
begin();
