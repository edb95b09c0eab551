'use strict';
/* What the form is given otherwise than by its two buttons: files that are dropped, and one's own voice. */

/* ---- files that are dropped ---- */

const ENDINGS = { /* of those that a browser may know no type of */
  video: /\.(mkv|mp4|mov|m4v|webm|avi|mpe?g|m?ts|mxf|wmv|flv|ogv)$/i, audio: /\.(wav|mp3|m4a|aac|flac|ogg|oga|opus|wma|aiff?)$/i};

function kindOf(file) {
  const kinds = Object.keys(ENDINGS);
  return kinds.find(kind => file.type.startsWith(`${kind}/`)) || kinds.find(kind => !file.type && ENDINGS[kind].test(file.name)) || null;
}

/* A video and a sound go where they belong, wherever they are dropped. What is neither goes where it was dropped if it is alone, so that
   the server says what it is; and so does a lone video, whose sound may be the speech. What is not taken is told. */
function sort(files, zone) {
  const taken = {video: null, audio: null}, left = [];
  for (const file of files) {
    const known = kindOf(file), kind = files.length === 1 && zone && known !== 'audio' ? zone : known || (file.type ? null : zone);
    if (kind && !taken[kind]) taken[kind] = file;
    else left.push(`${file.name} was not taken: ${kind ? 'there is room for one video and one speech' : 'it is neither a video nor a sound'}.`);
  }
  return {taken, left};
}

function take(files, zone) {
  const {taken, left} = sort(files, zone);
  for (const kind of ['video', 'audio']) {
    if (!taken[kind]) continue;
    $(kind).value = ''; /* it names the file that was chosen before */
    put(kind, taken[kind]);
  }
  if ((taken.video || taken.audio) && (chosen.video || stored)) send();
  if (left.length) trouble(left.join(' '));
}

function light(zone, all) {
  for (const each of document.querySelectorAll('.drop')) each.classList.toggle('over', all || each === zone);
}

/* Anywhere on the page: a browser leaves the page for a file that nobody takes. */
function wireDrops() {
  const zoneOf = event => event.target instanceof Element ? event.target.closest('.drop') : null;
  const isOurs = event => {
    const files = event.dataTransfer.types.includes('Files');
    if (files || !(event.target instanceof HTMLInputElement)) event.preventDefault(); /* text may be dropped into a field */
    return files && !$('login').open;
  };
  document.addEventListener('dragover', event => {
    if (isOurs(event)) light(zoneOf(event), !zoneOf(event));
  });
  document.addEventListener('dragleave', event => {
    if (!event.relatedTarget) light(null); /* out of the window */
  });
  document.addEventListener('drop', event => {
    const zone = zoneOf(event), ours = isOurs(event);
    light(null);
    if (ours) take([...event.dataTransfer.files], zone && zone.dataset.kind);
  });
}

/* ---- one's own voice ---- */

let recorder = null;
let voice = null; /* the microphone, which is on as long as there is this */

/* The microphone is off, and what was recorded is nobody's. */
function hush() {
  if (recorder) recorder.ondataavailable = recorder.onstop = null;
  if (voice) voice.getTracks().forEach(track => track.stop());
  recorder = voice = null;
  $('record').textContent = 'Record your voice';
}

async function record() {
  if (recorder) return recorder.stop();
  const button = $('record'), pieces = [];
  button.disabled = true; /* while the browser asks: another click would turn on another microphone */
  try {
    voice = await navigator.mediaDevices.getUserMedia({audio: true});
    recorder = new MediaRecorder(voice);
    recorder.ondataavailable = event => pieces.push(event.data);
    recorder.onstop = () => {
      const type = recorder.mimeType;
      const file = new File(pieces, /ogg/.test(type) ? 'voice.ogg' : /mp4/.test(type) ? 'voice.m4a' : 'voice.webm', {type});
      hush();
      $('audio').value = '';
      if (file.size) choose('audio', file);
      else say($('audio-said'), 'Nothing was recorded.');
    };
    recorder.start();
    button.textContent = 'Stop recording';
    say($('audio-said'), 'Recording …');
  } catch (error) {
    hush();
    trouble(`The microphone cannot be used: ${error.message}`);
  }
  button.disabled = false;
  if (document.activeElement === document.body) button.focus();
}
