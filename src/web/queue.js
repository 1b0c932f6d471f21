// The queue of incidents, and the list of alerts.
import { age, ciLink, due, el, incidentLink, mark } from './base.js';
import { choice, list, open, search } from './list.js';

const byUrgency = (left, right) =>
  left.priority < right.priority ? -1 : left.priority > right.priority ? 1 : left.opened_at < right.opened_at ? 1 : -1;

function row(it) {
  const tr = el('tr', {},
    el('td', { class: 'tight' }, mark(it.priority), it.major ? mark('critical', 'major') : null),
    el('td', { class: 'tight' }, incidentLink(it.number)),
    el('td', { class: 'tight' }, mark(it.state)),
    el('td', {}, el('a', { class: 'title', href: '#/incident/' + it.number, text: it.title }),
      it.services.length ? el('div', { class: 'dim', text: 'Services: ' + it.services.join(', ') }) : null,
      it.suppressed_by.length ? el('div', { class: 'dim', text: 'Nobody is told of it: ' + it.suppressed_by.map(held).join(', ') }) : null),
    el('td', { class: 'tight' }, ciLink(it.root_cause && it.root_cause.ci)),
    el('td', { class: 'number tight', text: it.alerts.firing + ' / ' + it.alerts.total }),
    el('td', { class: 'tight', title: it.opened_at, text: age(it.opened_at) }),
    el('td', { class: 'tight' }, due(it.sla)),
    el('td', { class: 'tight', text: it.assignee || it.team || '' }));
  tr.dataset.key = it.number;
  tr.incident = it;
  return tr;
}

/** What keeps people from being told, in words. */
export function held(by) {
  if (typeof by === 'string') return by;
  return [by.kind, by.id || by.name, by.reason].filter(Boolean).join(' ');
}

export function queue() {
  const wanted = { state: 'open', priority: '', q: '' };
  const rows = list('queue', '/api/v1/incidents', () => wanted,
    ['', 'Number', 'State', 'What', 'Root cause', 'Firing', 'Age', 'SLA', 'Who'], row, 'Nothing here. Good.', byUrgency);
  const again = (name) => (value) => { wanted[name] = value; rows.restart(); };
  open('queue', 'Incidents', rows.read, rows.node,
    el('div', { class: 'filters' },
      choice('State', wanted.state, [['open', 'Open'], ['new', 'New'], ['acknowledged', 'Acknowledged'], ['in_progress', 'In progress'], ['on_hold', 'On hold'], ['resolved', 'Resolved'], ['closed', 'Closed'], ['', 'All']], again('state')),
      choice('Priority', '', [['', 'Any priority'], ['P1', 'P1'], ['P1,P2', 'P1 and P2'], ['P1,P2,P3', 'P1 to P3'], ['P4,P5', 'P4 and P5']], again('priority')),
      search('', again('q'))),
    rows.node, rows.foot);
}

const opened = new Set(); // ids of alerts whose labels are shown

export function alertRow(it, withIncident) {
  const more = el('button', { type: 'button', class: 'quiet', text: 'Labels' });
  const labels = el('div', { class: 'labels' });
  const draw = () => {
    labels.hidden = !opened.has(it.id);
    more.setAttribute('aria-expanded', String(!labels.hidden));
    if (!labels.hidden) labels.replaceChildren(...Object.entries(it.labels).map(([name, value]) => el('span', { text: name + ' = ' + value })));
  };
  more.addEventListener('click', () => {
    if (!opened.delete(it.id)) opened.add(it.id);
    draw();
  });
  draw();
  const tr = el('tr', {},
    el('td', { class: 'tight' }, mark(it.severity)),
    el('td', { class: 'tight' }, mark(it.status === 'firing' ? 'new' : 'resolved', it.status)),
    el('td', {}, el('span', { text: it.summary }), ' ', more, labels),
    el('td', { class: 'tight', title: it.binding && it.binding.reason }, ciLink(it.ci) || el('span', { class: 'dim', text: 'unbound' })),
    el('td', { class: 'tight', text: it.source }),
    el('td', { class: 'number', text: it.count }),
    el('td', { class: 'tight', title: it.starts_at, text: age(it.starts_at) }),
    withIncident ? el('td', { class: 'tight' }, it.incident ? incidentLink(it.incident) : '') : null);
  tr.dataset.key = it.id;
  return tr;
}

export function alerts() {
  const wanted = { status: 'firing', severity: '', q: '' };
  const rows = list('alerts', '/api/v1/alerts', () => wanted,
    ['', 'State', 'What', 'About', 'Source', 'Seen', 'Since', 'Incident'], (it) => alertRow(it, true), 'No alert.');
  const again = (name) => (value) => { wanted[name] = value; rows.restart(); };
  open('alerts', 'Alerts', rows.read, rows.node,
    el('div', { class: 'filters' },
      choice('Status', 'firing', [['firing', 'Firing'], ['resolved', 'Resolved'], ['', 'All']], again('status')),
      choice('Severity', '', [['', 'Any severity'], ['critical', 'Critical'], ['critical,high', 'High and worse'], ['critical,high,warning', 'Warning and worse']], again('severity')),
      search('', again('q'))),
    rows.node, rows.foot);
}
