// What keeps people from being told: silences and maintenance windows.
import { ask, clock, el, form, mark, order, say } from './base.js';
import { button, list, open, refreshed } from './list.js';

const OPERATORS = /^\s*([A-Za-z_][\w.]*)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*$/;
const names = (text) => text ? text.split(',').map((it) => it.trim()).filter(Boolean) : undefined;
const soon = (hours) => String(hours * 60);
const matcherText = (it) => it.name + ' ' + (it.is_equal === false ? (it.is_regex ? '!~' : '!=') : (it.is_regex ? '=~' : '=')) + ' ' + it.value;
const REACH = [{ name: 'ci', label: 'Items (names, with commas)' }, { name: 'downstream', label: 'And what depends on them', options: [['', 'no'], ['yes', 'yes']] }, { name: 'service', label: 'or services' }, { name: 'site', label: 'or sites' }, { name: 'class', label: 'or classes' }];

function scope(values) {
  return { ci: names(values.ci), service: names(values.service), site: names(values.site), class: names(values.class), downstream: values.downstream ? true : undefined };
}

/** `a = b, c =~ d` as the API takes it; null where it cannot be read. */
function matchers(text) {
  const parts = (names(text) || []).map((part) => OPERATORS.exec(part));
  if (parts.includes(null)) return null;
  return parts.map(([, name, operator, value]) => ({ name, value, is_regex: operator.endsWith('~'), is_equal: !operator.startsWith('!') }));
}

function reach(it) {
  const of = it.scope || it;
  return el('div', { class: 'labels' }, (it.matchers || []).map((one) => el('span', { text: matcherText(one) })),
    ['ci', 'service', 'site', 'class'].flatMap((kind) => (of[kind] || []).map((name) => el('span', { text: kind + ' ' + name + (kind === 'ci' && of.downstream ? ' and below' : '') }))));
}

/** Shows what would be held before it is; true when it was ordered. */
async function confirmed(path, body, done) {
  let found;
  try {
    found = await ask(path + '/preview', { method: 'POST', body: JSON.stringify(body) });
  } catch (error) {
    say(error.message);
    return;
  }
  const sure = await form('It would now hold back ' + found.total + ' firing alerts', [], 'Do it');
  if (sure && await order(path, body, done)) await refreshed();
}

async function silence() {
  const values = await form('New silence', [{ name: 'matchers', label: 'Labels, like alertname = PortDown, site =~ "eu.*"' }, ...REACH,
    { name: 'minutes', label: 'For how many minutes', kind: 'number', required: true, value: soon(2) }, { name: 'comment', label: 'Why', required: true }], 'Preview');
  if (!values) return;
  const read = matchers(values.matchers);
  if (!read) return say('A label is written like alertname = PortDown or site =~ "eu.*".');
  await confirmed('/api/v1/silences', { matchers: read, ...scope(values), duration_s: Math.round(Number(values.minutes) * 60), comment: values.comment }, 'The silence holds.');
}

async function maintenance() {
  const values = await form('New maintenance window', [...REACH, { name: 'starts_at', label: 'From (local time; empty: now)', kind: 'datetime-local' },
    { name: 'minutes', label: 'For how many minutes', kind: 'number', required: true, value: soon(2) }, { name: 'rrule', label: 'Again by (RRULE, optional)', hint: 'FREQ=WEEKLY;BYDAY=SU' }, { name: 'reason', label: 'Why', required: true }], 'Preview');
  if (!values) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const starts = values.starts_at ? { starts_at: values.starts_at.length === 16 ? values.starts_at + ':00' : values.starts_at, zone } : {};
  await confirmed('/api/v1/maintenance', { ...scope(values), ...starts, rrule: values.rrule, duration_s: Math.round(Number(values.minutes) * 60), reason: values.reason }, 'The window is set.');
}

export function silences() {
  const rows = list('silences', '/api/v1/silences', () => ({}), ['State', 'What', 'Why', 'Who', 'Until', ''], (it) => el('tr', {},
    el('td', {}, mark(it.state === 'active' ? 'acknowledged' : 'closed', it.state)), el('td', {}, reach(it)),
    el('td', { text: it.comment || '' }), el('td', { text: it.created_by || '' }), el('td', { class: 'tight' }, clock(it.ends_at)),
    el('td', {}, it.state === 'expired' ? '' : button('End now', async () => {
      if (await order('/api/v1/silences/' + it.id, {}, 'The silence has ended.', 'DELETE')) await refreshed();
    }))), 'No silence.');
  const windows = list('windows', '/api/v1/maintenance', () => ({}), ['State', 'Name', 'What', 'Why', 'From', 'Until', ''], (it) => el('tr', {},
    el('td', {}, mark(it.state === 'active' ? 'acknowledged' : 'closed', it.state)),
    el('td', {}, it.name, el('div', { class: 'dim', text: [it.rrule, it.rrule ? it.zone : null, it.origin].filter(Boolean).join(', ') })), el('td', {}, reach(it)),
    el('td', { text: it.reason || '' }), el('td', { class: 'tight' }, clock(it.starts_at)), el('td', { class: 'tight' }, clock(it.ends_at)),
    el('td', {}, it.origin !== 'api' || ['ended', 'cancelled'].includes(it.state) ? '' : button('Cancel', async () => {
      if (await order('/api/v1/maintenance/' + it.id + '/cancel', {}, 'The window is cancelled.')) await refreshed();
    }))), 'No window.');
  open('silences', 'Silences and maintenance', () => Promise.all([rows.read(), windows.read()]), rows.node,
    el('div', { class: 'filters' }, el('h1', { text: 'Silences' }), button('New silence', silence)), rows.node, rows.foot,
    el('div', { class: 'filters' }, el('h1', { text: 'Maintenance' }), button('New window', maintenance)), windows.node, windows.foot);
}
