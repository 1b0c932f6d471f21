// For those who run it: who is on call, deliveries, tickets, sources, records, figures.
import { age, ask, clock, el, form, mark, order, safeLink, words } from './base.js';
import { button, choice, list, open, plain, refreshed, table } from './list.js';

const people = (turn) => turn && turn.people.length ? turn.people.join(', ') : 'nobody';
const all = async (path) => (await ask(path)).items;
const act = (text, path, done) => button(text, async () => { if (await order(path, {}, done)) await refreshed(); });

export function onCall() {
  const now = plain(['Schedule', 'Teams', 'On call now', 'Until', 'Next', ''], () => all('/api/v1/on-call?limit=500'), (it) => el('tr', {},
    el('th', { scope: 'row', text: it.schedule }), el('td', { text: it.teams.join(', ') }), el('td', {}, el('b', { text: people(it) }), it.by === 'override' ? el('span', { class: 'dim', text: ' stands in' }) : null),
    el('td', { class: 'tight' }, clock(it.ends_at)), el('td', { text: it.next ? people(it.next) : '' }),
    el('td', {}, button('Stand in', async () => {
      const values = await form('Stand in at ' + it.schedule, [{ name: 'person', label: 'Who', required: true }, { name: 'replaces', label: 'In the place of (empty: everybody)' }, { name: 'hours', label: 'For how many hours from now', kind: 'number', required: true, value: '8' }, { name: 'comment', label: 'Why' }], 'Stand in');
      if (values && await order('/api/v1/schedules/' + encodeURIComponent(it.schedule) + '/overrides', { person: values.person, replaces: values.replaces, comment: values.comment, duration_s: Math.round(Number(values.hours) * 3600) }, values.person + ' stands in.')) await refreshed();
    }))), 'No [[schedule]] is configured.');
  const care = plain(['Incident', 'Who cares', 'Until', 'What'], () => all('/api/v1/escalations/audit?limit=100'), (it) => el('tr', {},
    el('td', {}, el('a', { href: '#/incident/' + it.incident, text: it.incident })), el('td', {}, mark(it.care === 'nobody' ? 'critical' : 'info', it.care)), el('td', { class: 'tight' }, it.due_at ? clock(it.due_at) : ''), el('td', { text: it.detail || '' })), 'No incident is open.');
  open('on-call', 'On call', () => Promise.all([now.read(), care.read()]), now.node, el('h1', { text: 'On call' }), now.node, el('h1', { text: 'Who looks after what is open' }), care.node);
}

export function delivery() {
  const targets = plain(['Target', 'Kind', 'Health', 'Waiting', 'Sent', 'Last', 'Trouble', ''], () => all('/api/v1/targets?limit=500'), (it) => el('tr', {},
    el('th', { scope: 'row', text: it.name }), el('td', { text: it.kind }), el('td', {}, mark(it.health === 'down' ? 'critical' : it.health === 'up' ? 'resolved' : 'info', it.paused ? 'paused' : it.health)),
    el('td', { class: 'number', text: it.queue }), el('td', { class: 'number', text: it.sent }), el('td', { class: 'tight', text: it.last_sent_at ? age(it.last_sent_at) + ' ago' : 'never' }), el('td', { text: it.last_error || '' }),
    el('td', {}, act(it.paused ? 'Resume' : 'Pause', '/api/v1/targets/' + encodeURIComponent(it.name) + (it.paused ? '/resume' : '/pause'), it.name + (it.paused ? ' goes on.' : ' is paused.')))), 'No [[target]] is configured.');
  const connectors = plain(['Connector', 'State', 'Tickets', 'Trouble', ''], () => all('/api/v1/connectors?limit=500'), (it) => el('tr', {},
    el('th', { scope: 'row' }, safeLink(it.url, it.name), el('div', { class: 'dim', text: it.title })), el('td', {}, mark(it.last_error && it.state !== 'ready' ? 'warning' : 'info', it.state)),
    el('td', { text: Object.entries(it.tickets || {}).map(([state, count]) => count + ' ' + words(state)).join(', ') }), el('td', { text: it.last_error || '' }),
    el('td', {}, act(it.state === 'paused' ? 'Resume' : 'Pause', '/api/v1/connectors/' + encodeURIComponent(it.name) + (it.state === 'paused' ? '/resume' : '/pause'), 'Done.'), ' ',
      act('Sync again', '/api/v1/connectors/' + encodeURIComponent(it.name) + '/resync', 'Every ticket is looked at again.'))), 'No [[connector]] is configured.');
  const dead = list('delivery', '/api/v1/outbox', () => ({ state: 'dead' }), ['When', 'Target', 'Incident', 'What', 'Why it failed', ''], (it) => el('tr', {},
    el('td', { class: 'tight' }, clock(it.created_at)), el('td', { text: it.target }), el('td', {}, it.incident ? el('a', { href: '#/incident/' + it.incident, text: it.incident }) : ''), el('td', { text: words(it.type) }), el('td', { text: it.last_error || it.reason || '' }),
    el('td', {}, act('Send again', '/api/v1/outbox/' + it.id + '/retry', 'It is sent again.'), ' ', act('Let go', '/api/v1/outbox/' + it.id + '/discard', 'It is let go.'))), 'Everything was delivered.');
  open('delivery', 'Delivery', () => Promise.all([targets.read(), connectors.read(), dead.read()]), dead.node,
    el('h1', { text: 'Targets' }), targets.node, el('h1', { text: 'Tickets' }), connectors.node, el('h1', { text: 'Given up' }), dead.node, dead.foot);
}

export function sources() {
  const rows = plain(['Source', 'Kind', 'Last message', 'A second', 'Errors', 'Remark'], () => all('/api/v1/sources?limit=500'), (it) => el('tr', {},
    el('th', { scope: 'row', text: it.name }), el('td', { text: it.kind }),
    el('td', { class: 'tight', title: it.last_message_at, text: it.last_message_at ? age(it.last_message_at) + ' ago' : 'never' }),
    el('td', { class: 'number', text: typeof it.rate === 'number' ? it.rate.toFixed(2) : '' }), el('td', { class: 'number', text: it.errors ? it.errors.count : '' }),
    el('td', { text: [...(it.warnings || []), it.errors && it.errors.last_reason].filter(Boolean).join('; ') })), 'No source is configured.');
  const letters = list('sources', '/api/v1/dead-letters', () => ({}), ['When', 'Source', 'Why', ''], (it) => el('tr', {},
    el('td', { class: 'tight' }, clock(it.at)), el('td', { text: it.source }), el('td', {}, words(it.reason), el('div', { class: 'dim', text: it.detail || '' })),
    el('td', {}, act('Replay', '/api/v1/dead-letters/' + it.id + '/replay', 'It was read again.'))), 'Everything was understood.');
  open('sources', 'Sources', () => Promise.all([rows.read(), letters.read()]), letters.node,
    el('h1', { text: 'Sources' }), rows.node, el('h1', { text: 'Not understood' }), letters.node, letters.foot);
}

export function records() {
  const one = (title, path, none) => {
    const rows = list('records', path, () => ({}), ['Number', 'State', 'What', 'About'], (it) => el('tr', {},
      el('td', { class: 'tight' }, safeLink(it.url, it.number || it.id)), el('td', {}, mark('info', it.state)),
      el('td', {}, it.title || it.summary || '', it.workaround ? el('div', { class: 'dim', text: it.workaround }) : null), el('td', { text: (it.cis || []).map((ci) => ci.name || ci).join(', ') })), none);
    return { read: rows.read, nodes: [el('h1', { text: title }), rows.node, rows.foot] };
  };
  const parts = [one('Changes', '/api/v1/changes', 'No change.'), one('Problems', '/api/v1/problems', 'No problem.'), one('Known errors', '/api/v1/known-errors', 'No known error.'), one('Requests', '/api/v1/requests', 'No request.')];
  open('records', 'Records', () => Promise.all(parts.map((it) => it.read())), null, parts.map((it) => it.nodes));
}

/** A figure of a report as people read it; columns that end in `_s` are seconds. */
function figure(name, value) {
  if (value === null || value === undefined) return '–';
  if (typeof value !== 'number') return String(value);
  if (name.endsWith('_s')) return value < 120 ? Math.round(value) + ' s' : value < 7200 ? Math.round(value / 60) + ' min' : (value / 3600).toFixed(1) + ' h';
  return name.endsWith('_percent') ? value.toFixed(1) + ' %' : Number.isInteger(value) ? String(value) : value.toFixed(2);
}

export function reports() {
  const body = el('div');
  let days = '30';
  async function read() {
    const names = await all('/api/v1/reports');
    const since = new Date(Date.now() - Number(days) * 86400e3).toISOString();
    const found = await Promise.all(names.map((it) => ask('/api/v1/reports/' + it.name + '?since=' + since).catch(() => null)));
    body.replaceChildren(...found.filter(Boolean).map((it) => {
      const heads = it.columns.map((name) => words(name.replace(/_s$/, '').replace(/_percent$/, '')));
      const rows = table(heads);
      const line = (row, kind) => el('tr', {}, it.columns.map((name, at) => el(at ? 'td' : 'th', at ? { class: 'figure' } : { scope: 'row' }, at || kind !== 'total' ? figure(name, row[name]) : 'all')));
      rows.body.append(...it.rows.map((row) => line(row)), it.total ? line(it.total, 'total') : '');
      return el('section', { class: 'sheet' }, el('h2', { text: it.title }), rows.node, el('p', { class: 'dim', text: it.formula }));
    }));
  }
  open('reports', 'Reports', read, null, el('div', { class: 'filters' }, el('h1', { text: 'Reports' }),
    choice('Period', days, [['1', 'Last day'], ['7', 'Last week'], ['30', 'Last 30 days'], ['365', 'Last year']], (value) => { days = value; refreshed(); })), body);
}
