// The pages for people on call. They use the API like any other client, with the token of whoever looks; texts are set
// as text and never as markup.
'use strict';

const PAGE = 50;
const REFRESH_MS = 5000;
const $ = (id) => document.getElementById(id);
let page = null; // what is shown: { name, refresh, rows, selected }
let token = sessionStorage.getItem('token') || localStorage.getItem('token') || '';
let lastKey = '';

function el(tag, props, ...children) {
  const node = document.createElement(tag);
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

function say(text, good) {
  $('told').textContent = text || '';
  $('told').className = good ? 'told good' : 'told';
  if (text && good) setTimeout(() => { if ($('told').textContent === text) say(''); }, 4000);
}

async function ask(path, options) {
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

function query(fields) {
  const pairs = Object.entries(fields).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return new URLSearchParams(pairs).toString();
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}
const age = (time) => time ? span(Date.now() - Date.parse(time)) : '';
const sameDay = (left, right) => left.toDateString() === right.toDateString();
function clock(time) {
  if (!time) return '–';
  const at = new Date(time);
  const day = sameDay(at, new Date()) ? {} : { year: 'numeric', month: '2-digit', day: '2-digit' };
  const shown = at.toLocaleString([], { ...day, hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  return el('time', { datetime: time, title: time, text: shown });
}
const words = (word) => String(word).replaceAll('_', ' ');
const mark = (word, shown) => el('span', { class: 'mark ' + word, text: words(shown || word) });
const ciName = (ci) => ci ? ci.name + (ci.class ? ' (' + ci.class + ')' : '') : '';

// ---- signing in -----------------------------------------------------------------------------------------------------
function signIn() {
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
  if (how) { say(''); show(); }
});
$('sign').addEventListener('click', signIn);
$('keys').addEventListener('click', () => $('keys-dialog').showModal());

/** Asks for some fields; resolves with their values, or null when it was cancelled. */
function form(title, fields, ok) {
  const dialog = $('ask-dialog');
  $('ask-title').textContent = title;
  $('ask-ok').textContent = ok || 'OK';
  $('ask-fields').replaceChildren(...fields.map((field) => {
    const input = field.kind === 'text'
      ? el('textarea', { name: field.name, rows: 4, required: field.required })
      : el('input', { name: field.name, type: field.kind || 'text', required: field.required, placeholder: field.hint });
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

// ---- lists ----------------------------------------------------------------------------------------------------------
function table(heads) {
  const body = el('tbody');
  const node = el('div', { class: 'scroll' }, el('table', {},
    el('thead', {}, el('tr', {}, heads.map((head) => el('th', { scope: 'col', text: head })))), body));
  return { node, body };
}

/** A list that is read page by page. What was loaded stays; refreshing reads as many rows again. */
function list(name, path, fields, heads, row, none, order) {
  const { node, body } = table(heads);
  const more = el('button', { type: 'button', text: 'Show more' });
  const foot = el('div', { class: 'more' }, more);
  let loaded = PAGE;
  let run = 0;
  let drawn = { text: '', at: 0 };
  async function read() {
    const mine = ++run;
    const items = [];
    let cursor = null;
    do {
      const limit = Math.min(500, loaded - items.length);
      const got = await ask(path + '?' + query({ ...fields(), limit, cursor }));
      if (mine !== run) return;
      items.push(...got.items);
      cursor = got.next_cursor;
    } while (cursor && items.length < loaded);
    if (order) items.sort(order);
    // What did not change is left alone, so that nobody's selection or open row is taken away; ages go on each minute.
    const text = JSON.stringify([items, cursor]);
    if (text === drawn.text && Date.now() - drawn.at < 60000) return;
    drawn = { text, at: Date.now() };
    const hadFocus = body.contains(document.activeElement);
    const rows = items.map(row);
    for (const tr of rows) tr.addEventListener('click', (event) => { if (!event.target.closest('a, button')) select(page.rows.indexOf(tr)); });
    body.replaceChildren(...rows);
    if (!items.length) body.append(el('tr', {}, el('td', { colspan: heads.length, class: 'dim', text: none })));
    foot.hidden = !cursor;
    if (page && page.name === name && page.list === node) {
      const key = page.key;
      page.rows = rows;
      page.selected = -1;
      const again = rows.findIndex((tr) => tr.dataset.key === key);
      if (again >= 0) select(again, !hadFocus);
    }
  }
  more.addEventListener('click', () => { loaded += 2 * PAGE; read().catch((error) => say(error.message)); });
  return { node, foot, read, restart: () => { loaded = PAGE; return read(); } };
}

function select(index, quietly) {
  if (!page || !page.rows || !page.rows.length) return;
  page.selected = Math.max(0, Math.min(index, page.rows.length - 1));
  page.rows.forEach((tr, at) => tr.setAttribute('aria-selected', at === page.selected));
  const tr = page.rows[page.selected];
  page.key = tr.dataset.key;
  if (quietly) return;
  tr.scrollIntoView({ block: 'nearest' });
  const link = tr.querySelector('a');
  if (link) link.focus({ preventScroll: true });
}

function choice(label, value, options, changed) {
  const input = el('select', { 'aria-label': label, on: { change: () => changed(input.value) } },
    options.map(([word, shown]) => el('option', { value: word, selected: word === value, text: shown })));
  return input;
}

function search(value, changed) {
  let timer = 0;
  const input = el('input', { type: 'search', placeholder: 'Search (/)', 'aria-label': 'Search', value });
  input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(() => changed(input.value.trim()), 250); });
  return input;
}

function due(sla) {
  const running = (sla || []).filter((clock) => clock.state === 'running' && clock.due_at).sort((a, b) => a.due_at < b.due_at ? -1 : 1)[0];
  const breached = (sla || []).some((clock) => clock.state === 'breached');
  if (breached) return el('span', { class: 'breached', text: 'breached' });
  if (!running) return '';
  const left = Date.parse(running.due_at) - Date.now();
  return el('span', { class: left < 0 ? 'breached' : '', title: running.clock + ' due ' + running.due_at, text: left < 0 ? 'overdue ' + span(-left) : 'in ' + span(left) });
}

function queue() {
  const wanted = { state: 'open', priority: '', q: '' };
  const row = (it) => {
    const tr = el('tr', {},
      el('td', { class: 'tight' }, mark(it.priority)),
      el('td', { class: 'tight' }, el('a', { href: '#/incident/' + it.number, text: it.number })),
      el('td', { class: 'tight' }, mark(it.state)),
      el('td', {}, el('a', { class: 'title', href: '#/incident/' + it.number, text: it.title }),
        it.services.length ? el('div', { class: 'dim', text: 'Services: ' + it.services.join(', ') }) : null,
        it.suppressed_by.length ? el('div', { class: 'dim', text: 'Nobody is told of it: ' + it.suppressed_by.map((by) => by.kind || by).join(', ') }) : null),
      el('td', { class: 'tight' }, ciName(it.root_cause && it.root_cause.ci)),
      el('td', { class: 'number tight', text: it.alerts.firing + ' / ' + it.alerts.total }),
      el('td', { class: 'tight', title: it.opened_at, text: age(it.opened_at) }),
      el('td', { class: 'tight' }, due(it.sla)),
      el('td', { class: 'tight', text: it.assignee || it.team || '' }));
    tr.dataset.key = it.number;
    tr.incident = it;
    return tr;
  };
  const rows = list('queue', '/api/v1/incidents', () => wanted,
    ['', 'Number', 'State', 'What', 'Root cause', 'Firing', 'Age', 'SLA', 'Who'], row, 'Nothing here. Good.',
    (left, right) => left.priority < right.priority ? -1 : left.priority > right.priority ? 1 : left.opened_at < right.opened_at ? 1 : -1);
  const again = (name) => (value) => { wanted[name] = value; rows.restart().catch((error) => say(error.message)); };
  open('queue', 'Incidents', rows.read, rows.node,
    el('div', { class: 'filters' },
      choice('State', wanted.state, [['open', 'Open'], ['new', 'New'], ['acknowledged', 'Acknowledged'], ['in_progress', 'In progress'], ['on_hold', 'On hold'], ['resolved', 'Resolved'], ['closed', 'Closed'], ['', 'All']], again('state')),
      choice('Priority', '', [['', 'Any priority'], ['P1', 'P1'], ['P1,P2', 'P1 and P2'], ['P1,P2,P3', 'P1 to P3'], ['P4,P5', 'P4 and P5']], again('priority')),
      search('', again('q'))),
    rows.node, rows.foot);
}

const opened = new Set(); // ids of alerts whose labels are shown

function alertRow(it, withIncident) {
  const open = el('button', { type: 'button', class: 'quiet', text: 'Labels' });
  const labels = el('div', { class: 'labels' });
  const draw = () => {
    labels.hidden = !opened.has(it.id);
    open.setAttribute('aria-expanded', String(!labels.hidden));
    if (!labels.hidden) labels.replaceChildren(...Object.entries(it.labels).map(([name, value]) => el('span', { text: name + ' = ' + value })));
  };
  open.addEventListener('click', () => {
    if (!opened.delete(it.id)) opened.add(it.id);
    draw();
  });
  draw();
  const tr = el('tr', {},
    el('td', { class: 'tight' }, mark(it.severity)),
    el('td', { class: 'tight' }, mark(it.status === 'firing' ? 'new' : 'resolved', it.status)),
    el('td', {}, el('span', { text: it.summary }), ' ', open, labels),
    el('td', { class: 'tight', title: it.binding && it.binding.reason }, ciName(it.ci) || el('span', { class: 'dim', text: 'unbound' })),
    el('td', { class: 'tight', text: it.source }),
    el('td', { class: 'number', text: it.count }),
    el('td', { class: 'tight', title: it.starts_at, text: age(it.starts_at) }),
    withIncident ? el('td', { class: 'tight' }, it.incident ? el('a', { href: '#/incident/' + it.incident, text: it.incident }) : '') : null);
  tr.dataset.key = it.id;
  return tr;
}

function alerts() {
  const wanted = { status: 'firing', severity: '', q: '' };
  const rows = list('alerts', '/api/v1/alerts', () => wanted,
    ['', 'State', 'What', 'About', 'Source', 'Seen', 'Since', 'Incident'], (it) => alertRow(it, true), 'No alert.');
  const again = (name) => (value) => { wanted[name] = value; rows.restart().catch((error) => say(error.message)); };
  open('alerts', 'Alerts', rows.read, rows.node,
    el('div', { class: 'filters' },
      choice('Status', 'firing', [['firing', 'Firing'], ['resolved', 'Resolved'], ['', 'All']], again('status')),
      choice('Severity', '', [['', 'Any severity'], ['critical', 'Critical'], ['critical,high', 'High and worse'], ['critical,high,warning', 'Warning and worse']], again('severity')),
      search('', again('q'))),
    rows.node, rows.foot);
}

function silences() {
  const row = (it) => {
    const end = el('button', { type: 'button', text: 'End now', on: { click: async () => {
      try { await ask('/api/v1/silences/' + it.id, { method: 'DELETE' }); say('The silence has ended.', true); page.refresh(); } catch (error) { say(error.message); }
    } } });
    return el('tr', {},
      el('td', {}, mark(it.state === 'active' ? 'acknowledged' : 'closed', it.state)),
      el('td', {}, el('div', { class: 'labels' }, (it.matchers || []).map((m) => el('span', { text: m.name + ' ' + (m.is_equal === false ? (m.is_regex ? '!~' : '!=') : (m.is_regex ? '=~' : '=')) + ' ' + m.value })))),
      el('td', { text: it.comment || '' }), el('td', { text: it.created_by || '' }),
      el('td', { class: 'tight' }, clock(it.ends_at)),
      el('td', {}, it.state === 'expired' ? '' : end));
  };
  const rows = list('silences', '/api/v1/silences', () => ({}), ['State', 'Which alerts', 'Why', 'Who', 'Until', ''], row, 'No silence.');
  open('silences', 'Silences', rows.read, rows.node, rows.node, rows.foot);
}

function sources() {
  const { node, body } = table(['Source', 'Kind', 'Last message', 'A second', 'Errors', 'Remark']);
  const read = async () => {
    const got = await ask('/api/v1/sources?limit=500');
    body.replaceChildren(...got.items.map((it) => el('tr', {},
      el('th', { scope: 'row', text: it.name }), el('td', { text: it.kind }),
      el('td', { class: 'tight', title: it.last_message_at, text: it.last_message_at ? age(it.last_message_at) + ' ago' : 'never' }),
      el('td', { class: 'number', text: typeof it.rate === 'number' ? it.rate.toFixed(2) : '' }),
      el('td', { class: 'number', text: it.errors ? it.errors.count : '' }),
      el('td', { text: [...(it.warnings || []), it.errors && it.errors.last_reason].filter(Boolean).join('; ') }))));
  };
  open('sources', 'Sources', read, node, node);
}

// ---- one incident ---------------------------------------------------------------------------------------------------
const COMMANDS = [
  { path: 'acknowledge', label: 'Acknowledge', in: ['new'], key: 'a' },
  { path: 'start', label: 'Start work', in: ['new', 'acknowledged'] },
  { path: 'assign', label: 'Assign', in: ['new', 'acknowledged', 'in_progress', 'on_hold'], form: [{ name: 'assignee', label: 'To whom (empty: me)' }, { name: 'team', label: 'or which team' }] },
  { path: 'hold', label: 'Hold', in: ['new', 'acknowledged', 'in_progress'], form: [{ name: 'reason', label: 'What is waited for', required: true }] },
  { path: 'resume', label: 'Resume', in: ['on_hold'] },
  { path: 'resolve', label: 'Resolve', in: ['new', 'acknowledged', 'in_progress', 'on_hold'], key: 'r', form: [{ name: 'note', label: 'What was done (optional)', kind: 'text' }] },
  { path: 'close', label: 'Close', in: ['resolved'] },
  { path: 'reopen', label: 'Reopen', in: ['resolved', 'closed'], form: [{ name: 'reason', label: 'Why (optional)' }] },
  { path: 'notes', label: 'Add note', in: ['new', 'acknowledged', 'in_progress', 'on_hold', 'resolved', 'closed'], key: 'n', form: [{ name: 'text', label: 'Note', kind: 'text', required: true }] },
  { path: 'merge', label: 'Merge', in: ['new', 'acknowledged', 'in_progress', 'on_hold'], form: [{ name: 'into', label: 'Into which incident', hint: 'INC-7', required: true }] },
];

async function command(incident, it) {
  let body = {};
  if (it.form) {
    body = await form(it.label + ' ' + incident.number, it.form, it.label);
    if (!body) return;
  }
  body.expected_version = incident.version;
  try {
    await ask('/api/v1/incidents/' + incident.number + '/' + it.path, {
      method: 'POST', body: JSON.stringify(body), headers: { 'idempotency-key': crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) },
    });
    say(incident.number + ': ' + it.label.toLowerCase() + ', done.', true);
  } catch (error) {
    say(error.message);
  }
  if (page) await page.refresh().catch(() => {});
}

function facts(pairs) {
  return el('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => [el('dt', { text: name }), el('dd', {}, value)]));
}

function incident(number) {
  const head = el('div', { class: 'sheet' });
  const cause = el('div', { class: 'sheet' });
  const told = el('div', { class: 'sheet' });
  const time = el('ol', { class: 'time' });
  const timeMore = el('button', { type: 'button', text: 'Show more' });
  let timeLimit = 30;
  timeMore.addEventListener('click', () => { timeLimit = Math.min(500, timeLimit + 100); page.refresh().catch((error) => say(error.message)); });
  const wanted = { status: '' };
  const rows = list('incident', '/api/v1/incidents/' + encodeURIComponent(number) + '/alerts', () => wanted,
    ['', 'State', 'What', 'About', 'Source', 'Seen', 'Since'], (it) => alertRow(it, false), 'No alert.');
  async function read() {
    const base = '/api/v1/incidents/' + encodeURIComponent(number);
    const [it, entries] = await Promise.all([ask(base), ask(base + '/timeline?limit=' + timeLimit)]);
    if (!page || page.number !== number) return;
    page.incident = it;
    document.title = it.number + ' ' + it.title + ' – Watchbell';
    head.replaceChildren(
      el('div', { class: 'head' }, mark(it.priority), mark(it.state), el('span', { class: 'dim', text: it.number + ', ' + age(it.opened_at) + ' old' }),
        it.flapping ? mark('on_hold', 'flapping') : null, it.merged_into ? el('a', { href: '#/incident/' + it.merged_into, text: 'merged into ' + it.merged_into }) : null),
      el('h1', { text: it.title }),
      facts([
        ['Alerts', it.alerts.firing + ' of ' + it.alerts.total + ' firing, ' + it.events + ' messages'],
        ['Who', [it.assignee, it.team].filter(Boolean).join(', ') || 'nobody yet'],
        ['Opened', clock(it.opened_at)], ['People told', it.announced_at ? clock(it.announced_at) : null],
        ['Acknowledged', it.acknowledged_at ? clock(it.acknowledged_at) : null], ['Resolved', it.resolved_at ? clock(it.resolved_at) : null],
        ['Not told because of', it.suppressed_by.length ? JSON.stringify(it.suppressed_by) : null],
      ]),
      el('div', { class: 'buttons' }, COMMANDS.map((one) => el('button', {
        type: 'button', text: one.label + (one.key ? ' (' + one.key + ')' : ''), class: one.path === 'acknowledge' && it.state === 'new' ? 'primary' : null,
        disabled: !one.in.includes(it.state), on: { click: () => command(it, one) },
      }))));
    const root = it.root_cause;
    cause.replaceChildren(el('h2', { text: 'Probable root cause' }),
      root ? facts([
        ['What', root.ci ? ciName(root.ci) + (root.inferred ? ', not seen itself but inferred' : '') : 'the alert itself; it is bound to no item'],
        ['How sure', Math.round(root.score * 100) + ' %'],
        ['Why', root.why && root.why.length ? el('ul', { class: 'plain' }, root.why.map((why) => el('li', { text: why }))) : null],
        ['Services reached', it.services.join(', ')], ['Items reached', it.cis || null],
      ]) : el('p', { class: 'dim', text: 'Nothing is known yet.' }));
    told.replaceChildren(el('h2', { text: 'Service levels and tickets' }),
      it.sla.length ? facts(it.sla.map((one) => [one.clock, el('span', {}, mark(one.state), ' ', one.due_at ? clock(one.due_at) : '')])) : el('p', { class: 'dim', text: 'No service level applies.' }),
      ...it.tickets.map((one) => el('p', {}, one.connector + ': ', one.url && /^https?:/.test(one.url) ? el('a', { href: one.url, rel: 'noreferrer', text: one.id }) : one.id, ' (' + words(one.state) + ')')));
    time.replaceChildren(...entries.items.map((entry) => el('li', {}, el('div', { class: 'dim' }, clock(entry.at)),
      el('div', {}, el('span', { text: entry.text }), entry.actor ? el('span', { class: 'dim', text: ' by ' + entry.actor }) : null,
        entry.note ? el('div', { class: 'note', text: entry.note }) : null))));
    timeMore.hidden = !entries.next_cursor;
    await rows.read();
  }
  open('queue', number, read, rows.node,
    head, el('div', { class: 'columns' }, el('div', {}, el('div', { class: 'sheet' }, el('h2', { text: 'Timeline' }), time, el('div', { class: 'more' }, timeMore))), el('div', {}, cause, told)),
    el('h2', { text: 'Alerts' }),
    el('div', { class: 'filters' }, choice('Status', '', [['', 'All'], ['firing', 'Firing'], ['resolved', 'Resolved']], (value) => { wanted.status = value; rows.restart().catch((error) => say(error.message)); })),
    rows.node, rows.foot);
  page.name = 'incident';
  page.number = number;
}

// ---- pages ----------------------------------------------------------------------------------------------------------
function open(name, title, read, listNode, ...nodes) {
  page = { name, list: listNode, rows: [], selected: -1, refresh: read };
  document.title = title + ' – Watchbell';
  for (const link of document.querySelectorAll('nav a[data-page]')) {
    if (link.dataset.page === name) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  $('main').replaceChildren(...nodes);
}

function show() {
  const at = decodeURIComponent(location.hash.replace(/^#\/?/, ''));
  const [first, second] = at.split('/');
  if (first === 'main') return;
  if (first === 'incident' && second) incident(second);
  else if (first === 'alerts') alerts();
  else if (first === 'silences') silences();
  else if (first === 'sources') sources();
  else queue();
  $('main').focus({ preventScroll: true });
  refresh();
}

async function refresh() {
  if (!page || document.hidden || document.querySelector('dialog[open]')) return;
  try {
    await page.refresh();
    if (!$('told').classList.contains('good')) say('');
  } catch (error) {
    say(error.message);
  }
}

async function health() {
  if (document.hidden) return;
  try {
    const answer = await fetch('/readyz', { cache: 'no-store' });
    const body = await answer.json();
    const reasons = body.reasons || [];
    $('health').textContent = answer.ok ? 'ready' : 'not ready: ' + reasons.join('; ');
    $('health').className = answer.ok ? 'health' : 'health bad';
    $('demo').hidden = !answer.headers.get('x-watchbell-demo');
  } catch {
    $('health').textContent = 'the daemon does not answer';
    $('health').className = 'health bad';
  }
}

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, textarea, select, dialog');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key;
  const before = lastKey;
  lastKey = key;
  const chosen = page && (page.incident || (page.rows[page.selected] && page.rows[page.selected].incident));
  const wanted = COMMANDS.find((one) => one.key === key);
  if (before === 'g') {
    lastKey = '';
    const to = { i: '#/', a: '#/alerts', s: '#/silences', o: '#/sources' }[key];
    if (to) { location.hash = to; event.preventDefault(); return; }
  }
  if (key === 'j') select(page.selected + 1);
  else if (key === 'k') select(page.selected - 1);
  else if (key === 'u') location.hash = '#/';
  else if (key === '?') $('keys-dialog').showModal();
  else if (key === '/') { const box = document.querySelector('input[type=search]'); if (box) { box.focus(); event.preventDefault(); } }
  else if (chosen && wanted && wanted.in.includes(chosen.state)) { event.preventDefault(); command(chosen, wanted); }
});
addEventListener('hashchange', show);
document.addEventListener('visibilitychange', () => { refresh(); health(); });
setInterval(refresh, REFRESH_MS);
setInterval(health, REFRESH_MS);
show();
health();
