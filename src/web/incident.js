// One incident: what it is, what probably causes it, whom it hits, what was decided, and what can be done.
import { age, ask, ciLink, clock, el, facts, form, incidentLink, mark, order, safeLink, say, words } from './base.js';
import { picture } from './graph.js';
import { button, choice, list, open, refreshed, sheet, shown } from './list.js';
import { alertRow, held } from './queue.js';

const OPEN = ['new', 'acknowledged', 'in_progress', 'on_hold'];
const EVERY = [...OPEN, 'resolved', 'closed'];
const PRIORITIES = [['', 'as the rules say'], ...['P1', 'P2', 'P3', 'P4', 'P5'].map((it) => [it, it])];
export const COMMANDS = [
  { path: 'acknowledge', label: 'Acknowledge', in: ['new'], key: 'a' },
  { path: 'start', label: 'Start work', in: ['new', 'acknowledged'] },
  { path: 'assign', label: 'Assign', in: OPEN, form: [{ name: 'assignee', label: 'To whom (empty: me)' }, { name: 'team', label: 'or which team' }] },
  { path: 'hold', label: 'Hold', in: ['new', 'acknowledged', 'in_progress'], form: [{ name: 'reason', label: 'What is waited for', required: true }] },
  { path: 'resume', label: 'Resume', in: ['on_hold'] },
  { path: 'resolve', label: 'Resolve', in: OPEN, key: 'r', form: [{ name: 'note', label: 'What was done (optional)', kind: 'text' }] },
  { path: 'close', label: 'Close', in: ['resolved'] },
  { path: 'reopen', label: 'Reopen', in: ['resolved', 'closed'], form: [{ name: 'reason', label: 'Why (optional)' }] },
  { path: 'notes', label: 'Add note', in: EVERY, key: 'n', form: [{ name: 'text', label: 'Note', kind: 'text', required: true }] },
  { path: 'priority', label: 'Priority', in: OPEN, form: [{ name: 'priority', label: 'Priority', options: PRIORITIES }, { name: 'reason', label: 'Why' }], body: (it) => ({ ...it, priority: it.priority || null }) },
  { path: 'merge', label: 'Merge', in: OPEN, form: [{ name: 'into', label: 'Into which incident', hint: 'INC-7', required: true }] },
  { path: 'major', label: 'Major incident', in: OPEN, form: [{ name: 'commander', label: 'Who leads' }, { name: 'communication', label: 'Who speaks to stakeholders' }, { name: 'update_every', label: 'Tell stakeholders every', hint: '30m' }, { name: 'update', label: 'First update', kind: 'text' }, { name: 'reason', label: 'Why' }], unversioned: true },
];

export async function command(incident, it) {
  let body = {};
  if (it.form) {
    body = await form(it.label + ' ' + incident.number, it.form, it.label);
    if (!body) return;
  }
  if (it.body) body = it.body(body);
  if (!it.unversioned) body.expected_version = incident.version;
  await order('/api/v1/incidents/' + incident.number + '/' + it.path, body, incident.number + ': ' + it.label.toLowerCase() + ', done.');
  await refreshed();
}

function head(it) {
  return [
    el('div', { class: 'head' }, mark(it.priority), mark(it.state), it.major ? mark('critical', 'major') : null,
      el('span', { class: 'dim', text: it.number + ', ' + age(it.opened_at) + ' old' }),
      it.flapping ? mark('on_hold', 'flapping') : null,
      it.merged_into ? el('a', { href: '#/incident/' + it.merged_into, text: 'merged into ' + it.merged_into }) : null),
    el('h1', { text: it.title }),
    facts([
      ['Alerts', it.alerts.firing + ' of ' + it.alerts.total + ' firing, ' + it.events + ' messages'],
      ['Who', [it.assignee, it.team].filter(Boolean).join(', ') || 'nobody yet'],
      ['Opened', clock(it.opened_at)], ['People told', it.announced_at ? clock(it.announced_at) : null],
      ['Acknowledged', it.acknowledged_at ? clock(it.acknowledged_at) : null], ['Resolved', it.resolved_at ? clock(it.resolved_at) : null],
      ['Waits for', it.hold_reason],
      ['Not told because of', it.suppressed_by.map(held).join(', ')],
      ['Priority set by hand', it.priority_override ? [it.priority_override.by, it.priority_override.reason].filter(Boolean).join(': ') : null],
      ['Before it', it.previous ? incidentLink(it.previous) : null],
    ]),
    el('div', { class: 'buttons' }, COMMANDS.map((one) => button(one.label + (one.key ? ' (' + one.key + ')' : ''), () => command(it, one), {
      class: one.path === 'acknowledge' && it.state === 'new' ? 'primary' : null, disabled: !one.in.includes(it.state),
    })))];
}

function cause(it) {
  const root = it.root_cause;
  if (!root) return el('p', { class: 'dim', text: 'Nothing is known yet.' });
  return facts([
    ['What', root.ci ? [ciLink(root.ci), root.inferred ? ', not seen itself but inferred' : ''] : 'the alert itself; it is bound to no item'],
    ['How sure', Math.round(root.score * 100) + ' %'],
    ['Why', root.why && root.why.length ? el('ul', { class: 'plain' }, root.why.map((why) => el('li', { text: why }))) : null],
    ['Or', (root.others || []).filter((one) => one.ci).map((one) => el('div', {}, ciLink(one.ci), ' ' + Math.round(one.score * 100) + ' %'))],
    ['Services reached', it.services.join(', ')], ['Items reached', it.cis || null],
  ]);
}

/** Changes shortly before it; a person says whether one is to blame. */
function changes(it) {
  return it.changes.map((one) => el('li', {}, safeLink(one.url, one.id), ' ' + one.summary + ' ', mark('info', one.verdict || 'suspected'),
    el('div', { class: 'dim', text: one.why || '' }),
    one.verdict === 'suspected' ? ['confirmed', 'dismissed'].map((verdict) => button(verdict === 'confirmed' ? 'This was it' : 'It was not this', async () => {
      await order('/api/v1/incidents/' + it.number + '/changes', { change: one.id, verdict }, one.id + ': ' + verdict + '.');
      await refreshed();
    }, { class: 'quiet' })) : null));
}

function known(it, similar) {
  const rows = [
    ...it.known_errors.map((one) => el('li', {}, el('b', { text: (one.number || one) + ' ' + (one.title || '') }), el('div', { text: one.workaround || '' }),
      one.runbook_url ? safeLink(one.runbook_url, 'Runbook') : null)),
    ...it.problems.map((one) => el('li', { text: typeof one === 'string' ? one : one.number + ' ' + (one.title || '') })),
    ...similar.map((one) => el('li', {}, incidentLink(one.number), ' ' + one.title + ', ' + words(one.state) + (one.resolution ? ': ' + one.resolution : ''))),
  ];
  return rows.length ? sheet('Known, and similar before', el('ul', { class: 'plain' }, rows)) : null;
}

function promises(it) {
  const clocks = it.sla.length ? facts(it.sla.map((one) => [one.clock, el('span', { title: one.computed && one.computed.text || one.computed }, mark(one.state), ' ', one.due_at ? clock(one.due_at) : '')]))
    : el('p', { class: 'dim', text: 'No service level applies.' });
  const tickets = it.tickets.map((one) => el('p', {}, one.connector + ': ', safeLink(one.url, one.id || 'no ticket yet'), ' (' + words(one.state) + ')'));
  return sheet('Service levels and tickets', clocks, tickets);
}

function told(sent, ladders) {
  const steps = ladders.map((one) => el('li', {}, el('b', { text: one.escalation }), ', ' + words(one.state)
    + (one.due_at ? ': step ' + one.step + ' of ' + one.steps + ' tells ' + one.notify.join(', ') + ' at ' : ''), one.due_at ? clock(one.due_at) : null));
  const rows = sent.map((one) => el('li', {}, clock(one.sent_at || one.created_at), ' ' + one.target + (one.recipient ? ' ' + one.recipient : '') + ': '
    + words(one.type.replace('incident.', '')) + ' ', mark(one.state === 'dead' ? 'critical' : one.state === 'sent' ? 'resolved' : 'info', one.state), one.last_error ? el('div', { class: 'dim', text: one.last_error }) : null));
  return rows.length || steps.length ? sheet('Who is told', el('ul', { class: 'plain' }, steps, rows)) : null;
}

const isOfAlert = (entry) => entry.alert && !entry.actor && entry.reason !== 'incident_opened';

export function incident(number) {
  const base = '/api/v1/incidents/' + encodeURIComponent(number);
  const [top, left, right, reach] = [el('div', { class: 'sheet' }), el('ol', { class: 'time' }), el('div'), el('div')];
  const more = button('Show more', () => { limit = Math.min(500, limit + 200); refreshed(); });
  let limit = 200;
  let about = 'decisions';
  let drawn = '';
  const wanted = { status: '' };
  const rows = list('incident', base + '/alerts', () => wanted, ['', 'State', 'What', 'About', 'Source', 'Seen', 'Since'], (it) => alertRow(it, false), 'No alert.');

  async function reached(it) {
    const ci = it.root_cause && it.root_cause.ci;
    const key = ci ? ci.id + ' ' + it.alerts.total : '';
    if (key === drawn) return;
    drawn = key;
    const impact = ci ? await ask('/api/v1/cis/' + encodeURIComponent(ci.id) + '/impact').catch(() => null) : null;
    reach.replaceChildren(impact ? sheet('What it reaches', picture(impact)) : '');
  }
  async function read() {
    const none = { items: [] };
    const [it, entries, similar, sent, ladders] = await Promise.all([
      ask(base), ask(base + '/timeline?limit=' + limit), ask(base + '/similar?limit=5').catch(() => none),
      ask('/api/v1/outbox?limit=10&incident=' + encodeURIComponent(number)).catch(() => none), ask(base + '/escalations').catch(() => none)]);
    const page = shown();
    if (!page || page.number !== number) return;
    page.incident = it;
    document.title = it.number + ' ' + it.title + ' – Watchbell';
    top.replaceChildren(...head(it));
    const suspects = changes(it);
    right.replaceChildren(...[sheet('Probable root cause', cause(it)),
      suspects.length ? sheet('Changes shortly before', el('ul', { class: 'plain' }, suspects)) : null,
      known(it, similar.items), promises(it), told(sent.items, ladders.items)].filter(Boolean));
    const wantedEntries = entries.items.filter((entry) => about === 'all' || !isOfAlert(entry));
    left.replaceChildren(...wantedEntries.map((entry) => el('li', {}, el('div', { class: 'dim' }, clock(entry.at)),
      el('div', {}, el('span', { text: entry.text }), entry.actor ? el('span', { class: 'dim', text: ' by ' + entry.actor }) : null,
        entry.alert && about === 'all' ? el('span', { class: 'dim', text: ' ' + entry.alert }) : null,
        entry.note ? el('div', { class: 'note', text: entry.note }) : null))));
    more.hidden = !entries.next_cursor;
    await Promise.all([rows.read(), reached(it)]);
  }
  const page = open('queue', number, read, rows.node,
    top, reach, el('div', { class: 'columns' },
      el('div', { class: 'sheet' }, el('div', { class: 'head' }, el('h2', { text: 'Timeline' }),
        choice('Entries', about, [['decisions', 'Decisions and people'], ['all', 'Everything, alerts too']], (value) => { about = value; refreshed(); })), left, el('div', { class: 'more' }, more)), right),
    el('h2', { text: 'Alerts' }),
    el('div', { class: 'filters' }, choice('Status', '', [['', 'All'], ['firing', 'Firing'], ['resolved', 'Resolved']], (value) => { wanted.status = value; rows.restart(); })),
    rows.node, rows.foot);
  page.name = 'incident';
  page.number = number;
}
