'use strict';
/* What asks the server: its public interface (openapi.json) and nothing else. */

const $ = id => document.getElementById(id);
const AWAY = 'The server cannot be reached. It may have been stopped, or the network is down.';

function say(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

function trouble(error) {
  say($('trouble'), error ? error.message || String(error) : '');
}

class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code;
    this.field = body.field;
  }
}

async function parse(response) {
  const json = /json/.test(response.headers.get('content-type') || '');
  const body = json ? await response.json() : {};
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

/* A browser's own words for that ("Failed to fetch") tell nobody anything. */
async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw new Error(AWAY);
  }
}

let asking = null; /* the login that is under way */
let turnedDown = false; /* and was left without a token */

function login() {
  asking = asking || new Promise((resolve, reject) => {
    $('login').showModal();
    $('login').onclose = () => { /* by Esc */
      if (!asking) return;
      asking = null;
      turnedDown = true;
      reject(new Error('Nothing is shown without the token. Load the page again to give it.'));
    };
    $('login-form').onsubmit = async event => {
      event.preventDefault();
      say($('login-said'), '');
      try {
        await parse(await reach('/v1/login', {
          method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify({token: $('token').value})}));
      } catch (error) {
        say($('login-said'), error.message);
        $('token').select();
        return;
      }
      asking = null;
      turnedDown = false;
      $('login').close();
      resolve();
    };
  });
  return asking;
}

/* Nothing of what was shown stays: the page begins anew, and asks for the token. */
async function logout() {
  await parse(await reach('/v1/logout', {method: 'POST'}));
  location.reload();
}

async function api(method, path, body) {
  const options = {method};
  if (body !== undefined) {
    options.headers = {'content-type': 'application/json'};
    options.body = JSON.stringify(body);
  }
  const response = await reach(path, options);
  if (response.status === 401) {
    await login();
    return api(method, path, body);
  }
  return parse(response);
}
