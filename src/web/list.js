// Pages and the lists on them: reading page by page, selecting by keyboard, filters.
import { $, ask, el, query, say } from './base.js';

const PAGE = 50;
let page = null; // what is shown: { name, title, list, rows, selected, key, refresh, incident }
export const shown = () => page;

/** Puts a page before the reader; `read` fills it now and again every few seconds. */
export function open(name, title, read, listNode, ...nodes) {
  page = { name, list: listNode, rows: [], selected: -1, refresh: read };
  document.title = title + ' – Watchbell';
  for (const link of document.querySelectorAll('nav a[data-page]')) {
    if (link.dataset.page === name) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  $('main').replaceChildren(...nodes.flat(Infinity));
  return page;
}

/** Reads the page again, after something was ordered. */
export async function refreshed() {
  if (page) await page.refresh().catch((error) => say(error.message));
}

export function table(heads) {
  const body = el('tbody');
  const node = el('div', { class: 'scroll' }, el('table', {},
    el('thead', {}, el('tr', {}, heads.map((head) => el('th', { scope: 'col', text: head })))), body));
  return { node, body };
}

/** A table that is read as a whole: `read` gives its items. */
export function plain(heads, read, row, none) {
  const { node, body } = table(heads);
  return { node, read: async () => {
    const items = await read();
    body.replaceChildren(...items.map(row));
    if (!items.length) body.append(el('tr', {}, el('td', { colspan: heads.length, class: 'dim', text: none })));
  } };
}

/** A list that is read page by page. What was loaded stays; refreshing reads as many rows again. */
export function list(name, path, fields, heads, row, none, order) {
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
  const restart = () => { loaded = PAGE; read().catch((error) => say(error.message)); };
  return { node, foot, read, restart };
}

export function select(index, quietly) {
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

export function choice(label, value, options, changed) {
  const input = el('select', { 'aria-label': label, on: { change: () => changed(input.value) } },
    options.map(([word, shown]) => el('option', { value: word, selected: word === value, text: shown })));
  return input;
}

export function search(value, changed) {
  let timer = 0;
  const input = el('input', { type: 'search', placeholder: 'Search (/)', 'aria-label': 'Search', value });
  input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(() => changed(input.value.trim()), 250); });
  return input;
}

export function button(text, act, props) {
  return el('button', { type: 'button', text, ...props, on: { click: act } });
}

export function sheet(title, ...nodes) {
  return el('section', { class: 'sheet' }, el('h2', { text: title }), nodes);
}
