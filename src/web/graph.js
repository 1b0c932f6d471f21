// A picture of what a configuration item reaches: from the cause on the left to the services on the right.
import { el, svg } from './base.js';

const TOGETHER = 4; // so many items of one kind at one depth are drawn one by one, more as one box
const WIDE = 190;
const HIGH = 40;
const GAP = { x: 56, y: 12 };
const WORST = { confirmed: 0, predicted: 1, at_risk: 2 };

/** The items of an impact with their depth and what they hang on; what is only at risk is drawn for services alone. */
function nodesOf(impact) {
  const nodes = new Map([[impact.ci.id, { ...impact.ci, state: 'confirmed', depth: 0, from: null }]]);
  const drawn = [...impact.services, ...impact.cis.filter((it) => it.state !== 'at_risk')];
  const known = new Map([...impact.cis, ...impact.services].map((it) => [it.ci.id, it]));
  for (const it of drawn) {
    const path = it.paths[0] || [];
    path.forEach((id, depth) => {
      const at = known.get(id);
      if (!at || nodes.has(id)) return;
      nodes.set(id, { ...at.ci, state: at.state, depth, from: path[depth - 1] });
    });
  }
  return nodes;
}

/** Boxes: one item each, or many of one class at one depth. */
function boxesOf(nodes) {
  const kinds = new Map();
  for (const node of nodes.values()) {
    const kind = node.depth + ' ' + node.class;
    kinds.set(kind, [...(kinds.get(kind) || []), node]);
  }
  const boxes = [];
  const boxOf = new Map();
  for (const group of kinds.values()) {
    const parts = group.length > TOGETHER ? [group] : group.map((node) => [node]);
    for (const part of parts) {
      const box = { items: part, depth: part[0].depth, state: part.map((it) => it.state).sort((a, b) => WORST[a] - WORST[b])[0] };
      boxes.push(box);
      for (const node of part) boxOf.set(node.id, box);
    }
  }
  return { boxes, boxOf };
}

function place(boxes) {
  const columns = [];
  for (const box of boxes) (columns[box.depth] = columns[box.depth] || []).push(box);
  const height = Math.max(...columns.map((column) => column.length * (HIGH + GAP.y))) + GAP.y;
  columns.forEach((column, depth) => {
    const top = (height - column.length * (HIGH + GAP.y)) / 2;
    column.forEach((box, at) => { box.x = depth * (WIDE + GAP.x) + 1; box.y = top + at * (HIGH + GAP.y) + GAP.y / 2; });
  });
  return { width: columns.length * (WIDE + GAP.x) - GAP.x + 2, height };
}

const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + '…' : text;
function counted(items) {
  const states = Object.keys(WORST).map((state) => [state, items.filter((it) => it.state === state).length]).filter(([, count]) => count);
  return states.map(([state, count]) => count + ' ' + state.replace('_', ' ')).join(', ');
}

function draw(box) {
  const one = box.items.length === 1 ? box.items[0] : null;
  const name = one ? one.name : box.items.length + ' × ' + box.items[0].class;
  const below = one ? one.class + ', ' + one.state.replace('_', ' ') : counted(box.items);
  const shape = svg('g', { class: 'box ' + box.state, transform: 'translate(' + box.x + ' ' + box.y + ')' },
    svg('title', { text: box.items.slice(0, 40).map((it) => it.name + ' (' + it.state.replace('_', ' ') + ')').join('\n') }),
    svg('rect', { width: WIDE, height: HIGH, rx: 5 }),
    svg('text', { x: 10, y: 17, class: 'name', text: cut(name, 25) }),
    svg('text', { x: 10, y: 32, class: 'below', text: cut(below, 30) }));
  return one ? svg('a', { href: '#/ci/' + encodeURIComponent(one.id), 'aria-label': name + ', ' + below }, shape) : shape;
}

/** The picture of an impact as the API answers it. */
export function picture(impact) {
  const nodes = nodesOf(impact);
  if (nodes.size < 2) return el('p', { class: 'dim', text: 'Nothing depends on it, as far as the CMDB knows.' });
  const { boxes, boxOf } = boxesOf(nodes);
  const { width, height } = place(boxes);
  const lines = new Set();
  const edges = [];
  for (const node of nodes.values()) {
    const [from, to] = [boxOf.get(node.from), boxOf.get(node.id)];
    if (!from || from === to) continue;
    const [x1, y1, x2, y2] = [from.x + WIDE, from.y + HIGH / 2, to.x, to.y + HIGH / 2];
    const path = 'M' + x1 + ' ' + y1 + 'C' + (x1 + GAP.x / 2) + ' ' + y1 + ' ' + (x2 - GAP.x / 2) + ' ' + y2 + ' ' + x2 + ' ' + y2;
    if (lines.has(path)) continue;
    lines.add(path);
    edges.push(svg('path', { class: 'edge ' + to.state, d: path }));
  }
  return el('div', { class: 'picture', tabindex: 0, role: 'group', 'aria-label': 'What it reaches' },
    svg('svg', { viewBox: '0 0 ' + Math.max(width, 1100) + ' ' + height, role: 'img', 'aria-label': 'From ' + impact.ci.name + ' to the services it reaches' }, edges, boxes.map(draw)),
    impact.truncated ? el('p', { class: 'dim', text: 'It reaches more than is shown.' }) : null);
}
