// Business services, and one configuration item with what it reaches.
import { ask, ciLink, ciName, el, facts, incidentLink, mark, words } from './base.js';
import { picture } from './graph.js';
import { list, open, search, sheet } from './list.js';

export function services() {
  const wanted = { q: '' };
  let hit = new Map();
  const rows = list('services', '/api/v1/services', () => wanted, ['Service', 'Criticality', 'Open incidents'], (it) => {
    const tr = el('tr', {}, el('td', {}, ciLink(it)), el('td', { text: it.criticality ?? '' }),
      el('td', {}, (hit.get(it.name) || []).map((one) => [incidentLink(one.number), ' ', mark(one.priority), ' '])));
    tr.dataset.key = it.id;
    return tr;
  }, 'No service is known; import the CMDB.', (left, right) => (hit.get(right.name) || []).length - (hit.get(left.name) || []).length);
  const items = list('services', '/api/v1/cis', () => ({ q: wanted.q || ' ' }), ['Item', 'Site', 'Rack', 'Comes from'], (it) => el('tr', {},
    el('td', {}, ciLink(it)), el('td', { text: it.site || '' }), el('td', { text: it.rack || '' }), el('td', { text: it.imports.join(', ') })), 'Search for an item above.');
  async function read() {
    const open = await ask('/api/v1/incidents?state=open&limit=500');
    hit = new Map();
    for (const one of open.items) for (const name of one.services) hit.set(name, [...(hit.get(name) || []), one]);
    await Promise.all([rows.read(), wanted.q ? items.read() : null]);
    found.hidden = !wanted.q;
  }
  const found = el('div', { hidden: true }, el('h1', { text: 'Items' }), items.node, items.foot);
  open('services', 'Services', read, rows.node,
    el('div', { class: 'filters' }, el('h1', { text: 'Services' }), search('', (value) => { wanted.q = value; found.hidden = !value; rows.restart(); if (value) items.restart(); })),
    rows.node, rows.foot, found);
}

export function ci(id) {
  const base = '/api/v1/cis/' + encodeURIComponent(id);
  const body = el('div');
  let drawn = '';
  async function read() {
    const [it, impact, relations, alerts] = await Promise.all([ask(base), ask(base + '/impact'), ask(base + '/relations?limit=100'), ask('/api/v1/alerts?limit=20&ci=' + encodeURIComponent(id))]);
    const text = JSON.stringify([it, impact, relations, alerts.items.map((one) => [one.id, one.status])]);
    if (text === drawn) return;
    drawn = text;
    document.title = it.name + ' – Watchbell';
    const side = (near, far) => relations.items.filter((one) => one[near].id === it.id).map((one) =>
      el('li', {}, ciLink(one[far]), el('span', { class: 'dim', text: ' ' + [words(one.type), one.role].filter(Boolean).join(', ') })));
    const [uses, serves] = [side('from', 'to'), side('to', 'from')];
    body.replaceChildren(
      el('div', { class: 'sheet' }, el('h1', { text: ciName(it) }), facts([
        ['Id', it.id], ['Site', it.site], ['Rack', it.rack], ['Environment', it.environment], ['Criticality', it.criticality], ['Owner', it.owner],
        ['Names', [...it.aliases, ...it.fqdn].join(', ')], ['Addresses', it.addresses.join(', ')], ['Comes from', it.imports.join(', ')], ['Retired', it.retired ? 'yes' : null],
        ...Object.entries(it.attributes || {}).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
      ])),
      sheet('What it reaches', picture(impact)),
      el('div', { class: 'columns' },
        sheet('Alerts about it', el('ul', { class: 'plain' }, alerts.items.map((one) => el('li', {}, mark(one.severity), ' ', mark(one.status === 'firing' ? 'new' : 'resolved', one.status), ' ' + one.summary + ' ', one.incident ? incidentLink(one.incident) : '')))),
        el('div', {}, sheet('Depends on', el('ul', { class: 'plain' }, uses)), sheet('Is used by', el('ul', { class: 'plain' }, serves)))));
  }
  open('services', id, read, null, body);
}
