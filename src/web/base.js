// What every page needs: elements, the API, times, dialogs. Texts are set as text and never as markup.

export const $ = (id) => document.getElementById(id);
let token = sessionStorage.getItem('token') || localStorage.getItem('token') || '';
let again = () => {}; // shows the page again after somebody has signed in

export function onSigned(act) {
  again = act;
}

function build(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (name === 'text') node.textContent = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}
export const el = (tag, props, ...children) => build(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => build(document.createElementNS('http://www.w3.org/2000/svg', tag), props, children);

export function say(text, good) {
  $('told').textContent = text || '';
  $('told').className = good ? 'told good' : 'told';
  if (text && good) setTimeout(() => { if ($('told').textContent === text) say(''); }, 4000);
}

export async function ask(path, options) {
  const headers = { accept: 'application/json', ...(options && options.headers) };
  if (token) headers.authorization = 'Bearer ' + token;
  if (options && options.body) headers['content-type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: 'no-store' });
  } catch {
    throw new Error('The daemon does not answer; the page tries again by itself.');
  }
  if (answer.status === 401) {
    signIn();
    throw new Error('This daemon asks for a valid token.');
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    const detail = body && (body.detail || body.title);
    throw new Error(detail || 'The daemon answered ' + answer.status + '.');
  }
  return body;
}

/** Sends an order, says how it went; true when it was done. */
export async function order(path, body, done, method) {
  try {
    await ask(path, {
      method: method || 'POST', body: JSON.stringify(body || {}),
      headers: { 'idempotency-key': crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) },
    });
    say(done, true);
    return true;
  } catch (error) {
    say(error.message);
    return false;
  }
}

export function query(fields) {
  const pairs = Object.entries(fields).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return new URLSearchParams(pairs).toString();
}

// ---- how things are shown -------------------------------------------------------------------------------------------
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}
export const age = (time) => time ? span(Date.now() - Date.parse(time)) : '';
export function clock(time) {
  if (!time) return '–';
  const at = new Date(time);
  const day = at.toDateString() === new Date().toDateString() ? {} : { year: 'numeric', month: '2-digit', day: '2-digit' };
  const shown = at.toLocaleString([], { ...day, hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  return el('time', { datetime: time, title: time, text: shown });
}
export const words = (word) => String(word).replaceAll('_', ' ');
export const mark = (word, shown) => el('span', { class: 'mark ' + word, text: words(shown || word) });
export const ciName = (ci) => ci ? ci.name + (ci.class ? ' (' + ci.class + ')' : '') : '';
export const ciLink = (ci) => ci ? el('a', { href: '#/ci/' + encodeURIComponent(ci.id), text: ciName(ci) }) : null;
export const incidentLink = (number) => el('a', { href: '#/incident/' + number, text: number });
export const safeLink = (url, text) => url && /^https?:/.test(url) ? el('a', { href: url, rel: 'noreferrer', text }) : text;
export function facts(pairs) {
  return el('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => [el('dt', { text: name }), el('dd', {}, value)]));
}
export function due(sla) {
  const running = (sla || []).filter((it) => it.state === 'running' && it.due_at).sort((a, b) => a.due_at < b.due_at ? -1 : 1)[0];
  if ((sla || []).some((it) => it.state === 'breached')) return el('span', { class: 'breached', text: 'breached' });
  if (!running) return '';
  const left = Date.parse(running.due_at) - Date.now();
  return el('span', { class: left < 0 ? 'breached' : '', title: running.clock + ' due ' + running.due_at, text: left < 0 ? 'overdue ' + span(-left) : 'in ' + span(left) });
}

// ---- dialogs --------------------------------------------------------------------------------------------------------
export function signIn() {
  if ($('token-dialog').open) return;
  $('token').value = '';
  $('token-dialog').returnValue = '';
  $('token-dialog').showModal();
}
$('token-dialog').addEventListener('close', () => {
  const how = $('token-dialog').returnValue;
  if (how === 'ok' && $('token').value) {
    token = $('token').value.trim();
    sessionStorage.setItem('token', token);
    if ($('remember').checked) localStorage.setItem('token', token);
  } else if (how === 'forget') {
    token = '';
    sessionStorage.removeItem('token');
    localStorage.removeItem('token');
  }
  if (how) { say(''); again(); }
});

/** Asks for some fields; resolves with their values, or null when it was cancelled. */
export function form(title, fields, ok) {
  const dialog = $('ask-dialog');
  $('ask-title').textContent = title;
  $('ask-ok').textContent = ok || 'OK';
  $('ask-fields').replaceChildren(...fields.map((field) => {
    const given = { name: field.name, required: field.required };
    const input = field.kind === 'text' ? el('textarea', { ...given, rows: 4 })
      : field.options ? el('select', given, field.options.map(([value, text]) => el('option', { value, text })))
        : el('input', { ...given, type: field.kind || 'text', placeholder: field.hint, value: field.value });
    return el('label', {}, field.label, input);
  }));
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener('close', () => {
    if (dialog.returnValue !== 'ok') return done(null);
    const values = {};
    for (const input of $('ask-fields').querySelectorAll('[name]')) if (input.value.trim()) values[input.name] = input.value.trim();
    done(values);
  }, { once: true }));
}
