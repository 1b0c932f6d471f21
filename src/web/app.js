// The pages for people on call: which one is shown, the keyboard, and reading again every few seconds. They use the API
// like any other client, with the token of whoever looks.
import { $, onSigned, say, signIn } from './base.js';
import { command, COMMANDS, incident } from './incident.js';
import { ci, services } from './items.js';
import { select, shown } from './list.js';
import { delivery, onCall, records, reports, sources } from './operate.js';
import { alerts, queue } from './queue.js';
import { silences } from './quiet.js';

const REFRESH_MS = 5000;
const PAGES = { alerts, services, 'on-call': onCall, silences, records, delivery, sources, reports };
const GO = { i: '', a: 'alerts', v: 'services', c: 'on-call', s: 'silences', d: 'delivery', o: 'sources', r: 'reports' };
let lastKey = '';

function show() {
  const at = location.hash.replace(/^#\/?/, '');
  const [first, ...rest] = at.split('/').map(decodeURIComponent);
  if (first === 'main') return;
  const second = rest.join('/');
  if (first === 'incident' && second) incident(second);
  else if (first === 'ci' && second) ci(second);
  else (PAGES[first] || queue)();
  $('main').focus({ preventScroll: true });
  refresh();
}

async function refresh() {
  const page = shown();
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
  const page = shown();
  const chosen = page && (page.incident || (page.rows[page.selected] && page.rows[page.selected].incident));
  const wanted = COMMANDS.find((one) => one.key === key);
  if (before === 'g') {
    lastKey = '';
    if (key in GO) { location.hash = '#/' + GO[key]; event.preventDefault(); return; }
  }
  if (key === 'j') select(page.selected + 1);
  else if (key === 'k') select(page.selected - 1);
  else if (key === 'u') location.hash = '#/';
  else if (key === '?') $('keys-dialog').showModal();
  else if (key === '/') { const box = document.querySelector('input[type=search]'); if (box) { box.focus(); event.preventDefault(); } }
  else if (chosen && wanted && wanted.in.includes(chosen.state)) { event.preventDefault(); command(chosen, wanted); }
});
$('sign').addEventListener('click', signIn);
$('keys').addEventListener('click', () => $('keys-dialog').showModal());
onSigned(show);
addEventListener('hashchange', show);
document.addEventListener('visibilitychange', () => { refresh(); health(); });
setInterval(refresh, REFRESH_MS);
setInterval(health, REFRESH_MS);
show();
health();
